"""A SELECT whose lists are written out, so that it can be sent together with others."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import Column, Dialect, Select, Table

from .schema.types import Read, Row, Statement, is_mariadb, literal_of, reading_of

_LIST: Final = re.compile(r"(\([^()]+\)|\S+) IN \(__\[POSTCOMPILE_(\w+)\]\)")
"""How SQLAlchemy leaves a list open until it knows its length, with the column before it, or the two."""

MANY: Final = 16
"""Values of a list from which on MariaDB is given them as rows of a table to begin with.

For a list it makes a range of its index of each value, which takes longer than looking there: 256 customers of an event
took 840 µs in a list and 410 in a table, 64 pairs 410 and 200, 8 as long either way.
"""


def through(statement: Select[Any], table: Table, index: str) -> Select[Any]:
    """Read a table through this index, on MySQL and MariaDB; SQLite finds it by itself.

    Where several begin with the same column, the optimizer looks into each of them for each value of a list before it
    chooses: half of the time that a list of 32 events takes. And it looks through a table that it believes to be small,
    which it does for a while after it was.
    """
    hint = f"FORCE INDEX ({index})"
    return statement.with_hint(table, hint, "mysql").with_hint(table, hint, "mariadb")


class Find:
    """A SELECT of columns in which each of `lists`, named as its parameter, holds values for one column or for two.

    Pairs are asked for first value by first value: SQLite looks at the whole table for a list of pairs, and MariaDB
    takes twice as long for each. Each table is to be read `through` an index.
    """

    def __init__(self, statement: Select[Any], *, is_raw: bool = False, **lists: Sequence[Column[Any]]) -> None:
        """`is_raw`: rows stay as the driver has them, where most of their values need not become ids of ours."""
        self._is_raw = is_raw
        self._statement = statement
        self._lists = lists
        self._written: dict[tuple[str, bool], _Written] = {}

    def statement(self, dialect: Dialect, **lists: Collection[Any]) -> Statement:
        """With these values, no two of a list alike; they may be none."""
        return Statement(self._in(dialect).text(lists))

    def rows(self, dialect: Dialect, found: Sequence[Row]) -> list[Row]:
        """What was found, as the columns' types have it."""
        if self._is_raw:
            return list(found)
        return self._in(dialect).rows(found) if found else []

    def _in(self, dialect: Dialect) -> "_Written":
        words = (dialect.name, is_mariadb(dialect))
        written = self._written.get(words)
        if written is None:
            written = self._written[words] = _Written(self._statement, self._lists, dialect)
        return written


class _Written:
    """A SELECT in the words of one database."""

    def __init__(self, statement: Select[Any], lists: dict[str, Sequence[Column[Any]]], dialect: Dialect) -> None:
        text = str(statement.compile(dialect=dialect))
        self._literals = {name: [literal_of(each.type, dialect.name) for each in of] for name, of in lists.items()}
        # What stands before the first list, its columns, its name, what stands before the next one, …
        self._pieces = _LIST.split(text)
        is_ordered = "ORDER BY" in text or "FOR UPDATE" in text
        self._may_join = is_mariadb(dialect) and len(lists) == 1 and not is_ordered
        self._row = _row_of([reading_of(each.type, dialect) for each in statement.selected_columns])

    def text(self, lists: dict[str, Collection[Any]]) -> str:
        pieces = self._pieces
        if self._may_join and len(lists[pieces[2]]) >= MANY:
            return self._joined(lists[pieces[2]])
        written = [pieces[0]]
        for at in range(1, len(pieces), 3):
            columns, name, after = pieces[at : at + 3]
            written += (self._among(columns, name, lists[name]), after)
        return "".join(written)

    def _joined(self, values: Collection[Any]) -> str:
        before, columns, name, after = self._pieces
        wanted, _, tables = before.partition("\nFROM ")
        literals = self._literals[name]
        if len(literals) == 1:
            rows = list(map(literals[0], values))
            names, are_equal = "one", f"{columns} = listed.one"
        else:
            write_first, write_second = literals
            rows = [f"{write_first(one)},{write_second(other)}" for one, other in values]
            names, are_equal = "one, two", f"{columns} = (listed.one, listed.two)"
        # In this order: first the list, then what is looked for.
        wanted = wanted.replace("SELECT", "SELECT STRAIGHT_JOIN", 1)
        listed = f"WITH listed ({names}) AS (VALUES ({'),('.join(rows)}))"
        return f"{listed} {wanted}\nFROM listed, {tables}{are_equal}{after}"

    def _among(self, columns: str, name: str, values: Collection[Any]) -> str:
        literals = self._literals[name]
        if len(literals) == 1:
            return f"{columns} IN ({','.join(map(literals[0], values)) or 'NULL'})"
        first, second = columns.strip("()").split(", ")
        write_first, write_second = literals
        groups: dict[str, list[str]] = {}
        for one, other in values:
            groups.setdefault(write_first(one), []).append(write_second(other))
        together = [f"({first} = {one} AND {second} IN ({','.join(of)}))" for one, of in groups.items()]
        return f"({' OR '.join(together) or 'NULL'})"

    def rows(self, found: Sequence[Row]) -> list[Row]:
        return list(map(self._row, found))


def _row_of(readings: Sequence[Read | None]) -> Callable[[Row], Row]:
    """One function for a whole row, made of its columns as that for a row that is written (`into`)."""
    known = {f"read_{place}": read for place, read in enumerate(readings)}
    values = [f"row[{place}]" if read is None else f"read_{place}(row[{place}])" for place, read in enumerate(readings)]
    # Nothing but numbers and the names above is in it.
    made: Callable[[Row], Row] = eval(f"lambda row: ({', '.join(values)},)", known)  # noqa: S307
    return made

"""A SELECT whose lists are written out, so that it can be sent together with others."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, Dialect, Select

from .types import Read, Row, Statement, literal_of, reading_of

_LIST: Final = re.compile(r"(\([^()]+\)|\S+) IN \(__\[POSTCOMPILE_(\w+)\]\)")
"""How SQLAlchemy leaves a list open until it knows its length, with the column before it, or the two."""


class Find:
    """A SELECT of columns in which each of `lists`, named as its parameter, holds values for one column or for two.

    Pairs are asked for first value by first value: SQLite looks at the whole table for a list of pairs, and MariaDB
    takes twice as long for each.
    """

    def __init__(self, statement: Select[Any], **lists: Sequence[Column[Any]]) -> None:
        self._statement = statement
        self._lists = lists
        self._written: dict[str, _Written] = {}

    def statement(self, dialect: Dialect, **lists: Iterable[Any]) -> Statement:
        """With these values; they may be none."""
        return Statement(self._in(dialect).text(lists))

    def rows(self, dialect: Dialect, found: Sequence[Row]) -> list[Row]:
        """What was found, as the columns' types have it."""
        return self._in(dialect).rows(found) if found else []

    def _in(self, dialect: Dialect) -> "_Written":
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = _Written(self._statement, self._lists, dialect)
        return written


class _Written:
    """A SELECT in the words of one database."""

    def __init__(self, statement: Select[Any], lists: dict[str, Sequence[Column[Any]]], dialect: Dialect) -> None:
        text = str(statement.compile(dialect=dialect))
        self._literals = {name: [literal_of(each.type, dialect.name) for each in of] for name, of in lists.items()}
        # What stands before the first list, its columns, its name, what stands before the next one, …
        self._pieces = _LIST.split(text)
        self._row = _row_of([reading_of(each.type, dialect) for each in statement.selected_columns])

    def text(self, lists: dict[str, Iterable[Any]]) -> str:
        pieces = self._pieces
        written = [pieces[0]]
        for at in range(1, len(pieces), 3):
            columns, name, after = pieces[at : at + 3]
            written += (self._among(columns, name, lists[name]), after)
        return "".join(written)

    def _among(self, columns: str, name: str, values: Iterable[Any]) -> str:
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

"""Many rows into one table, written out as the database reads them."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, cast

from sqlalchemy import Column, Dialect, Insert

from .schema.types import Row, Statement, is_mariadb, placeholder_of

LONGEST: Final = 1_000_000
"""Characters of a statement, beyond which it takes no more rows; a packet holds 16 MB by default."""

MANY: Final = 32
"""Rows from which on what all have in common is said once: with 16 it costs MariaDB as much as it saves.

At least a quarter of what MariaDB does for a batch is to read its statements. With two values of a booking's sixteen
left to each row it is done an eighth sooner, SQLite a quarter.
"""

_SHAPES: Final = 64
"""How many ways are remembered in which the rows of a table have values in common."""

Values = Callable[[Any], Row]
"""Takes the values of a row out of what it is made of, in the order of the table's columns."""


class Into:
    """An INSERT of whole rows; each row has a value for every column of the table that is not computed.

    The drivers' own way from a row to the server took twice as long as the server needed for the row. What is written
    out instead needs no escaping (`literal_of`).
    """

    def __init__(self, statement: Insert, values: Values | None = None) -> None:
        """Without `values` a row is a mapping by the names of the columns."""
        self._columns: list[Column[Any]] = [
            cast("Column[Any]", each) for each in statement.table.c if each.computed is None
        ]
        self._values = values or itemgetter(*(column.name for column in self._columns))
        self._statement = statement
        self._written: dict[tuple[str, bool], _Written] = {}

    def statements(self, rows: Sequence[Any], dialect: Dialect) -> Iterator[Statement]:
        """Statements for all rows, in their order. Raises: KeyError where a row lacks a column."""
        if not rows:
            return iter(())
        may_share = _may_share(dialect)
        written = self._written.get((dialect.name, may_share))
        if written is None:
            written = _Written(self.text(dialect), self._columns, dialect, may_share=may_share)
            self._written[dialect.name, may_share] = written
        return written.statements(list(map(self._values, rows)))

    def text(self, dialect: Dialect) -> str:
        """The statement for one row, in the words of a database."""
        return str(self._statement.compile(dialect=dialect, column_keys=[column.name for column in self._columns]))


def _may_share(dialect: Dialect) -> bool:
    """Whether the database selects from a list of rows. MySQL has other words for it, which nobody has tried."""
    return dialect.name == "sqlite" or is_mariadb(dialect)


class _Written:
    """An INSERT in the words of one database."""

    def __init__(self, text: str, columns: Sequence[Column[Any]], dialect: Dialect, *, may_share: bool) -> None:
        """`text` is the statement for one row."""
        before, _, rest = text.partition(" VALUES (")
        _, _, after = rest.partition(")")
        # What is to happen to a row that is there already refers to the rows by words that a SELECT does not have.
        self._may_share = may_share and not after
        self._shape = lru_cache(_SHAPES)(lambda shared: _Shape(before, after, columns, shared, dialect))

    def statements(self, rows: Sequence[Row]) -> Iterator[Statement]:
        """See `Into`."""
        shape: _Shape = self._shape(_in_common(rows) if self._may_share and len(rows) >= MANY else ())
        before, after = shape.around(rows[0])
        written = list(map(shape.row, rows))
        if sum(map(len, written)) <= LONGEST:
            yield Statement(f"{before}{','.join(written)}{after}")
            return
        together: list[str] = []
        length = 0
        for row in written:
            if length + len(row) > LONGEST and together:
                yield Statement(f"{before}{','.join(together)}{after}")
                together, length = [], 0
            together.append(row)
            length += len(row)
        yield Statement(f"{before}{','.join(together)}{after}")


def _in_common(rows: Sequence[Row]) -> tuple[int, ...]:
    """The places at which all rows have the same value."""
    return tuple([place for place, values in enumerate(zip(*rows, strict=True)) if _are_alike(values)])


def _are_alike(values: Row) -> bool:
    # The last one first: where they differ, most often all do.
    return bool(values[0] == values[-1]) and values.count(values[0]) == len(values)


class _Shape:
    """How rows are written that have the values at some places in common.

    `row` writes what a row has for itself, in parentheses.
    """

    def __init__(
        self, before: str, after: str, columns: Sequence[Column[Any]], shared: tuple[int, ...], dialect: Dialect
    ) -> None:
        own = [place for place in range(len(columns)) if place not in shared]
        self.row = _row_of(columns, own, dialect.name)
        self._before, self._after = f"{before} VALUES ", after
        self._shared: Callable[[Row], str] | None = None
        if shared:
            quoted = [dialect.identifier_preparer.format_column(column) for column in columns]
            names, others = (", ".join(quoted[place] for place in places) for places in (own, shared))
            into, _, _ = before.partition(" (")
            # By names, because MariaDB would call the columns of the list by the values in its first row.
            self._before = f"{into} ({names}, {others}) WITH own ({names}) AS (VALUES "
            self._shared = _row_of(columns, shared, dialect.name)

    def around(self, row: Row) -> tuple[str, str]:
        """What stands before and behind rows of which this is one."""
        if self._shared is None:
            return self._before, self._after
        return self._before, f") SELECT own.*, {self._shared(row)[1:-1]} FROM own"  # noqa: S608 - literals


def _row_of(columns: Sequence[Column[Any]], chosen: Sequence[int], dialect: str) -> Callable[[Row], str]:
    """One function for the chosen values of a row, made of its columns as `dataclasses` makes its methods: a call for
    each value took as long as the server needed for the row.
    """
    known: dict[str, Any] = {}
    places, taken = [], []
    for number in chosen:
        place, expression, known[f"write_{number}"] = placeholder_of(columns[number], dialect, f"row[{number}]")
        places.append(place)
        taken.append(expression.replace("write(", f"write_{number}("))
    known["form"] = f"({','.join(places)})"
    # Nothing but the names above is in it, and nothing that anybody sent.
    made: Callable[[Row], str] = eval(f"lambda row: form % ({', '.join(taken)},)", known)  # noqa: S307
    return made

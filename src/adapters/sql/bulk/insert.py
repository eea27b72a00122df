"""An INSERT of many rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Column, Dialect, Table

from ..dialects.dialect import features_of
from ..dialects.features import Features
from ..schema.types import Row, Statement
from .literals import Literal, literal_of

MAX_CHARACTERS: Final = 1_000_000
"""Length of the rows of one statement. A packet of MySQL and MariaDB holds 16 MB by default."""

MIN_SHARED_ROWS: Final = 32
"""Minimum rows before shared values are factored out."""

RowValues = Callable[[Any], Row]
"""Returns the values of a row, in the order of the table's columns that are not computed."""


class BulkInsert:
    """Inserts whole rows: each has a value for every column that is not computed.

    A value that all rows share is written once, in a SELECT from the list of the other values.
    """

    def __init__(
        self,
        table: Table,
        values: RowValues | None = None,
        *,
        on_existing: Mapping[str, str] | None = None,
    ) -> None:
        """Without `values` a row is a mapping by column names.

        `on_existing` updates these columns of a row whose key exists, each to an expression in which `{old}` is its
        value and `{new}` the one that would have been inserted.
        """
        self._table = table
        self._columns: list[Column[Any]] = [each for each in table.c if each.computed is None]
        self._values = values or itemgetter(*(column.name for column in self._columns))
        self._on_existing = on_existing or {}
        self._inserts: dict[tuple[str, Features], _Insert] = {}

    def statements(self, rows: Sequence[Any], dialect: Dialect) -> list[Statement]:
        """Return statements for all rows, in their order. Raises: KeyError where a row lacks a column."""
        if not rows:
            return []
        features = features_of(dialect)
        insert = self._inserts.get((dialect.name, features))
        if insert is None:
            insert = self._inserts[dialect.name, features] = self._insert(dialect, features)
        return insert.statements(list(zip(*map(self._values, rows), strict=True)))

    def _insert(self, dialect: Dialect, features: Features) -> "_Insert":
        quote = dialect.identifier_preparer
        names = [quote.format_column(column) for column in self._columns]
        end = ""
        if self._on_existing:
            key = ", ".join(map(quote.format_column, self._table.primary_key))
            table = quote.format_table(self._table)
            sets = [
                f"{name} = {new.format(old=f'{table}.{name}', new=features.new_value.format(column=name))}"
                for name, new in ((quote.quote(column), new) for column, new in self._on_existing.items())
            ]
            end = f" {features.insert_or_update.format(key=key)} {', '.join(sets)}"
        return _Insert(
            f"INSERT INTO {quote.format_table(self._table)}",
            names,
            [literal_of(column.type, features) for column in self._columns],
            end,
            # The assignments at the end refer to the inserted row, which an INSERT from a SELECT cannot.
            may_share=not end,
            listed_row=features.listed_row,
        )


class _Insert:
    """The parts of an INSERT for one database."""

    def __init__(
        self,
        begin: str,
        names: Sequence[str],
        literals: Sequence[Literal],
        end: str,
        *,
        may_share: bool,
        listed_row: str,
    ) -> None:
        self._begin = begin
        self._names = names
        self._literals = literals
        self._before_all = f"{begin} ({', '.join(names)}) VALUES"
        self._end_of_all = f"){end}"
        self._may_share = may_share
        self._listed_row = listed_row

    def statements(self, columns: Sequence[Row]) -> list[Statement]:
        """Return statements for rows, given column by column."""
        shared: list[int] = []
        if self._may_share and len(columns[0]) >= MIN_SHARED_ROWS:
            shared = [place for place, values in enumerate(columns) if _are_alike(values)]
        if not shared:
            return self._written(self._literals, columns, f"{self._before_all} (", "),(", self._end_of_all)
        own = [place for place in range(len(columns)) if place not in shared]
        own_names = ", ".join([self._names[place] for place in own])
        names = ", ".join([self._names[place] for place in shared])
        values = ", ".join([self._literals[place](columns[place][0]) for place in shared])
        row = self._listed_row
        return self._written(
            [self._literals[place] for place in own],
            [columns[place] for place in own],
            # Name the columns, because MariaDB names them after the values of the first row.
            f"{self._begin} ({own_names}, {names}) WITH own ({own_names}) AS (VALUES {row}(",
            f"),{row}(",
            f")) SELECT own.*, {values} FROM own",  # noqa: S608 (literals)
        )

    def _written(
        self, literals: Sequence[Literal], columns: Sequence[Row], before: str, between: str, after: str
    ) -> list[Statement]:
        """Return statements with these texts around the literals of their rows."""
        written = [map(write, values) for write, values in zip(literals, columns, strict=True)]
        rows = list(map(",".join, zip(*written, strict=True)))
        return [Statement(f"{before}{between.join(some)}{after}") for some in _chunks(rows)]


def _are_alike(values: Row) -> bool:
    # Compare the ends first: where values differ, usually all of them differ.
    return bool(values[0] == values[-1]) and values.count(values[0]) == len(values)


def _chunks(rows: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split rows so that no statement becomes too long."""
    if len(rows) == 1:
        yield rows
        return
    start = length = 0
    for number, row in enumerate(rows):
        length += len(row)
        if length > MAX_CHARACTERS and number > start:
            yield rows[start:number]
            start, length = number, len(row)
    yield rows[start:]

"""A SELECT of the rows with the values of a list."""

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, convert
from sqlalchemy import Column, Dialect, FromClause, Select
from sqlalchemy import table as table_named
from sqlalchemy.types import TypeEngine

from ..dialects.dialect import features_of
from ..dialects.features import Features
from ..schema.types import Id, Row, Statement, Word
from .literals import literal_of

_LISTED: Final = "listed"
_LISTED_NAMES: Final = ("one", "two")


class _Ids(Struct, array_like=True, gc=False):
    """Ids to convert together. What msgspec knows of a struct is kept, unlike what it knows of a plain list."""

    ids: list[UUID | None]


def force_index(statement: Select[Any], table: FromClause, index: str) -> Select[Any]:
    """Make MySQL and MariaDB use this index; SQLite chooses one itself.

    Otherwise the optimizer probes each index that begins with the column for each value, and scans a table that was
    small when its statistics were collected.
    """
    hint = f"FORCE INDEX ({index})"
    return statement.with_hint(table, hint, "mysql").with_hint(table, hint, "mariadb")


class BulkSelect:
    """Selects the rows whose value of one column, or pair of values of two columns, is in a list."""

    def __init__(
        self,
        statement: Select[Any],
        *by: Column[Any],
        order_by: Sequence[Column[Any]] = (),
        for_update: bool = False,
        is_raw: bool = False,
    ) -> None:
        """Add the condition on the columns `by` to a SELECT from one table, which has no condition of its own.

        The SELECT should use `force_index`. `is_raw` leaves rows as the driver returns them.
        """
        self._statement = statement
        self._by = by
        self._order_by = order_by
        self._for_update = for_update
        self._is_raw = is_raw
        self._selects: dict[tuple[str, Features], _Select] = {}

    def statement(self, values: Collection[Any], dialect: Dialect) -> Statement:
        """Return the statement for these values or pairs, which must be distinct; there may be none."""
        return Statement(self._of(dialect).text(values))

    def rows(self, found: Sequence[Row], dialect: Dialect) -> list[Row]:
        """Return the rows with the columns' Python values."""
        if self._is_raw or not found:
            return list(found)
        return self._of(dialect).rows(found)

    def _of(self, dialect: Dialect) -> "_Select":
        features = features_of(dialect)
        select = self._selects.get((dialect.name, features))
        if select is None:
            select = self._selects[dialect.name, features] = _Select(
                self._statement, self._by, self._tail(dialect, features), dialect, features
            )
        return select

    def _tail(self, dialect: Dialect, features: Features) -> str:
        order = ", ".join([_name(column, dialect) for column in self._order_by])
        lock = " FOR UPDATE" if self._for_update and features.locks_rows else ""
        return (f" ORDER BY {order}" if order else "") + lock


class _Select:
    """The parts of a SELECT for one database."""

    def __init__(
        self, statement: Select[Any], by: Sequence[Column[Any]], tail: str, dialect: Dialect, features: Features
    ) -> None:
        self._names = [_name(column, dialect) for column in by]
        self._literals = [literal_of(column.type, features) for column in by]
        readers = [_reader_of(column.type, dialect) for column in statement.selected_columns]
        self._readers = [(place, read) for place, read in enumerate(readers) if read is not None]
        self._select = str(statement.compile(dialect=dialect))
        self._tail = tail
        # A join returns and locks rows in no particular order.
        self._min_joined_values = None if tail else features.min_joined_values
        self._listed_row = features.listed_row
        self._between_rows = f"),{features.listed_row}("
        # Read the list first, then its rows.
        joined = statement.prefix_with("STRAIGHT_JOIN").select_from(table_named(_LISTED))
        self._select_joined = str(joined.compile(dialect=dialect))

    def text(self, values: Collection[Any]) -> str:
        if self._min_joined_values is not None and len(values) >= self._min_joined_values:
            return self._joined(values)
        return f"{self._select} WHERE {self._condition(values)}{self._tail}"

    def _joined(self, values: Collection[Any]) -> str:
        names = _LISTED_NAMES[: len(self._names)]
        rows = self._between_rows.join(map(",".join, zip(*self._literal_columns(values), strict=True)))
        are_equal = " AND ".join([f"{ours} = {_LISTED}.{name}" for ours, name in zip(self._names, names, strict=True)])
        listed = f"WITH {_LISTED} ({', '.join(names)}) AS (VALUES {self._listed_row}({rows}))"
        return f"{listed} {self._select_joined} WHERE {are_equal}"

    def _condition(self, values: Collection[Any]) -> str:
        if not values:
            return "NULL"
        if len(self._names) == 1:
            (literals,) = self._literal_columns(values)
            return f"{self._names[0]} IN ({','.join(literals)})"
        # Group by the first value of each pair: for a list of pairs SQLite scans the table.
        first, second = self._names
        groups: dict[str, list[str]] = {}
        for one, other in zip(*self._literal_columns(values), strict=True):
            groups.setdefault(one, []).append(other)
        return " OR ".join([f"({first} = {one} AND {second} IN ({','.join(of)}))" for one, of in groups.items()])

    def _literal_columns(self, values: Collection[Any]) -> list[Iterable[str]]:
        """Return the literals of the values, column by column."""
        columns = [values] if len(self._names) == 1 else zip(*values, strict=True)
        return [map(write, column) for write, column in zip(self._literals, columns, strict=True)]

    def rows(self, found: Sequence[Row]) -> list[Row]:
        columns: list[Iterable[Any]] = list(zip(*found, strict=True))
        for place, read in self._readers:
            columns[place] = read(columns[place])
        return list(zip(*columns, strict=True))


def _name(column: Column[Any], dialect: Dialect) -> str:
    return dialect.identifier_preparer.format_column(column, use_table=True)


def _reader_of(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Iterable[Any]] | None:
    """Return the function that converts the values of a column; None if the driver's values are used as they are."""
    if isinstance(kind, Id):
        return ids_of
    if isinstance(kind, Word):
        words: dict[str | None, StrEnum | None] = {word.value: word for word in kind.words}
        return partial(map, {**words, None: None}.__getitem__)
    process = kind.dialect_impl(dialect).result_processor(dialect, None)
    return None if process is None else partial(map, process)


def ids_of(values: Sequence[Any]) -> list[Any]:
    """Return ids from 16 bytes each, and None for None."""
    # One conversion of all is much faster than `UUID(bytes=…)` for each.
    return convert((values,), _Ids).ids

"""UPDATE and DELETE of many rows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Dialect, Table

from ..dialects.dialect import features_of
from ..dialects.features import Features
from ..schema.types import Row, Statement
from .literals import Literal, literal_of

MAX_ROWS: Final = 500
"""Maximum rows that one statement changes; their text is far below the maximum packet size."""


class BulkUpdate:
    """Updates columns of rows that exist, each found by its `id`.

    `INSERT … ON DUPLICATE KEY UPDATE` is shorter, but would hide a violation of a table's second unique key.
    """

    def __init__(
        self, table: Table, columns: Sequence[str], values: Callable[[Any], Row], *, are_kept: bool = False
    ) -> None:
        """`values` returns the id of a row and then the values of `columns`.

        `are_kept` says that the rows are never deleted, so the number of changed rows is not checked.
        """
        self._table = table
        self._columns = columns
        self._values = values
        self._are_kept = are_kept
        self._updates: dict[tuple[str, Features], _Update] = {}

    def statements(self, rows: Sequence[Any], dialect: Dialect) -> list[Statement]:
        """Return statements for all rows, in their order."""
        if not rows:
            return []
        features = features_of(dialect)
        update = self._updates.get((dialect.name, features))
        if update is None:
            update = self._updates[dialect.name, features] = _Update(self._table, self._columns, dialect)
        return [
            Statement(update.text(some), None if self._are_kept else len(some))
            for some in chunks(list(map(self._values, rows)))
        ]


class _Update:
    """The parts of an UPDATE for one database. `shared` are the assignments of values that all rows get."""

    def __init__(self, table: Table, own: Sequence[str], dialect: Dialect, shared: Sequence[str] = ()) -> None:
        quote = dialect.identifier_preparer
        features = features_of(dialect)
        self._begin = f"UPDATE {quote.format_table(table)} SET "  # noqa: S608 (names of the schema)
        self._shared = shared
        self._names = [quote.format_column(table.c[name]) for name in own]
        self._literals: list[Literal] = [literal_of(table.c[name].type, features) for name in ("id", *own)]

    def text(self, rows: Sequence[Row]) -> str:
        """Return the statement for rows, each an id and the values of its own columns."""
        columns = zip(*rows, strict=True)
        ids, *own = [list(map(write, values)) for write, values in zip(self._literals, columns, strict=True)]
        assignments = [f"{name} = {_value(ids, values)}" for name, values in zip(self._names, own, strict=True)]
        return f"{self._begin}{', '.join([*self._shared, *assignments])} WHERE id IN ({','.join(ids)})"


def update_alike(
    table: Table, shared: Mapping[str, Any], own: Sequence[str], rows: Sequence[Row], was: Any, dialect: Dialect
) -> Iterator[Statement]:
    """Set the columns of `shared` to the same values, and those of `own` to each row's values, if the status is `was`.

    A row is its id followed by the values of `own`.
    """
    update = _Update(table, own, dialect, [_equals(table.c[name], value, dialect) for name, value in shared.items()])
    still = f" AND {_equals(table.c.status, was, dialect)}"
    for some in chunks(rows):
        yield Statement(update.text(some) + still, len(some))


def delete_rows(column: Column[Any], values: Sequence[Any], dialect: Dialect) -> Iterator[Statement]:
    """Delete the rows with these values of a unique column, all of which must exist."""
    quote = dialect.identifier_preparer
    write = literal_of(column.type, features_of(dialect))
    for some in chunks(values):
        among = ",".join(map(write, some))
        text = f"DELETE FROM {quote.format_table(column.table)} WHERE {quote.format_column(column)} IN ({among})"  # noqa: S608
        yield Statement(text, len(some))


def delete_keys(table: Table, keys: Collection[Row], dialect: Dialect) -> Iterator[Statement]:
    """Delete the rows with these primary keys, one statement for each; all must exist.

    A single statement may scan a table that was small when the optimizer's statistics were collected, and wait for
    locks of other events.
    """
    for key in keys:
        equal = [_equals(column, value, dialect) for column, value in zip(table.primary_key, key, strict=True)]
        yield Statement(f"DELETE FROM {dialect.identifier_preparer.format_table(table)} WHERE {' AND '.join(equal)}", 1)  # noqa: S608


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split rows into groups of at most `MAX_ROWS`."""
    return (rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS))


def _value(ids: Sequence[str], values: Sequence[str]) -> str:
    """Return the value that the rows share, or an expression of each row's value."""
    if values.count(values[0]) == len(values):
        return values[0]
    cases = " ".join([f"WHEN {each} THEN {value}" for each, value in zip(ids, values, strict=True)])
    return f"CASE id {cases} END"


def _equals(column: Column[Any], value: Any, dialect: Dialect) -> str:
    """Return the assignment of a value, or the comparison with a value that is not None."""
    literal = literal_of(column.type, features_of(dialect))(value)
    return f"{dialect.identifier_preparer.format_column(column)} = {literal}"

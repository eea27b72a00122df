"""UPDATE and DELETE of many rows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Dialect, Table

from ..schema.types import Row, Statement
from .features import features_of
from .literals import literal_of

MAX_ROWS: Final = 500
"""Rows that one statement changes, far below what a packet holds."""


class BulkUpdate:
    """Updates columns of rows that exist, each found by its `id`.

    An `INSERT … ON DUPLICATE KEY UPDATE` would be shorter, and would hide a broken promise where a table has a second
    unique key.
    """

    def __init__(
        self, table: Table, columns: Sequence[str], values: Callable[[Any], Row], *, are_kept: bool = False
    ) -> None:
        """`values` returns the id of a row and then the values of `columns`.

        `are_kept` says that no row can have been deleted meanwhile, so the changed rows need not be counted.
        """
        self._table = table
        self._columns = columns
        self._values = values
        self._are_kept = are_kept

    def statements(self, rows: Sequence[Any], dialect: Dialect) -> list[Statement]:
        """Return statements for all rows, in their order."""
        return [
            Statement(_update(self._table, {}, self._columns, some, dialect), None if self._are_kept else len(some))
            for some in chunks(list(map(self._values, rows)))
        ]


def update_alike(
    table: Table, shared: Mapping[str, Any], own: Sequence[str], rows: Sequence[Row], was: Any, dialect: Dialect
) -> Iterator[Statement]:
    """Give rows whose status is still `was` the same values, and to each its own of `own`.

    A row is its id and then its own values.
    """
    still = f" AND {_equals(table.c.status, was, dialect)}"
    for some in chunks(rows):
        yield Statement(_update(table, shared, own, some, dialect) + still, len(some))


def delete_rows(column: Column[Any], values: Sequence[Any], dialect: Dialect) -> Iterator[Statement]:
    """Delete the rows with these values of a unique column; each exists."""
    quote = dialect.identifier_preparer
    write = literal_of(column.type, features_of(dialect))
    for some in chunks(values):
        among = ",".join(map(write, some))
        text = f"DELETE FROM {quote.format_table(column.table)} WHERE {quote.format_column(column)} IN ({among})"  # noqa: S608
        yield Statement(text, len(some))


def delete_keys(table: Table, keys: Collection[Row], dialect: Dialect) -> Iterator[Statement]:
    """Delete the rows with these primary keys, one statement for each; all exist.

    A single statement may read a whole table that was small when the optimizer last looked, and wait for locks of
    other events.
    """
    for key in keys:
        equal = [_equals(column, value, dialect) for column, value in zip(table.primary_key, key, strict=True)]
        yield Statement(f"DELETE FROM {dialect.identifier_preparer.format_table(table)} WHERE {' AND '.join(equal)}", 1)  # noqa: S608


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split rows into as many as one statement changes."""
    return (rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS))


def _update(table: Table, shared: Mapping[str, Any], own: Sequence[str], rows: Sequence[Row], dialect: Dialect) -> str:
    quote = dialect.identifier_preparer
    features = features_of(dialect)
    ids, *columns = [
        list(map(literal_of(table.c[name].type, features), values))
        for name, values in zip(("id", *own), zip(*rows, strict=True), strict=True)
    ]
    sets = [_equals(table.c[name], value, dialect) for name, value in shared.items()]
    sets += [
        f"{quote.format_column(table.c[name])} = {_value(ids, values)}"
        for name, values in zip(own, columns, strict=True)
    ]
    return f"UPDATE {quote.format_table(table)} SET {', '.join(sets)} WHERE id IN ({','.join(ids)})"  # noqa: S608


def _value(ids: Sequence[str], values: Sequence[str]) -> str:
    """Return what the rows share, or each row's own value."""
    if values.count(values[0]) == len(values):
        return values[0]
    cases = " ".join([f"WHEN {each} THEN {value}" for each, value in zip(ids, values, strict=True)])
    return f"CASE id {cases} END"


def _equals(column: Column[Any], value: Any, dialect: Dialect) -> str:
    """Return an assignment of a value, or a comparison with one that is not None."""
    literal = literal_of(column.type, features_of(dialect))(value)
    return f"{dialect.identifier_preparer.format_column(column)} = {literal}"

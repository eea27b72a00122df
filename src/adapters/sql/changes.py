"""Statements that change many rows at once, written out in literals that hold nothing to escape (`literal_of`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Table

from .schema.types import Literal, Statement, literal_of

MOST_ROWS: Final = 500
"""Rows that one statement changes, far below what a packet holds."""

Row = Sequence[Any]
"""The id of a row, and then its values."""


class Put:
    """Put these columns of rows that are there, each found by its `id`.

    `values` takes the id of a row and then its values out of what it is made of. `are_kept`: nobody can have removed
    the rows meanwhile, so it need not be counted how many there were.

    An `INSERT … ON DUPLICATE KEY UPDATE` would be shorter, and would hide a broken promise wherever a table has a
    second unique key.
    """

    def __init__(
        self, table: Table, columns: Sequence[str], values: Callable[[Any], Row], *, are_kept: bool = False
    ) -> None:
        self._table = table
        self._columns = columns
        self._values = values
        self._are_kept = are_kept
        self._literals: dict[str, list[Literal]] = {}

    def statements(self, rows: Sequence[Any], dialect: str) -> Iterator[Statement]:
        """Statements for all rows, in their order."""
        if rows:
            literals = self._literals.get(dialect)
            if literals is None:
                names = ("id", *self._columns)
                literals = self._literals[dialect] = [literal_of(self._table.c[name].type, dialect) for name in names]
            for some in pieces(list(map(self._values, rows))):
                yield self._statement(some, literals)

    def _statement(self, rows: Sequence[Row], literals: Sequence[Literal]) -> Statement:
        write_id, *others = literals
        ids = [write_id(row[0]) for row in rows]
        sets = ", ".join(_own(self._columns, others, rows, ids))
        text = f"UPDATE {self._table.name} SET {sets} WHERE id IN ({','.join(ids)})"  # noqa: S608 - literals
        return Statement(text, None if self._are_kept else len(rows))


def pieces(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """As many rows at once as one statement changes."""
    return (rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS))


def set_alike(
    table: Table, shared: Mapping[str, Any], own: Sequence[str], rows: Sequence[Row], was: Any, dialect: str
) -> Statement:
    """Give rows, found by `id`, the same values, and each its own of `own`, where their status is still `was`."""
    columns = table.c
    ids = [literal_of(columns.id.type, dialect)(row[0]) for row in rows]
    sets = [f"{name} = {literal_of(columns[name].type, dialect)(value)}" for name, value in shared.items()]
    sets += _own(own, [literal_of(columns[name].type, dialect) for name in own], rows, ids)
    still = f"{columns.status.name} = {literal_of(columns.status.type, dialect)(was)}"
    text = f"UPDATE {table.name} SET {', '.join(sets)} WHERE id IN ({','.join(ids)}) AND {still}"  # noqa: S608 - literals
    return Statement(text, len(rows))


def remove(table: Table, column: Column[Any], values: Sequence[Any], dialect: str) -> Statement:
    """Remove the rows with these values, of which each has one."""
    among = ",".join(map(literal_of(column.type, dialect), values))
    return Statement(f"DELETE FROM {table.name} WHERE {column.name} IN ({among})", len(values))  # noqa: S608 - literals


def _own(names: Sequence[str], literals: Sequence[Literal], rows: Sequence[Row], ids: Sequence[str]) -> Iterator[str]:
    """Each row's own values. What all of them have in common is said once."""
    for place, (name, write) in enumerate(zip(names, literals, strict=True), start=1):
        written = [write(row[place]) for row in rows]
        if written.count(written[0]) == len(written):
            yield f"{name} = {written[0]}"
        else:
            cases = " ".join([f"WHEN {each} THEN {value}" for each, value in zip(ids, written, strict=True)])
            yield f"{name} = CASE id {cases} END"

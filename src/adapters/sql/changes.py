"""Statements that change many rows at once, written out in literals that hold nothing to escape (`literal_of`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table

from .types import Statement, literal_of

Row = Sequence[Any]
"""The id of a row, and then its values."""


def put(
    table: Table, columns: Sequence[str], rows: Sequence[Row], dialect: str, *, are_kept: bool = False
) -> Statement:
    """Put these columns of rows that are there, each found by its `id`.

    `are_kept`: nobody can have removed them meanwhile, so it need not be counted how many there were.

    An `INSERT … ON DUPLICATE KEY UPDATE` would be shorter, and would hide a broken promise wherever a table has a
    second unique key.
    """
    statement = _update(table, _own(table, columns, rows, dialect), [], rows, dialect)
    return Statement(statement.text) if are_kept else statement


def set_alike(
    table: Table, shared: Mapping[str, Any], own: Sequence[str], rows: Sequence[Row], was: Any, dialect: str
) -> Statement:
    """Give rows, found by `id`, the same values, and each its own of `own`, where their status is still `was`."""
    sets = [f"{name} = {_literal(table.c[name], value, dialect)}" for name, value in shared.items()]
    still = f"{table.c.status.name} = {_literal(table.c.status, was, dialect)}"
    return _update(table, [*sets, *_own(table, own, rows, dialect)], [still], rows, dialect)


def remove(table: Table, column: Column[Any], values: Sequence[Any], dialect: str) -> Statement:
    """Remove the rows with these values, of which each has one."""
    return Statement(f"DELETE FROM {table.name} WHERE {_among(column, values, dialect)}", len(values))  # noqa: S608 - literals


def _update(table: Table, sets: Iterable[str], where: Sequence[str], rows: Sequence[Row], dialect: str) -> Statement:
    conditions = " AND ".join([_among(table.c.id, [row[0] for row in rows], dialect), *where])
    return Statement(f"UPDATE {table.name} SET {', '.join(sets)} WHERE {conditions}", len(rows))  # noqa: S608 - literals


def _own(table: Table, columns: Sequence[str], rows: Sequence[Row], dialect: str) -> Iterable[str]:
    write_id = literal_of(table.c.id.type, dialect)
    ids: list[str] = []
    for place, name in enumerate(columns, start=1):
        write = literal_of(table.c[name].type, dialect)
        written = [write(row[place]) for row in rows]
        if written.count(written[0]) == len(written):
            yield f"{name} = {written[0]}"
        else:
            ids = ids or [write_id(row[0]) for row in rows]
            cases = " ".join([f"WHEN {each} THEN {value}" for each, value in zip(ids, written, strict=True)])
            yield f"{name} = CASE id {cases} END"


def _among(column: Column[Any], values: Sequence[Any], dialect: str) -> str:
    return f"{column.name} IN ({','.join(map(literal_of(column.type, dialect), values))})"


def _literal(column: Column[Any], value: Any, dialect: str) -> str:
    return literal_of(column.type, dialect)(value)

"""Statements that give many rows values of their own at once."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Table, Update, bindparam, case, update


@lru_cache(maxsize=256)
def put(table: Table, columns: tuple[str, ...], rows: int) -> Update:
    """Put these columns of so many rows, found by `id`; the parameters are those of `put_values`.

    One statement, hence one round trip. An `INSERT … ON DUPLICATE KEY UPDATE` would be shorter, and would hide a broken
    promise wherever a table has a second unique key.
    """
    ids = [bindparam(f"id_{row}", type_=table.c.id.type) for row in range(rows)]
    return (
        update(table)
        .where(table.c.id.in_(ids))
        .values(
            {
                table.c[name]: case(
                    {ids[row]: bindparam(f"{name}_{row}", type_=table.c[name].type) for row in range(rows)},
                    value=table.c.id,
                )
                for name in columns
            }
        )
    )


def put_values(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameters of `put`."""
    return {f"{name}_{number}": row[name] for number, row in enumerate(rows) for name in ("id", *columns)}


@lru_cache(maxsize=64)
def set_alike(table: Table, columns: tuple[str, ...]) -> Update:
    """Give many rows, found by `ids`, the same values, where their status is still `was`."""
    return (
        update(table)
        .where(table.c.id.in_(bindparam("ids", expanding=True)), table.c.status == bindparam("was"))
        .values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns})
    )


@lru_cache(maxsize=256)
def set_nearly_alike(table: Table, columns: tuple[str, ...], own: tuple[str, ...], rows: int) -> Update:
    """The same, except that each row has its own values of `own`; these and the ids are named as in `put`."""
    return (
        put(table, own, rows)
        .where(table.c.status == bindparam("was"))
        .values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns})
    )

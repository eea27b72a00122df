"""UPDATE and DELETE of many rows: each row gets its own values, and others keep theirs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select

from boxoffice.adapters.sql.bulk.insert import BulkInsert
from boxoffice.adapters.sql.bulk.update import MAX_ROWS, BulkUpdate, delete_keys, delete_rows, update_alike
from boxoffice.adapters.sql.engine.pool import ConnectionPool
from boxoffice.adapters.sql.schema.types import Exact, Id, Statement, Word
from boxoffice.domain.booking import BookingStatus
from tests.adapters.sql.extra_tables import extra_tables
from tests.contract.storage_driver import new_id

# In MySQL's words two of the columns are words of its own.
ROWS = Table(
    "rows_to_be_changed",
    MetaData(),
    Column("id", Id(), primary_key=True),
    Column("key", Exact(), nullable=False),
    Column("rank", Integer()),
    Column("status", Word(BookingStatus), nullable=False),
    Column("name", String(200), nullable=False),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)
KEYS = Table(
    "keys_to_be_deleted",
    MetaData(),
    Column("id", Id(), primary_key=True),
    Column("key", Exact(), primary_key=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)
UPDATE = BulkUpdate(ROWS, ("key", "rank", "name"), lambda row: (row[0], row[1], row[2], row[4]))
Row = tuple[Any, ...]


@pytest.fixture
async def pool(pool: ConnectionPool) -> AsyncIterator[ConnectionPool]:
    """A pool for each kind of database, with the tables in it."""
    async with extra_tables(pool, ROWS.metadata, KEYS.metadata):
        yield pool


def rows(number: int, status: BookingStatus = BookingStatus.HELD) -> list[Row]:
    return [(new_id(), "k", 1, status, "plain") for _ in range(number)]


async def send(pool: ConnectionPool, *statements: Statement) -> list[int]:
    """How many rows each of the statements changed."""
    async with pool.engine.begin() as connection:
        return [result.changed for result in await pool.send(connection, statements)]


async def add(pool: ConnectionPool, table: Table, values: list[Row]) -> None:
    await send(pool, *BulkInsert(table, tuple).statements(values, pool.dialect))


async def stored(pool: ConnectionPool, table: Table) -> set[Row]:
    async with pool.engine.connect() as connection:
        return {tuple(row) for row in await connection.execute(select(table))}


@pytest.mark.parametrize("number", [1, 2, MAX_ROWS + 1])
async def test_each_row_gets_its_own_values(pool: ConnectionPool, number: int) -> None:
    before, others = rows(number), rows(2)
    await add(pool, ROWS, [*before, *others])
    after = [(row[0], f"it's {place}", (None, place)[place % 2], row[3], "Zoë 🎟") for place, row in enumerate(before)]
    statements = UPDATE.statements(after, pool.dialect)
    assert await send(pool, *statements) == [each.expected for each in statements]
    assert sum(each.expected or 0 for each in statements) == number
    assert await stored(pool, ROWS) == {*after, *others}


async def test_a_value_that_all_but_one_row_share_is_not_given_to_it(pool: ConnectionPool) -> None:
    before = rows(3)
    await add(pool, ROWS, before)
    after = [(row[0], "k", rank, row[3], "plain") for row, rank in zip(before, (7, 8, 7), strict=True)]
    await send(pool, *UPDATE.statements(after, pool.dialect))
    assert await stored(pool, ROWS) == set(after)


async def test_rows_that_change_alike(pool: ConnectionPool) -> None:
    before, others = rows(3), rows(1)
    await add(pool, ROWS, [*before, *others])
    shared = {"status": BookingStatus.CONFIRMED, "rank": None}
    own = [(row[0], f"{place}") for place, row in enumerate(before)]
    dialect = pool.dialect
    assert await send(pool, *update_alike(ROWS, shared, ("name",), own, BookingStatus.HELD, dialect)) == [3]
    changed = {(id_, "k", None, BookingStatus.CONFIRMED, name) for id_, name in own}
    assert await stored(pool, ROWS) == {*changed, *others}


async def test_a_row_whose_status_is_another_by_now_is_left_alone(pool: ConnectionPool) -> None:
    held, waiting = rows(1), rows(1, BookingStatus.WAITLISTED)
    await add(pool, ROWS, [*held, *waiting])
    (statement,) = update_alike(
        ROWS, {"rank": 9}, (), [row[:1] for row in (*held, *waiting)], BookingStatus.HELD, pool.dialect
    )
    assert statement.expected == 2
    assert await send(pool, statement) == [1]
    assert await stored(pool, ROWS) == {(held[0][0], "k", 9, *held[0][3:]), *waiting}


async def test_deleting_rows(pool: ConnectionPool) -> None:
    going, others = rows(MAX_ROWS + 1), rows(2)
    await add(pool, ROWS, [*going, *others])
    statements = list(delete_rows(ROWS.c.id, [row[0] for row in going], pool.dialect))
    assert await send(pool, *statements) == [each.expected for each in statements] == [MAX_ROWS, 1]
    assert await stored(pool, ROWS) == set(others)


async def test_deleting_by_the_whole_key(pool: ConnectionPool) -> None:
    one, other = new_id(), new_id()
    going, staying = [(one, "it's"), (other, "Zoë 🎟")], [(one, "Zoë 🎟"), (other, "it's")]
    await add(pool, KEYS, [*going, *staying])
    assert await send(pool, *delete_keys(KEYS, going, pool.dialect)) == [1, 1]
    assert await stored(pool, KEYS) == set(staying)

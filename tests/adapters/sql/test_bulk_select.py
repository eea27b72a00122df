"""A SELECT by a list finds its rows, however long the list and whatever its values."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from boxoffice.adapters.sql.bulk.insert import BulkInsert
from boxoffice.adapters.sql.bulk.select import BulkSelect, force_index
from boxoffice.adapters.sql.engine.pool import ConnectionPool
from boxoffice.adapters.sql.schema.types import Exact, Id
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.loading import LoadSpec
from tests.adapters.sql.extra_tables import extra_tables
from tests.adapters.sql.recorded import recording
from tests.contract.storage_driver import new_id

# In MySQL's words one of the columns is a word of its own.
ROWS = Table(
    "rows_to_be_found",
    MetaData(),
    Column("id", Id(), primary_key=True),
    Column("key", Exact(), primary_key=True),
    Column("rank", Integer(), nullable=False),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)
COLUMNS = [ROWS.c.id, ROWS.c.key, ROWS.c.rank]
BY_ID = BulkSelect(force_index(select(*COLUMNS), ROWS, "PRIMARY"), ROWS.c.id)
BY_PAIR = BulkSelect(force_index(select(*COLUMNS), ROWS, "PRIMARY"), ROWS.c.id, ROWS.c.key)
IN_ORDER = BulkSelect(select(*COLUMNS), ROWS.c.id, order_by=(ROWS.c.rank, ROWS.c.key))

# The second to last are alike but for case and a blank, which count.
KEYS = ["", "k", "it's", "Zoë 🎟", "x" * 200, "key", "Key", "key "]
JOINED = 16
"""Values that each of the servers joins as a table. MySQL does so from two on."""

LENGTHS = [0, 1, 2, JOINED - 1, JOINED, 5 * JOINED]


@pytest.fixture
async def pool(pool: ConnectionPool) -> AsyncIterator[ConnectionPool]:
    """A pool for each kind of database, with the table in it."""
    async with extra_tables(pool, ROWS.metadata):
        yield pool


async def fill(pool: ConnectionPool) -> list[tuple[Any, ...]]:
    """Rows of many ids, each with a few keys."""
    ids = [new_id() for _ in range(4 * JOINED)]
    rows = [(id_, key, rank) for id_ in ids for rank, key in enumerate(random.sample(KEYS, 4))]
    async with pool.engine.begin() as connection:
        add = BulkInsert(ROWS, tuple)
        await pool.send(connection, add.statements(rows, pool.engine.dialect))
    return rows


async def found(pool: ConnectionPool, bulk_select: BulkSelect, values: list[Any]) -> list[tuple[Any, ...]]:
    dialect = pool.engine.dialect
    async with pool.engine.connect() as connection:
        (result,) = await pool.send(connection, [bulk_select.statement(values, dialect)])
    return bulk_select.rows(result.rows, dialect)


def in_any_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: (row[0].int, row[1]))


@pytest.mark.parametrize("length", LENGTHS)
async def test_by_one_column(pool: ConnectionPool, length: int) -> None:
    rows = await fill(pool)
    ids = random.sample([*{row[0] for row in rows}, *(new_id() for _ in range(2 * JOINED))], length)
    expected = [row for row in rows if row[0] in ids]
    assert in_any_order(await found(pool, BY_ID, ids)) == in_any_order(expected)


@pytest.mark.parametrize("length", LENGTHS)
async def test_by_two_columns(pool: ConnectionPool, length: int) -> None:
    rows = await fill(pool)
    pairs = random.sample([(id_, key) for id_ in {row[0] for row in rows} for key in KEYS], length)
    expected = [row for row in rows if row[:2] in pairs]
    assert in_any_order(await found(pool, BY_PAIR, pairs)) == in_any_order(expected)


@pytest.mark.parametrize("length", LENGTHS)
async def test_in_the_order_that_is_asked_for(pool: ConnectionPool, length: int) -> None:
    rows = await fill(pool)
    ids = random.sample([*{row[0] for row in rows}, *(new_id() for _ in range(2 * JOINED))], length)
    in_order = await found(pool, IN_ORDER, ids)
    assert [row[2] for row in in_order] == sorted(row[2] for row in rows if row[0] in ids)


@pytest.mark.mysql
async def test_a_server_goes_from_a_long_list_to_the_rows(mysql_pool: ConnectionPool) -> None:
    """Left alone it would look through a table that it believes to be small, for the whole list with each row."""
    engine = mysql_pool.engine
    ids = [new_id() for _ in range(5 * JOINED)]
    for bulk_select, values in ((BY_ID, ids), (BY_PAIR, [(each, "k") for each in ids])):
        async with extra_tables(mysql_pool, ROWS.metadata), engine.connect() as connection:
            await connection.execute(insert(ROWS), [{"id": new_id(), "key": "k", "rank": 1}])
            await connection.commit()
            asked = bulk_select.statement(values, engine.dialect).text
            plan = (await connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {asked}")).mappings().all()
            await connection.commit()
        assert [(step["table"], step["key"]) for step in plan if step["select_type"] == "PRIMARY"] == [
            ("<derived2>", None),
            ("rows_to_be_found", "PRIMARY"),
        ], plan


@pytest.mark.mysql
async def test_locks_are_taken_in_the_order_of_the_index(mysql_storage: SqlStorage, mysql_pool: ConnectionPool) -> None:
    """In the order of the list instead, two transactions with different orders would wait for each other."""
    with recording(mysql_storage) as sent:
        async with mysql_storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=new_id()) for _ in range(JOINED)])
    (lock,) = [each.text for each in sent if "FOR UPDATE" in each.text]
    async with mysql_pool.engine.connect() as connection:
        plan = (await connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {lock}")).mappings().all()
    assert [(step["table"], step["type"], step["key"]) for step in plan] == [("events", "range", "PRIMARY")]

"""What is asked under an event's lock finds its rows by an index, however many there are."""

import sqlite3
from collections.abc import Callable, Collection
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.bulk.select import MIN_JOINED_VALUES, BulkSelect
from boxoffice.adapters.sql.queries import reads
from boxoffice.adapters.sql.repositories import events as inventories
from boxoffice.adapters.sql.repositories import stored_responses as answers
from boxoffice.adapters.sql.schema.types import Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.turnstile.command_queue import MOST_TOGETHER
from tests.contract.box_office import BoxOffice, new_id

IDS = [new_id() for _ in range(3)]
SEVERAL = [(one, other) for one in IDS[:2] for other in IDS]
KEYS = [(one, f"a key of {one}") for one in IDS]


@pytest.mark.usefixtures("sqlite_storage")
@pytest.mark.parametrize(
    ("bulk_select", "values"),
    [
        (inventories._LOCK, IDS),
        (inventories._TICKET_TYPES, IDS),
        (inventories._BY_ID, IDS),
        (inventories._LIVE_OF_CUSTOMERS, SEVERAL[:3]),
        (inventories._LIVE_OF_CUSTOMERS, SEVERAL),
        (inventories._PAYMENTS, IDS),
        (answers._LOAD, KEYS),
    ],
)
def test_no_table_is_looked_through(sqlite_url: str, bulk_select: BulkSelect, values: Collection[Any]) -> None:
    """SQLite looked at every booking for a list of pairs: behind a million of them each batch took seconds."""
    statement = bulk_select.statement(values, sqlite.dialect()).text
    connection = sqlite3.connect(str(make_url(sqlite_url).database))
    plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    connection.close()
    assert any(step.startswith("SEARCH") for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan


@pytest.mark.mysql
@pytest.mark.parametrize("length", [3, 5 * MIN_JOINED_VALUES])
@pytest.mark.parametrize(
    ("bulk_select", "value"),
    [
        (inventories._LOCK, new_id),
        (inventories._TICKET_TYPES, new_id),
        (inventories._BY_ID, new_id),
        (inventories._LIVE_OF_CUSTOMERS, lambda: (new_id(), new_id())),
        (inventories._PAYMENTS, new_id),
        (inventories._MARKS, lambda: (new_id(), 1)),
        (answers._LOAD, lambda: (new_id(), "a key")),
    ],
)
async def test_no_table_is_looked_through_that_seems_small(
    mysql_storage: SqlStorage, bulk_select: BulkSelect, length: int, value: Callable[[], Any]
) -> None:
    """In a rush a server knows its tables as they were, which may be empty."""
    connections = mysql_storage._writing
    connection = await connections.connect()
    asked = bulk_select.statement([value() for _ in range(length)], connections.dialect)
    (plan,) = await connections.send(connection, [Statement(f"EXPLAIN {asked.text}")])
    await connection.close()
    tables = {step[2]: step[3] for step in plan.rows if step[2] is not None and not step[2].startswith("<derived")}
    assert tables, plan.rows
    assert "ALL" not in tables.values(), plan.rows


@pytest.mark.mysql
@pytest.mark.parametrize("length", [3, 5 * MIN_JOINED_VALUES])
async def test_what_customers_hold_is_read_from_an_index_alone(mysql_storage: SqlStorage, length: int) -> None:
    """Looking at each booking for its quantity takes three times as long."""
    connections = mysql_storage._writing
    connection = await connections.connect()
    customers = [(new_id(), new_id()) for _ in range(length)]
    asked = inventories._LIVE_OF_CUSTOMERS.statement(customers, connections.dialect)
    (plan,) = await connections.send(connection, [Statement(f"EXPLAIN {asked.text}")])
    await connection.close()
    (step,) = [step for step in plan.rows if step[2] == "bookings"]
    assert step[5] == "ix_bookings_live_of_customer", plan.rows
    assert "Using index" in str(step[-1]).split("; "), plan.rows


@pytest.mark.mysql
async def test_a_full_batch_reads_no_more_than_it_asks_for(mysql_storage: SqlStorage) -> None:
    """In a rush a server knows its tables as they were, and read every booking of the event for 200 customers."""
    office = BoxOffice(mysql_storage)
    state = await office.initialize(10_000)
    await office.book_many(state, [1] * 10)
    connections = mysql_storage._writing
    connection = await connections.connect()
    await connections.send(
        connection, [Statement("ALTER TABLE bookings STATS_AUTO_RECALC = 0"), Statement("ANALYZE TABLE bookings")]
    )
    for _ in range(10):
        await office.book_many(state, [1] * MOST_TOGETHER)
    asked = inventories._LIVE_OF_CUSTOMERS.statement(
        [(state.event.id, new_id()) for _ in range(MOST_TOGETHER)], connections.dialect
    )
    # As whoever watches the server does now and then: it looks at what it knows of the table.
    await connections.send(connection, [Statement("SHOW INDEX FROM bookings")])
    reads = Statement("SHOW SESSION STATUS LIKE 'Handler_read%'")
    before, found, after = await connections.send(connection, [reads, asked, reads])
    await connection.close()
    assert not found.rows
    read = sum(int(one) - int(other) for (_, one), (_, other) in zip(after.rows, before.rows, strict=True))
    # The list is read too, once, to its end.
    assert 0 < read <= 2 * MOST_TOGETHER + 1


@pytest.mark.usefixtures("sqlite_storage")
def test_what_was_revoked_is_found_by_its_time(sqlite_url: str) -> None:
    """All sessions there are would be looked through every few seconds."""
    asked = str(reads._REVOKED.compile(dialect=sqlite.dialect())).replace("?", "'2027-01-01'")
    connection = sqlite3.connect(str(make_url(sqlite_url).database))
    plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {asked}")]
    connection.close()
    assert len([step for step in plan if step.startswith("SEARCH") and "INDEX" in step]) == 2, plan
    assert not any(step.startswith("SCAN") for step in plan), plan


@pytest.mark.mysql
async def test_mariadb_finds_it_so_too_however_small_the_tables_seem(mysql_storage: SqlStorage) -> None:
    async with mysql_storage._reading.engine.connect() as connection:
        asked = text(f"EXPLAIN {reads._REVOKED.compile(dialect=connection.dialect)}".replace("%s", "'2027-01-01'"))
        plan = (await connection.execute(asked)).mappings().all()
    assert [(step["table"], step["type"], step["key"]) for step in plan if step["key"]] == [
        ("users", "range", "ix_users_standing_changed_at"),
        ("sessions", "range", "ix_sessions_ended_at"),
    ], plan

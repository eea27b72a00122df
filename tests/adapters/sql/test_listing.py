"""Lists and searches have connections of their own, and a bounded time: other reads never wait behind them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects import mysql, sqlite
from boxoffice.adapters.sql.dialects.dialect import dialect_of
from boxoffice.adapters.sql.engine.pool import READ_SECONDS, ConnectionPool, NoFreeConnection
from boxoffice.adapters.sql.engine.transaction import read, read_literal
from boxoffice.adapters.sql.schema.types import Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.queries import EventFilter, WaitingKey
from boxoffice.application.ports.security import AccountKey
from boxoffice.application.ports.storage import Storage
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import EventStatus
from boxoffice.domain.payment import Need
from boxoffice.domain.tickets.ticket_type import EventState
from tests import servers
from tests.adapters.sql.recorded import POOLS, recording
from tests.contract.storage_driver import NOW, StorageDriver, new_id

PUBLIC: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
ENDLESS: Final = (
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted) SELECT MAX(n) FROM counted"
)

Ask = Callable[[Storage, EventState], Awaitable[object]]

LISTS: Final[dict[str, Ask]] = {
    "events": lambda storage, _: storage.event_queries.events(EventFilter(now=NOW, statuses=PUBLIC), None, 50),
    "search": lambda storage, _: storage.event_queries.events(
        EventFilter(now=NOW, statuses=PUBLIC, q="zzzz"), None, 50
    ),
    "own bookings": lambda storage, _: storage.booking_queries.bookings_of_customer(new_id(), None, None, 50),
    "bookings": lambda storage, state: storage.booking_queries.bookings_of_event(
        state.event.id, BookingStatus.WAITLISTED, None, 50
    ),
    "waiting list": lambda storage, state: storage.booking_queries.waiting_list(
        state.event.id, None, WaitingKey(0, 1), 50
    ),
    "search of bookings": lambda storage, state: storage.booking_queries.search_bookings(
        state.event.id, "a", None, None, 50
    ),
    "attendees": lambda storage, state: storage.booking_queries.attending_bookings(state.event.id, 0, 50),
    "customers": lambda storage, _: storage.account_queries.customers([new_id()]),
    "own events": lambda storage, _: storage.event_queries.events(
        EventFilter(now=NOW, statuses=PUBLIC, member_id=new_id()), None, 50
    ),
    "changes": lambda storage, state: storage.event_queries.facts(state.event.id, 0, 50),
    "payments of an event": lambda storage, state: storage.payment_queries.payments_of_event(
        state.event.id, None, None, 50
    ),
    "payments that need a person": lambda storage, _: storage.payment_queries.needing_payments(
        Need.PENDING, NOW, None, 50
    ),
    "users": lambda storage, _: storage.account_queries.users(None, 50),
    "more users": lambda storage, _: storage.account_queries.users(new_id(), 50),
}
OTHERS: Final[dict[str, Ask]] = {
    "status": lambda storage, state: storage.event_queries.events_by_id([state.event.id]),
    "booking": lambda storage, _: storage.booking_queries.booking(new_id()),
    "owner of a booking": lambda storage, _: storage.booking_queries.owner_of(new_id()),
    "role in a staff": lambda storage, state: storage.staff_queries.role(state.event.id, new_id()),
    "staff": lambda storage, state: storage.staff_queries.staff(state.event.id, None, 50),
    "accounts": lambda storage, _: storage.account_queries.accounts([AccountKey(new_id(), new_id())]),
    "account": lambda storage, _: storage.account_queries.user_by_email("ann@example.org"),
    "revocations": lambda storage, _: storage.account_queries.revocations(NOW - timedelta(minutes=1)),
    "payment": lambda storage, _: storage.payment_queries.payment(new_id()),
    "payments": lambda storage, _: storage.payment_queries.payments(new_id()),
    "open payments": lambda storage, _: storage.payment_queries.open_payments(NOW, 10),
    "lapsing": lambda storage, _: storage.event_queries.lapsing_events(NOW, 10),
    "unnumbered": lambda storage, _: storage.event_queries.unnumbered_events(10),
    "unsettled": lambda storage, _: storage.event_queries.unsettled_events(None, 10),
}


@pytest.fixture
async def state(any_storage: SqlStorage) -> EventState:
    """An event with a waiting list of three."""
    driver = StorageDriver(any_storage)
    state = await driver.initialize(1)
    await driver.book_many(state, [1] * 4)
    return state


@pytest.mark.parametrize("name", [*LISTS, *OTHERS])
async def test_what_a_list_needs_is_asked_by_its_own_connections(
    any_storage: SqlStorage, state: EventState, name: str
) -> None:
    with recording(any_storage) as sent:
        await {**LISTS, **OTHERS}[name](any_storage, state)
    assert {each.pool for each in sent} == {"listing" if name in LISTS else "reading"}
    with recording(any_storage) as sent:
        await any_storage.statistics.longest_waiting_lists(5)
    assert {each.pool for each in sent} == {"listing"}, "found by a walk over all ticket types"


async def test_lists_that_never_end_keep_nothing_else_waiting(any_storage: SqlStorage, state: EventState) -> None:
    """Each connection for lists is taken, and stays so."""
    driver, all_hang, may_end = StorageDriver(any_storage), asyncio.Event(), asyncio.Event()
    listing = any_storage.engines[POOLS.index("listing")]

    def hang(connection: Any, *_: object) -> None:
        if any_storage.statistics.connections()["listing"].in_use == mysql.LISTS_AT_ONCE:
            all_hang.set()
        connection.connection.dbapi_connection.run_async(lambda _: may_end.wait())

    event.listen(listing, "before_cursor_execute", hang)
    endless = [
        asyncio.create_task(driver.storage.event_queries.facts(state.event.id, 0, 50))
        for _ in range(mysql.LISTS_AT_ONCE)
    ]
    await all_hang.wait()
    lists = [asyncio.ensure_future(ask(any_storage, state)) for ask in LISTS.values()]
    for ask in OTHERS.values():
        await ask(any_storage, state)
    await driver.book(state)
    refused = await asyncio.gather(*lists, return_exceptions=True)
    assert [type(each) for each in refused] == [NoFreeConnection] * len(LISTS), refused
    event.remove(listing, "before_cursor_execute", hang)
    may_end.set()
    await asyncio.gather(*endless, return_exceptions=True)
    await LISTS["events"](any_storage, state)


def test_both_kinds_of_database_work_on_as_many_lists() -> None:
    assert mysql.LISTS_AT_ONCE == sqlite.LISTS_AT_ONCE


def lists_of(url: str, read_seconds: float = READ_SECONDS) -> ConnectionPool:
    database = dialect_of(url)
    engine = database.listing(make_url(url))
    return ConnectionPool(engine, database.send, autocommit=True, read_seconds=read_seconds)


async def test_a_list_that_takes_too_long_is_ended(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's thread would count to the end of time, and the process could not end."""
    monkeypatch.setattr(sqlite, "LIST_LIMIT_SECONDS", 0.1)
    listing, classify = lists_of(sqlite_url), sqlite.SQLiteDialect().classify
    for _ in range(sqlite.LISTS_AT_ONCE + 1):
        with pytest.raises(Unavailable, match="refuses to work"):
            await read(listing, classify, text(ENDLESS), {})
        with pytest.raises(Unavailable, match="refuses to work"):
            await read_literal(listing, classify, Statement(ENDLESS))
    assert await read(listing, classify, text("SELECT 1"), {}) == [(1,)]
    await listing.close()


async def test_a_list_whose_caller_gives_up_is_ended_as_well(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LIST_LIMIT_SECONDS", 0.5)
    before = set(threading.enumerate())
    listing = lists_of(sqlite_url, read_seconds=0.1)
    with pytest.raises(Unavailable, match="does not answer"):
        await read(listing, sqlite.SQLiteDialect().classify, text(ENDLESS), {})
    await listing.close()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()


async def test_the_server_ends_a_list_that_takes_too_long(mysql_url: str) -> None:
    listing = lists_of(mysql_url)
    variables = {"mariadb": "@@session.max_statement_time", "mysql": "@@session.max_execution_time / 1000"}
    asked = text(f"SELECT {variables[servers.KIND]}")
    ((limit,),) = await read(listing, mysql.MySQLDialect().classify, asked, {})
    assert float(limit) == mysql.LIST_LIMIT_SECONDS
    await listing.close()

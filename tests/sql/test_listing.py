"""Lists and searches have connections of their own, and a bounded time: the others never wait behind them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects import mysql, sqlite
from boxoffice.adapters.sql.engine.transaction import read, read_written
from boxoffice.adapters.sql.schema.types import Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.queries import EventFilter, Reads, WaitingKey
from boxoffice.application.ports.security import AccountKey
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.event import EventState, EventStatus
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import Settings
from tests.contract.box_office import NOW, BoxOffice, new_id

from .recorded import recording

PUBLIC: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
ENDLESS: Final = (
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted) SELECT MAX(n) FROM counted"
)

Ask = Callable[[Reads, EventState], Awaitable[object]]

LISTS: Final[dict[str, Ask]] = {
    "events": lambda reads, _: reads.event_queries.events(EventFilter(statuses=PUBLIC), None, 50),
    "search": lambda reads, _: reads.event_queries.events(EventFilter(statuses=PUBLIC, q="zzzz"), None, 50),
    "own bookings": lambda reads, _: reads.booking_queries.bookings_of_customer(new_id(), None, None, 50),
    "bookings": lambda reads, state: reads.booking_queries.bookings_of_event(
        state.event.id, BookingStatus.WAITLISTED, None, 50
    ),
    "waiting list": lambda reads, state: reads.booking_queries.waiting_list(state.event.id, None, WaitingKey(0, 1), 50),
    "changes": lambda reads, state: reads.event_queries.facts(state.event.id, 0, 50),
    "users": lambda reads, _: reads.account_queries.users(None, 50),
    "more users": lambda reads, _: reads.account_queries.users(new_id(), 50),
}
OTHERS: Final[dict[str, Ask]] = {
    "status": lambda reads, state: reads.event_queries.events_by_id([state.event.id]),
    "booking": lambda reads, _: reads.booking_queries.booking(new_id()),
    "event of a booking": lambda reads, _: reads.booking_queries.event_of(new_id()),
    "accounts": lambda reads, _: reads.account_queries.accounts([AccountKey(new_id(), new_id())]),
    "account": lambda reads, _: reads.account_queries.user_by_email("ann@example.org"),
    "revocations": lambda reads, _: reads.account_queries.revocations(NOW - timedelta(minutes=1)),
    "payments": lambda reads, _: reads.payment_queries.payments(new_id()),
    "open payments": lambda reads, _: reads.payment_queries.open_payments(NOW, 10),
    "lapsing": lambda reads, _: reads.event_queries.lapsing_events(NOW, 10),
    "unsettled": lambda reads, _: reads.event_queries.unsettled_events(None, 10),
}


@pytest.fixture
async def state(any_storage: SqlStorage) -> EventState:
    """An event with a waiting list of three."""
    office = BoxOffice(any_storage)
    state = await office.initialize(1)
    await office.book_many(state, [1] * 4)
    return state


@pytest.mark.parametrize("name", [*LISTS, *OTHERS])
async def test_what_a_list_needs_is_asked_by_its_own_connections(
    any_storage: SqlStorage, state: EventState, name: str
) -> None:
    with recording(any_storage) as sent:
        await {**LISTS, **OTHERS}[name](any_storage, state)
    assert {each.pool for each in sent} == {"listing" if name in LISTS else "reading"}


async def test_the_longest_lines_are_a_list_as_well(any_storage: SqlStorage) -> None:
    """They are found by a walk over all ticket types."""
    with recording(any_storage) as sent:
        await any_storage.statistics.longest_waiting_lists(5)
    assert {each.pool for each in sent} == {"listing"}


async def test_lists_that_never_end_keep_nothing_else_waiting(any_storage: SqlStorage, state: EventState) -> None:
    """Each of a list's connections is taken, and stays so."""
    async with AsyncExitStack() as stack:
        for _ in range(mysql.LISTS_AT_ONCE):
            stack.push_async_callback((await any_storage._listing.connect()).close)
        assert any_storage.statistics.connections()["listing"].in_use == mysql.LISTS_AT_ONCE
        for ask in OTHERS.values():
            await ask(any_storage, state)
        await BoxOffice(any_storage).book(state)
        for ask in LISTS.values():
            with pytest.raises(Unavailable, match="Too many requests"):
                await ask(any_storage, state)
    await LISTS["events"](any_storage, state)


async def test_a_crowd_of_lists_takes_only_its_own_connections(
    empty_url: str, any_storage: SqlStorage, state: EventState
) -> None:
    """Twenty search and list over and over while others read an event and book."""
    container = make_container(Settings(database_url=empty_url))
    storage = container.storage()
    assert isinstance(storage, SqlStorage)
    crowding = True
    most = Counter[str]()

    async def crowd(ask: Ask) -> None:
        while crowding:
            await ask(storage, state)
            for pool, connections in storage.statistics.connections().items():
                most[pool] = max(most[pool], connections.in_use)

    async with asyncio.timeout(120):
        with recording(storage) as sent:
            asking = list(LISTS.values())
            crowds = [asyncio.create_task(crowd(asking[number % len(asking)])) for number in range(20)]
            read_event, book = container.read_event(), container.book_ticket()
            for _ in range(20):
                await read_event(state.event.id, None)
                await book(Book(booking_id=new_id(), event_id=state.event.id, actor=Actor(new_id())))
            crowding = False
            await asyncio.gather(*crowds)
        await container.turnstile().close()
        await storage.close()
    assert most["listing"] <= mysql.LISTS_AT_ONCE
    # ReadEvent alone, which is one statement for all who ask at once.
    assert most["reading"] <= 1
    assert {each.pool for each in sent if "event_grams" in each.text and "SELECT" in each.text[:8]} == {"listing"}


def test_both_kinds_of_database_work_on_as_many_lists() -> None:
    assert mysql.LISTS_AT_ONCE == sqlite.LISTS_AT_ONCE


async def test_a_list_that_takes_too_long_is_ended(sqlite_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's thread would count to the end of time, and the process could not end."""
    monkeypatch.setattr(sqlite, "LIST_LIMIT_SECONDS", 0.1)
    listing, diagnose = sqlite_storage._listing, sqlite_storage._database.diagnose
    for _ in range(sqlite.LISTS_AT_ONCE + 1):
        with pytest.raises(Unavailable, match="cannot work"):
            await read(listing, diagnose, text(ENDLESS), {})
        with pytest.raises(Unavailable, match="cannot work"):
            await read_written(listing, diagnose, Statement(ENDLESS))
    assert await read(listing, diagnose, text("SELECT 1"), {}) == [(1,)]


async def test_a_list_whose_caller_gives_up_is_ended_as_well(
    sqlite_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LIST_LIMIT_SECONDS", 0.5)
    monkeypatch.setattr(sqlite_storage._listing, "read_seconds", 0.1)
    before = set(threading.enumerate())
    with pytest.raises(Unavailable, match="does not answer"):
        await read(sqlite_storage._listing, sqlite_storage._database.diagnose, text(ENDLESS), {})
    await sqlite_storage.close()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()


async def test_the_server_ends_a_list_that_takes_too_long(mysql_url: str) -> None:
    database = mysql.MySQL()
    engine = database.listing(make_url(mysql_url))
    async with engine.connect() as connected:
        limit = (await connected.execute(text("SELECT @@session.max_statement_time"))).scalar_one()
        assert float(limit) == mysql.LIST_LIMIT_SECONDS
    await engine.dispose()

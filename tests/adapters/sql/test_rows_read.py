"""No statement of the booking's path reads more rows than it is about, whatever the server knows of its tables.

Servers choose by statistics, which they collect now and then: in a rush they are those of a table that was empty.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import pytest

from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.security import AccountKey
from boxoffice.application.turnstile.command_queue import MOST_TOGETHER
from boxoffice.domain.booking import Booking
from tests.adapters.sql.recorded import by_hand, measuring
from tests.contract.storage_driver import NOW, StorageDriver, new_digests, new_id, new_session, new_user

pytestmark = pytest.mark.mysql

ROWS: Final = 2_000
"""Rows of each kind that no command is about, several times as many as the longest list asks for."""

LENGTHS: Final = (1, 2, 3, 15, 16, MOST_TOGETHER)
"""Commands of a transaction: on both sides of each change in how a list is written."""

EACH: Final = 4
"""Reads of a row: from its list, an index and the table, and the next row of the index, which ends a range."""

CONSTANT: Final = 40
"""Reads of any statement, such as those of its tables' statistics."""

LATER: Final = NOW + timedelta(minutes=20)
"""When the holds of `NOW` have lapsed."""


_ANALYZE: Final = [f"ANALYZE TABLE {name}" for name in metadata.tables]
_SHOW: Final = [f"SHOW INDEX FROM {name}" for name in metadata.tables]


def _whole(booking: Booking, number: int) -> LoadSpec:
    """Return a need of everything about a booking; every other one of the customer's other bookings too."""
    return LoadSpec(
        event_id=booking.event_id,
        customer_id=booking.customer_id,
        booking_id=booking.id,
        payments=True,
        whole=number % 2 == 0,
    )


def _response(key: Key) -> StoredResponse:
    return StoredResponse(key=key, fingerprint=b"f", response=Response(b"booked", new_id()))


async def fill(driver: StorageDriver, rows: int) -> list[Booking]:
    """Store so many confirmed, waiting and held bookings, each kind of one event, which is returned with its first."""
    confirmed, waiting = await driver.initialize(rows), await driver.initialize(1)
    held = await driver.initialize_priced(rows)
    first = []
    for state in (confirmed, waiting, held):
        first += (await driver.book_many(state, [1] * min(rows, MOST_TOGETHER)))[:1]
        for _ in range(MOST_TOGETHER, rows, MOST_TOGETHER):
            await driver.book_many(state, [1] * MOST_TOGETHER)
    for _ in range(min(rows, 100)):
        await driver.initialize(1)
    user = new_user(f"{rows}@example.org")
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        for _ in range(min(rows, 200)):
            await unit_of_work.users.add_session(new_session(user), new_digests(), NOW)
        await unit_of_work.commit()
    return first


async def take_the_path(driver: StorageDriver, length: int, crowded: Sequence[Booking]) -> None:
    """Do in each transaction what so many commands need: load, book, wait, pay, cancel, promote, let lapse."""
    storage = driver.storage
    states = [await driver.initialize_priced(2) for _ in range(min(length, 20))]
    held = [await driver.book(each) for each in states]
    free = await driver.initialize(length)
    booked = await driver.book_many(free, [1] * length)
    await driver.book_many(free, [1] * length)
    keys = [Key(new_id(), "book") for _ in booked]
    # Customers of one event, and of one event each.
    for bookings in (booked, held):
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([_whole(each, number) for number, each in enumerate(bookings)])
    async with storage.begin() as unit_of_work:
        await unit_of_work.events.stored_responses(keys)
        await unit_of_work.events.store_responses([_response(key) for key in keys], NOW)
        await unit_of_work.events.was_committed({each.event.id: 1 for each in states}, new_id())
        await unit_of_work.commit()
    await driver.cancel(booked[0])
    await driver.pay(held[0])
    await driver.cancel(await driver.stored(held[0]))
    await driver.settle(states[-1], now=LATER)
    await driver.edit(free, total_tickets=2 * length)
    for each in crowded:
        state = (await storage.event_queries.events_by_id([each.event_id]))[each.event_id]
        await driver.cancel(await driver.book(state))
        await storage.booking_queries.booking(each.id)
    event_ids = [each.event.id for each in states] + [each.event_id for each in crowded]
    async with storage.begin() as unit_of_work:
        await unit_of_work.events.waiting_sizes(event_ids)
    await storage.event_queries.events_by_id(event_ids)
    await storage.account_queries.accounts([AccountKey(new_id(), new_id()) for _ in booked])
    await storage.account_queries.revocations(NOW)
    await storage.event_queries.lapsing_events(NOW, 10)


@pytest.mark.parametrize("known", ["empty tables", "few rows", "all rows"])
async def test_a_statement_reads_what_it_is_about(
    own_mysql_storage: SqlStorage, mysql_url: str, known: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the server warns of none."""
    driver = StorageDriver(own_mysql_storage)
    await by_hand(mysql_url, *(f"ALTER TABLE {name} STATS_AUTO_RECALC = 0" for name in metadata.tables))
    if known == "few rows":
        await fill(driver, 3)
    if known != "all rows":
        await by_hand(mysql_url, *_ANALYZE)
    crowded = await fill(driver, ROWS)
    if known == "all rows":
        await by_hand(mysql_url, *_ANALYZE)
    for number, length in enumerate((*LENGTHS, 2, MOST_TOGETHER)):
        if number == len(LENGTHS):
            # A server reads stored statistics when it opens a table, and for this statement.
            await by_hand(mysql_url, *_SHOW)
        with measuring(own_mysql_storage) as measured:
            await take_the_path(driver, length, crowded)
        assert len(measured) > 60
        assert [each for each in measured if each.reads > EACH * (length + each.rows) + CONSTANT] == []
    assert [each.getMessage() for each in caplog.records if each.name == "asyncmy"] == []

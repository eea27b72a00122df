"""Places in waiting lists: sums over blocks, which are kept with the list."""

from random import Random
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.sql.engine.transaction import read_literal
from boxoffice.adapters.sql.indexes import places
from boxoffice.adapters.sql.queries import bookings as booking_queries
from boxoffice.adapters.sql.schema.types import Row
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import WaitingKey
from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.tickets.ticket_type import EventState
from tests.adapters.sql.recorded import by_hand
from tests.contract.storage_driver import StorageDriver


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few bookings fill several of either size."""
    monkeypatch.setattr(places, "SIZES", (2, 6))


async def all_places(storage: SqlStorage, state: EventState, bookings: list[Booking]) -> dict[UUID, Place | None]:
    """Return the places, which every way to ask for one must give alike."""
    listed = {
        each.id: each.place for each in await storage.booking_queries.bookings_of_event(state.event.id, None, None, 200)
    }
    for each in bookings:
        found = await storage.booking_queries.booking(each.id)
        assert found is not None
        (own,) = await storage.booking_queries.bookings_of_customer(each.customer_id, None, None, 5)
        assert found.booking.place == own.place == listed[each.id]
    ordinals = {each.id: each.ordinal for each in state.ticket_types}
    after, page = None, None
    line: list[Booking] = []
    while page is None or page:
        page = await storage.booking_queries.waiting_list(state.event.id, None, after, 4)
        line += page
        if page:
            after = WaitingKey(ordinals[page[-1].ticket_type_id], page[-1].queue_number or 0)
    assert {each.id: each.place for each in line} == {id_: place for id_, place in listed.items() if place}
    return listed


@pytest.mark.usefixtures("small_blocks")
async def test_places_are_right_wherever_a_booking_leaves(any_storage: SqlStorage) -> None:
    driver, random = StorageDriver(any_storage), Random(2)
    state = await driver.initialize(9, 9)
    waiting: list[list[Booking]] = [[], []]
    for kind in (0, 1):
        await driver.book_many(state, [9], kind=kind)
    for _ in range(12):
        kind = random.randrange(2)
        quantities = [random.randint(1, 9) for _ in range(random.randint(1, 7))]
        waiting[kind] += await driver.book_many(state, quantities, kind=kind)
        for _ in range(random.randint(0, 3)):
            line = waiting[random.randrange(2)]
            if line:
                await driver.cancel(line.pop(random.randrange(len(line))))
        expected = {}
        for line in waiting:
            ahead = 0
            for position, each in enumerate(line, start=1):
                expected[each.id] = Place(position, ahead)
                ahead += each.quantity
        found = await all_places(any_storage, state, [each for line in waiting for each in line])
        assert {id_: place for id_, place in found.items() if place} == expected


async def test_a_promotion_counts_out_of_the_blocks(any_storage: SqlStorage) -> None:
    driver = StorageDriver(any_storage)
    state = await driver.initialize(3)
    confirmed = await driver.book_many(state, [3])
    waiting = await driver.book_many(state, [1, 1, 1, 1])
    await driver.cancel(confirmed[0])
    found = await all_places(any_storage, state, waiting)
    assert [found[each.id] for each in waiting] == [None, None, None, Place(1, 0)]
    async with any_storage.snapshot() as seen:
        assert await seen.strays() == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE waiting_blocks SET bookings = bookings + 1, tickets = tickets + 1 WHERE size = 100",
        "UPDATE waiting_blocks SET tickets = tickets + 1 WHERE size = 10000",
        "DELETE FROM waiting_blocks WHERE size = 10000",
        "UPDATE waiting_blocks SET block = 7 WHERE size = 100",
    ],
)
async def test_blocks_that_count_wrong_are_noticed(any_storage: SqlStorage, migrated_url: str, change: str) -> None:
    driver = StorageDriver(any_storage)
    await driver.book_many(await driver.initialize(1), [1, 1, 1])
    await by_hand(migrated_url, change)
    async with any_storage.snapshot() as seen:
        ((stray, count),) = (await seen.strays()).items()
    assert stray.startswith("blocks of waiting lists")
    assert count == 1 + ("block = 7" in change)


async def test_a_booking_that_leaves_before_its_place_is_read_is_read_again(
    any_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation between the two statements promotes it: it has tickets then, and no place."""
    driver = StorageDriver(any_storage)
    state = await driver.initialize(1)
    confirmed = await driver.book(state)
    first, second = await driver.book_many(state, [1, 1])
    leaving = [confirmed, first]

    async def with_a_cancellation(*arguments: Any) -> list[Row]:
        if leaving:
            await driver.cancel(leaving.pop(0))
        return list(await read_literal(*arguments))

    monkeypatch.setattr(booking_queries, "read_literal", with_a_cancellation)
    found = await driver.stored(first)
    assert (found.status, found.place) == ("confirmed", None)
    listed = await any_storage.booking_queries.bookings_of_event(state.event.id, None, None, 9)
    assert [(each.status, each.place) for each in listed if not each.is_waiting] == [
        ("confirmed", None),
        ("cancelled", None),
        ("cancelled", None),
    ]
    assert leaving == []
    leaving.append(second)
    assert await any_storage.booking_queries.waiting_list(state.event.id, None, None, 9) == []

"""Draws on every storage: entries have no place before, and stand at their places afterwards."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from msgspec.structs import replace

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.decisions.draw import DrawnPlace, FinishDraw, HoldDraw, finish_draw, hold_draw, place_entries
from boxoffice.domain.draws.draw import Admission, DrawSource
from boxoffice.domain.tickets.ticket_type import EventState
from tests.settable_clock import SettableClock

from .storage_driver import NOW, StorageDriver, new_id, take

SECRET = bytes(range(32))
CLOSES_AT = NOW + timedelta(minutes=1)
AFTER = CLOSES_AT + timedelta(seconds=1)


async def initialize(driver: StorageDriver, *totals: int) -> EventState:
    return await driver.initialize(
        *totals,
        admission=Admission.DRAW,
        draw_closes_at=CLOSES_AT,
        draw_source=DrawSource.OPERATOR,
        draw_commitment=sha256(SECRET).hexdigest(),
    )


async def hold(unit: UnitOfWork, state: EventState, entries: int) -> None:
    command = HoldDraw(event_id=state.event.id, last_entry=entries, entries=entries, root=bytes(32), randomness=SECRET)
    await take(unit, LoadSpec(event_id=state.event.id), lambda inventory: hold_draw(inventory, command, AFTER))


async def place(unit: UnitOfWork, drawn: Sequence[tuple[Booking, int]]) -> None:
    event_id = drawn[0][0].event_id
    inventory = (await unit.events.lock([LoadSpec(event_id=event_id)]))[event_id]
    inventory = replace(inventory, bookings=await unit.events.bookings([each.id for each, _ in drawn]))
    places = [DrawnPlace(each.id, each.queue_number or 0, number) for each, number in drawn]
    await unit.events.save([place_entries(inventory, places, AFTER)], new_id())


async def breaches(driver: StorageDriver) -> list[str]:
    return [each.what for each in (await VerifyPromises(driver.storage, SettableClock(AFTER))()).breaches]


async def listed(driver: StorageDriver, state: EventState) -> list[tuple[int | None, Place | None]]:
    waiting = await driver.storage.booking_queries.waiting_list(state.event.id, None, None, 10)
    for each in waiting:
        assert (await driver.stored(each)).place == each.place
        (own,) = await driver.storage.booking_queries.bookings_of_customer(each.customer_id, None, None, 10)
        assert own.place == each.place
    return [(each.queue_number, each.place) for each in waiting]


async def test_entries_wait_without_places_and_get_them_by_the_draw(driver: StorageDriver) -> None:
    state = await initialize(driver, 1, 2)
    assert (await driver.read(state)).event == state.event
    bookings = await driver.book_many(state, [1, 1, 1])
    assert [each.place for each in bookings] == [None] * 3
    assert await listed(driver, state) == [(1, None), (2, None), (3, None)]

    await driver.do(lambda unit: hold(unit, state, 3))
    await driver.do(lambda unit: place(unit, [(bookings[2], 1), (bookings[0], 3)]))
    event = (await driver.read(state)).event
    assert (event.was_drawn, event.is_drawing, event.last_entry, event.last_queue_number) == (True, True, 3, 6)
    assert await listed(driver, state) == [(2, None), (4, None), (6, None)]
    await driver.do(lambda unit: place(unit, [(bookings[1], 2)]))
    needs = LoadSpec(event_id=state.event.id)
    finish = FinishDraw(state.event.id)
    await driver.decide(needs, lambda inventory: finish_draw(inventory, finish, AFTER), now=AFTER)

    assert not (await driver.read(state)).event.is_drawing
    assert await listed(driver, state) == [(4, Place(1, 0)), (5, Place(2, 1)), (6, Place(3, 2))]
    assert await breaches(driver) == []
    await driver.settle(state, now=AFTER)
    assert (await driver.stored(bookings[2])).status == "confirmed"
    late = await driver.book(state, now=AFTER)
    assert (late.queue_number, late.place) == (7, Place(3, 2))
    assert await listed(driver, state) == [(5, Place(1, 0)), (6, Place(2, 1)), (7, Place(3, 2))]
    assert await breaches(driver) == []

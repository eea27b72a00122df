"""Ticket numbers: stored with their bookings, refused when used twice, and given to earlier bookings."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from boxoffice.application.background.number_tickets import NumberTickets
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.inventory import Change, Decision, Inventory
from boxoffice.domain.tickets.ticket_type import EventState

from .storage_driver import NOW, StorageDriver, new_id


class AtNow:
    """A clock that stands still."""

    def now(self) -> datetime:
        """The tests' time."""
        return NOW


async def rewrite(driver: StorageDriver, state: EventState, *bookings: Booking, **changes: object) -> None:
    """Save these bookings, and the event with these changes."""

    def decide(inventory: Inventory) -> Decision[None]:
        builder = DecisionBuilder(inventory, NOW)
        builder.set_event(replace(inventory.event, **changes))
        changed = tuple(Change(before, after) for before, after in zip(stored, bookings, strict=True))
        return replace(builder.decision(None), changed=changed)

    stored = [await driver.stored(each) for each in bookings]
    await driver.decide(LoadSpec(event_id=state.event.id), decide)


async def first_numbers(driver: StorageDriver, bookings: list[Booking]) -> list[int | None]:
    """The first ticket number of each booking as it is stored."""
    return [(await driver.stored(each)).first_ticket_number for each in bookings]


async def test_bookings_that_are_confirmed_together_get_a_number_each(driver: StorageDriver) -> None:
    """In one transaction or several, at once or from the waiting list; cancelled ones keep theirs."""
    state = await driver.initialize(6)
    bookings = [await driver.book(state, quantity=6), *await driver.book_many(state, [1, 2, 3])]
    assert await first_numbers(driver, bookings) == [1, None, None, None]
    await driver.cancel(bookings[0])
    assert await first_numbers(driver, bookings) == [1, 7, 8, 10]
    assert (await driver.read(state)).event.last_ticket_number == 12


async def test_a_number_that_begins_two_bookings_conflicts(driver: StorageDriver) -> None:
    state, other = await driver.initialize(2), await driver.initialize(2)
    bookings = await driver.book_many(state, [1, 1])
    assert (await driver.book(other)).first_ticket_number == 1, "each event has its own numbers"
    with pytest.raises(Conflict):
        await rewrite(driver, state, replace(bookings[1], first_ticket_number=1))
    assert await first_numbers(driver, bookings) == [1, 2]


async def test_earlier_bookings_get_their_numbers_in_steps(driver: StorageDriver) -> None:
    state, other = await driver.initialize(4), await driver.initialize(1)
    bookings = await driver.book_many(state, [3, 1, 2])
    await driver.cancel(bookings[0])
    await driver.book(other)
    expected = [await driver.stored(each) for each in bookings]
    event = (await driver.read(state)).event
    before = [replace(each, first_ticket_number=None) for each in expected]
    await rewrite(driver, state, *before, last_ticket_number=0, numbered_to=0)
    queries = driver.storage.event_queries
    assert await queries.unnumbered_events(9) == [state.event.id]
    assert await queries.unnumbered_events(0) == []
    verify = VerifyPromises(driver.storage, AtNow())
    assert (await verify()).breaches == []
    number_tickets = NumberTickets(driver.storage, AtNow(), NewIds(), step=2)
    assert await number_tickets() == 3
    assert (await driver.read(state)).event == event
    assert [await driver.stored(each) for each in bookings] == expected
    assert await queries.unnumbered_events(9) == []
    assert await number_tickets() == 0
    assert (await verify()).breaches == []


class NewIds:
    """Ids as the tests make them."""

    new = staticmethod(new_id)


async def test_facts_and_bookings_are_read_under_the_lock(driver: StorageDriver) -> None:
    state = await driver.initialize(2)
    bookings = await driver.book_many(state, [1, 1])
    every = await driver.storage.event_queries.facts(state.event.id, 0, 9)
    async with driver.storage.begin() as unit_of_work:
        events = unit_of_work.events
        await events.lock([LoadSpec(event_id=state.event.id)])
        assert await events.facts(state.event.id, 1, 1) == every[1:2]
        assert await events.facts(state.event.id, 3, 1) == []
        found = await events.bookings([bookings[1].id, new_id()])
        assert found == (bookings[1],)

"""Tickets: their numbers, which are stored with their bookings, and what happens to single ones."""

import pytest
from msgspec.structs import replace

from boxoffice.application.background.number_tickets import NumberTickets
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec, WaitingListQuery
from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.inventory import Change, Decision, Inventory
from boxoffice.domain.tickets.ticket import Ticket
from boxoffice.domain.tickets.ticket_type import EventState
from tests.settable_clock import SettableClock

from .storage_driver import NOW, NewIds, StorageDriver, new_id


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
    verify = VerifyPromises(driver.storage, SettableClock(NOW))
    assert (await verify()).breaches == []
    number_tickets = NumberTickets(driver.storage, SettableClock(NOW), NewIds(), step=2)
    assert await number_tickets() == 3
    assert (await driver.read(state)).event == event
    assert [await driver.stored(each) for each in bookings] == expected
    assert await queries.unnumbered_events(9) == []
    assert await number_tickets() == 0
    assert (await verify()).breaches == []


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


def ticket(booking: Booking, number: int, **changes: object) -> Ticket:
    """A ticket of a booking to which this happened."""
    return replace(Ticket(booking_id=booking.id, event_id=booking.event_id, number=number), **changes)


async def put(driver: StorageDriver, *tickets: Ticket) -> None:
    """Save these tickets, in one transaction."""

    def decide(inventory: Inventory) -> Decision[None]:
        return replace(DecisionBuilder(inventory, NOW).decision(None), tickets=tickets)

    await driver.decide(LoadSpec(event_id=tickets[0].event_id), decide)


async def test_what_happens_to_a_ticket_is_stored_and_replaces_what_was_stored(driver: StorageDriver) -> None:
    state, other = await driver.initialize(9), await driver.initialize(1)
    bookings = await driver.book_many(state, [2, 3])
    elsewhere = ticket(await driver.book(other), 1, serial=2)
    first = ticket(bookings[0], 2, holder_name="Zoë O'Hara 🎟", checked_in_at=NOW)
    later = ticket(bookings[1], 5, is_returned=True)
    await put(driver, later, first)
    await put(driver, elsewhere)
    queries = driver.storage.ticket_queries
    assert await queries.of_bookings([each.id for each in bookings]) == [first, later]
    assert await queries.of_bookings([]) == await queries.of_bookings([new_id()]) == []
    assert await queries.of_event(state.event.id, 0, 9) == [first, later]
    assert await queries.of_event(state.event.id, 2, 9) == [later]
    assert await queries.of_event(state.event.id, 0, 1) == [first]
    again = replace(first, serial=7, holder_name=None, is_returned=True, checked_in_at=None)
    await put(driver, first, again, ticket(bookings[1], 3, serial=2))
    assert await queries.of_bookings([bookings[0].id]) == [again]
    assert [each.number for each in await queries.of_event(state.event.id, 0, 9)] == [2, 3, 5]


async def test_the_tickets_of_a_booking_are_read_under_the_lock(driver: StorageDriver) -> None:
    """Only those of the booking, and only where they are needed."""
    state, other = await driver.initialize(9), await driver.initialize(1)
    bookings = await driver.book_many(state, [2, 2])
    elsewhere = await driver.book(other)
    rows = [ticket(bookings[0], 1, serial=2), ticket(bookings[0], 2, serial=3), ticket(bookings[1], 3, serial=4)]
    await put(driver, *rows)
    await put(driver, ticket(elsewhere, 1, serial=5))
    needs = LoadSpec(event_id=state.event.id, booking_id=bookings[0].id)
    async with driver.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock([replace(needs, tickets=True, payments=True)])
        assert found[state.event.id].tickets == tuple(rows[:2])
    async with driver.storage.begin() as unit_of_work:
        assert (await unit_of_work.events.lock([needs]))[state.event.id].tickets == ()
    async with driver.storage.begin() as unit_of_work:
        elsewhere_by_id = replace(needs, booking_id=elsewhere.id, tickets=True)
        assert (await unit_of_work.events.lock([elsewhere_by_id]))[state.event.id].tickets == ()


@pytest.mark.parametrize("held", [False, True])
async def test_a_booking_keeps_how_many_tickets_it_has_gave_back_and_used(driver: StorageDriver, held: bool) -> None:
    """Also one on the waiting list, which keeps its place."""
    state = await (driver.initialize_priced(4) if held else driver.initialize(4))
    bookings = await driver.book_many(state, [4, 3, 2])
    taken = await driver.stored(bookings[0])
    waiting = await driver.stored(bookings[1])
    smaller = [
        replace(taken, quantity=2, returned=0 if held else 2, used=0 if held else 1),
        replace(waiting, quantity=1),
    ]

    def decide(inventory: Inventory) -> Decision[None]:
        builder = DecisionBuilder(inventory, NOW)
        for before, after in zip((taken, waiting), smaller, strict=True):
            builder.change(before, after)
        return builder.decision(None)

    await driver.decide(LoadSpec(event_id=state.event.id), decide)
    assert [await driver.stored(each) for each in smaller] == smaller
    last = await driver.stored(bookings[2])
    assert last.place == Place(2, 1)
    counts = (await driver.read(state)).ticket_types[0]
    assert (counts.taken, counts.waiting, counts.waiting_tickets) == (2, 2, 3)
    # No entry of the door used the ticket.
    strays = {} if held else {"confirmed bookings that count other used tickets than they have": 1}
    async with driver.storage.snapshot() as snapshot:
        assert await snapshot.strays() == strays
        query = WaitingListQuery(state.ticket_types[0].id, 1, 5)
        head = (await snapshot.waiting_lists([query]))[query.ticket_type_id].head
    assert [(each.id, each.quantity) for each in head] == [(waiting.id, 1)]

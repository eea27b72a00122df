"""What is loaded under a lock: the event with its ticket types, bookings and waiting lists, as saved so far."""

from collections.abc import Callable
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.loading import ClosingQuery, LoadSpec, WaitingListQuery
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import (
    EditTicketType,
    edit_ticket_type,
)
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.inventory import Decision, Inventory, WaitingList, WaitingSizes
from boxoffice.domain.tickets.ticket_type import TicketTypeChanges
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money

from .storage_driver import NOW, ORGANIZER, StorageDriver, booking_command, new_id


async def lock(driver: StorageDriver, *needs: LoadSpec) -> dict[UUID, Inventory]:
    async with driver.storage.begin() as unit_of_work:
        return await unit_of_work.events.lock(needs)


async def lines(driver: StorageDriver, *queries: WaitingListQuery) -> dict[UUID, WaitingList]:
    async with driver.storage.begin() as unit_of_work:
        return await unit_of_work.events.waiting_lists(queries)


def queued(line: WaitingList) -> list[tuple[int | None, int]]:
    return [(booking.queue_number, booking.quantity) for booking in line.head]


def counted(inventory: Inventory) -> list[tuple[UUID, UUID, UUID, int]]:
    return [(each.id, each.ticket_type_id, each.customer_id, each.quantity) for each in inventory.of_customers]


def unplaced(booking: Booking) -> Booking:
    return replace(booking, place=None)


async def test_events_that_exist_come_with_their_ticket_types_in_order(driver: StorageDriver) -> None:
    states = [await driver.initialize(*range(1, 51)), await driver.initialize(1), await driver.initialize(2)]
    ids = [state.event.id for state in states]
    found = await lock(driver, *(LoadSpec(event_id=each) for each in (new_id(), *reversed(ids), new_id(), ids[0])))
    assert set(found) == set(ids)
    for state in states:
        inventory = found[state.event.id]
        assert (inventory.event, inventory.ticket_types, inventory.bookings) == (state.event, state.ticket_types, ())
    assert await lock(driver, LoadSpec(event_id=new_id(), customer_id=new_id(), booking_id=new_id())) == {}


async def test_live_bookings_of_the_customer(driver: StorageDriver) -> None:
    state, other = await driver.initialize(1, 5, 5), await driver.initialize(5)
    customer_id = new_id()
    await driver.cancel(await driver.book(state, customer_id=customer_id, kind=1))
    confirmed = await driver.book(state, customer_id=customer_id)
    await driver.book(other, customer_id=customer_id)
    await driver.book(state, kind=2)
    for whole, bookings in ((False, ()), (True, (confirmed,))):
        needs = LoadSpec(event_id=state.event.id, customer_id=customer_id, whole=whole)
        inventory = (await lock(driver, needs))[state.event.id]
        assert counted(inventory) == [(confirmed.id, confirmed.ticket_type_id, customer_id, 1)]
        assert inventory.bookings == bookings


async def test_live_bookings_are_counted_for_each_customer(driver: StorageDriver) -> None:
    states = [await driver.initialize(20, 20, 20), await driver.initialize(20, 20)]
    customers = [new_id() for _ in range(40)]
    bookings = [
        await driver.book(state, customer_id=each, kind=kind, quantity=kind + 1)
        for state in states
        for each in customers[:10]
        for kind in range(len(state.ticket_types))
    ]
    needs = [LoadSpec(event_id=state.event.id, customer_id=each) for state in states for each in customers[5:]]
    found = await lock(driver, *needs)
    for state in states:
        expected = [
            (each.id, each.ticket_type_id, each.customer_id, each.quantity)
            for each in bookings
            if each.event_id == state.event.id and each.customer_id in customers[5:]
        ]
        assert len(expected) == 5 * len(state.ticket_types)
        assert sorted(counted(found[state.event.id])) == sorted(expected)


async def test_a_booking_is_loaded_by_its_id_in_any_status_but_not_for_another_event(driver: StorageDriver) -> None:
    state, other = await driver.initialize(1), await driver.initialize(1)
    foreign = await driver.book(other)
    cancelled = await driver.cancel(await driver.book(state))
    await driver.book(state)
    waiting = await driver.book(state)
    for booking, expected in ((cancelled, (cancelled,)), (waiting, (unplaced(waiting),)), (foreign, ())):
        needs = LoadSpec(event_id=state.event.id, booking_id=booking.id)
        found = await lock(driver, needs, LoadSpec(event_id=other.event.id))
        assert found[state.event.id].bookings == expected
        assert found[other.event.id].bookings == ()


async def test_a_strict_waiting_list_shows_its_first(driver: StorageDriver) -> None:
    state = await driver.initialize(4, 4)
    await driver.book_many(state, [4, 3, 1, 2, 1])
    await driver.book_many(state, [4], kind=1)
    first, second = (each.id for each in state.ticket_types)
    found = await lines(driver, WaitingListQuery(first, None, 3), WaitingListQuery(second, None, 3))
    assert queued(found[first]) == [(1, 3), (2, 1), (3, 2)]
    assert not found[first].is_whole
    assert found[second] == WaitingList(head=(), fitting=None, is_whole=True)


async def test_a_waiting_list_is_whole_only_when_fewer_came_than_asked_for(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    bookings = await driver.book_many(state, [1, 1, 1])
    only = state.ticket_types[0].id
    assert not (await lines(driver, WaitingListQuery(only, None, 2)))[only].is_whole
    whole = (await lines(driver, WaitingListQuery(only, None, 3)))[only]
    assert whole.is_whole
    assert whole.head == tuple(unplaced(each) for each in bookings[1:])


@pytest.mark.parametrize(
    ("fitting", "limit", "expected", "is_whole"),
    [
        (1, 9, [(2, 1), (4, 1)], True),
        (2, 9, [(2, 1), (3, 2), (4, 1)], True),
        (2, 2, [(2, 1), (3, 2)], False),
        (2, 3, [(2, 1), (3, 2), (4, 1)], False),
        (4, 9, [(1, 4), (2, 1), (3, 2), (4, 1)], True),
    ],
)
async def test_a_waiting_list_of_those_who_fit(
    driver: StorageDriver, fitting: int, limit: int, expected: list[tuple[int, int]], is_whole: bool
) -> None:
    state = await driver.initialize(4, waiting_list_policy=WaitingListPolicy.FILL)
    await driver.book_many(state, [4, 4, 1, 2, 1])
    only = state.ticket_types[0].id
    line = (await lines(driver, WaitingListQuery(only, fitting, limit)))[only]
    assert queued(line) == expected
    assert (line.fitting, line.is_whole) == (fitting, is_whole)


async def test_many_waiting_lists_of_both_kinds_at_once(driver: StorageDriver) -> None:
    states = [await driver.initialize(*[2] * 50) for _ in range(3)]
    for state in states:
        await driver.book_many(state, [2, 2, 1], kind=7)
    types = [each for state in states for each in state.ticket_types]
    queries = [WaitingListQuery(each.id, [None, 1][number % 2], 5) for number, each in enumerate(types)]
    found = await lines(driver, *queries)
    assert [queued(found[each.id]) for each in types] == [[(2, 1)] if each.ordinal == 7 else [] for each in types]


async def test_waiting_lists_include_what_the_transaction_saved_itself(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    _, waiting, last = await driver.book_many(state, [1, 1, 1])
    only = state.ticket_types[0].id
    async with driver.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, booking_id=waiting.id)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        command = Cancel(event_id=state.event.id, actor=Actor(waiting.customer_id), booking_id=waiting.id)
        await unit_of_work.events.save([cancel(inventory, command, NOW)], new_id())
        found = await unit_of_work.events.waiting_lists([WaitingListQuery(only, None, 5)])
    assert [each.id for each in found[only].head] == [last.id]


async def test_a_lower_price_of_a_promotion_is_stored(driver: StorageDriver) -> None:
    """And the other currency of an event that was free."""
    state = await driver.initialize(3, price=Money(500, "EUR"))
    holder = await driver.book(state, quantity=3)
    waiting = [await driver.book(state, quantity=quantity) for quantity in (1, 2)]
    await driver.edit(state, price=Money(300, "EUR"))
    await driver.cancel(holder)
    assert [(await driver.stored(each)).amount for each in waiting] == [Money(300, "EUR"), Money(600, "EUR")]
    assert (await driver.stored(holder)).amount == Money(1_500, "EUR")
    for price in (None, Money(7, "USD")):
        await driver.edit(state, price=price)
    found = await driver.read(state)
    assert (found.event.currency, found.ticket_types[0].price) == ("USD", Money(7, "USD"))


async def test_sizes_in_the_waiting_lists_that_are_not_empty(driver: StorageDriver) -> None:
    state, other = await driver.initialize(5, 5, 5), await driver.initialize(5)
    await driver.book_many(state, [5, 3, 2, 5], kind=1)
    await driver.book_many(state, [5, 1], kind=2)
    async with driver.storage.begin() as unit_of_work:
        ids = [state.event.id, other.event.id]
        await unit_of_work.events.lock([LoadSpec(event_id=each) for each in ids])
        sizes = await unit_of_work.events.waiting_sizes(ids)
    _, second, third = (each.id for each in state.ticket_types)
    assert {key: value for key, value in sizes.items() if value} == {
        state.event.id: {second: WaitingSizes(2, 5), third: WaitingSizes(1, 1)}
    }


async def test_closing_shows_live_bookings_and_only_those_who_wait_where_asked(driver: StorageDriver) -> None:
    state, other = await driver.initialize(2), await driver.initialize(2)
    bookings = [await driver.book(state) for _ in range(5)]
    await driver.book(other)
    await driver.cancel(bookings[0])
    live = {each.id for each in bookings[1:]}
    async with driver.storage.begin() as unit_of_work:
        inventories = unit_of_work.events
        await inventories.lock([LoadSpec(event_id=state.event.id)])
        every = (await inventories.closing([ClosingQuery(state.event.id, False, 10)]))[state.event.id]
        some = (await inventories.closing([ClosingQuery(state.event.id, False, 2)]))[state.event.id]
        waiting = (await inventories.closing([ClosingQuery(state.event.id, True, 10)]))[state.event.id]
    assert {each.id for each in every} == live
    assert len(some) == 2
    assert {each.id for each in some} < live
    # The first of those who waited was promoted.
    assert {each.id for each in waiting} == {each.id for each in bookings[3:]}


async def test_hundreds_of_bookings_in_one_transaction(driver: StorageDriver) -> None:
    state = await driver.initialize(300)
    await driver.book_many(state, [1] * 1_300)
    counters = (await driver.read(state)).ticket_types[0]
    assert (counters.taken, counters.waiting) == (300, 1_000)
    more = await driver.edit(state, total_tickets=1_200)
    assert more.ticket_types[0].taken == 800
    assert await driver.read(state) == replace(more, smallest_waiting={more.ticket_types[0].id: 1})


@pytest.mark.parametrize("order", list(permutations(["book", "book the other", "edit"])), ids=", ".join)
async def test_what_several_saves_of_a_transaction_come_to(driver: StorageDriver, order: tuple[str, ...]) -> None:
    """Bookings before and after more tickets are there, each saved by itself."""
    state = await driver.initialize(1, 5)
    await driver.book(state)
    only = state.ticket_types[0].id
    edited = EditTicketType(
        event_id=state.event.id,
        actor=ORGANIZER,
        ticket_type_id=only,
        changes=TicketTypeChanges(total_tickets=3),
    )
    decide: dict[str, Callable[[Inventory], Decision[Any]]] = {
        "book": lambda inventory: book(inventory, booking_command(state), NOW),
        "book the other": lambda inventory: book(inventory, booking_command(state, kind=1), NOW),
        "edit": lambda inventory: edit_ticket_type(inventory, edited, NOW),
    }
    async with driver.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        for each in order:
            line = await unit_of_work.events.waiting_lists([WaitingListQuery(only, None, 5)])
            decision = decide[each](replace(inventory, waiting_lists=line))
            await unit_of_work.events.save([decision], new_id(), more_follow=True)
            inventory = decision.inventory
        await unit_of_work.commit()
    found = await driver.read(state)
    assert (found.event, found.ticket_types) == (inventory.event, inventory.ticket_types)
    assert [(each.total_tickets, each.taken) for each in found.ticket_types] == [(3, 2), (5, 1)]
    assert not found.event.is_unsettled


async def test_live_events_are_counted_for_each_organizer(driver: StorageDriver) -> None:
    busy, idle, stranger = (replace(ORGANIZER, user_id=new_id()) for _ in range(3))
    for status in (EventStatus.ON_SALE, EventStatus.DRAFT, EventStatus.ON_SALE):
        await driver.initialize(1, status=status, actor=busy)
    await driver.initialize(1, actor=idle)
    for status in (EventStatus.COMPLETED, EventStatus.CANCELLED, EventStatus.PAUSED):
        await driver.edit(await driver.initialize(1), status=status)
    many = dict.fromkeys([new_id() for _ in range(120)], 0)
    expected = {busy.user_id: 3, idle.user_id: 1, stranger.user_id: 0, ORGANIZER.user_id: 1, **many}
    async with driver.storage.begin() as unit_of_work:
        assert await unit_of_work.events.live_events(list(expected)) == expected


async def test_a_type_without_tickets_is_sold_out(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    command = EditTicketType(
        event_id=state.event.id,
        actor=ORGANIZER,
        ticket_type_id=state.ticket_types[0].id,
        changes=TicketTypeChanges(total_tickets=0),
    )
    needs = LoadSpec(event_id=state.event.id, settles=True, sizes=True)
    withdrawn = await driver.decide(needs, lambda inventory: edit_ticket_type(inventory, command, NOW))
    assert await driver.read(state) == withdrawn
    assert withdrawn.is_sold_out(NOW)

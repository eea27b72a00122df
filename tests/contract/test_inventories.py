"""What is loaded under a lock: the event, its ticket types, the bookings and lines asked for, as saved by now."""

from collections.abc import Callable
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.loading import ClosingQuery, LoadSpec, WaitingListQuery
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import (
    AddTicketType,
    EditTicketType,
    add_ticket_type,
    edit_ticket_type,
)
from boxoffice.domain.decisions.settle import Settle, settle
from boxoffice.domain.event import EventState, EventStatus, TicketTypeChanges, TicketTypeSpec, WaitingListPolicy
from boxoffice.domain.inventory import Decision, Inventory, WaitingList, WaitingSizes
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money

from .box_office import NOW, ORGANIZER, BoxOffice, booking_command, new_id


async def lock(office: BoxOffice, *needs: LoadSpec) -> dict[UUID, Inventory]:
    async with office.storage.begin() as unit_of_work:
        return await unit_of_work.events.lock(needs)


async def lines(office: BoxOffice, state: EventState, *asks: WaitingListQuery) -> dict[UUID, WaitingList]:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        return await unit_of_work.events.lines(asks)


def queued(line: WaitingList) -> list[tuple[int | None, int]]:
    return [(booking.queue_number, booking.quantity) for booking in line.head]


def counted(inventory: Inventory) -> list[tuple[UUID, UUID, UUID, int]]:
    return [(each.id, each.ticket_type_id, each.customer_id, each.quantity) for each in inventory.of_customers]


def unplaced(booking: Booking) -> Booking:
    return replace(booking, place=None)


async def test_the_event_and_its_ticket_types_in_order(office: BoxOffice) -> None:
    state = await office.initialize(*range(1, 51))
    inventory = (await lock(office, LoadSpec(event_id=state.event.id)))[state.event.id]
    assert inventory.event == state.event
    assert inventory.ticket_types == state.ticket_types
    assert inventory.bookings == ()


async def test_only_events_that_exist(office: BoxOffice) -> None:
    states = [await office.initialize(1) for _ in range(3)]
    ids = [state.event.id for state in states]
    found = await lock(office, *(LoadSpec(event_id=each) for each in (new_id(), *reversed(ids), new_id(), ids[0])))
    assert set(found) == set(ids)
    assert all(found[state.event.id].event == state.event for state in states)
    assert await lock(office, LoadSpec(event_id=new_id(), customer_id=new_id(), booking_id=new_id())) == {}


async def test_live_bookings_of_the_customer(office: BoxOffice) -> None:
    state, other = await office.initialize(1, 5, 5), await office.initialize(5)
    customer_id = new_id()
    cancelled = await office.book(state, customer_id=customer_id, kind=1)
    await office.cancel(cancelled)
    confirmed = await office.book(state, customer_id=customer_id)
    await office.book(other, customer_id=customer_id)
    await office.book(state, kind=2)
    needs = LoadSpec(event_id=state.event.id, customer_id=customer_id)
    inventory = (await lock(office, needs))[state.event.id]
    assert counted(inventory) == [(confirmed.id, confirmed.ticket_type_id, customer_id, 1)]
    assert inventory.bookings == ()
    inventory = (await lock(office, replace(needs, whole=True)))[state.event.id]
    assert counted(inventory) == [(confirmed.id, confirmed.ticket_type_id, customer_id, 1)]
    assert inventory.bookings == (confirmed,)


async def test_what_counts_of_live_bookings_is_told_for_each_customer(office: BoxOffice) -> None:
    states = [await office.initialize(20, 20, 20), await office.initialize(20, 20)]
    customers = [new_id() for _ in range(40)]
    bookings = [
        await office.book(state, customer_id=each, kind=kind, quantity=kind + 1)
        for state in states
        for each in customers[:10]
        for kind in range(len(state.ticket_types))
    ]
    found = await lock(
        office, *(LoadSpec(event_id=state.event.id, customer_id=each) for state in states for each in customers[5:])
    )
    for state in states:
        expected = [
            (each.id, each.ticket_type_id, each.customer_id, each.quantity)
            for each in bookings
            if each.event_id == state.event.id and each.customer_id in customers[5:]
        ]
        assert sorted(counted(found[state.event.id])) == sorted(expected)
        assert len(expected) == 5 * len(state.ticket_types)
        assert found[state.event.id].bookings == ()


async def test_waiting_bookings_are_live_and_carry_no_place(office: BoxOffice) -> None:
    state = await office.initialize(1)
    await office.book(state)
    waiting = await office.book(state)
    found = await lock(
        office, LoadSpec(event_id=state.event.id, customer_id=waiting.customer_id, booking_id=waiting.id)
    )
    assert found[state.event.id].bookings == (unplaced(waiting),)


async def test_a_booking_by_its_id_whatever_its_status(office: BoxOffice) -> None:
    state = await office.initialize(1)
    booking = await office.book(state)
    cancelled = await office.cancel(booking)
    found = await lock(office, LoadSpec(event_id=state.event.id, booking_id=booking.id))
    assert found[state.event.id].bookings == (cancelled,)


async def test_a_booking_of_another_event_is_left_out(office: BoxOffice) -> None:
    state, other = await office.initialize(1), await office.initialize(1)
    booking = await office.book(other)
    found = await lock(
        office, LoadSpec(event_id=state.event.id, booking_id=booking.id), LoadSpec(event_id=other.event.id)
    )
    assert found[state.event.id].bookings == ()
    assert found[other.event.id].bookings == ()


async def test_what_any_command_on_the_event_needs(office: BoxOffice) -> None:
    states = [await office.initialize(9), await office.initialize(9)]
    bookings = [await office.book(state) for state in states for _ in range(3)]
    needs = [
        LoadSpec(event_id=each.event_id, customer_id=each.customer_id, whole=True)
        for each in bookings[:2] + bookings[3:5]
    ]
    needs += [LoadSpec(event_id=each.event_id, booking_id=each.id) for each in (bookings[1], bookings[5])]
    found = await lock(office, *needs)
    assert {each.id for each in found[states[0].event.id].bookings} == {each.id for each in bookings[:2]}
    assert {each.id for each in found[states[1].event.id].bookings} == {each.id for each in bookings[3:]}


async def test_a_strict_line_shows_its_first(office: BoxOffice) -> None:
    state = await office.initialize(4, 4)
    await office.book_many(state, [4, 3, 1, 2, 1])
    await office.book_many(state, [4], kind=1)
    first, second = (each.id for each in state.ticket_types)
    found = await lines(office, state, WaitingListQuery(first, None, 3), WaitingListQuery(second, None, 3))
    assert queued(found[first]) == [(1, 3), (2, 1), (3, 2)]
    assert not found[first].is_whole
    assert found[second] == WaitingList(head=(), fitting=None, is_whole=True)


async def test_a_line_is_whole_only_when_fewer_came_than_asked_for(office: BoxOffice) -> None:
    state = await office.initialize(1)
    bookings = await office.book_many(state, [1, 1, 1])
    only = state.ticket_types[0].id
    assert not (await lines(office, state, WaitingListQuery(only, None, 2)))[only].is_whole
    whole = (await lines(office, state, WaitingListQuery(only, None, 3)))[only]
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
async def test_a_line_of_those_who_fit(
    office: BoxOffice, fitting: int, limit: int, expected: list[tuple[int, int]], is_whole: bool
) -> None:
    state = await office.initialize(4, waiting_list_policy=WaitingListPolicy.FILL)
    await office.book_many(state, [4, 4, 1, 2, 1])
    only = state.ticket_types[0].id
    line = (await lines(office, state, WaitingListQuery(only, fitting, limit)))[only]
    assert queued(line) == expected
    assert (line.fitting, line.is_whole) == (fitting, is_whole)


async def test_a_line_in_which_nobody_fits_is_empty_and_whole(office: BoxOffice) -> None:
    state = await office.initialize(4, waiting_list_policy=WaitingListPolicy.FILL)
    await office.book_many(state, [4, 3, 2])
    only = state.ticket_types[0].id
    found = await lines(office, state, WaitingListQuery(only, 1, 5))
    assert found == {only: WaitingList(head=(), fitting=1, is_whole=True)}


async def test_many_lines_of_both_kinds_at_once(office: BoxOffice) -> None:
    states = [await office.initialize(*[2] * 50) for _ in range(3)]
    for state in states:
        await office.book_many(state, [2, 2, 1], kind=7)
    asks = [
        WaitingListQuery(each.id, [None, 1][number % 2], 5)
        for state in states
        for number, each in enumerate(state.ticket_types)
    ]
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id) for state in states])
        found = await unit_of_work.events.lines(asks)
    assert len(found) == 150
    for state in states:
        assert queued(found[state.ticket_types[7].id]) == [(2, 1)]
        assert queued(found[state.ticket_types[8].id]) == []


async def test_lines_show_what_the_transaction_saved_itself(office: BoxOffice) -> None:
    state = await office.initialize(1)
    _, waiting, last = await office.book_many(state, [1, 1, 1])
    only = state.ticket_types[0].id
    async with office.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, booking_id=waiting.id)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        command = Cancel(event_id=state.event.id, actor=Actor(waiting.customer_id), booking_id=waiting.id)
        await unit_of_work.events.save([cancel(inventory, command, NOW)], new_id())
        found = await unit_of_work.events.lines([WaitingListQuery(only, None, 5)])
    assert [each.id for each in found[only].head] == [last.id]


async def test_sizes_of_the_lines_that_are_not_empty(office: BoxOffice) -> None:
    state, other = await office.initialize(5, 5, 5), await office.initialize(5)
    await office.book_many(state, [5, 3, 2, 5], kind=1)
    await office.book_many(state, [5, 1], kind=2)
    async with office.storage.begin() as unit_of_work:
        ids = [state.event.id, other.event.id]
        await unit_of_work.events.lock([LoadSpec(event_id=each) for each in ids])
        sizes = await unit_of_work.events.waiting_sizes(ids)
    _, second, third = (each.id for each in state.ticket_types)
    assert {key: value for key, value in sizes.items() if value} == {
        state.event.id: {second: WaitingSizes(2, 5), third: WaitingSizes(1, 1)}
    }


async def test_closing_shows_live_bookings_and_only_those_who_wait_where_asked(office: BoxOffice) -> None:
    state, other = await office.initialize(2), await office.initialize(2)
    bookings = [await office.book(state) for _ in range(5)]
    await office.book(other)
    await office.cancel(bookings[0])
    live = {each.id for each in bookings[1:]}
    async with office.storage.begin() as unit_of_work:
        inventories = unit_of_work.inventories
        await inventories.lock([LoadSpec(event_id=state.event.id)])
        every = (await inventories.closing([ClosingQuery(state.event.id, False, 10)]))[state.event.id]
        some = (await inventories.closing([ClosingQuery(state.event.id, False, 2)]))[state.event.id]
        waiting = (await inventories.closing([ClosingQuery(state.event.id, True, 10)]))[state.event.id]
    assert {each.id for each in every} == live
    assert len(some) == 2
    assert {each.id for each in some} < live
    # The first of those who waited was promoted.
    assert {each.id for each in waiting} == {each.id for each in bookings[3:]}


async def test_a_cancelled_event_lets_its_bookings_go(office: BoxOffice) -> None:
    state = await office.initialize(2)
    await office.book_many(state, [1, 1, 1, 1])
    assert (await office.edit(state, status=EventStatus.CANCELLED)).event.is_unsettled
    assert await office.storage.event_queries.unsettled_events(None, 10) == [state.event.id]
    async with office.storage.begin() as unit_of_work:
        inventories = unit_of_work.inventories
        inventory = (await inventories.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        closing = await inventories.closing([ClosingQuery(state.event.id, False, 500)])
        inventory = replace(inventory, closing=closing[state.event.id])
        await inventories.save([settle(inventory, Settle(state.event.id), NOW)], new_id())
        await unit_of_work.commit()
    found = await office.storage.booking_queries.bookings_of_event(state.event.id, None, None, 10)
    assert {each.status for each in found} == {BookingStatus.CANCELLED}
    assert await office.storage.event_queries.unsettled_events(None, 10) == []
    assert await office.storage.booking_queries.waiting_list(state.event.id, None, None, 10) == []


async def test_promotion_leaves_the_line_and_keeps_the_queue_number(office: BoxOffice) -> None:
    state = await office.initialize(2)
    first, waiting, last = await office.book_many(state, [2, 1, 2])
    await office.cancel(first)
    found = await office.storage.booking_queries.booking(waiting.id)
    assert found is not None
    assert found.booking == replace(waiting, status=BookingStatus.CONFIRMED, place=None)
    assert [each.id for each in await office.storage.booking_queries.waiting_list(state.event.id, None, None, 9)] == [
        last.id
    ]
    counters = (await office.read(state)).ticket_types[0]
    assert (counters.taken, counters.waiting, counters.waiting_tickets) == (1, 1, 2)


async def test_hundreds_of_bookings_in_one_transaction(office: BoxOffice) -> None:
    state = await office.initialize(300)
    await office.book_many(state, [1] * 1_300)
    counters = (await office.read(state)).ticket_types[0]
    assert (counters.taken, counters.waiting) == (300, 1_000)
    more = await office.edit(state, total_tickets=1_200)
    assert more.ticket_types[0].taken == 800
    assert await office.read(state) == replace(more, smallest_waiting={more.ticket_types[0].id: 1})


async def test_several_events_in_one_transaction(office: BoxOffice) -> None:
    states = [
        await office.initialize(number % 2, number % 3 + 1) if number % 2 else await office.initialize(1)
        for number in range(1, 40)
    ]
    async with office.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock([LoadSpec(event_id=state.event.id) for state in states])
        decisions = [book(found[state.event.id], booking_command(state), NOW) for state in states]
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()
    for state, decision in zip(states, decisions, strict=True):
        assert (await office.read(state)).ticket_types == decision.inventory.ticket_types
        assert (await office.read(state)).event == decision.inventory.event


@pytest.mark.parametrize("order", list(permutations(["book", "book the other", "edit"])), ids=", ".join)
async def test_what_several_saves_of_a_transaction_come_to(office: BoxOffice, order: tuple[str, ...]) -> None:
    """Bookings before and after more tickets are there, each saved by itself."""
    state = await office.initialize(1, 5)
    await office.book(state)
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
    async with office.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        for each in order:
            line = await unit_of_work.events.lines([WaitingListQuery(only, None, 5)])
            decision = decide[each](replace(inventory, waiting_lists=line))
            await unit_of_work.events.save([decision], new_id(), more_follow=True)
            inventory = decision.inventory
        await unit_of_work.commit()
    found = await office.read(state)
    assert (found.event, found.ticket_types) == (inventory.event, inventory.ticket_types)
    assert [(each.total_tickets, each.taken) for each in found.ticket_types] == [(3, 2), (5, 1)]
    assert not found.event.is_unsettled


async def test_edits_and_new_ticket_types_are_kept(office: BoxOffice) -> None:
    state = await office.initialize(5)
    command = AddTicketType(
        event_id=state.event.id,
        actor=ORGANIZER,
        ticket_type_id=new_id(),
        spec=TicketTypeSpec(name="Balcony 🎻", total_tickets=7, price=Money(100_000_000, "EUR")),
    )
    added = await office.decide(
        LoadSpec(event_id=state.event.id), lambda inventory: add_ticket_type(inventory, command, NOW)
    )
    assert await office.read(state) == added
    edited = await office.edit(
        state, name="Blues night", venue="Cellar", description="a\nb", max_tickets_per_customer=3
    )
    assert await office.read(state) == edited
    assert edited.event.version == 3
    assert len(edited.ticket_types) == 2


async def test_live_events_are_counted_for_each_organizer(office: BoxOffice) -> None:
    busy, idle, stranger = (replace(ORGANIZER, user_id=new_id()) for _ in range(3))
    for status in (EventStatus.ON_SALE, EventStatus.DRAFT, EventStatus.ON_SALE):
        await office.initialize(1, status=status, actor=busy)
    await office.initialize(1, actor=idle)
    async with office.storage.begin() as unit_of_work:
        found = await unit_of_work.events.live_events([busy.user_id, idle.user_id, stranger.user_id])
        assert found == {busy.user_id: 3, idle.user_id: 1, stranger.user_id: 0}
        crowd = [new_id() for _ in range(120)]
        assert await unit_of_work.events.live_events(crowd) == dict.fromkeys(crowd, 0)


async def test_events_that_are_over_do_not_count(office: BoxOffice) -> None:
    for status in (EventStatus.COMPLETED, EventStatus.CANCELLED, EventStatus.PAUSED):
        await office.edit(await office.initialize(1), status=status)
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.events.live_events([ORGANIZER.user_id]) == {ORGANIZER.user_id: 1}

"""Queries: what is committed, for those who may see it, page by page; and what initializing and cancelling tell."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.queries import (
    ListBookings,
    ListEventBookings,
    ReadBooking,
    ReadWaitingList,
)
from boxoffice.application.events.queries import ListEvents, ReadChanges
from boxoffice.application.ports.queries import EventKey, WaitingKey
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.organize import AddTicketType, Edit, EditTicketType
from boxoffice.domain.event import EventChanges, EventStatus, TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.user import Actor, Organizers, Role
from tests.application.world import ADMIN, ANA, BEN, CLEO, NOW, ORGANIZER, STRANGER, World, later

NOWHERE = UUID(int=77)
OTHER_ORGANIZER = Actor(UUID(int=903), Role.ORGANIZER)
DRAFT, ON_SALE, PAUSED, COMPLETED, CANCELLED = EventStatus


async def in_status(world: World, status: EventStatus) -> UUID:
    """An event in this status."""
    if status is DRAFT:
        return await world.event(status=DRAFT)
    event_id = await world.event()
    if status is not ON_SALE:
        await world.edit(event_id, status=status)
    return event_id


# One event.


@pytest.mark.parametrize("status", [ON_SALE, PAUSED, COMPLETED, CANCELLED])
@pytest.mark.parametrize("actor", [None, STRANGER, ORGANIZER, ADMIN])
async def test_anybody_sees_an_event_that_is_no_draft(world: World, status: EventStatus, actor: Actor | None) -> None:
    event_id = await in_status(world, status)
    assert (await world.read_event(event_id, actor)).event.status is status


async def test_a_draft_is_seen_by_those_who_manage_it_alone(world: World) -> None:
    event_id = await in_status(world, DRAFT)
    for actor in (ORGANIZER, ADMIN):
        assert (await world.read_event(event_id, actor)).event.id == event_id
    for other in (None, STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotFound):
            await world.read_event(event_id, other)


async def test_an_unknown_event_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.read_event(NOWHERE, ADMIN)


async def test_what_is_not_committed_is_not_seen(world: World) -> None:
    event_id = await world.event(3)
    reached, opened = world.faults.gate(Step.COMMIT)
    booking = asyncio.ensure_future(world.book(event_id, ANA))
    await reached.wait()
    assert (await world.state(event_id)).ticket_types[0].taken == 0
    opened.set()
    await booking
    assert (await world.state(event_id)).ticket_types[0].taken == 1


# Events.


async def ids(world: World, actor: Actor | None, status: EventStatus | None = None, q: str | None = None) -> list[UUID]:
    """The events that are listed."""
    page = await ListEvents(world.storage.event_queries)(actor, status=status, q=q)
    assert page.next is None
    return [state.event.id for state in page.items]


async def test_events_on_sale_and_paused_are_listed_unless_another_status_is_asked_for(world: World) -> None:
    made = {status: await in_status(world, status) for status in EventStatus}
    assert set(await ids(world, None)) == {made[ON_SALE], made[PAUSED]}
    for status in (ON_SALE, PAUSED, COMPLETED, CANCELLED):
        assert await ids(world, None, status) == [made[status]]
    assert set(await ids(world, ADMIN)) == {made[ON_SALE], made[PAUSED]}


async def test_a_cancelled_draft_stays_hidden_wherever_events_are_read(world: World) -> None:
    hidden = await world.event(name="hidden", status=DRAFT)
    shown = await world.event(name="shown")
    for event_id in (hidden, shown):
        await world.change_event(_status(event_id, EventStatus.CANCELLED))
    reads = world.storage
    for actor, expected in [
        (None, ["shown"]),
        (STRANGER, ["shown"]),
        (ORGANIZER, ["hidden", "shown"]),
        (ADMIN, ["hidden", "shown"]),
    ]:
        listed = await ListEvents(reads)(actor, status=EventStatus.CANCELLED)
        assert sorted(each.event.name for each in listed.items) == expected
        if "hidden" in expected:
            assert (await world.read_event(hidden, actor)).event.id == hidden
        else:
            with pytest.raises(NotFound):
                await world.read_event(hidden, actor)
    with pytest.raises(NotFound):
        await ListEventBookings(reads)(hidden, STRANGER)


def _status(event_id: UUID, status: EventStatus) -> Edit:
    return Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(status=status))


async def test_drafts_are_listed_for_their_organizer_and_all_of_them_for_admins(world: World) -> None:
    mine = await world.event(status=DRAFT)
    others = await world.event(status=DRAFT, actor=STRANGER)
    assert await ids(world, ORGANIZER, DRAFT) == [mine]
    assert await ids(world, STRANGER, DRAFT) == [others]
    assert set(await ids(world, ADMIN, DRAFT)) == {mine, others}
    assert await ids(world, ANA, DRAFT) == []
    assert await ids(world, None, DRAFT) == []


async def test_an_organizers_events_are_not_the_only_ones_that_they_see(world: World) -> None:
    event_id = await world.event(actor=STRANGER)
    assert await ids(world, ORGANIZER) == [event_id]


async def test_events_come_soonest_first_and_those_without_a_start_last_page_by_page(world: World) -> None:
    never = [await world.event() for _ in range(2)]
    late, soon, same = [await world.event(starts_at=later(days=days)) for days in (9, 1, 9)]
    seen = []
    after: EventKey | None = None
    for size in (2, 2, 1):
        page = await ListEvents(world.storage.event_queries)(None, after=after, limit=2)
        assert len(page.items) == size
        seen += [state.event.id for state in page.items]
        after = page.next
    assert after is None
    assert seen == [soon, late, same, *never]


async def test_a_page_that_is_just_full_is_the_last(world: World) -> None:
    event_id = await world.event(starts_at=later(days=1))
    await world.event()
    page = await ListEvents(world.storage.event_queries)(None, limit=1)
    assert page.next == EventKey(NOW + timedelta(days=1), event_id)
    assert (await ListEvents(world.storage.event_queries)(None, limit=2)).next is None


async def test_events_are_searched_by_name_and_venue_literally_and_without_case(world: World) -> None:
    percent = await world.event(name="100% Jazz", venue="Cellar")
    other = await world.event(name="Jazz", venue="The CELLAR 1000")
    assert await ids(world, None, q="100%") == [percent]
    assert set(await ids(world, None, q="cellar")) == {percent, other}
    assert await ids(world, None, q="opera") == []


# Bookings.


async def test_a_booking_is_seen_by_its_customer_and_by_those_who_manage_the_event(world: World) -> None:
    event_id = await world.event(1)
    booking = await world.book(event_id, ANA)
    read = ReadBooking(world.storage.booking_queries)
    for actor in (ANA, ORGANIZER, ADMIN):
        assert await read(booking.id, actor) == booking
    for actor in (BEN, STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotFound):
            await read(booking.id, actor)
    with pytest.raises(NotFound):
        await read(NOWHERE, ADMIN)


async def test_a_waiting_booking_is_read_with_todays_place(world: World) -> None:
    event_id = await world.event(2)
    holder = await world.book(event_id, ANA, 2)
    first, second = await world.book(event_id, BEN, 2), await world.book(event_id, CLEO, 1)
    read = ReadBooking(world.storage.booking_queries)
    assert (await read(second.id, CLEO)).place == Place(2, 2)
    await world.cancel(holder)
    assert (await read(first.id, BEN)).place is None
    assert (await read(second.id, CLEO)).place == Place(1, 0)


async def pages(world: World, actor: Actor, status: BookingStatus | None = None) -> list[UUID]:
    """One's own bookings, two at a time."""
    seen: list[UUID] = []
    before: UUID | None = None
    while True:
        page = await ListBookings(world.storage.booking_queries)(actor, status=status, before=before, limit=2)
        seen += [booking.id for booking in page.items]
        if page.next is None:
            return seen
        assert len(page.items) == 2
        before = page.next


async def test_ones_own_bookings_come_newest_first_page_by_page(world: World) -> None:
    events = [await world.event(1) for _ in range(5)]
    mine = [await world.book(event_id, ANA) for event_id in events]
    waiting = [await world.book(event_id, BEN) for event_id in events[:4]]
    await world.cancel(mine[4])
    assert await pages(world, ANA) == [booking.id for booking in reversed(mine)]
    assert await pages(world, ANA, BookingStatus.CANCELLED) == [mine[4].id]
    assert await pages(world, BEN, BookingStatus.WAITLISTED) == [booking.id for booking in reversed(waiting)]
    assert await pages(world, STRANGER) == []


async def test_an_events_bookings_are_for_those_who_manage_it(world: World) -> None:
    event_id = await world.event(1)
    confirmed, waiting = await world.book(event_id, ANA), await world.book(event_id, BEN)
    await world.book(await world.event(1), ANA)
    listed = ListEventBookings(world.storage.event_queries, world.storage.booking_queries)
    for actor in (ORGANIZER, ADMIN):
        assert [each.id for each in (await listed(event_id, actor)).items] == [waiting.id, confirmed.id]
    first = await listed(event_id, ADMIN, limit=1)
    assert first.next == waiting.id
    second = await listed(event_id, ADMIN, limit=1, before=first.next)
    assert ([each.id for each in second.items], second.next) == ([confirmed.id], None)
    only = await listed(event_id, ADMIN, status=BookingStatus.WAITLISTED)
    assert [each.id for each in only.items] == [waiting.id]


# The waiting list.


async def two_lines(world: World) -> tuple[UUID, list[UUID], list[Booking]]:
    """An event with two types, one ticket each, and two in each line."""
    event_id = await world.event(
        types=[TicketTypeSpec(name="Stalls", total_tickets=1), TicketTypeSpec(name="Balcony", total_tickets=1)]
    )
    kinds = [each.id for each in (await world.state(event_id)).ticket_types]
    bookings = [await world.book(event_id, who, 1, kind) for who in (ANA, BEN, CLEO) for kind in reversed(kinds)]
    waiting = [booking for kind in kinds for booking in bookings[2:] if booking.ticket_type_id == kind]
    return event_id, kinds, waiting


async def test_the_waiting_list_goes_by_type_then_by_position_page_by_page(world: World) -> None:
    event_id, kinds, waiting = await two_lines(world)
    read = ReadWaitingList(world.storage.event_queries, world.storage.booking_queries)
    seen: list[Booking] = []
    after: WaitingKey | None = None
    for size in (3, 1):
        page = await read(event_id, ORGANIZER, after=after, limit=3)
        assert len(page.items) == size
        seen += page.items
        after = page.next
    assert after is None
    assert [booking.id for booking in seen] == [booking.id for booking in waiting]
    assert [booking.place for booking in seen] == [Place(1, 0), Place(2, 1)] * 2
    only = await read(event_id, ADMIN, ticket_type_id=kinds[1])
    assert [booking.id for booking in only.items] == [booking.id for booking in waiting[2:]]


async def test_the_waiting_list_of_an_unknown_type_is_not_found(world: World) -> None:
    event_id, _, _ = await two_lines(world)
    with pytest.raises(NotFound):
        await ReadWaitingList(world.storage.event_queries, world.storage.booking_queries)(
            event_id, ORGANIZER, ticket_type_id=NOWHERE
        )


async def test_a_type_that_is_added_while_the_list_is_read_breaks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id, _, waiting = await two_lines(world)
    reads = world.storage
    before = (await reads.event_queries.events_by_id([event_id]))[event_id]
    added = world.ids.new()
    spec = TicketTypeSpec(name="Standing", total_tickets=1)
    await world.change_event(AddTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=added, spec=spec))
    for who in (ANA, BEN, CLEO):
        await world.book(event_id, who, 1, added)

    async def earlier(_: Sequence[UUID]) -> object:
        return {event_id: before}

    monkeypatch.setattr(reads, "events_by_id", earlier)
    page = await ReadWaitingList(reads)(event_id, ORGANIZER, limit=5)
    assert [booking.id for booking in page.items] == [booking.id for booking in waiting]
    assert page.next is None


# Changes.


async def test_the_changes_of_an_event_are_read_in_order_from_wherever_one_was(world: World) -> None:
    event_id = await world.event(1)
    await world.book(event_id, ANA)
    await world.book(event_id, BEN)
    read = ReadChanges(world.storage.event_queries)
    assert [fact.seq for fact in await read(event_id, ORGANIZER)] == [1, 2, 3]
    assert [fact.seq for fact in await read(event_id, ADMIN, after=1, limit=1)] == [2]
    assert await read(event_id, ADMIN, after=3) == []


@pytest.mark.parametrize("query", [ListEventBookings, ReadWaitingList, ReadChanges])
async def test_what_is_for_those_who_manage_an_event_is_for_nobody_else(
    world: World, query: type[ListEventBookings] | type[ReadWaitingList] | type[ReadChanges]
) -> None:
    event_id, draft = await world.event(), await world.event(status=DRAFT)
    read = query(world.storage)
    for actor in (STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotAllowed):
            await read(event_id, actor)
        with pytest.raises(NotFound):
            await read(draft, actor)
    with pytest.raises(NotFound):
        await read(NOWHERE, ADMIN)


# Initializing, cancelling and changing, as use cases.


async def test_where_organizing_is_granted_customers_may_not(world: World) -> None:
    with pytest.raises(NotAllowed):
        await world.event(actor=ANA, organizers=Organizers.GRANTED)
    await world.event(actor=OTHER_ORGANIZER, organizers=Organizers.GRANTED)
    await world.event(actor=ANA)


async def test_a_booking_is_cancelled_by_its_id_alone(world: World) -> None:
    event_id = await world.event(1)
    holder, waiting = await world.book(event_id, ANA), await world.book(event_id, BEN)
    with pytest.raises(NotFound):
        await world.cancel_booking.by_id(NOWHERE, ANA)
    with pytest.raises(NotFound):
        await world.cancel_booking.by_id(holder.id, BEN)
    cancelled = await world.cancel_booking.by_id(holder.id, ANA)
    assert (cancelled.booking.id, cancelled.booking.status) == (holder.id, BookingStatus.CANCELLED)
    assert cancelled.promoted_count == 1
    assert await world.statuses([waiting]) == ["confirmed"]


async def test_a_type_is_changed_and_serves_its_line_at_once(world: World) -> None:
    event_id, kinds, waiting = await two_lines(world)
    changes = TicketTypeChanges(total_tickets=3)
    told = await world.change_event(
        EditTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=kinds[1], changes=changes)
    )
    assert [each.taken for each in told.ticket_types] == [1, 3]
    assert await world.statuses(waiting) == ["waitlisted", "waitlisted", "confirmed", "confirmed"]
    assert told.ticket_types == (await world.state(event_id)).ticket_types


async def test_what_an_edit_tells_is_what_is_read_next(world: World) -> None:
    event_id = await world.event(3)
    await world.book(event_id, ANA, 3)
    await world.book(event_id, BEN, 2)
    for changes in ({"venue": "Cellar"}, {"status": PAUSED}, {"total_tickets": 4}, {"status": ON_SALE}):
        told = await world.edit(event_id, **changes)
        stored = await world.state(event_id)
        assert (told.event, told.ticket_types) == (stored.event, stored.ticket_types)
        assert told.is_sold_out(NOW) is stored.is_sold_out(NOW)

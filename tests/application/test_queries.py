"""Queries: committed data, for those who may see it, page by page."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.bookings.queries import (
    ListBookings,
)
from boxoffice.application.events.queries import ListEvents, ListOwnEvents
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.organize import EditTicketType
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.event import EventStatus, When
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.tickets.ticket_type import TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.user import Actor, Role
from tests.application.fake_app import ADMIN, ANA, BEN, CLEO, ORGANIZER, STRANGER, FakeApp

NOWHERE = UUID(int=77)
OTHER_ORGANIZER = Actor(UUID(int=903), Role.ORGANIZER)
DRAFT, ON_SALE, PAUSED, COMPLETED, CANCELLED = EventStatus


async def in_status(app: FakeApp, status: EventStatus) -> UUID:
    """An event in this status."""
    if status is DRAFT:
        return await app.event(status=DRAFT)
    event_id = await app.event()
    if status is not ON_SALE:
        await app.edit(event_id, status=status)
    return event_id


# One event.


async def test_a_draft_is_visible_to_those_who_manage_it_and_other_events_to_all(app: FakeApp) -> None:
    for status in (ON_SALE, PAUSED, COMPLETED, CANCELLED):
        event_id = await in_status(app, status)
        for actor in (None, STRANGER, ORGANIZER, ADMIN):
            assert (await app.read_event(event_id, actor)).event.status is status
    draft = await in_status(app, DRAFT)
    for actor in (ORGANIZER, ADMIN):
        assert (await app.read_event(draft, actor)).event.id == draft
    for other in (None, STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotFound):
            await app.read_event(draft, other)
    with pytest.raises(NotFound):
        await app.read_event(NOWHERE, ADMIN)


# Events.


async def ids(app: FakeApp, actor: Actor | None, status: EventStatus | None = None, q: str | None = None) -> list[UUID]:
    """The events that are listed."""
    page = await ListEvents(app.storage.event_queries, app.clock)(actor, status=status, q=q)
    assert page.next is None
    return [state.event.id for state in page.items]


async def test_events_are_listed_by_status_and_drafts_only_for_those_who_manage_them(app: FakeApp) -> None:
    made = {status: await in_status(app, status) for status in EventStatus}
    for actor in (None, STRANGER, ORGANIZER, ADMIN):
        assert set(await ids(app, actor)) == {made[ON_SALE], made[PAUSED]}
        for status in (ON_SALE, PAUSED, COMPLETED, CANCELLED):
            assert await ids(app, actor, status) == [made[status]]
    others = await app.event(status=DRAFT, actor=STRANGER)
    assert await ids(app, ORGANIZER, DRAFT) == [made[DRAFT]]
    assert await ids(app, STRANGER, DRAFT) == [others]
    assert set(await ids(app, ADMIN, DRAFT)) == {made[DRAFT], others}
    assert await ids(app, ANA, DRAFT) == await ids(app, None, DRAFT) == []


async def test_ones_own_events_are_listed_whatever_their_status(app: FakeApp) -> None:
    """Those that the actor organizes or works for, and no others for an admin."""
    made = {status: await in_status(app, status) for status in EventStatus}
    helped = await app.event(status=DRAFT, actor=STRANGER)
    async with app.storage.begin() as unit_of_work:
        await unit_of_work.staff.add(
            StaffMember(
                id=app.ids.new(),
                event_id=helped,
                user_id=ORGANIZER.user_id,
                role=StaffRole.DOOR,
                appointed_at=app.clock.time,
            )
        )
        await unit_of_work.commit()
    list_own = ListOwnEvents(app.storage.event_queries, app.clock)

    async def own(actor: Actor, **wanted: Any) -> set[UUID]:
        page = await list_own(actor, **wanted)
        assert page.next is None
        return {state.event.id for state in page.items}

    assert await own(ORGANIZER) == {*made.values(), helped}
    assert await own(ORGANIZER, status=DRAFT) == {made[DRAFT], helped}
    assert await own(STRANGER) == {helped}
    assert await own(ADMIN) == await own(ANA) == set()
    assert await own(ORGANIZER, q="nothing") == await own(ORGANIZER, when=When.PAST) == set()
    for role in KeyRole:
        for_one = replace(ORGANIZER, scope=KeyScope(role, helped))
        with pytest.raises(NotAllowed):
            await own(for_one)


# Bookings.


async def test_a_booking_is_visible_to_its_customer_and_those_who_manage_the_event(app: FakeApp) -> None:
    event_id = await app.event(1)
    booking = await app.book(event_id, ANA)
    read = app.read_booking
    for actor in (ANA, ORGANIZER, ADMIN):
        assert (await read(booking.id, actor)).booking == booking
    for actor in (BEN, STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotFound):
            await read(booking.id, actor)
    with pytest.raises(NotFound):
        await read(NOWHERE, ADMIN)


async def test_ones_own_bookings_are_listed_newest_first(app: FakeApp) -> None:
    first, second, third = [await app.book(await app.event(1), ANA) for _ in range(3)]
    await app.cancel(first)
    own = ListBookings(app.storage.booking_queries)
    page = await own(ANA, limit=2)
    assert [each.id for each in page.items] == [third.id, second.id]
    page = await own(ANA, limit=2, before=page.next)
    assert ([each.id for each in page.items], page.next) == ([first.id], None)
    assert [each.id for each in (await own(ANA, status=BookingStatus.CANCELLED)).items] == [first.id]
    assert (await own(STRANGER)).items == []


async def test_an_events_bookings_are_listed_for_those_who_manage_it(app: FakeApp) -> None:
    event_id = await app.event(1)
    confirmed, waiting = await app.book(event_id, ANA), await app.book(event_id, BEN)
    await app.book(await app.event(1), ANA)
    listed = app.list_event_bookings
    for actor in (ORGANIZER, ADMIN):
        assert [each.booking.id for each in (await listed(event_id, actor)).items] == [waiting.id, confirmed.id]
    first = await listed(event_id, ADMIN, limit=1)
    assert first.next == waiting.id
    second = await listed(event_id, ADMIN, limit=1, before=first.next)
    assert ([each.booking.id for each in second.items], second.next) == ([confirmed.id], None)
    only = await listed(event_id, ADMIN, status=BookingStatus.WAITLISTED)
    assert [each.booking.id for each in only.items] == [waiting.id]


# The waiting list.


async def two_lines(app: FakeApp) -> tuple[UUID, list[UUID], list[Booking]]:
    """An event with two types, one ticket each, and two waiting bookings for each."""
    event_id = await app.event(
        types=[TicketTypeSpec(name="Stalls", total_tickets=1), TicketTypeSpec(name="Balcony", total_tickets=1)]
    )
    kinds = await app.type_ids(event_id)
    bookings = [await app.book(event_id, who, 1, kind) for who in (ANA, BEN, CLEO) for kind in reversed(kinds)]
    waiting = [booking for kind in kinds for booking in bookings[2:] if booking.ticket_type_id == kind]
    return event_id, kinds, waiting


async def test_the_waiting_list_is_sorted_by_type_and_position(app: FakeApp) -> None:
    event_id, kinds, waiting = await two_lines(app)
    read = app.read_waiting_list
    page = await read(event_id, ORGANIZER, limit=3)
    rest = await read(event_id, ORGANIZER, after=page.next, limit=3)
    seen = [each.booking for each in (*page.items, *rest.items)]
    assert [booking.id for booking in seen] == [booking.id for booking in waiting]
    assert [booking.place for booking in seen] == [Place(1, 0), Place(2, 1)] * 2
    assert (len(page.items), rest.next) == (3, None)
    only = await read(event_id, ADMIN, ticket_type_id=kinds[1])
    assert [each.booking.id for each in only.items] == [booking.id for booking in waiting[2:]]
    with pytest.raises(NotFound):
        await read(event_id, ORGANIZER, ticket_type_id=NOWHERE)


# Changes.


async def test_the_changes_of_an_event_are_read_in_order_from_any_fact(app: FakeApp) -> None:
    event_id = await app.event(1)
    await app.book(event_id, ANA)
    await app.book(event_id, BEN)
    read = app.read_changes
    assert [fact.seq for fact in await read(event_id, ORGANIZER)] == [1, 2, 3]
    assert [fact.seq for fact in await read(event_id, ADMIN, after=1, limit=1)] == [2]
    assert await read(event_id, ADMIN, after=3) == []


@pytest.mark.parametrize("query", ["list_event_bookings", "read_waiting_list", "read_changes", "list_attendees"])
async def test_queries_for_those_who_manage_an_event_are_refused_to_others(app: FakeApp, query: str) -> None:
    event_id, draft = await app.event(), await app.event(status=DRAFT)
    read = getattr(app, query)
    for actor in (STRANGER, OTHER_ORGANIZER):
        with pytest.raises(NotAllowed):
            await read(event_id, actor)
        with pytest.raises(NotFound):
            await read(draft, actor)
    with pytest.raises(NotFound):
        await read(NOWHERE, ADMIN)


# Cancelling and changing.


async def test_a_booking_is_cancelled_by_its_id_alone(app: FakeApp) -> None:
    event_id = await app.event(1)
    holder, waiting = await app.book(event_id, ANA), await app.book(event_id, BEN)
    with pytest.raises(NotFound):
        await app.cancel_booking.by_id(NOWHERE, ANA)
    with pytest.raises(NotFound):
        await app.cancel_booking.by_id(holder.id, BEN)
    cancelled = await app.cancel_booking.by_id(holder.id, ANA)
    assert (cancelled.booking.id, cancelled.booking.status) == (holder.id, BookingStatus.CANCELLED)
    assert cancelled.promoted_count == 1
    assert await app.statuses([waiting]) == ["confirmed"]


async def test_more_tickets_of_a_type_promote_its_waiting_list_at_once(app: FakeApp) -> None:
    event_id, kinds, waiting = await two_lines(app)
    changes = TicketTypeChanges(total_tickets=3)
    changed = await app.change_event(
        EditTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=kinds[1], changes=changes)
    )
    assert [each.taken for each in changed.ticket_types] == [1, 3]
    assert await app.statuses(waiting) == ["waitlisted", "waitlisted", "confirmed", "confirmed"]
    assert changed.ticket_types == (await app.state(event_id)).ticket_types

"""Queries: what is committed, for those who may see it (promise 9)."""

from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from ..domain.booking import Booking, BookingStatus
from ..domain.event import EventState, EventStatus
from ..domain.facts import Fact
from ..domain.payment import Payment
from ..domain.refusals import NotFound
from ..domain.user import Actor, Role
from .ports import EventFilter, EventKey, Reads, WaitingKey
from .sharing import Shared

Item = TypeVar("Item")
Key = TypeVar("Key")

PUBLIC = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
"""What a list of events shows unless a status is asked for."""


class Page(Struct, Generic[Item, Key], frozen=True):
    """A piece of a list; `next` is where to go on, None at the end."""

    items: list[Item]
    next: Key | None


class ReadEvent:
    """One event with its ticket types and their counters."""

    def __init__(self, reads: Reads) -> None:
        self._event = Shared(reads.events_by_id)

    async def __call__(self, event_id: UUID, actor: Actor | None) -> EventState:
        """Raises: NotFound, Unavailable."""
        state = await self._event(event_id)
        if state is None:
            raise NotFound
        state.event.check_visible_to(actor)
        return state


class ListEvents:
    """Events, soonest first. Those that never were on sale are listed for their organizer, all of them for admins."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(
        self,
        actor: Actor | None,
        *,
        status: EventStatus | None = None,
        q: str | None = None,
        after: EventKey | None = None,
        limit: int = 50,
    ) -> Page[EventState, EventKey]:
        """A page of a search may hold fewer than `limit` before the list ends. Raises: Unavailable."""
        organizer_id = None
        if status is EventStatus.DRAFT:
            if actor is None:
                return Page([], None)
            organizer_id = None if actor.role is Role.ADMIN else actor.user_id
        wanted = EventFilter(
            statuses=PUBLIC if status is None else frozenset({status}),
            organizer_id=organizer_id,
            q=q,
            hides_unpublished=status is EventStatus.CANCELLED and (actor is None or actor.role is not Role.ADMIN),
            viewer_id=actor.user_id if actor else None,
        )
        found = await self._reads.events(wanted, after, limit)
        return Page(found.events, found.next)


class ReadBooking:
    """One booking with today's place."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(self, booking_id: UUID, actor: Actor) -> Booking:
        """Raises: NotFound, Unavailable."""
        found = await self._reads.booking(booking_id)
        if found is None:
            raise NotFound
        if found.booking.customer_id != actor.user_id and not found.event.is_managed_by(actor):
            raise NotFound
        return found.booking


class ListPayments:
    """Every charge and refund of a booking, oldest first."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(self, booking_id: UUID, actor: Actor) -> list[Payment]:
        """Raises: NotFound, Unavailable."""
        await ReadBooking(self._reads)(booking_id, actor)
        return await self._reads.payments(booking_id)


class ListBookings:
    """One's own bookings, newest first."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(
        self, actor: Actor, *, status: BookingStatus | None = None, before: UUID | None = None, limit: int = 50
    ) -> Page[Booking, UUID]:
        """Raises: Unavailable."""
        found = await self._reads.bookings_of_customer(actor.user_id, status, before, limit + 1)
        return _bookings(found, limit)


class ListEventBookings:
    """Every booking of an event, newest first, for those who manage it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(
        self,
        event_id: UUID,
        actor: Actor,
        *,
        status: BookingStatus | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> Page[Booking, UUID]:
        """Raises: NotFound, NotAllowed, Unavailable."""
        await _managed(self._reads, event_id, actor)
        found = await self._reads.bookings_of_event(event_id, status, before, limit + 1)
        return _bookings(found, limit)


class ReadWaitingList:
    """An event's waiting list by ticket type and position, for those who manage it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(
        self,
        event_id: UUID,
        actor: Actor,
        *,
        ticket_type_id: UUID | None = None,
        after: WaitingKey | None = None,
        limit: int = 50,
    ) -> Page[Booking, WaitingKey]:
        """Raises: NotFound, NotAllowed, Unavailable."""
        state = await _managed(self._reads, event_id, actor)
        ordinals = {ticket_type.id: ticket_type.ordinal for ticket_type in state.ticket_types}
        if ticket_type_id is not None and ticket_type_id not in ordinals:
            raise NotFound
        read = await self._reads.waiting_list(event_id, ticket_type_id, after, limit + 1)
        # A type that was added between the two reads stands at the end, as if it had come after the list.
        found = [booking for booking in read if booking.ticket_type_id in ordinals]
        items = found[:limit]
        last = items[-1] if len(found) > limit else None
        key = WaitingKey(ordinals[last.ticket_type_id], last.queue_number or 0) if last else None
        return Page(items, key)


class ReadChanges:
    """An event's facts after a sequence number, gapless and in order, for those who manage it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(self, event_id: UUID, actor: Actor, *, after: int = 0, limit: int = 50) -> list[Fact]:
        """Raises: NotFound, NotAllowed, Unavailable."""
        await _managed(self._reads, event_id, actor)
        return await self._reads.facts(event_id, after, limit)


async def _managed(reads: Reads, event_id: UUID, actor: Actor) -> EventState:
    state = (await reads.events_by_id([event_id])).get(event_id)
    if state is None:
        raise NotFound
    state.event.check_managed_by(actor)
    return state


def _bookings(found: list[Booking], limit: int) -> Page[Booking, UUID]:
    items = found[:limit]
    return Page(items, items[-1].id if len(found) > limit else None)

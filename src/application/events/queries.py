"""Queries about events: committed state for users who may see it (promise 9)."""

from uuid import UUID

from ...domain.event import EventStatus, When
from ...domain.facts import Fact
from ...domain.policy import PersonalRight, Right
from ...domain.refusals import NotFound
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Actor
from ..duties import Duties, check_visible, event_for
from ..pages import Page
from ..ports.queries import BookingOwner, BookingQueries, EventFilter, EventKey, EventQueries
from ..ports.system import Clock
from ..turnstile.coalesced_reads import CoalescedReads

PUBLIC = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
"""The statuses in a list of events unless one is chosen."""


class ReadEvent:
    """Read one event with its ticket types and their counters."""

    def __init__(self, events: EventQueries, duties: Duties) -> None:
        self._event = CoalescedReads(events.events_by_id)
        self._duties = duties

    async def __call__(self, event_id: UUID, actor: Actor | None) -> EventState:
        """Return the event. Raises: NotFound, Unavailable."""
        state = await self._event(event_id)
        if state is None:
            raise NotFound
        await check_visible(state.event, self._duties, actor)
        return state


class ListEvents:
    """List events, soonest first. Unpublished events are listed for their organizer and for admins only."""

    def __init__(self, events: EventQueries, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    async def __call__(
        self,
        actor: Actor | None,
        *,
        status: EventStatus | None = None,
        when: When = When.UPCOMING,
        q: str | None = None,
        after: EventKey | None = None,
        limit: int = 50,
    ) -> Page[EventState, EventKey]:
        """Return a page. A search may give fewer than `limit` before the list ends.

        Raises: NotAllowed for the unpublished events of an API key that is for one event, Unavailable.
        """
        organizer_id = None
        if status is EventStatus.DRAFT:
            if actor is None:
                return Page([], None)
            actor.check_may_personally(PersonalRight.LIST_OWN_EVENTS)
            organizer_id = None if actor.sees_every_event else actor.user_id
        wanted = EventFilter(
            statuses=PUBLIC if status is None else frozenset({status}),
            now=self._clock.now(),
            when=when,
            organizer_id=organizer_id,
            q=q,
            hides_unpublished=status is EventStatus.CANCELLED and not (actor and actor.sees_every_event),
            viewer_id=actor.user_id if actor and actor.may_personally(PersonalRight.LIST_OWN_EVENTS) else None,
        )
        found = await self._events.events(wanted, after, limit)
        return Page(found.events, found.next)


class ListOwnEvents:
    """List the events that the actor organizes or works for, whatever their status, soonest first."""

    def __init__(self, events: EventQueries, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    async def __call__(
        self,
        actor: Actor,
        *,
        status: EventStatus | None = None,
        when: When = When.UPCOMING,
        q: str | None = None,
        after: EventKey | None = None,
        limit: int = 50,
    ) -> Page[EventState, EventKey]:
        """Return a page. Raises: NotAllowed for an API key that is for one event, Unavailable."""
        actor.check_may_personally(PersonalRight.LIST_OWN_EVENTS)
        wanted = EventFilter(
            statuses=frozenset(EventStatus) if status is None else frozenset({status}),
            now=self._clock.now(),
            when=when,
            member_id=actor.user_id,
            q=q,
        )
        found = await self._events.events(wanted, after, limit)
        return Page(found.events, found.next)


class ReadChanges:
    """Read an event's facts after a sequence number, without gaps and in order, for those who may see its facts."""

    def __init__(self, events: EventQueries, duties: Duties) -> None:
        self._events = events
        self._duties = duties

    async def __call__(self, event_id: UUID, actor: Actor, *, after: int = 0, limit: int = 50) -> list[Fact]:
        """Return the facts. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._events, self._duties, event_id, actor, Right.SEE_CHANGES)
        return await self._events.facts(event_id, after, limit)


async def owner_of_booking(bookings: BookingQueries, booking_id: UUID) -> BookingOwner:
    """Return the event and the customer of a booking, which never change and so may be read before the event's lock.

    Raises: NotFound, Unavailable.
    """
    owner = await bookings.owner_of(booking_id)
    if owner is None:
        raise NotFound
    return owner

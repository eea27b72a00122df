"""Duties: what the caller does for the event that a command or a query is about."""

from uuid import UUID

from ..domain.event import Event
from ..domain.policy import Right
from ..domain.refusals import NotFound
from ..domain.tickets.ticket_type import EventState
from ..domain.user import Actor
from .ports.accounts.staff import StaffQueries
from .ports.queries import BookingOfEvent, BookingOwner, EventQueries


class Duties:
    """Adds to an actor their role in an event's staff, with one read by primary key.

    Nothing is cached, so a change of the staff holds at once, in every process. It is read only where it can matter:
    not for what customers do with their own bookings, and not for reading published events.
    """

    def __init__(self, staff: StaffQueries) -> None:
        self._staff = staff

    async def __call__(self, actor: Actor, event_id: UUID) -> Actor:
        """Return the actor with their role in the event's staff. Raises: Unavailable."""
        role = await self._staff.role(event_id, actor.user_id)
        return actor if role is None else actor.on_duty(event_id, role)

    async def for_booking(self, actor: Actor, owner: BookingOwner) -> Actor:
        """Return the actor with their role in the staff, unless the booking is their own. Raises: Unavailable."""
        return actor if actor.user_id == owner.customer_id else await self(actor, owner.event_id)


async def event_for(events: EventQueries, duties: Duties, event_id: UUID, actor: Actor, right: Right) -> EventState:
    """Return an event towards which the actor has the right. Raises: NotFound, NotAllowed, Unavailable."""
    state, _ = await known_for(events, duties, event_id, actor, right)
    return state


async def known_for(
    events: EventQueries, duties: Duties, event_id: UUID, actor: Actor, right: Right
) -> tuple[EventState, Actor]:
    """As `event_for`, with the actor and what they do for the event."""
    state = (await events.events_by_id([event_id])).get(event_id)
    if state is None:
        raise NotFound
    # The organizer and admins have no duty in the staff.
    known = actor if state.event.may(actor, right) else await duties(actor, event_id)
    state.event.check_may(known, right)
    return state, known


async def check_visible(event: Event, duties: Duties, actor: Actor | None) -> None:
    """Raise NotFound unless the actor may see the event. For a published one nothing is read."""
    known = actor if actor is None or event.is_visible_to(actor) else await duties(actor, event.id)
    event.check_visible_to(known)


async def check_shows_booking(
    found: BookingOfEvent, duties: Duties, actor: Actor, right: Right = Right.SEE_BOOKINGS
) -> None:
    """Raise NotFound unless the booking is the actor's, or they have the right to see it of others."""
    event, customer_id = found.event, found.booking.customer_id
    if not event.shows_booking(customer_id, actor, right):
        event.check_shows_booking(customer_id, await duties(actor, event.id), right)

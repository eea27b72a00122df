"""Attendees: the tickets of an event with their holders, in the order of their numbers, for those who may see them."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.policy import Right
from ...domain.tickets.ticket import MOST_TICKETS, Ticket, TicketStatus, ticket_id, ticket_status
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Actor
from ..duties import Duties, known_for
from ..ports.queries import AttendingBooking, BookingQueries, EventQueries
from ..ports.tickets import TicketQueries

AT_ONCE: Final = 500
"""Bookings that an export reads together. It holds no connection between two reads."""

ROWS_AT_ONCE: Final = 5_000
"""Tickets to which something happened that it reads together: a booking may have a thousand."""


class Attendee(Struct, frozen=True, gc=False, kw_only=True):
    """A ticket with its holder.

    `holder_name` is the ticket's own, else the customer's, and `email` the customer's; both are None once the account
    is erased, and so is `email` where addresses are not shown.
    """

    ticket_id: UUID
    number: int
    holder_name: str | None
    email: str | None
    ticket_type_id: UUID
    ticket_type_name: str
    status: TicketStatus
    booking_id: UUID
    checked_in_at: datetime | None = None


class AttendeePage(Struct, frozen=True):
    """A page of attendees; `next` is the number of the last ticket, to continue after, None at the end."""

    attendees: list[Attendee]
    next: int | None
    shows_addresses: bool


class AttendeeExport(Struct, frozen=True):
    """All attendees, in parts that are read when they are needed."""

    parts: AsyncIterator[Iterator[Attendee]]
    shows_addresses: bool


class _Attendees:
    """Reads attendees for those who may see them."""

    def __init__(self, events: EventQueries, bookings: BookingQueries, tickets: TicketQueries, duties: Duties) -> None:
        self._events = events
        self._bookings = bookings
        self._tickets = tickets
        self._duties = duties

    async def _admitted(self, event_id: UUID, actor: Actor) -> tuple[EventState, bool]:
        """Return the event, and whether the actor sees addresses. Raises: NotFound, NotAllowed, Unavailable."""
        state, known = await known_for(self._events, self._duties, event_id, actor, Right.SEE_ATTENDEES)
        return state, state.event.may(known, Right.SEE_ADDRESSES)


class ListAttendees(_Attendees):
    """List an event's tickets by number, void ones too."""

    async def __call__(self, event_id: UUID, actor: Actor, *, after: int = 0, limit: int = 50) -> AttendeePage:
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        _, shows_addresses = await self._admitted(event_id, actor)
        bookings = await self._bookings.attending_bookings(event_id, after, limit + 1)
        # Enough for the page, because no two are of the same ticket.
        rows = await self._tickets.of_event(event_id, after, limit + 1)
        tickets = _attendees(bookings, rows, range(after + 1, MOST_TICKETS), shows_addresses=shows_addresses)
        found = [each for each, _ in zip(tickets, range(limit + 1), strict=False)]
        items = found[:limit]
        return AttendeePage(items, items[-1].number if len(found) > limit else None, shows_addresses)


class ExportAttendees(_Attendees):
    """Read all of an event's tickets by number, page by page.

    Tickets that are confirmed after the export began are left out, so that it ends. Of the others each part tells what
    they are when it is read.
    """

    async def __call__(self, event_id: UUID, actor: Actor) -> AttendeeExport:
        """Return the export. Raises: NotFound, NotAllowed, Unavailable, also while its parts are read."""
        state, shows_addresses = await self._admitted(event_id, actor)
        last = state.event.last_ticket_number
        return AttendeeExport(self._parts(event_id, last, shows_addresses=shows_addresses), shows_addresses)

    async def _parts(self, event_id: UUID, last: int, *, shows_addresses: bool) -> AsyncIterator[Iterator[Attendee]]:
        after = 0
        while after < last:
            found = await self._bookings.attending_bookings(event_id, after, AT_ONCE)
            bookings = [each for each in found if each.first_ticket_number <= last]
            if not bookings:
                return
            rows = await self._tickets.of_event(event_id, after, ROWS_AT_ONCE)
            end = bookings[-1].first_ticket_number + bookings[-1].tickets
            if len(rows) == ROWS_AT_ONCE:
                end = min(end, rows[-1].number + 1)
            yield _attendees(bookings, rows, range(after + 1, end), shows_addresses=shows_addresses)
            after = end - 1


def _attendees(
    bookings: Iterable[AttendingBooking], rows: Iterable[Ticket], numbers: range, *, shows_addresses: bool
) -> Iterator[Attendee]:
    """Yield the tickets with these numbers, one at a time: a booking may have a thousand."""
    own = {each.number: each for each in rows}
    for booking in bookings:
        customer = booking.customer
        first, end = booking.first_ticket_number, booking.first_ticket_number + booking.tickets
        for number in range(max(first, numbers.start), min(end, numbers.stop)):
            ticket = own.get(number)
            name = None if ticket is None else ticket.holder_name
            yield Attendee(
                ticket_id=ticket_id(booking.id, number),
                number=number,
                holder_name=name or (customer.name if customer else None),
                email=customer.email if customer and shows_addresses else None,
                ticket_type_id=booking.ticket_type_id,
                ticket_type_name=booking.ticket_type_name,
                status=ticket_status(booking.status, ticket),
                booking_id=booking.id,
                checked_in_at=None if ticket is None else ticket.checked_in_at,
            )

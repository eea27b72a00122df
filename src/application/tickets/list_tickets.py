"""The tickets of a booking with their codes, for its customer and for those who work for the event."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking, BookingStatus
from ...domain.policy import Right
from ...domain.refusals import NotFound
from ...domain.tickets.ticket import Ticket, TicketStatus, number_of, ticket_id, ticket_status
from ...domain.user import Actor
from ..duties import Duties, check_shows_booking
from ..ports.errors import Unavailable
from ..ports.queries import AccountQueries, BookingOfEvent, BookingQueries
from ..ports.ticket_codes import TicketRef
from ..ports.tickets import TicketQueries
from .ticket_codes import TicketCodes


class ShownTicket(Struct, frozen=True, gc=False, kw_only=True):
    """A ticket with its code.

    `holder_name` is the customer's if none was given, and None once both are erased. The code of a void ticket is void.
    """

    id: UUID
    number: int
    ticket_type_id: UUID
    holder_name: str | None
    status: TicketStatus
    code: str
    checked_in_at: datetime | None


class ShowTickets:
    """Give tickets the holder's name that counts, and their codes."""

    def __init__(self, accounts: AccountQueries, codes: TicketCodes) -> None:
        self._accounts = accounts
        self._codes = codes

    async def __call__(self, booking: Booking, tickets: Iterable[Ticket]) -> list[ShownTicket]:
        """Return these tickets of a booking, in their order. Raises: SecretMissing, Unavailable."""
        shown = list(tickets)
        ids = [ticket_id(booking.id, each.number) for each in shown]
        refs = [TicketRef(booking.event_id, *each) for each in zip(ids, (each.serial for each in shown), strict=True)]
        codes = await self._codes.codes(booking.event_id, refs)
        customer = (await self._accounts.customers([booking.customer_id])).get(booking.customer_id) if shown else None
        name = customer.name if customer else None
        return [
            ShownTicket(
                id=id_,
                number=ticket.number,
                ticket_type_id=booking.ticket_type_id,
                holder_name=ticket.holder_name or name,
                status=ticket_status(booking.status, ticket),
                code=code,
                checked_in_at=ticket.checked_in_at,
            )
            for id_, ticket, code in zip(ids, shown, codes, strict=True)
        ]


class ListTickets:
    """List the tickets of a booking by number, void ones too."""

    def __init__(self, bookings: BookingQueries, tickets: TicketQueries, duties: Duties, show: ShowTickets) -> None:
        self._bookings = bookings
        self._tickets = tickets
        self._duties = duties
        self._show = show

    async def __call__(self, booking_id: UUID, actor: Actor) -> list[ShownTicket]:
        """Return the tickets; none before the booking is confirmed. Raises: NotFound, SecretMissing, Unavailable."""
        return await self._of(booking_id, actor, None)

    async def one(self, booking_id: UUID, ticket_id_: UUID, actor: Actor) -> ShownTicket:
        """Return one of them. Raises: as `__call__`."""
        found = await self._of(booking_id, actor, number_of(ticket_id_))
        if not found or found[0].id != ticket_id_:
            raise NotFound
        return found[0]

    async def _of(self, booking_id: UUID, actor: Actor, number: int | None) -> list[ShownTicket]:
        found = await booking_with_tickets(self._bookings, self._duties, booking_id, actor)
        booking = found.booking
        if booking.status is BookingStatus.CONFIRMED and booking.first_ticket_number is None:
            # It was confirmed before tickets had numbers; the sweep is about to number it.
            raise Unavailable("The tickets of this booking have no numbers yet; try again in a moment.")
        numbers = [each for each in booking.ticket_numbers if number in (None, each)]
        rows = {each.number: each for each in await self._tickets.of_bookings([booking.id])} if numbers else {}
        return await self._show(
            booking,
            [
                rows.get(each) or Ticket(booking_id=booking.id, event_id=booking.event_id, number=each)
                for each in numbers
            ],
        )


async def booking_with_tickets(
    bookings: BookingQueries, duties: Duties, booking_id: UUID, actor: Actor
) -> BookingOfEvent:
    """Return a booking whose tickets the actor may see, with its event. Raises: NotFound, Unavailable."""
    found = await bookings.booking(booking_id)
    if found is None:
        raise NotFound
    await check_shows_booking(found, duties, actor, Right.SEE_TICKETS)
    return found


class ReadBookedEvent:
    """Read a booking with its event, for those who see its tickets."""

    def __init__(self, bookings: BookingQueries, duties: Duties) -> None:
        self._bookings = bookings
        self._duties = duties

    async def __call__(self, booking_id: UUID, actor: Actor) -> BookingOfEvent:
        """Return both. Raises: NotFound, Unavailable."""
        return await booking_with_tickets(self._bookings, self._duties, booking_id, actor)

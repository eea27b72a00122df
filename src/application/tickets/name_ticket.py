"""Name the holder of a ticket, or give it a new code."""

from uuid import UUID

from msgspec import Struct

from ...domain.decisions.change_ticket import ChangeTicket, IssuedTicket, change_ticket
from ...domain.user import Actor
from ..duties import Duties
from ..events.queries import owner_of_booking
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile
from .list_tickets import ShownTicket, ShowTickets


class TicketChanges(Struct, frozen=True, kw_only=True):
    """What to change of a ticket; see `domain.decisions.change_ticket`."""

    booking_id: UUID
    ticket_id: UUID
    actor: Actor
    holder_name: str | None = None
    reissue: bool = False


class NameTicket:
    """Name the holder of a ticket, or give it a new code, which makes the earlier one void."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, duties: Duties, show: ShowTickets) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._duties = duties
        self._show = show

    async def __call__(self, changes: TicketChanges) -> ShownTicket:
        """Return the changed ticket. Raises: what `change_ticket` refuses, SecretMissing, Unavailable."""
        owner = await owner_of_booking(self._bookings, changes.booking_id)
        command = ChangeTicket(
            event_id=owner.event_id,
            booking_id=changes.booking_id,
            ticket_id=changes.ticket_id,
            actor=await self._duties.for_booking(changes.actor, owner),
            holder_name=changes.holder_name,
            reissue=changes.reissue,
        )
        needs = LoadSpec(event_id=owner.event_id, booking_id=changes.booking_id, tickets=True)
        issued: IssuedTicket = outcome(await self._turnstile.admit(command, needs, change_ticket))
        (shown,) = await self._show(issued.booking, [issued.ticket])
        return shown

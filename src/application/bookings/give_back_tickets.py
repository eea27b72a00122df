"""Give a part of a booking back and promote waiting bookings that its tickets fit, in one transaction."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.return_tickets import ReturnTickets, return_tickets
from ...domain.user import Actor
from ..duties import Duties
from ..events.queries import owner_of_booking
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..ports.system import Ids
from ..turnstile.turnstile import Turnstile
from .cancel_booking import Cancellation, cancellation_of


class TicketsToReturn(Struct, frozen=True):
    """The part of a booking to give back; the values as in `ReturnTickets`."""

    booking_id: UUID
    quantity: int
    ticket_ids: Sequence[UUID] | None = None


class GiveBackTickets:
    """Give a part of a booking back and promote waiting bookings that its tickets fit, in one transaction."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, duties: Duties, ids: Ids) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._duties = duties
        self._ids = ids

    async def __call__(
        self, part: TicketsToReturn, actor: Actor, idempotent: IdempotentRequest[Cancellation] | None = None
    ) -> Cancellation:
        """Return the smaller booking, with its place if it still waits.

        Raises: NotFound, what `return_tickets` refuses, Unavailable; with `idempotent` also Replayed,
        IdempotencyKeyReused.
        """
        owner = await owner_of_booking(self._bookings, part.booking_id)
        command = ReturnTickets(
            booking_id=part.booking_id,
            event_id=owner.event_id,
            actor=await self._duties.for_booking(actor, owner),
            quantity=part.quantity,
            ticket_ids=None if part.ticket_ids is None else tuple(part.ticket_ids),
            refund_id=self._ids.new(),
        )
        needs = LoadSpec(
            event_id=owner.event_id,
            booking_id=part.booking_id,
            settles=True,
            payments=True,
            tickets=True,
            shows=True,
        )
        request = idempotent.bind(cancellation_of) if idempotent else None
        return cancellation_of(await self._turnstile.admit(command, needs, return_tickets, request))

"""Cancel a booking and promote waiting bookings that its tickets fit, in one transaction."""

from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.decisions.cancel import Cancel, cancel
from ...domain.decisions.settle import Cancelled
from ...domain.user import Actor
from ...domain.values.money import Money
from ..duties import Duties
from ..events.queries import owner_of_booking
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile


class Cancellation(Struct, frozen=True):
    """The cancelled or smaller booking, the number of bookings promoted, and what is refunded (None: nothing)."""

    booking: Booking
    promoted_count: int
    refund: Money | None


class CancelBooking:
    """Cancel a booking and promote waiting bookings that its tickets fit, in one transaction."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, duties: Duties) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._duties = duties

    async def __call__(
        self, command: Cancel, idempotent: IdempotentRequest[Cancellation] | None = None
    ) -> Cancellation:
        """Return the cancellation. What the actor does for the event must be among their duties.

        Raises: what `cancel` refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        needs = LoadSpec(
            event_id=command.event_id,
            customer_id=command.actor.user_id if command.booking_id is None else None,
            booking_id=command.booking_id,
            whole=command.booking_id is None,
            settles=True,
        )
        request = idempotent.bind(cancellation_of) if idempotent else None
        return cancellation_of(await self._turnstile.admit(command, needs, cancel, request))

    async def by_id(
        self, booking_id: UUID, actor: Actor, idempotent: IdempotentRequest[Cancellation] | None = None
    ) -> Cancellation:
        """Cancel a booking whose event the caller does not know. Raises: as `__call__`, NotFound."""
        owner = await owner_of_booking(self._bookings, booking_id)
        known = await self._duties.for_booking(actor, owner)
        return await self(Cancel(event_id=owner.event_id, actor=known, booking_id=booking_id), idempotent)


def cancellation_of(result: CommandResult[Cancelled]) -> Cancellation:
    """Return the cancellation that a result of the turnstile tells of."""
    return Cancellation(result.booking or result.outcome.booking, result.promoted, result.outcome.refund)

"""Cancel a booking and promote whom its tickets fit, in one transaction."""

from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.decisions.cancel import Cancel, cancel
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile


class Cancellation(Struct, frozen=True):
    """The cancelled booking and how many bookings its tickets promoted."""

    booking: Booking
    promoted_count: int


class CancelBooking:
    """Cancel a booking and promote whom its tickets fit, in one transaction."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries) -> None:
        self._turnstile = turnstile
        self._bookings = bookings

    async def __call__(self, command: Cancel, once: IdempotentRequest[Cancellation] | None = None) -> Cancellation:
        """Raises: what `cancel` refuses, Unavailable; with `once` also Replayed, IdempotencyKeyReused."""
        needs = LoadSpec(
            event_id=command.event_id,
            customer_id=command.actor.user_id if command.booking_id is None else None,
            booking_id=command.booking_id,
            whole=command.booking_id is None,
            settles=True,
        )
        keyed = once.bind(_cancellation) if once else None
        return _cancellation(await self._turnstile.admit(command, needs, cancel, keyed))

    async def by_id(
        self, booking_id: UUID, actor: Actor, once: IdempotentRequest[Cancellation] | None = None
    ) -> Cancellation:
        """The same for a booking whose event the caller does not know. Raises: as above."""
        # Which event a booking belongs to never changes, so it may be looked up ahead of the lock.
        event_id = await self._bookings.event_of(booking_id)
        if event_id is None:
            raise NotFound
        return await self(Cancel(event_id=event_id, actor=actor, booking_id=booking_id), once)


def _cancellation(admitted: CommandResult[Booking]) -> Cancellation:
    return Cancellation(admitted.outcome, admitted.promoted)

"""Record that a refund was paid by hand."""

from uuid import UUID

from msgspec import Struct

from ...domain.decisions.payments.refunds import SettleRefund, settle_refund
from ...domain.payment import Payment
from ...domain.user import Actor
from ..duties import Duties
from ..events.queries import owner_of_booking
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class Settlement(Struct, frozen=True, kw_only=True):
    """A refund that was paid by hand, and how."""

    booking_id: UUID
    payment_id: UUID
    actor: Actor
    note: str | None = None


class SettleRefundByHand:
    """Record that a refund in cash, or one that failed for good, was paid by hand."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, duties: Duties) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._duties = duties

    async def __call__(self, settlement: Settlement, idempotent: IdempotentRequest[Payment] | None = None) -> Payment:
        """Return the refund.

        Raises: what `settle_refund` refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        owner = await owner_of_booking(self._bookings, settlement.booking_id)
        command = SettleRefund(
            payment_id=settlement.payment_id,
            booking_id=settlement.booking_id,
            event_id=owner.event_id,
            actor=await self._duties.for_booking(settlement.actor, owner),
            note=settlement.note,
        )
        needs = LoadSpec(event_id=owner.event_id, booking_id=settlement.booking_id, payments=True)
        request = idempotent.bind(outcome) if idempotent else None
        return outcome(await self._turnstile.admit(command, needs, settle_refund, request))

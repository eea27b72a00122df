"""Grant a customer a refund of a part of a payment, or of all that is left of it."""

from uuid import UUID

from msgspec import Struct

from ...domain.decisions.payments.refunds import GrantRefund, grant_refund
from ...domain.payment import Payment
from ...domain.user import Actor
from ...domain.values.money import Money
from ..duties import Duties
from ..events.queries import owner_of_booking
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries
from ..ports.system import Ids
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class Grant(Struct, frozen=True, kw_only=True):
    """The values of a refund."""

    booking_id: UUID
    actor: Actor
    amount: Money
    reason: str


class GrantPartialRefund:
    """Owe a refund of a payment; the background work pays it, or a person if it was cash."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, duties: Duties, ids: Ids) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._duties = duties
        self._ids = ids

    async def __call__(self, grant: Grant, idempotent: IdempotentRequest[Payment] | None = None) -> Payment:
        """Return the refund.

        Raises: what `grant_refund` refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        owner = await owner_of_booking(self._bookings, grant.booking_id)
        command = GrantRefund(
            refund_id=self._ids.new(),
            booking_id=grant.booking_id,
            event_id=owner.event_id,
            actor=await self._duties.for_booking(grant.actor, owner),
            amount=grant.amount,
            reason=grant.reason,
        )
        needs = LoadSpec(event_id=owner.event_id, booking_id=grant.booking_id, payments=True)
        request = idempotent.bind(outcome) if idempotent else None
        return outcome(await self._turnstile.admit(command, needs, grant_refund, request))

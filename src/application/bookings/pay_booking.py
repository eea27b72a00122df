"""Pay for a booking: decide, call the provider outside the event's lock, record its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.booking import Booking, BookingStatus, PaymentStatus
from ...domain.decisions.payments.pay import Answer, Attempt, CompletePayment, Pay, complete_payment, start_payment
from ...domain.payment import ChargeStatus, PaymentMethod
from ...domain.refusals import (
    NotFound,
    PaymentActionRequired,
    PaymentDeclined,
    PaymentNotDue,
    PaymentUnderWay,
    PaymentWindowClosed,
    RequestInProgress,
)
from ...domain.user import Actor
from ..duties import Duties
from ..ports.errors import StorageFailure
from ..ports.idempotency import BoundRequest, IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.payments import ChargeReply, GatewaySilent, PaymentGateway
from ..ports.queries import BookingOwner, BookingQueries, PaymentQueries
from ..ports.system import Ids
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile

PATIENCE = 5.0
"""Seconds to wait for another payment of the same booking."""

PAUSE = 0.1
"""Seconds between two attempts to start the payment."""


SILENCE = ChargeReply(answer=Answer.SILENT)
"""What is recorded when the provider does not answer."""


class PaymentUnknown(StorageFailure):
    """The provider did not answer; the next attempt and the sweep ask it again with the same reference."""


class Bill(Struct, frozen=True, kw_only=True):
    """The values of a payment. `token` is the provider's token of the card; cash has none."""

    booking_id: UUID
    actor: Actor
    method: PaymentMethod
    token: str = ""


class PayBooking:
    """Pay for a booking at most once, whatever crashes in between (promise 8)."""

    def __init__(
        self,
        turnstile: Turnstile,
        bookings: BookingQueries,
        payments: PaymentQueries,
        gateway: PaymentGateway,
        duties: Duties,
        ids: Ids,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._payments = payments
        self._gateway = gateway
        self._duties = duties
        self._ids = ids
        self._pause = pause

    async def __call__(self, bill: Bill, idempotent: IdempotentRequest[Booking] | None = None) -> Booking:
        """Return the booking after the payment.

        Raises: what `start_payment` refuses, PaymentDeclined, PaymentActionRequired, PaymentUnknown, Unavailable; with
        `idempotent` also Replayed, IdempotencyKeyReused, RequestInProgress.
        """
        found = await self._bookings.booking(bill.booking_id)
        if found is None:
            raise NotFound
        owner = BookingOwner(found.event.id, found.booking.customer_id)
        known = replace(bill, actor=await self._duties.for_booking(bill.actor, owner))
        attempt = await self._start_or_wait(known, found.booking, idempotent)
        reply = SILENCE
        if attempt.payment.status is ChargeStatus.PENDING:
            reply = await self._call_provider(attempt, bill.token)
            attempt = await self._complete(attempt, reply, idempotent)
        outcome = _outcome_of(attempt)
        if outcome is None:
            if reply.action_url is not None:
                raise PaymentActionRequired(next_action_url=reply.action_url)
            raise PaymentUnknown
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _start_or_wait(
        self, bill: Bill, booking: Booking, idempotent: IdempotentRequest[Booking] | None
    ) -> Attempt:
        patience = PATIENCE
        # Under load the attempts take time as well, so the clock limits them too.
        now = asyncio.get_running_loop().time
        deadline = now() + PATIENCE
        while True:
            try:
                return await self._start(bill, booking, idempotent)
            except PaymentUnderWay:
                patience -= PAUSE
                if patience <= 0 or now() >= deadline:
                    if idempotent and await self._is_own(bill.booking_id, idempotent.key.text):
                        raise RequestInProgress from None
                    raise
            await self._pause(PAUSE)

    async def _start(self, bill: Bill, booking: Booking, idempotent: IdempotentRequest[Booking] | None) -> Attempt:
        command = Pay(
            payment_id=self._ids.new(),
            booking_id=bill.booking_id,
            event_id=booking.event_id,
            actor=bill.actor,
            method=bill.method,
            key=idempotent.key.text if idempotent else None,
        )
        needs = LoadSpec(
            event_id=booking.event_id,
            customer_id=booking.customer_id,
            booking_id=bill.booking_id,
            payments=True,
        )
        return (await self._turnstile.admit(command, needs, start_payment, _bind(idempotent))).outcome

    async def _is_own(self, booking_id: UUID, key: str) -> bool:
        payments = await self._payments.payments(booking_id)
        return any(payment.status is ChargeStatus.PENDING and payment.key == key for payment in payments)

    async def _call_provider(self, attempt: Attempt, token: str) -> ChargeReply:
        payment = attempt.payment
        try:
            if not attempt.is_new:
                reply = await ask_about_charge(self._gateway, payment.id, is_abandoned=attempt.is_abandoned)
                if reply.answer is not Answer.NOT_FOUND:
                    return reply
            return await self._gateway.charge(payment.id, payment.amount, token)
        except GatewaySilent:
            return SILENCE

    async def _complete(
        self, attempt: Attempt, reply: ChargeReply, idempotent: IdempotentRequest[Booking] | None
    ) -> Attempt:
        command = CompletePayment(
            payment_id=attempt.payment.id,
            event_id=attempt.payment.event_id,
            booking_id=attempt.booking.id,
            customer_id=attempt.booking.customer_id,
            answer=reply.answer,
            seen=attempt.payment.tried_at,
            provider_id=reply.provider_id,
        )
        return await record_answer(self._turnstile, command, _bind(idempotent))


async def ask_about_charge(gateway: PaymentGateway, reference: UUID, *, is_abandoned: bool) -> ChargeReply:
    """Return what became of a charge, and end it if it waits for its customer in vain. Raises: GatewaySilent."""
    reply = await gateway.find_charge(reference)
    if is_abandoned and reply.answer is Answer.ACTION_REQUIRED:
        return await gateway.cancel_charge(reference)
    return reply


async def record_answer(turnstile: Turnstile, command: CompletePayment, request: BoundRequest | None = None) -> Attempt:
    """Record the provider's answer. Raises: NotFound, Unavailable."""
    needs = LoadSpec(
        event_id=command.event_id,
        customer_id=command.customer_id,
        booking_id=command.booking_id,
        payments=True,
    )
    return (await turnstile.admit(command, needs, complete_payment, request)).outcome


def _bind(idempotent: IdempotentRequest[Booking] | None) -> BoundRequest | None:
    return idempotent.bind(_conclude) if idempotent else None


def _conclude(result: CommandResult[Attempt]) -> Booking | Exception | None:
    return _outcome_of(result.outcome)


def _outcome_of(attempt: Attempt) -> Booking | Exception | None:
    """Return the booking if it is paid, the reason if it is not, or None while the outcome is unknown."""
    booking = attempt.booking
    if attempt.payment.status is ChargeStatus.PENDING:
        return None
    if attempt.payment.status is ChargeStatus.FAILED:
        return PaymentDeclined()
    if booking.paid_by == attempt.payment.id and booking.payment_status is PaymentStatus.TAKEN:
        return booking
    if booking.status is BookingStatus.EXPIRED:
        return PaymentWindowClosed("The hold lapsed while you paid and its tickets are gone; the money is refunded.")
    return PaymentNotDue("The booking ended or was paid meanwhile; this money is refunded.")

"""Refunds: owe them, grant a part of a payment, record what the provider says, and pay them by hand."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, structs
from msgspec.structs import replace

from ...booking import Booking, PaymentStatus
from ...facts import PaymentRefunded, RefundFailed, RefundGranted
from ...inventory import Decision, Inventory
from ...payment import (
    REFUND_RULES,
    ChargeStatus,
    Payment,
    PaymentKind,
    PaymentMethod,
    amount_of_refund,
    refund_of,
)
from ...policy import Right
from ...refunds import kept_of, payment_status_of
from ...refusals import AlreadySettled, ExceedsPaid, NotFound, PaymentNotDue, PaymentUnderWay, invalid
from ...user import Actor
from ...values.fields import checked
from ...values.money import Money
from ..decision_builder import DecisionBuilder


class GrantRefund(Struct, frozen=True, gc=False, kw_only=True):
    """Give a part of a booking's payment back, or all that is left of it; `refund_id` is a new id.

    Raises InvalidRequest for an amount below 1 or a reason that breaks a rule.
    """

    refund_id: UUID
    booking_id: UUID
    event_id: UUID
    actor: Actor
    amount: Money
    reason: str

    def __post_init__(self) -> None:
        try:
            amount_of_refund(self.amount.amount)
        except ValueError as error:
            raise invalid(str(error), "amount", "amount") from error
        structs.force_setattr(self, "reason", checked({"reason": self.reason}, REFUND_RULES)["reason"])


class SettleRefund(Struct, frozen=True, gc=False, kw_only=True):
    """Record that an owed refund was paid by hand: cash, or one that the provider refused for good.

    Raises InvalidRequest for a note that breaks a rule.
    """

    payment_id: UUID
    booking_id: UUID
    event_id: UUID
    actor: Actor
    note: str | None = None

    def __post_init__(self) -> None:
        if self.note is not None:
            structs.force_setattr(self, "note", checked({"note": self.note}, REFUND_RULES)["note"])


def grant_refund(inventory: Inventory, command: GrantRefund, now: datetime) -> Decision[Payment]:
    """Owe a part of the payment, whatever the status of the booking and of its event.

    Raises: NotFound, NotAllowed, InvalidRequest, ExceedsPaid.
    """
    booking = inventory.booking(command.booking_id)
    inventory.event.check_may_with_booking(booking.customer_id, command.actor, Right.GRANT_REFUNDS)
    if command.amount.currency != booking.amount.currency:
        raise invalid(f"must be {booking.amount.currency}, as the payment", "amount", "currency")
    if booking.payment_status is PaymentStatus.DISPUTED:
        raise ExceedsPaid("The payment is disputed, so nothing of it can be refunded.")
    if command.amount.amount > booking.kept or booking.paid_by is None or booking.paid_with is None:
        raise ExceedsPaid(f"{booking.kept} (in minor units) are left of what was paid; a refund cannot exceed that.")
    builder = DecisionBuilder(inventory, now)
    refund = owe_refund(
        builder,
        booking,
        command.amount,
        charge_id=booking.paid_by,
        method=booking.paid_with,
        refund_id=command.refund_id,
        reason=command.reason,
    )
    granted = with_current_payment(builder, booking)
    builder.change(booking, granted)
    builder.add_fact(
        RefundGranted(
            payment_id=refund.id,
            amount=refund.amount,
            reason=command.reason,
            payment_status=granted.payment_status,
            kept=granted.kept,
        ),
        booking,
    )
    return builder.decision(refund)


def settle_refund(inventory: Inventory, command: SettleRefund, now: datetime) -> Decision[Payment]:
    """Record that a refund was paid by hand.

    Raises: NotFound, NotAllowed, AlreadySettled, PaymentNotDue while its charge is disputed, PaymentUnderWay while the
    provider may still pay it.
    """
    booking = inventory.booking(command.booking_id)
    inventory.event.check_may_with_booking(booking.customer_id, command.actor, Right.SETTLE_REFUNDS)
    payments = {each.id: each for each in inventory.payments if each.booking_id == booking.id}
    payment = payments.get(command.payment_id)
    if payment is None:
        raise NotFound
    if payment.kind is PaymentKind.CHARGE or payment.status is ChargeStatus.SUCCEEDED:
        raise AlreadySettled
    if any(each.id == payment.charge_id and each.is_disputed for each in payments.values()):
        raise PaymentNotDue("The payment is disputed: its refund is not due unless the dispute is won.")
    if payment.method is PaymentMethod.CARD and payment.status is ChargeStatus.PENDING:
        raise PaymentUnderWay("The payment provider is still paying this refund; look at it in a moment.")
    builder = DecisionBuilder(inventory, now)
    settled = replace(
        payment,
        status=ChargeStatus.SUCCEEDED,
        settled_at=now,
        ask_at=None,
        settled_by=command.actor.user_id,
        note=command.note,
    )
    record_refund(builder, booking, settled)
    return builder.decision(settled)


def owe_refund(
    builder: DecisionBuilder,
    booking: Booking,
    amount: Money,
    *,
    charge_id: UUID,
    method: PaymentMethod,
    refund_id: UUID | None = None,
    reason: str | None = None,
) -> Payment:
    """Add a refund of a charge: without an id the one that ends it, once (promise 8).

    The provider is called after this decision. Cash waits for a person, and a refund of a disputed charge for the end
    of the dispute.
    """
    is_disputed = charge_id == booking.paid_by and booking.payment_status is PaymentStatus.DISPUTED
    refund = Payment(
        id=refund_id or refund_of(charge_id),
        event_id=booking.event_id,
        booking_id=booking.id,
        kind=PaymentKind.REFUND,
        status=ChargeStatus.PENDING,
        method=method,
        amount=amount,
        created_at=builder.now,
        tried_at=builder.now,
        ask_at=None if method is PaymentMethod.CASH or is_disputed else builder.now,
        charge_id=charge_id,
        reason=reason,
    )
    builder.add_payment(refund)
    return refund


def record_refund(builder: DecisionBuilder, booking: Booking, refund: Payment) -> Booking:
    """Record a refund that was paid or has failed for good."""
    builder.change_payment(refund)
    changed = with_current_payment(builder, booking)
    builder.change(booking, changed)
    status = changed.payment_status
    if refund.status is ChargeStatus.FAILED:
        builder.add_fact(RefundFailed(payment_id=refund.id, amount=refund.amount, payment_status=status), booking)
    else:
        builder.add_fact(
            PaymentRefunded(
                payment_id=refund.id,
                amount=refund.amount,
                payment_status=status,
                settled_by=refund.settled_by,
                note=refund.note,
            ),
            booking,
        )
    return changed


def with_current_payment(builder: DecisionBuilder, booking: Booking) -> Booking:
    """Return the paid booking with what its charges and refunds say now."""
    payments = builder.payments_of(booking)
    return replace(
        booking,
        payment_status=payment_status_of(booking, payments),
        kept=kept_of(booking.paid_by, payments),
        updated_at=builder.now,
    )

"""What is left of a booking's payment, and what its status is, by its charges and refunds."""

from collections.abc import Iterable
from uuid import UUID

from .booking import Booking, PaymentStatus
from .payment import ChargeStatus, DisputeStatus, Payment, PaymentKind, refund_of
from .values.money import Money


def refund_due(amount: Money, fee_percent: int, kept: int) -> Money | None:
    """Return what is refunded of a booking, or of the part of it that is given back; None: nothing.

    `amount` is its price, and `kept` what is left of the payment. The fee is that part of the price, rounded down to
    the minor unit. No refund exceeds what is left of the payment (promise 8).
    """
    due = min(amount.amount - amount.amount * fee_percent // 100, kept)
    return Money(due, amount.currency) if due else None


def kept_of(charge_id: UUID | None, payments: Iterable[Payment]) -> int:
    """Return what is left of a charge after all refunds, owed ones included, in minor units."""
    kept = 0
    for each in payments:
        if each.id == charge_id and each.status is ChargeStatus.SUCCEEDED:
            if each.dispute is DisputeStatus.LOST:
                return 0
            kept += each.amount.amount
        elif is_refund_of(each, charge_id):
            kept -= each.amount.amount
    return kept


def payment_status_of(booking: Booking, payments: Iterable[Payment]) -> PaymentStatus:
    """Return the status of a paid booking's payment. Other charges than `paid_by` do not matter."""
    charge_id = booking.paid_by
    found = list(payments)
    refunds = [each for each in found if is_refund_of(each, charge_id)]
    statuses = {each.status for each in refunds}
    if any(each.id == charge_id and each.is_disputed for each in found):
        return PaymentStatus.DISPUTED
    if ChargeStatus.FAILED in statuses:
        return PaymentStatus.REFUND_FAILED
    is_ended = charge_id is not None and any(each.id == refund_of(charge_id) for each in refunds)
    if kept_of(charge_id, found) and not is_ended:
        return PaymentStatus.TAKEN
    return PaymentStatus.REFUND_PENDING if ChargeStatus.PENDING in statuses else PaymentStatus.REFUNDED


def is_refund_of(payment: Payment, charge_id: UUID | None) -> bool:
    """Return whether it is a refund of this charge."""
    return payment.kind is PaymentKind.REFUND and payment.charge_id == charge_id

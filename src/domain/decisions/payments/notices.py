"""Notices: what the payment provider tells by itself of charges, refunds and disputes.

They may come twice, late and in any order. Which of two notices about the same dispute or refund counts follows from
the provider's times alone; at the same time an end counts more than an opening, and a failure more than a success.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...booking import Booking
from ...facts import DisputeClosed, PaymentDisputed
from ...inventory import Decision, Inventory
from ...payment import ChargeStatus, DisputeStatus, Payment, PaymentKind, PaymentMethod
from ...refunds import is_refund_of
from ..decision_builder import DecisionBuilder
from .pay import Answer, record_charge
from .refunds import record_refund, with_current_payment


class NoticeKind(StrEnum):
    """What a notice tells."""

    CHARGE_TAKEN = "charge_taken"
    CHARGE_DECLINED = "charge_declined"
    REFUND_DONE = "refund_done"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


class PaymentNotice(Struct, frozen=True, gc=False, kw_only=True):
    """A notice about the payment with this id (our reference); `occurred_at` is the provider's time."""

    payment_id: UUID
    kind: NoticeKind
    occurred_at: datetime


class RecordNotice(Struct, frozen=True, gc=False, kw_only=True):
    """Record a notice about a payment of this booking."""

    notice: PaymentNotice
    event_id: UUID
    booking_id: UUID
    customer_id: UUID


_CHARGES: Final = {NoticeKind.CHARGE_TAKEN: Answer.DONE, NoticeKind.CHARGE_DECLINED: Answer.DECLINED}
_REFUNDS: Final = {
    NoticeKind.REFUND_DONE: ChargeStatus.SUCCEEDED,
    NoticeKind.REFUND_FAILED: ChargeStatus.FAILED,
}
_DISPUTES: Final = {
    NoticeKind.DISPUTE_OPENED: DisputeStatus.OPEN,
    NoticeKind.DISPUTE_WON: DisputeStatus.WON,
    NoticeKind.DISPUTE_LOST: DisputeStatus.LOST,
}
_ORDER_AT_THE_SAME_TIME: Final = (
    *(DisputeStatus.OPEN, DisputeStatus.WON, DisputeStatus.LOST),
    *(ChargeStatus.SUCCEEDED, ChargeStatus.FAILED, ChargeStatus.PENDING),
)


def record_notice(inventory: Inventory, command: RecordNotice, now: datetime) -> Decision[None]:
    """Record a notice, unless a newer one was recorded. Repeating it has no effect.

    Raises: NotFound.
    """
    notice = command.notice
    payment = inventory.payment(notice.payment_id)
    booking = inventory.booking(command.booking_id)
    builder = DecisionBuilder(inventory, now)
    if payment.method is PaymentMethod.CARD:
        if payment.kind is PaymentKind.REFUND and notice.kind in _REFUNDS:
            _record_refund(builder, booking, payment, notice)
        elif payment.kind is PaymentKind.CHARGE and notice.kind in _CHARGES:
            record_charge(builder, booking, payment, _CHARGES[notice.kind])
        elif payment.kind is PaymentKind.CHARGE and notice.kind in _DISPUTES:
            _record_dispute(builder, booking, payment, notice)
    return builder.decision(None)


def _record_refund(builder: DecisionBuilder, booking: Booking, refund: Payment, notice: PaymentNotice) -> None:
    status = _REFUNDS[notice.kind]
    # Whatever the provider says later, it was paid by hand.
    if refund.settled_by is not None or not _is_newer(notice, refund, status, refund.status):
        return
    noticed = replace(refund, noticed_at=notice.occurred_at)
    if refund.status is status:
        builder.change_payment(noticed)
        return
    record_refund(builder, booking, replace(noticed, status=status, settled_at=builder.now, ask_at=None, dispute=None))


def _record_dispute(builder: DecisionBuilder, booking: Booking, charge: Payment, notice: PaymentNotice) -> None:
    dispute = _DISPUTES[notice.kind]
    if charge.dispute is not None and not _is_newer(notice, charge, dispute, charge.dispute):
        return
    if charge.status is not ChargeStatus.SUCCEEDED:
        # Only money that was taken can be disputed.
        charge, booking = record_charge(builder, booking, charge, Answer.DONE)
    is_repeated = charge.dispute is dispute
    charge = replace(charge, dispute=dispute, noticed_at=notice.occurred_at)
    builder.change_payment(charge)
    if is_repeated:
        return
    for refund in builder.payments_of(booking):
        if is_refund_of(refund, charge.id) and refund.status is not ChargeStatus.SUCCEEDED:
            builder.change_payment(_under_dispute(refund, dispute, notice.occurred_at, builder.now))
    changed = with_current_payment(builder, booking)
    builder.change(booking, changed)
    status, kept = changed.payment_status, changed.kept
    if dispute is DisputeStatus.OPEN:
        fact: PaymentDisputed | DisputeClosed = PaymentDisputed(
            payment_id=charge.id, amount=charge.amount, payment_status=status, kept=kept
        )
    else:
        fact = DisputeClosed(
            payment_id=charge.id, amount=charge.amount, outcome=dispute, payment_status=status, kept=kept
        )
    builder.add_fact(fact, booking)


def _under_dispute(refund: Payment, dispute: DisputeStatus, noticed_at: datetime, now: datetime) -> Payment:
    """Return an unpaid refund as the dispute of its charge leaves it."""
    if dispute is DisputeStatus.LOST:
        # The bank has given the money back.
        return replace(refund, status=ChargeStatus.FAILED, ask_at=None, settled_at=now, dispute=dispute)
    waits = replace(refund, status=ChargeStatus.PENDING, ask_at=None, settled_at=None, dispute=None)
    if dispute is DisputeStatus.WON:
        # Older notices about it do not count any more, because it is tried again.
        return replace(waits, tried_at=now, ask_at=now, attempts=0, noticed_at=noticed_at)
    return waits if refund.status is ChargeStatus.PENDING or refund.dispute is not None else refund


def _is_newer(
    notice: PaymentNotice,
    payment: Payment,
    status: DisputeStatus | ChargeStatus,
    recorded: DisputeStatus | ChargeStatus,
) -> bool:
    if payment.noticed_at is None:
        return True
    rank = _ORDER_AT_THE_SAME_TIME.index
    return (notice.occurred_at, rank(status)) > (payment.noticed_at, rank(recorded))

"""Replaying the facts of one booking: rebuild it (promise 7)."""

from typing import Any

from msgspec.structs import replace

from ..booking import Booking, BookingStatus, PaymentStatus
from ..facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    CheckInUndone,
    CustomerWaitlisted,
    DisputeClosed,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentStarted,
    PaymentTaken,
    PlaceDrawn,
    RefundFailed,
    RefundGranted,
    TicketCheckedIn,
    TicketReissued,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    WaitingResumed,
    WaitingSuspended,
)


def replay_booking(facts: list[Fact]) -> Booking | None:
    """Return the booking that all its facts, in order, give; None if they contradict each other.

    It has no ticket numbers, which follow from all facts of its event: see `EventReplay.apply`.
    """
    booking: Booking | None = None
    for fact in facts:
        booking = _first_state(fact) if booking is None else _next_state(booking, fact)
        if booking is None:
            return None
    return booking


def _first_state(fact: Fact) -> Booking | None:
    what = fact.what
    if fact.booking_id is None or not isinstance(what, TicketsBooked | TicketsGranted | CustomerWaitlisted):
        return None
    booking = Booking(
        id=fact.booking_id,
        event_id=fact.event_id,
        ticket_type_id=what.ticket_type_id,
        customer_id=what.customer_id,
        quantity=what.quantity,
        status=BookingStatus.WAITLISTED,
        amount=what.amount,
        cancellation_deadline_hours=what.cancellation_deadline_hours,
        reschedules=what.reschedules,
        created_at=fact.occurred_at,
        updated_at=fact.occurred_at,
    )
    if isinstance(what, TicketsGranted):
        return replace(booking, status=BookingStatus.CONFIRMED)
    booking = replace(booking, refund_fee_percent=what.refund_fee_percent)
    if isinstance(what, CustomerWaitlisted):
        return replace(booking, queue_number=what.queue_number)
    return replace(booking, status=what.status, payment_status=what.payment_status, expires_at=what.expires_at)


def _next_state(booking: Booking, fact: Fact) -> Booking | None:
    """Return the booking after one more fact; None if the fact cannot follow."""
    match fact.what:
        case TicketCheckedIn() | CheckInUndone():
            return _after_check_in(booking, fact.what)
        case TicketsReturned():
            return _after_return(booking, fact.what, fact)
        case PaymentStarted() | PaymentFailed() | TicketReissued():
            return booking
        case _:
            return _after_change(booking, fact)


def _after_change(booking: Booking, fact: Fact) -> Booking | None:
    """Return the booking after a fact that changes its status or its payment; None if the fact cannot follow."""
    changes: dict[str, Any]
    match fact.what:
        case BookingPromoted() as what if booking.is_waiting:
            changes = {
                "status": what.status,
                "amount": what.amount or booking.amount,
                "payment_status": what.payment_status,
                "expires_at": what.expires_at,
                "grace_until": what.grace_until,
            }
        case PlaceDrawn() as what if booking.status is BookingStatus.WAITLISTED:
            if booking.queue_number != what.entered_as:
                return None
            changes = {"queue_number": what.queue_number}
        case WaitingSuspended() if booking.is_waiting:
            changes = {"is_suspended": True}
        case WaitingResumed() if booking.is_suspended:
            changes = {"is_suspended": False}
        case BookingCancelled() as what if _is_cancelled_by(booking, what):
            changes = {
                "status": BookingStatus.CANCELLED,
                "is_suspended": False,
                "payment_status": what.payment_status,
                "kept": _kept_after(booking, what),
                "expires_at": None,
            }
        case HoldShortened() as what if booking.status is BookingStatus.HELD:
            changes = {"expires_at": what.expires_at}
        case HoldExpired() if booking.status is BookingStatus.HELD:
            changes = {"status": BookingStatus.EXPIRED, "payment_status": PaymentStatus.NONE}
        case what:
            changes = _money_changes(booking, what)
            if not changes:
                return None
    return replace(booking, **changes, updated_at=fact.occurred_at)


def _after_check_in(booking: Booking, what: TicketCheckedIn | CheckInUndone) -> Booking | None:
    """Return the booking with one more or fewer of its tickets used. Its customer has not changed it."""
    used = booking.used + (1 if isinstance(what, TicketCheckedIn) else -1)
    is_possible = booking.status is BookingStatus.CONFIRMED and 0 <= used <= booking.quantity
    return replace(booking, used=used) if is_possible else None


def _after_return(booking: Booking, what: TicketsReturned, fact: Fact) -> Booking | None:
    """Return the booking without the tickets that were given back; None if it did not have them."""
    left, used = booking.quantity - what.quantity, booking.used - what.used
    amount = booking.amount.amount - (what.amount.amount if what.amount else 0)
    is_possible = _is_as_before(booking, what) and left == what.left >= 1 and 0 <= used <= left
    if not is_possible or amount * booking.quantity != booking.amount.amount * left:
        return None
    return replace(
        booking,
        quantity=left,
        amount=replace(booking.amount, amount=amount),
        returned=booking.returned + len(what.numbers),
        used=used,
        payment_status=what.payment_status,
        kept=booking.kept - (what.refund.amount if what.refund else 0),
        updated_at=fact.occurred_at,
    )


def _money_changes(booking: Booking, what: AnyFactPayload) -> dict[str, Any]:
    """Return what a fact about money changes; nothing if it cannot follow."""
    changes: dict[str, Any] = {}
    match what:
        case PaymentTaken() if booking.status is what.was:
            changes = {"status": what.status, "payment_status": what.payment_status, "paid_by": what.paid_by}
            if what.paid_by == what.payment_id:
                changes["paid_with"] = what.method
                surplus = what.refund.amount if what.refund else 0
                changes["kept"] = what.amount.amount - surplus if what.payment_status is PaymentStatus.TAKEN else 0
            if what.status is BookingStatus.CONFIRMED:
                changes["expires_at"] = None
        case RefundGranted() | PaymentDisputed() | DisputeClosed():
            changes = {"payment_status": what.payment_status, "kept": what.kept}
        case PaymentRefunded() | RefundFailed():
            changes = {"payment_status": what.payment_status}
    return changes


def _is_as_before(booking: Booking, what: BookingCancelled | TicketsReturned) -> bool:
    return booking.status is what.was and booking.is_suspended is what.was_suspended


def _is_cancelled_by(booking: Booking, what: BookingCancelled) -> bool:
    return (
        booking.status.is_live
        and _is_as_before(booking, what)
        # Old facts do not name the queue number.
        and what.queue_number in (None, booking.queue_number)
    )


def _kept_after(booking: Booking, what: BookingCancelled) -> int:
    """Return what is left of the payment. Old facts do not name the refund, which was in full."""
    if what.refund is not None:
        return booking.kept - what.refund.amount
    return 0 if what.payment_status is PaymentStatus.REFUND_PENDING else booking.kept

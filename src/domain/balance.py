"""Check the money of a booking: nobody pays and gets neither tickets nor a refund, and no refund exceeds a payment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from .booking import Booking, BookingStatus
from .facts import BookingCancelled, Fact, TicketsReturned
from .payment import ChargeStatus, DisputeStatus, Payment, PaymentKind
from .refunds import is_refund_of, kept_of, payment_status_of
from .values.money import Money


def broken_balances(booking: Booking, payments: Sequence[Payment], facts: Iterable[Fact]) -> Iterator[str]:
    """Yield every way in which a booking's charges and refunds break promise 8."""
    charges = {
        each.id: each for each in payments if each.kind is PaymentKind.CHARGE and each.status is ChargeStatus.SUCCEEDED
    }
    yield from _broken_refunds(booking, payments, charges)
    if booking.paid_by is None:
        if booking.payment_status.has_charge or booking.kept:
            yield f"booking {booking.id} is {booking.payment_status} without a charge"
        return
    paid = charges.get(booking.paid_by)
    if paid is None:
        yield f"booking {booking.id} is paid by a charge that was not taken"
        return
    status, kept = payment_status_of(booking, payments), kept_of(booking.paid_by, payments)
    if (booking.payment_status, booking.kept) != (status, kept):
        yield f"booking {booking.id} is {booking.payment_status} and keeps {booking.kept}, not {status} and {kept}"
    if paid.dispute is not DisputeStatus.LOST:
        due = booking.amount.amount if booking.status is BookingStatus.CONFIRMED else 0
        missing = paid.amount.amount - due - _fees(booking, facts) - _refunded(paid, payments)
        if missing > 0:
            yield f"booking {booking.id} is paid and {booking.status}, and {missing} are not given back"


def _broken_refunds(booking: Booking, payments: Sequence[Payment], charges: Mapping[UUID, Payment]) -> Iterator[str]:
    for refund in payments:
        if refund.kind is PaymentKind.REFUND and refund.charge_id not in charges:
            yield f"refund {refund.id} is not the refund of a charge that was taken"
    for charge in charges.values():
        refunded = _refunded(charge, payments)
        if refunded > charge.amount.amount:
            yield f"refunds of {refunded} exceed the charge {charge.id} of {charge.amount.amount}"
        if charge.id != booking.paid_by and refunded < charge.amount.amount:
            yield f"charge {charge.id} paid for nothing, and {charge.amount.amount - refunded} of it are kept"


def _refunded(charge: Payment, payments: Iterable[Payment]) -> int:
    return sum(each.amount.amount for each in payments if is_refund_of(each, charge.id))


def _fees(booking: Booking, facts: Iterable[Fact]) -> int:
    """Return the most that may be kept for what was given back: only the booking's customer pays fees."""
    fees = 0
    for fact in facts:
        match fact.what:
            case BookingCancelled(by="customer"):
                fees += booking.amount.amount * booking.refund_fee_percent // 100
            case TicketsReturned(by="customer", amount=Money() as price):
                fees += price.amount * booking.refund_fee_percent // 100
            case _:
                pass
    return fees

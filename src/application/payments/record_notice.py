"""Record what the payment provider tells by itself."""

from ...domain.decisions.payments.notices import PaymentNotice, RecordNotice, record_notice
from ..ports.loading import LoadSpec
from ..ports.queries import BookingQueries, PaymentQueries
from ..turnstile.turnstile import Turnstile


class RecordPaymentNotice:
    """Record a notice about a charge, a refund or a dispute. It may come twice, late and in any order."""

    def __init__(self, turnstile: Turnstile, bookings: BookingQueries, payments: PaymentQueries) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._payments = payments

    async def __call__(self, notice: PaymentNotice) -> None:
        """Record the notice; one about an unknown payment changes nothing. Raises: Unavailable."""
        payment = await self._payments.payment(notice.payment_id)
        found = None if payment is None else await self._bookings.booking(payment.booking_id)
        if found is None:
            return
        booking = found.booking
        command = RecordNotice(
            notice=notice, event_id=booking.event_id, booking_id=booking.id, customer_id=booking.customer_id
        )
        needs = LoadSpec(
            event_id=booking.event_id, customer_id=booking.customer_id, booking_id=booking.id, payments=True
        )
        await self._turnstile.admit(command, needs, record_notice)

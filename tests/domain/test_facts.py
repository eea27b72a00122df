"""Facts: what is published of them, values with their default included."""

from uuid import UUID

import msgspec

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.facts import TicketsBooked
from boxoffice.domain.values.money import Money

SEAT, ANA = UUID(int=1), UUID(int=2)


def test_values_with_their_default_are_published() -> None:
    free = TicketsBooked(
        ticket_type_id=SEAT, customer_id=ANA, quantity=2, amount=Money(0, "EUR"), status=BookingStatus.CONFIRMED
    )
    assert msgspec.to_builtins(free.all_values) == {
        "ticketTypeId": str(SEAT),
        "customerId": str(ANA),
        "quantity": 2,
        "amount": {"amount": 0, "currency": "EUR"},
        "status": "confirmed",
        "paymentStatus": "none",
        "cancellationDeadlineHours": 0,
        "reschedules": 0,
        "refundFeePercent": 0,
        "expiresAt": None,
        "bookedBy": None,
        "passedOver": None,
    }

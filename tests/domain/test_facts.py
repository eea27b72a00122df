"""Whoever is told a fact is told all of it, also what is not written down."""

from uuid import UUID

import msgspec

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.facts import TicketsBooked
from boxoffice.domain.values.money import Money

SEAT, ANA = UUID(int=1), UUID(int=2)


def test_what_has_its_default_is_told() -> None:
    free = TicketsBooked(
        ticket_type_id=SEAT, customer_id=ANA, quantity=2, amount=Money(0, "EUR"), status=BookingStatus.CONFIRMED
    )
    assert msgspec.to_builtins(free.all_said) == {
        "ticketTypeId": str(SEAT),
        "customerId": str(ANA),
        "quantity": 2,
        "amount": {"amount": 0, "currency": "EUR"},
        "status": "confirmed",
        "paymentStatus": "none",
        "cancellationDeadlineHours": 0,
        "reschedules": 0,
        "expiresAt": None,
    }

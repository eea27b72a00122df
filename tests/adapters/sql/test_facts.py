"""A fact comes back as it was, written today or by a version that wrote more of it."""

from typing import Any

import msgspec
import pytest

from boxoffice.adapters.sql.schema.mappers import FACT, fact, fact_values
from boxoffice.adapters.sql.schema.tables import facts
from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingPromoted,
    CustomerWaitlisted,
    EventInitialized,
    Fact,
    PaymentRefunded,
    TicketsBooked,
    TicketTypeAdded,
)
from boxoffice.domain.values.money import Money
from tests.contract.storage_driver import NOW, new_id

A, B = new_id(), new_id()
PRICE = Money(2_500, "EUR")
WHO: dict[str, Any] = {"ticket_type_id": A, "customer_id": B, "quantity": 2}
FREE = TicketsBooked(**WHO, amount=Money(0, "EUR"), status=BookingStatus.CONFIRMED)
PAYLOADS: list[AnyFactPayload] = [
    EventInitialized(
        organizer_id=A,
        currency="EUR",
        values={"name": 'Zoë\'s "night" \\ 🎟', "startsAt": None},
        ticket_types=[TicketTypeAdded(ticket_type_id=B, name="Seat", total_tickets=9, price=None)],
    ),
    FREE,
    CustomerWaitlisted(**WHO, amount=PRICE, queue_number=2, cancellation_deadline_hours=1, reschedules=3),
    BookingPromoted(
        **WHO,
        queue_number=1,
        status=BookingStatus.HELD,
        payment_status=PaymentStatus.DUE,
        expires_at=NOW,
        grace_until=NOW,
    ),
    PaymentRefunded(payment_id=A, amount=PRICE, payment_status=PaymentStatus.REFUNDED),
]


def fact_of(what: AnyFactPayload) -> Fact:
    return Fact(event_id=A, seq=7, booking_id=B, occurred_at=NOW, what=what)


def row(written: Fact, **changed: Any) -> list[Any]:
    """Return what a SELECT finds of it."""
    by_name = dict(zip((column.name for column in facts.c), fact_values(written, new_id()), strict=True)) | changed
    return [by_name[column.name] for column in FACT]


@pytest.mark.parametrize("what", PAYLOADS, ids=lambda each: type(each).__name__)
def test_a_fact_comes_back_written_today_or_by_an_earlier_version(what: AnyFactPayload) -> None:
    """Earlier versions wrote the kind, the defaults, and ids with hyphens."""
    assert fact(row(fact_of(what))) == fact_of(what)
    data = msgspec.json.encode({"kind": type(what).__name__, **what.all_values}).decode()
    assert len(data) > len(row(fact_of(what))[-1])
    assert fact(row(fact_of(what), data=data)) == fact_of(what)


def test_what_another_column_holds_and_what_has_its_default_is_not_written() -> None:
    assert msgspec.json.decode(row(fact_of(FREE))[-1]) == {
        "ticketTypeId": A.hex,
        "customerId": B.hex,
        "quantity": 2,
        "amount": {"amount": 0, "currency": "EUR"},
        "status": "confirmed",
    }

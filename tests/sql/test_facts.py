"""A fact comes back as it was, whether it was written today or by a version that wrote down more of it."""

from typing import Any, get_args

import msgspec
import pytest

from boxoffice.adapters.sql.schema.mappers import FACT, fact, fact_values
from boxoffice.adapters.sql.schema.tables import facts
from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    EventInitialized,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentFailed,
    PaymentRefunded,
    PaymentStarted,
    PaymentTaken,
    TicketsBooked,
    TicketTypeAdded,
    TicketTypeChanged,
)
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.values.money import Money
from tests.contract.box_office import NOW, new_id

A, B, C = new_id(), new_id(), new_id()
PRICE = Money(2_500, "EUR")
WHO: dict[str, Any] = {"ticket_type_id": A, "customer_id": B, "quantity": 2}
NONE: dict[str, Any] = {"payment_status": PaymentStatus.NONE}
FREE = TicketsBooked(**WHO, amount=Money(0, "EUR"), status=BookingStatus.CONFIRMED)
SAID: list[AnyFactPayload] = [
    EventInitialized(
        organizer_id=A,
        currency="EUR",
        values={"name": 'Zoë\'s "night" \\ 🎟', "startsAt": None},
        ticket_types=[TicketTypeAdded(ticket_type_id=B, name="Seat", total_tickets=9, price=None)],
    ),
    EventChanged(version=2, changes={"description": "", "endsAt": None}),
    TicketTypeAdded(ticket_type_id=A, name="{}", total_tickets=1, price=PRICE),
    TicketTypeChanged(version=3, ticket_type_id=A, changes={"totalTickets": 0}),
    FREE,
    TicketsBooked(
        **WHO,
        amount=PRICE,
        status=BookingStatus.HELD,
        payment_status=PaymentStatus.DUE,
        cancellation_deadline_hours=24,
        expires_at=NOW,
    ),
    CustomerWaitlisted(**WHO, amount=PRICE, queue_number=1),
    CustomerWaitlisted(**WHO, amount=PRICE, queue_number=2, cancellation_deadline_hours=1, reschedules=3),
    BookingPromoted(**WHO, **NONE, queue_number=1, status=BookingStatus.CONFIRMED),
    BookingPromoted(**WHO, queue_number=1, status=BookingStatus.HELD, payment_status=PaymentStatus.DUE, expires_at=NOW),
    BookingCancelled(**WHO, **NONE, was=BookingStatus.HELD, by="customer"),
    BookingPromoted(**WHO, **NONE, queue_number=1, status=BookingStatus.CONFIRMED, grace_until=NOW),
    HoldShortened(**WHO, expires_at=NOW),
    HoldExpired(**WHO),
    PaymentStarted(payment_id=C, method=PaymentMethod.CARD, amount=PRICE),
    PaymentFailed(payment_id=C),
    PaymentTaken(
        **WHO,
        payment_id=C,
        method=PaymentMethod.CASH,
        amount=PRICE,
        was=BookingStatus.HELD,
        status=BookingStatus.CONFIRMED,
        payment_status=PaymentStatus.TAKEN,
        paid_by=None,
    ),
    PaymentRefunded(payment_id=C, amount=PRICE, payment_status=PaymentStatus.REFUNDED),
]


def told(what: AnyFactPayload) -> Fact:
    return Fact(event_id=A, seq=7, booking_id=None if isinstance(what, EventChanged) else C, occurred_at=NOW, what=what)


def row(written: Fact, **changed: Any) -> list[Any]:
    """What a SELECT finds of it."""
    by_name = dict(zip((column.name for column in facts.c), fact_values(written, new_id()), strict=True)) | changed
    return [by_name[column.name] for column in FACT]


def test_there_is_one_of_each_kind() -> None:
    assert {type(each) for each in SAID} == set(get_args(AnyFactPayload))


@pytest.mark.parametrize("what", SAID, ids=lambda each: type(each).__name__)
def test_a_fact_comes_back(what: AnyFactPayload) -> None:
    assert fact(row(told(what))) == told(what)


@pytest.mark.parametrize("what", SAID, ids=lambda each: type(each).__name__)
def test_a_fact_comes_back_that_says_its_kind_and_its_defaults(what: AnyFactPayload) -> None:
    """With hyphens in its ids, too: so they were written at first."""
    data = msgspec.json.encode({"kind": type(what).__name__, **what.all_values}).decode()
    assert len(data) > len(row(told(what))[-1])
    assert fact(row(told(what), data=data)) == told(what)


def test_what_another_column_says_or_what_is_as_ever_is_not_written_down() -> None:
    assert msgspec.json.decode(row(told(FREE))[-1]) == {
        "ticketTypeId": A.hex,
        "customerId": B.hex,
        "quantity": 2,
        "amount": {"amount": 0, "currency": "EUR"},
        "status": "confirmed",
    }

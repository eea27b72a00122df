"""Entries: what they tell, and what opens them."""

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from boxoffice.adapters.log.formats import C2spLogFormats
from boxoffice.application.ports.log.formats import LoggedFact, Opening
from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    CheckInUndone,
    CustomerWaitlisted,
    DrawHeld,
    EventChanged,
    EventInitialized,
    FactPayload,
    PlaceDrawn,
    TicketsGranted,
    TicketsReturned,
    TicketTypeAdded,
    TicketTypeChanged,
)
from boxoffice.domain.values.money import Money

EVENT, BOOKING, CUSTOMER, KIND, OTHER = (UUID(int=number) for number in range(1, 6))
KEY = bytes(range(32))
FREE = Money(0, "EUR")
FORMATS = C2spLogFormats()
CANCELLED = BookingCancelled(
    ticket_type_id=KIND,
    customer_id=CUSTOMER,
    quantity=2,
    was=BookingStatus.WAITLISTED,
    by="organizer",
    payment_status=PaymentStatus.NONE,
)
ADDED = TicketTypeAdded(ticket_type_id=KIND, name="Stalls", total_tickets=7, price=None)
INITIALIZED = EventInitialized(
    organizer_id=CUSTOMER,
    currency="EUR",
    values={"name": "Jazz", "waitingListPolicy": "fill", "maxOvertakes": None, "status": "draft", "venue": "Cellar"},
    ticket_types=[ADDED],
)
TYPE_TOLD = {"ticketTypeId": str(KIND), "totalTickets": 7}
TOLD: list[tuple[FactPayload, dict[str, Any]]] = [
    (CANCELLED, {"ticketTypeId": str(KIND), "quantity": 2, "was": "waitlisted", "by": "organizer"}),
    (
        BookingPromoted(
            ticket_type_id=KIND,
            customer_id=CUSTOMER,
            quantity=1,
            queue_number=9,
            status=BookingStatus.HELD,
            payment_status=PaymentStatus.NONE,
        ),
        {"ticketTypeId": str(KIND), "quantity": 1, "queueNumber": 9, "status": "held"},
    ),
    (
        CustomerWaitlisted(ticket_type_id=KIND, customer_id=CUSTOMER, quantity=1, amount=FREE, queue_number=3),
        {"ticketTypeId": str(KIND), "quantity": 1, "queueNumber": 3},
    ),
    (
        TicketsGranted(
            ticket_type_id=KIND, customer_id=CUSTOMER, quantity=1, amount=FREE, reason="Press", granted_by=OTHER
        ),
        {"ticketTypeId": str(KIND), "quantity": 1, "passedOver": 0},
    ),
    (
        TicketsReturned(ticket_type_id=KIND, quantity=1, left=2),
        {"ticketTypeId": str(KIND), "quantity": 1, "left": 2, "was": "confirmed", "by": "customer"},
    ),
    (CheckInUndone(ticket_id=OTHER), {}),
    (
        INITIALIZED,
        {
            "waitingListPolicy": "fill",
            "status": "draft",
            "admission": "line",
            "ticketTypes": [TYPE_TOLD],
        },
    ),
    (
        EventChanged(version=2, changes={"status": "on_sale", "maxOvertakes": None, "name": "Blues"}),
        {"changes": {"status": "on_sale", "maxOvertakes": None}},
    ),
    (EventChanged(version=2, changes={"name": "Blues"}), {"changes": {}}),
    (
        replace(
            INITIALIZED, values={"status": "on_sale", "admission": "draw", "drawCommitment": "ab", "drawSource": None}
        ),
        {"status": "on_sale", "admission": "draw", "drawCommitment": "ab", "ticketTypes": [TYPE_TOLD]},
    ),
    (
        PlaceDrawn(ticket_type_id=KIND, customer_id=CUSTOMER, quantity=1, entered_as=3, queue_number=12),
        {"ticketTypeId": str(KIND), "quantity": 1, "queueNumber": 12, "enteredAs": 3},
    ),
    (
        DrawHeld(last_entry=9, entries=4, root="cd", randomness="ef"),
        {"lastEntry": 9, "entries": 4, "root": "cd", "randomness": "ef"},
    ),
    (ADDED, {"ticketTypeId": str(KIND), "totalTickets": 7}),
    (
        TicketTypeChanged(version=2, ticket_type_id=KIND, changes={"totalTickets": 9, "name": "Pit"}),
        {"ticketTypeId": str(KIND), "totalTickets": 9},
    ),
    (TicketTypeChanged(version=2, ticket_type_id=KIND, changes={"name": "Pit"}), {"ticketTypeId": str(KIND)}),
]


def logged(what: FactPayload, *, seq: int = 5, key: bytes | None = KEY, uuid_format: Any = "hex") -> LoggedFact:
    """The fact as a storage hands it out."""
    return LoggedFact(
        seq,
        type(what).__name__,
        datetime(2030, 5, 1, 19, 30, 15, 999_999, tzinfo=UTC),
        msgspec.json.Encoder(uuid_format=uuid_format).encode(what).decode(),
        BOOKING,
        CUSTOMER,
        key,
    )


@pytest.mark.parametrize(("what", "told"), TOLD)
@pytest.mark.parametrize("uuid_format", ["hex", "canonical"])
def test_an_entry_tells_what_nobody_can_be_found_by(what: FactPayload, told: dict[str, Any], uuid_format: Any) -> None:
    entry = json.loads(FORMATS.entry(EVENT, logged(what, uuid_format=uuid_format)))
    assert len(entry.pop("commitment")) == 44
    assert entry == {"seq": 5, "kind": type(what).__name__, "at": "2030-05-01T19:30:15Z", **told}


def test_every_kind_of_facts_has_entries_without_persons_and_money() -> None:
    entry = FORMATS.entry(EVENT, logged(CANCELLED))
    assert all(each not in entry for each in (b"customerId", str(CUSTOMER).encode(), str(BOOKING).encode()))
    told = {each for _, values in TOLD for each in values}
    assert told & {"bookingId", "customerId", "organizerId", "amount", "paymentId"} == set()
    for payload in get_args(AnyFactPayload):
        with pytest.raises(msgspec.ValidationError):
            FORMATS.entry(EVENT, LoggedFact(1, payload.__name__, datetime(2030, 1, 1, tzinfo=UTC), '"no object"'))


def test_the_commitment_opens_with_a_salt_from_the_customers_key() -> None:
    fact = logged(CANCELLED)
    entry = FORMATS.entry(EVENT, fact)
    opening = FORMATS.opening(EVENT, fact)
    assert opening is not None
    assert opening.salt == hmac.digest(KEY, f"boxoffice/salt/1/{EVENT}/5".encode(), "sha256")[:16]
    private = json.loads(opening.private)
    assert (private["bookingId"], private["customerId"]) == (str(BOOKING), str(CUSTOMER))
    assert private["data"]["paymentStatus"] == "none"
    assert json.loads(entry)["commitment"] == b64encode(sha256(opening.salt + opening.private).digest()).decode()
    assert FORMATS.opens(entry, opening)
    assert FORMATS.entry(EVENT, fact) == entry


@pytest.mark.parametrize(
    "opening",
    [Opening(b"salt", b"private"), FORMATS.opening(OTHER, logged(CANCELLED)), FORMATS.opening(EVENT, logged(ADDED))],
)
def test_nothing_else_opens_it(opening: Opening) -> None:
    assert not FORMATS.opens(FORMATS.entry(EVENT, logged(CANCELLED)), opening)
    assert not FORMATS.opens(b'{"seq":1}', opening)


def test_without_a_key_the_salt_is_kept_nowhere() -> None:
    fact = logged(CANCELLED, key=None)
    assert FORMATS.opening(EVENT, fact) is None
    entries = {FORMATS.entry(EVENT, fact) for _ in range(2)}
    assert len(entries) == 2
    assert len({FORMATS.new_key() for _ in range(2)}) == 2
    assert len(FORMATS.new_key()) == 32

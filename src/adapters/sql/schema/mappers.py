"""The lossless mapping between rows and entities."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from msgspec.structs import asdict, fields
from sqlalchemy import Column

from ....application.ports.idempotency import Key, Response, StoredResponse
from ....domain.booking import Booking
from ....domain.event import Event
from ....domain.facts import AnyFactPayload, Fact
from ....domain.payment import Payment
from ....domain.tickets.check_in import CheckIn
from ....domain.tickets.ticket import Ticket
from ....domain.tickets.ticket_type import EventState, TicketType
from ....domain.user import ApiKey, Session, User
from ....domain.values.characters import folded
from ....domain.values.money import Money
from .tables import (
    api_keys,
    bookings,
    check_ins,
    events,
    facts,
    payments,
    sessions,
    stored_responses,
    ticket_types,
    tickets,
    users,
)
from .types import Row

NO_START = 2**63 - 1
"""The `start_order` of events without a start."""

DURATIONS: Final = tuple(timedelta(hours=3 * 8**power) for power in range(6))
"""The longest durations of events in each class but the last, from 3 hours to 11 years."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_FIELDS = tuple(field.name for field in fields(Event))
_PAYMENT_FIELDS = tuple(field.name for field in fields(Payment) if field.name != "amount")
_TICKET_FIELDS = tuple(column.name for column in tickets.c)
_CHECK_IN_FIELDS = tuple(field.name for field in fields(CheckIn))
_USER_FIELDS = tuple(field.name for field in fields(User))
_API_KEY_FIELDS = tuple(field.name for field in fields(ApiKey))
_SESSION_FIELDS = tuple(field.name for field in fields(Session))

EVENT: tuple[Column[Any], ...] = tuple(events.c[name] for name in _EVENT_FIELDS)
TICKET_TYPE: tuple[Column[Any], ...] = (
    ticket_types.c.id,
    ticket_types.c.event_id,
    ticket_types.c.ordinal,
    ticket_types.c.name,
    ticket_types.c.price_amount,
    ticket_types.c.price_currency,
    ticket_types.c.total_tickets,
    ticket_types.c.taken,
    ticket_types.c.waiting,
    ticket_types.c.waiting_tickets,
    ticket_types.c.overtakes,
    ticket_types.c.room_made_by,
)
BOOKING: tuple[Column[Any], ...] = tuple(column for column in bookings.c if column.computed is None)
FACT: tuple[Column[Any], ...] = (
    facts.c.event_id,
    facts.c.seq,
    facts.c.booking_id,
    facts.c.kind,
    facts.c.occurred_at,
    facts.c.data,
)
PAYMENT: tuple[Column[Any], ...] = (
    *(payments.c[name] for name in _PAYMENT_FIELDS),
    payments.c.amount,
    payments.c.currency,
)
TICKET: tuple[Column[Any], ...] = tuple(tickets.c)
CHECK_IN: tuple[Column[Any], ...] = tuple(check_ins.c[name] for name in _CHECK_IN_FIELDS)
RESPONSE: tuple[Column[Any], ...] = (
    stored_responses.c.user_id,
    stored_responses.c.key,
    stored_responses.c.fingerprint,
    stored_responses.c.payload,
    stored_responses.c.subject_id,
)
USER: tuple[Column[Any], ...] = tuple(users.c[name] for name in _USER_FIELDS)
API_KEY: tuple[Column[Any], ...] = tuple(api_keys.c[name] for name in _API_KEY_FIELDS)
SESSION: tuple[Column[Any], ...] = tuple(sessions.c[name] for name in _SESSION_FIELDS)

# By kind, which has its own column. The data of old facts also contain the kind and default values.
_decoders = {each.__name__: msgspec.json.Decoder(each) for each in get_args(AnyFactPayload)}
_encode = msgspec.json.Encoder(uuid_format="hex").encode
_LENGTH_AROUND_KIND: Final = len('{"kind":"",')


def microseconds(time: datetime) -> int:
    """Return the time in microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def start_order(starts_at: datetime | None) -> int:
    """Return the start in microseconds since 1970."""
    return NO_START if starts_at is None else microseconds(starts_at)


def duration_class(starts_at: datetime | None, ends_at: datetime | None) -> int:
    """Return 0 for an event without an end, else one more than the index of the first of `DURATIONS` not exceeded."""
    if starts_at is None or ends_at is None:
        return 0
    return 1 + bisect_left(DURATIONS, ends_at - starts_at)


def start_of(order: int) -> datetime | None:
    """Return the start of a `start_order`."""
    return None if order == NO_START else _EPOCH + timedelta(microseconds=order)


def event(values: Sequence[Any]) -> Event:
    """Return an event from the columns of `EVENT`."""
    return Event(**dict(zip(_EVENT_FIELDS, values, strict=True)))


def event_values(event: Event) -> dict[str, Any]:
    """Return every column of an event."""
    return {
        **asdict(event),
        "start_order": start_order(event.starts_at),
        "duration_class": duration_class(event.starts_at, event.ends_at),
        "searchable": searchable(event),
    }


def searchable(event: Event) -> str:
    """Return name and venue as a search compares them, on separate lines."""
    return folded(f"{event.name}\n{event.venue}")


def ticket_type(values: Sequence[Any]) -> TicketType:
    """Return a ticket type from the columns of `TICKET_TYPE`."""
    type_id, event_id, ordinal, name, amount, currency, total_tickets, taken, *others = values
    waiting, waiting_tickets, overtakes, room_made_by = others
    return TicketType(
        id=type_id,
        event_id=event_id,
        ordinal=ordinal,
        name=name,
        price=None if amount is None else Money(amount, currency),
        total_tickets=total_tickets,
        taken=taken,
        waiting=waiting,
        waiting_tickets=waiting_tickets,
        overtakes=overtakes,
        room_made_by=room_made_by,
    )


def ticket_type_values(ticket_type: TicketType) -> dict[str, Any]:
    """Return every column of a ticket type."""
    values = asdict(ticket_type)
    price: Money | None = values.pop("price")
    return {
        **values,
        "name_key": ticket_type.name.casefold(),
        "price_amount": price and price.amount,
        "price_currency": price and price.currency,
    }


def booking(values: Sequence[Any]) -> Booking:
    """Return a booking from the columns of `BOOKING`, without its place."""
    (
        booking_id,
        event_id,
        ticket_type_id,
        customer_id,
        quantity,
        status,
        amount,
        currency,
        payment_status,
        paid_by,
        paid_with,
        kept,
        refund_fee_percent,
        cancellation_deadline_hours,
        reschedules,
        grace_until,
        queue_number,
        first_ticket_number,
        returned,
        used,
        is_suspended,
        expires_at,
        created_at,
        updated_at,
    ) = values
    return Booking(
        id=booking_id,
        event_id=event_id,
        ticket_type_id=ticket_type_id,
        customer_id=customer_id,
        quantity=quantity,
        status=status,
        amount=Money(amount, currency),
        payment_status=payment_status,
        paid_by=paid_by,
        paid_with=paid_with,
        kept=kept,
        refund_fee_percent=refund_fee_percent,
        cancellation_deadline_hours=cancellation_deadline_hours,
        reschedules=reschedules,
        grace_until=grace_until,
        queue_number=queue_number,
        first_ticket_number=first_ticket_number,
        returned=returned,
        used=used,
        is_suspended=is_suspended,
        expires_at=expires_at,
        created_at=created_at,
        updated_at=updated_at,
    )


booking_values: Callable[[Booking], Row] = attrgetter(
    *({"amount": "amount.amount", "currency": "amount.currency"}.get(column.name, column.name) for column in BOOKING)
)
"""Returns every column of a booking in the table's order. Its place is not stored."""


def ticket(values: Sequence[Any]) -> Ticket:
    """Return a ticket from the columns of `TICKET`."""
    return Ticket(**dict(zip(_TICKET_FIELDS, values, strict=True)))


ticket_values: Callable[[Ticket], Row] = attrgetter(*(column.name for column in TICKET))
"""Returns every column of a ticket in the table's order."""


def check_in(values: Sequence[Any]) -> CheckIn:
    """Return an entry from the columns of `CHECK_IN`."""
    return CheckIn(**dict(zip(_CHECK_IN_FIELDS, values, strict=True)))


check_in_values: Callable[[CheckIn], Row] = attrgetter(*(column.name for column in check_ins.c))
"""Returns every column of an entry in the table's order."""


def waiting_values(booking: Booking) -> dict[str, Any]:
    """Return a booking's row in the waiting list."""
    return {
        "ticket_type_id": booking.ticket_type_id,
        "queue_number": booking.queue_number,
        "booking_id": booking.id,
        "event_id": booking.event_id,
        "quantity": booking.quantity,
    }


def payload(kind: str, data: str) -> AnyFactPayload:
    """Return what a fact of this kind says."""
    decoded: AnyFactPayload = _decoders[kind].decode(data)
    return decoded


def fact(values: Sequence[Any]) -> Fact:
    """Return a fact from the columns of `FACT`."""
    event_id, seq, booking_id, kind, occurred_at, data = values
    return Fact(
        event_id=event_id,
        seq=seq,
        booking_id=booking_id,
        occurred_at=occurred_at,
        what=payload(kind, data),
    )


def fact_values(fact: Fact, batch_id: UUID) -> Sequence[Any]:
    """Return every column of a fact in the table's order."""
    kind = fact.kind
    return (
        fact.event_id,
        fact.seq,
        fact.booking_id,
        kind,
        fact.occurred_at,
        # Without the kind, because the size of the data determines the time of a batch.
        "{" + _encode(fact.what).decode()[len(kind) + _LENGTH_AROUND_KIND :],
        batch_id,
    )


def payment(values: Sequence[Any]) -> Payment:
    """Return a payment from the columns of `PAYMENT`."""
    *plain, amount, currency = values
    return Payment(**dict(zip(_PAYMENT_FIELDS, plain, strict=True)), amount=Money(amount, currency))


def payment_values(payment: Payment) -> dict[str, Any]:
    """Return every column of a payment."""
    return {**asdict(payment), "amount": payment.amount.amount, "currency": payment.amount.currency}


def stored_response(values: Sequence[Any]) -> StoredResponse:
    """Return a stored response from the columns of `RESPONSE`."""
    user_id, key, fingerprint, payload, subject_id = values
    return StoredResponse(
        key=Key(user_id, key), fingerprint=bytes(fingerprint), response=Response(bytes(payload), subject_id)
    )


def stored_response_values(stored: StoredResponse, now: datetime) -> dict[str, Any]:
    """Return every column of a stored response."""
    return {
        **asdict(stored.response),
        "user_id": stored.key.user_id,
        "key": stored.key.text,
        "fingerprint": stored.fingerprint,
        "kept_at": now,
    }


def user(values: Sequence[Any]) -> User:
    """Return a user from the columns of `USER`."""
    return User(**dict(zip(_USER_FIELDS, values, strict=True)))


def api_key(values: Iterable[Any]) -> ApiKey:
    """Return an API key from the columns of `API_KEY`."""
    return ApiKey(**dict(zip(_API_KEY_FIELDS, values, strict=True)))


def session(values: Sequence[Any]) -> Session:
    """Return a session from the columns of `SESSION`."""
    return Session(**dict(zip(_SESSION_FIELDS, values, strict=True)))


def event_states(rows: Iterable[Sequence[Any]]) -> Iterator[EventState]:
    """Yield events with their ticket types from rows of `EVENT`, `TICKET_TYPE` and the smallest waiting quantity.

    The rows of an event must be adjacent, and its ticket types in order.
    """
    for _, group in groupby(rows, key=lambda row: row[_ID]):
        of_event = list(group)
        yield EventState(
            event=event(of_event[0][: len(EVENT)]),
            ticket_types=tuple(ticket_type(row[len(EVENT) : -1]) for row in of_event),
            smallest_waiting={row[len(EVENT)]: row[-1] for row in of_event if row[-1] is not None},
        )


_ID = _EVENT_FIELDS.index("id")

"""Settling: what an event owes its bookings. Freed tickets go to the line; a closed event lets its bookings go.

A step is bounded. What is left over is marked on the event (`is_unsettled`), so that it goes on right behind the answer
and after a crash, and newcomers wait until it is done.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .booking import CONFIRMED, HELD, Booking, BookingStatus, PaymentStatus, lapsed
from .event import Event, EventStatus, TicketType, WaitingListPolicy
from .facts import BookingCancelled, BookingPromoted, HoldExpired, HoldShortened
from .inventory import Decision, Inventory
from .payment import Payment, PaymentKind, PaymentMethod, PaymentState, refund_of
from .recording import Recording

STEP = 500
"""The most bookings that one step promotes or closes, so that no transaction grows beyond measure."""


GRACE = timedelta(hours=24)
"""How long somebody who is promoted past the deadline may cancel free of charge, at most until the start."""

_FOREVER = datetime.max.replace(tzinfo=UTC)


class Settle(Struct, frozen=True, gc=False):
    """Do the next bounded step of what is still to be done for an event."""

    event_id: UUID


class LineAsk(Struct, frozen=True, gc=False):
    """Load the first `limit` in a ticket type's line; with `fitting`, of those who ask for at most so many."""

    ticket_type_id: UUID
    fitting: int | None
    limit: int


class ClosingAsk(Struct, frozen=True, gc=False):
    """Load `limit` live bookings of a closed event; `waiting_only` those in line alone."""

    event_id: UUID
    waiting_only: bool
    limit: int


class HoldAsk(Struct, frozen=True, gc=False):
    """Load the first `limit` holds of an event that lapse at `until` or earlier, and when the next one lapses."""

    event_id: UUID
    until: datetime
    limit: int


class OverlongHoldsQuery(Struct, frozen=True, gc=False):
    """Load up to `limit` holds of an event that lapse after `starts_at`."""

    event_id: UUID
    starts_at: datetime
    limit: int


class Asks(Struct, frozen=True, gc=False):
    """What has to be loaded for a step."""

    lines: tuple[LineAsk, ...] = ()
    closing: ClosingAsk | None = None
    holds: HoldAsk | None = None
    overlong: OverlongHoldsQuery | None = None


def asks(inventory: Inventory, freed: Mapping[UUID, int], now: datetime) -> Asks:
    """What to load of the event's line when commands may free so many tickets of each type (upper bounds).

    What was asked too narrowly is noticed by the decision and asked again, so this is about speed, not about truth.
    """
    event = inventory.event
    if event.status.is_closed:
        waiting_only = event.status is EventStatus.COMPLETED
        closing = ClosingAsk(event.id, waiting_only, STEP) if event.is_unsettled else None
        return Asks(closing=closing, holds=_hold_ask(event, now))
    if not event.serves_its_line(now):
        return Asks(holds=_hold_ask(event, now))
    lines = []
    for ticket_type in inventory.ticket_types:
        expected = ticket_type.available + freed.get(ticket_type.id, 0)
        is_to_be_served = event.is_unsettled or ticket_type.id in freed
        if is_to_be_served and ticket_type.waiting and expected:
            fitting = expected if event.waiting_list_policy is WaitingListPolicy.FILL else None
            lines.append(LineAsk(ticket_type.id, fitting, min(expected, STEP) + 1))
    return Asks(lines=tuple(lines), holds=_hold_ask(event, now))


def step_asks(inventory: Inventory, now: datetime) -> Asks:
    """What to load for a step that is taken next, with nothing decided in between."""
    event = inventory.event
    loaded = asks(inventory, {}, now)
    if not event.is_unsettled or event.starts_at is None or event.earliest_expiry is None or event.status.is_closed:
        return loaded
    return replace(loaded, overlong=OverlongHoldsQuery(event.id, event.starts_at, STEP))


def _hold_ask(event: Event, now: datetime) -> HoldAsk | None:
    if not event.has_lapsed_holds(now):
        return None
    return HoldAsk(event.id, _FOREVER if event.status is EventStatus.COMPLETED else now, STEP)


def settle(inventory: Inventory, _: Settle, now: datetime) -> Decision[None]:
    """Serve the line, or close the bookings of a closed event, as far as one step goes."""
    recording = Recording(inventory, now)
    settle_event(recording, [ticket_type.id for ticket_type in inventory.ticket_types])
    return recording.decision(None)


def settle_event(recording: Recording, ticket_type_ids: Iterable[UUID]) -> None:
    """The step itself, as the end of any decision that frees tickets of these types or changes the event."""
    freed = _lapse_holds(recording)
    is_short = _shorten_holds(recording)
    event = recording.event
    if event.status.is_closed:
        is_done = _close_bookings(recording)
    elif event.serves_its_line(recording.now):
        served = [
            _serve_line(recording, ticket_type_id) for ticket_type_id in dict.fromkeys([*ticket_type_ids, *freed])
        ]
        is_done = all(served)
    else:
        is_done = True
    is_done = is_done and is_short and not recording.event.has_lapsed_holds(recording.now)
    if recording.event.is_unsettled is is_done:
        recording.set_event(replace(recording.event, is_unsettled=not is_done))


def _lapse_holds(recording: Recording) -> list[UUID]:
    """Take back the tickets of holds whose time is over; their ticket types."""
    due = recording.take_due()
    if due is None:
        return []
    recording.set_event(replace(recording.event, earliest_expiry=due.next_expiry))
    for booking in due.bookings:
        lapse_hold(recording, booking)
    return [booking.ticket_type_id for booking in due.bookings]


def _shorten_holds(recording: Recording) -> bool:
    """Let no hold outlive the start. True when none is left that does."""
    starts_at = recording.event.starts_at
    if starts_at is None or recording.event.status.is_closed or not recording.may_have_overlong_holds:
        return True
    overlong = recording.take_overlong()
    if overlong is None:
        return False
    # In the order of their ids, whichever way a storage found them.
    for booking in sorted(overlong, key=lambda each: each.id.int):
        recording.change(booking, replace(booking, expires_at=starts_at, updated_at=recording.now))
        recording.note(
            HoldShortened(
                ticket_type_id=booking.ticket_type_id,
                customer_id=booking.customer_id,
                quantity=booking.quantity,
                expires_at=starts_at,
            ),
            booking,
        )
    return len(overlong) < STEP


def lapse_hold(recording: Recording, booking: Booking) -> Booking:
    """The hold was not paid in time; its tickets are free again."""
    expired = replace(lapsed(booking), updated_at=recording.now)
    recording.change(booking, expired)
    recording.note(
        HoldExpired(ticket_type_id=booking.ticket_type_id, customer_id=booking.customer_id, quantity=booking.quantity),
        booking,
    )
    return expired


def with_tickets(booking: Booking, event: Event, now: datetime) -> Booking:
    """The booking once it gets its tickets: held where they must be paid first, until the start at most."""
    if booking.amount.amount == 0:
        return replace(booking, status=CONFIRMED)
    if event.payment_window_minutes is None:
        return replace(booking, status=CONFIRMED, payment_status=PaymentStatus.DUE)
    window_ends_at = now + timedelta(minutes=event.payment_window_minutes)
    return replace(
        booking,
        status=HELD,
        payment_status=PaymentStatus.DUE,
        expires_at=window_ends_at if event.starts_at is None else min(window_ends_at, event.starts_at),
    )


def _serve_line(recording: Recording, ticket_type_id: UUID) -> bool:
    """Give free tickets to those in line, in its order (promises 5 and 6). True when nobody more can be served."""
    policy = recording.event.waiting_list_policy
    while True:
        ticket_type = recording.ticket_type(ticket_type_id)
        if ticket_type.waiting == 0 or ticket_type.available == 0:
            return True
        line = recording.line(ticket_type_id)
        if not line.shows(ticket_type.available, policy):
            return False
        if policy is WaitingListPolicy.STRICT:
            first = line.head[0] if line.head else None
            if first and first.quantity > ticket_type.available:
                return True
        else:
            first = next((waiting for waiting in line.head if waiting.quantity <= ticket_type.available), None)
        if first is None:
            return line.is_whole
        if recording.promoted == STEP:
            return False
        _promote(recording, first)


def _promote(recording: Recording, booking: Booking) -> None:
    event, now = recording.event, recording.now
    promoted = replace(with_tickets(booking, event, now), grace_until=_grace_until(booking, event, now), updated_at=now)
    recording.change(booking, promoted)
    recording.note(
        BookingPromoted(
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            queue_number=booking.queue_number or 0,
            status=promoted.status,
            payment_status=promoted.payment_status,
            expires_at=promoted.expires_at,
            grace_until=promoted.grace_until,
        ),
        booking,
    )


def _grace_until(booking: Booking, event: Event, now: datetime) -> datetime | None:
    """Until when somebody promoted past the deadline may still cancel."""
    if event.starts_at is None or not event.is_past_deadline(booking.cancellation_deadline_hours, now):
        return None
    return min(now + GRACE, event.starts_at)


def _close_bookings(recording: Recording) -> bool:
    """A cancelled event cancels every live booking, a completed one those who wait. True when none is left.

    Those of one step in the order of their ids, whichever way a storage found them.
    """
    for booking in sorted(recording.take_closing(STEP), key=lambda each: each.id.int):
        cancel_booking(recording, booking, "event")
    left = sum(_left_to_close(recording.event.status, ticket_type) for ticket_type in recording.ticket_types)
    return left == 0


def _left_to_close(status: EventStatus, ticket_type: TicketType) -> int:
    return ticket_type.waiting + (ticket_type.taken if status is EventStatus.CANCELLED else 0)


def cancel_booking(recording: Recording, booking: Booking, by: str) -> Booking:
    """End a live booking; whatever it took is free again, exactly once (promise 4)."""
    is_paid = booking.payment_status is PaymentStatus.TAKEN
    cancelled = replace(
        booking,
        status=BookingStatus.CANCELLED,
        payment_status=PaymentStatus.REFUND_PENDING if is_paid else PaymentStatus.NONE,
        expires_at=None,
        updated_at=recording.now,
    )
    recording.change(booking, cancelled)
    if is_paid and booking.paid_by is not None and booking.paid_with is not None:
        owe_refund(recording, booking, booking.paid_by, booking.paid_with)
    recording.note(
        BookingCancelled(
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            was=booking.status,
            by=by,
            payment_status=cancelled.payment_status,
        ),
        booking,
    )
    return cancelled


def owe_refund(recording: Recording, booking: Booking, charge_id: UUID, method: PaymentMethod) -> None:
    """Give all of a charge back, once; it goes out behind this decision (promise 8)."""
    recording.add_payment(
        Payment(
            id=refund_of(charge_id),
            event_id=booking.event_id,
            booking_id=booking.id,
            kind=PaymentKind.REFUND,
            status=PaymentState.PENDING,
            method=method,
            amount=booking.amount,
            created_at=recording.now,
            tried_at=recording.now,
            ask_at=recording.now,
        )
    )

"""Settling: expire lapsed holds, serve the waiting lists, or cancel the bookings of a closed event.

A step is bounded. If another one is needed, the event is marked (`is_unsettled`): it is run right after this one, or
after a crash, and newcomers wait until then.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import CONFIRMED, HELD, Booking, BookingStatus, PaymentStatus, lapsed
from ..event import Event, EventStatus, WaitingListPolicy
from ..facts import BookingCancelled, BookingPromoted, HoldExpired, HoldShortened
from ..inventory import Decision, Inventory
from ..refunds import refund_due
from ..tickets.ticket_type import TicketType
from ..values.money import Money
from .decision_builder import DecisionBuilder
from .payments.refunds import owe_refund

_TAKEN: Final = PaymentStatus.TAKEN

STEP = 500
"""Most bookings that one step promotes or closes, to bound the transaction."""

GRACE = timedelta(hours=24)
"""How long a booking promoted past its deadline may be cancelled free of charge, at most until the start."""


class Settle(Struct, frozen=True, gc=False):
    """Do the next bounded step of settling an event."""

    event_id: UUID


def settle(inventory: Inventory, _: Settle, now: datetime) -> Decision[None]:
    """Do one step of settling: see the module."""
    builder = DecisionBuilder(inventory, now)
    settle_event(builder, [ticket_type.id for ticket_type in inventory.ticket_types])
    return builder.decision(None)


def settle_event(builder: DecisionBuilder, ticket_type_ids: Iterable[UUID]) -> None:
    """Do one step at the end of a decision that frees tickets of these types or changes the event."""
    freed = _lapse_holds(builder)
    are_shortened = _shorten_holds(builder)
    event = builder.event
    if event.status.is_closed:
        is_done = _close_bookings(builder)
        for ticket_type in builder.ticket_types:
            _forget_overtakes(builder, ticket_type.id)
    else:
        concerned = dict.fromkeys([*ticket_type_ids, *freed])
        is_served = event.serves_waiting_list(builder.now)
        served = [_serve_waiting_list(builder, each) if is_served else True for each in concerned]
        forgotten = [_forget_overtakes(builder, each) for each in concerned]
        # An event whose places are being drawn is served after the last of them.
        is_done = all(served) and all(forgotten) and not event.is_drawing
    builder.keep_room(is_served=is_done or event.status.is_closed)
    is_done = is_done and are_shortened and not builder.event.has_lapsed_holds(builder.now)
    if builder.event.is_unsettled is is_done:
        builder.set_event(replace(builder.event, is_unsettled=not is_done))


def _lapse_holds(builder: DecisionBuilder) -> list[UUID]:
    """Expire the lapsed holds and return their ticket types."""
    due = builder.take_due()
    if due is None:
        return []
    builder.set_event(replace(builder.event, earliest_expiry=due.next_expiry))
    for booking in due.bookings:
        lapse_hold(builder, booking)
    return [booking.ticket_type_id for booking in due.bookings]


def _shorten_holds(builder: DecisionBuilder) -> bool:
    """End holds at the start at the latest. Return whether none remains that ends later."""
    starts_at = builder.event.starts_at
    if starts_at is None or builder.event.status.is_closed or not builder.may_have_overlong_holds:
        return True
    overlong = builder.take_overlong()
    if overlong is None:
        return False
    # Sorted by id, because storages return them in any order.
    for booking in sorted(overlong, key=lambda each: each.id.int):
        builder.change(booking, replace(booking, expires_at=starts_at, updated_at=builder.now))
        builder.add_fact(
            HoldShortened(
                ticket_type_id=booking.ticket_type_id,
                customer_id=booking.customer_id,
                quantity=booking.quantity,
                expires_at=starts_at,
            ),
            booking,
        )
    return len(overlong) < STEP


def lapse_hold(builder: DecisionBuilder, booking: Booking) -> Booking:
    """Expire a hold that was not paid in time; its tickets are free again."""
    expired = replace(lapsed(booking), updated_at=builder.now)
    builder.change(booking, expired)
    builder.add_fact(
        HoldExpired(ticket_type_id=booking.ticket_type_id, customer_id=booking.customer_id, quantity=booking.quantity),
        booking,
    )
    builder.note_room(booking.ticket_type_id)
    return expired


def with_tickets(booking: Booking, event: Event, now: datetime) -> Booking:
    """Return the booking with its tickets: held if they must be paid first, until the start at most."""
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


def _serve_waiting_list(builder: DecisionBuilder, ticket_type_id: UUID) -> bool:
    """Promote waiting bookings in order (promises 5 and 6). Return whether no more can be served."""
    while True:
        found = _next_to_serve(builder, ticket_type_id)
        if isinstance(found, bool):
            return found
        if builder.promoted == STEP:
            return False
        _promote(builder, found)


def _next_to_serve(builder: DecisionBuilder, ticket_type_id: UUID) -> Booking | bool:
    """Return the waiting booking to promote next; True if none can be served, False if too little is loaded to know."""
    event, ticket_type = builder.event, builder.ticket_type(ticket_type_id)
    if ticket_type.waiting == 0 or ticket_type.available == 0:
        return True
    waiting_list = builder.waiting_list(ticket_type_id)
    is_strict = event.waiting_list_policy is WaitingListPolicy.STRICT
    if not waiting_list.shows(ticket_type.available, event.waiting_list_policy):
        return False
    fitting = (waiting for waiting in waiting_list.head if is_strict or waiting.quantity <= ticket_type.available)
    first = next(fitting, None)
    if first is None:
        return waiting_list.is_whole
    if is_strict:
        return first if first.quantity <= ticket_type.available else True
    if waiting_list.number_before(first) is None:
        return False
    return first if event.max_overtakes is None else _as_far_as_allowed(builder, first, waiting_list.first_number)


def _as_far_as_allowed(builder: DecisionBuilder, fitting: Booking, first_number: int | None) -> Booking | bool:
    """Return the booking to promote next, as `_next_to_serve`, where overtaking has a bound."""
    if first_number is None:
        return False
    _forget_overtakes(builder, fitting.ticket_type_id)
    is_allowed = builder.ticket_type(fitting.ticket_type_id).allows_overtaking(builder.event)
    return fitting if is_allowed or fitting.queue_number == first_number else True


def _forget_overtakes(builder: DecisionBuilder, ticket_type_id: UUID) -> bool:
    """Forget the overtakes that no waiting booking has suffered. Return whether the first one is known for that."""
    ticket_type = builder.ticket_type(ticket_type_id)
    if not ticket_type.overtakes:
        return True
    first = builder.waiting_list(ticket_type_id).first_number
    if ticket_type.waiting and first is None:
        return False
    left = ticket_type.with_first_in_line(first if ticket_type.waiting else None)
    if left is not ticket_type:
        builder.set_ticket_type(left)
    return True


def _promote(builder: DecisionBuilder, booking: Booking) -> None:
    event, now = builder.event, builder.now
    passed_over = builder.waiting_list(booking.ticket_type_id).number_before(booking)
    # The customer agreed to the price of when they joined; a lower one of today is theirs too.
    price_today = builder.ticket_type(booking.ticket_type_id).amount(booking.quantity, event.currency)
    payable = replace(booking, amount=booking.amount.at_most(price_today))
    promoted = replace(with_tickets(payable, event, now), grace_until=_grace_until(booking, event, now), updated_at=now)
    builder.change(booking, promoted)
    if passed_over:
        builder.count_overtake(booking.ticket_type_id, booking.queue_number)
    builder.add_fact(
        BookingPromoted(
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            queue_number=booking.queue_number or 0,
            amount=promoted.amount,
            status=promoted.status,
            payment_status=promoted.payment_status,
            expires_at=promoted.expires_at,
            grace_until=promoted.grace_until,
            caused_by=builder.room_made_by(booking.ticket_type_id),
            passed_over=passed_over,
        ),
        booking,
    )


def _grace_until(booking: Booking, event: Event, now: datetime) -> datetime | None:
    """Return until when a booking promoted past its deadline may be cancelled; None: the deadline applies."""
    if event.starts_at is None or not event.is_past_deadline(booking.cancellation_deadline_hours, now):
        return None
    return min(now + GRACE, event.starts_at)


def _close_bookings(builder: DecisionBuilder) -> bool:
    """Cancel every live booking of a cancelled event, or the waiting ones of a completed one.

    Return whether none remains. Counters alone do not say so, because they leave out suspended bookings.
    """
    if not builder.may_have_open_bookings:
        return True
    closing = builder.take_closing()
    if closing is None:
        return False
    # Sorted by id, because storages return them in any order. A hold may just have lapsed.
    for booking in sorted(closing[:STEP], key=lambda each: each.id.int):
        if not builder.has_changed(booking):
            cancel_booking(builder, booking, "event")
    return len(closing) <= STEP and not any(
        _left_to_close(builder.event.status, ticket_type) for ticket_type in builder.ticket_types
    )


def _left_to_close(status: EventStatus, ticket_type: TicketType) -> int:
    return ticket_type.waiting + (ticket_type.taken if status is EventStatus.CANCELLED else 0)


class Cancelled(Struct, frozen=True, gc=False):
    """A cancelled booking, and what is refunded because of it (None: nothing)."""

    booking: Booking
    refund: Money | None


def cancel_booking(builder: DecisionBuilder, booking: Booking, by: str, *, fee_percent: int = 0) -> Cancelled:
    """Cancel a live booking; its tickets are free again exactly once (promise 4). Refund what was paid less the fee."""
    is_paid = booking.payment_status.has_charge
    refund = refund_due(booking.amount, fee_percent, booking.kept) if is_paid else None
    payment_status = booking.payment_status if is_paid else PaymentStatus.NONE
    cancelled = replace(
        booking,
        status=BookingStatus.CANCELLED,
        payment_status=PaymentStatus.REFUND_PENDING if refund and payment_status is _TAKEN else payment_status,
        kept=booking.kept - refund.amount if refund else booking.kept,
        is_suspended=False,
        expires_at=None,
        updated_at=builder.now,
    )
    builder.change(booking, cancelled)
    if refund is not None and booking.paid_by is not None and booking.paid_with is not None:
        owe_refund(builder, booking, refund, charge_id=booking.paid_by, method=booking.paid_with)
    builder.add_fact(
        BookingCancelled(
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            was=booking.status,
            by=by,
            payment_status=cancelled.payment_status,
            refund=refund,
            was_suspended=booking.is_suspended,
            queue_number=booking.queue_number,
        ),
        booking,
    )
    if not booking.is_suspended:
        builder.note_room(booking.ticket_type_id)
    return Cancelled(cancelled, refund)

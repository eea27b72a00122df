"""Cancelling: end a booking and give its tickets to the waiting list in the same decision."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from ..booking import Booking, BookingStatus
from ..event import Event, EventStatus
from ..inventory import Decision, Inventory
from ..policy import PersonalRight, Right
from ..refusals import AlreadyCancelled, CancellationClosed, NotFound, TicketUsed, invalid
from ..user import Actor
from .decision_builder import DecisionBuilder
from .settle import Cancelled, cancel_booking, settle_event


class Cancel(Struct, frozen=True, gc=False, kw_only=True):
    """Cancel a booking by its id, or with `booking_id` None the actor's only live booking of the event."""

    event_id: UUID
    actor: Actor
    booking_id: UUID | None = None


def cancel(inventory: Inventory, command: Cancel, now: datetime) -> Decision[Cancelled]:
    """Cancel, and promote waiting bookings that the freed tickets fit, in order.

    Raises: NotFound, NotAllowed, InvalidRequest, CancellationClosed, AlreadyCancelled, TicketUsed.
    """
    if command.booking_id is None:
        booking = _only_live_booking(inventory, command.actor, now)
        terms = _customers_terms(inventory.event, booking, command.actor, now)
    else:
        booking = booking_of(inventory, command.booking_id, command.actor)
        terms = terms_of(inventory.event, booking, command.actor, now)
    return _cancelled(inventory, booking, terms, now)


class Withdraw(Struct, frozen=True, gc=False, kw_only=True):
    """Cancel a booking because its customer's account was erased at `erased_at`."""

    event_id: UUID
    booking_id: UUID
    erased_at: datetime


def withdraw(inventory: Inventory, command: Withdraw, now: datetime) -> Decision[Cancelled]:
    """Cancel as the customer, by the rules and the fee of the time of the erasure.

    Who waits or holds may leave at any time, so that nothing is promoted for an erased account.

    Raises: NotFound, CancellationClosed, AlreadyCancelled, TicketUsed.
    """
    event, booking = inventory.event, inventory.booking(command.booking_id)
    if booking.status is BookingStatus.CONFIRMED:
        _check_customer_may_cancel(event, booking, command.erased_at)
    elif event.status.is_closed:
        raise CancellationClosed
    return _cancelled(inventory, booking, Terms("customer", _fee_percent(event, booking, command.erased_at)), now)


class Terms(Struct, frozen=True, gc=False):
    """Who cancels a booking or gives a part of it back, `customer` or `organizer`, and what it costs in percent."""

    by: str
    fee_percent: int = 0


def booking_of(inventory: Inventory, booking_id: UUID, actor: Actor) -> Booking:
    """Return a booking that the actor may cancel at some time. Raises: NotFound, NotAllowed."""
    booking = inventory.booking(booking_id)
    if not actor.is_customer(booking.customer_id):
        inventory.event.check_may_with_booking(booking.customer_id, actor, Right.CANCEL_BOOKINGS)
    return booking


def terms_of(event: Event, booking: Booking, actor: Actor, now: datetime) -> Terms:
    """Return the terms on which the actor cancels a booking. Raises: NotAllowed, CancellationClosed, AlreadyCancelled.

    The fee of the event's policy is for customers alone, and not for those whom a move or a grace period releases.
    """
    if not event.may_with_booking(booking.customer_id, actor, Right.CANCEL_BOOKINGS):
        return _customers_terms(event, booking, actor, now)
    if event.status is EventStatus.CANCELLED:
        raise CancellationClosed("The event is cancelled; its bookings end with it.")
    return Terms("organizer")


def _customers_terms(event: Event, booking: Booking, actor: Actor, now: datetime) -> Terms:
    actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, event.id)
    _check_customer_may_cancel(event, booking, now)
    return Terms("customer", _fee_percent(event, booking, now))


def _fee_percent(event: Event, booking: Booking, now: datetime) -> int:
    return 0 if is_released(event, booking, now) else booking.refund_fee_percent


def _cancelled(inventory: Inventory, booking: Booking, terms: Terms, now: datetime) -> Decision[Cancelled]:
    check_live(booking, now)
    if terms.by == "customer" and booking.used:
        raise TicketUsed
    builder = DecisionBuilder(inventory, now)
    cancelled = cancel_booking(builder, booking, terms.by, fee_percent=terms.fee_percent)
    settle_freed(builder, inventory, booking.ticket_type_id)
    return builder.decision(cancelled)


def check_live(booking: Booking, now: datetime) -> None:
    """Raise AlreadyCancelled unless the booking has a claim."""
    if not booking.as_of(now).status.is_live:
        raise AlreadyCancelled


def settle_freed(builder: DecisionBuilder, inventory: Inventory, ticket_type_id: UUID) -> None:
    """Give what a booking of this type leaves free to the waiting list."""
    # An unfinished settlement concerns every type; otherwise only the freed type can have bookings to serve.
    is_unsettled = inventory.event.is_unsettled
    settle_event(builder, [each.id for each in inventory.ticket_types] if is_unsettled else [ticket_type_id])


def _only_live_booking(inventory: Inventory, actor: Actor, now: datetime) -> Booking:
    inventory.event.check_visible_to(actor)
    live = [
        booking
        for booking in inventory.bookings
        if actor.is_customer(booking.customer_id) and booking.as_of(now).status.is_live
    ]
    if not live or inventory.event.status is EventStatus.CANCELLED:
        raise NotFound("You have no live booking of this event.")
    if len(live) > 1:
        raise invalid("names an event of which you have several live bookings; name the booking instead", "event_id")
    return live[0]


def _check_customer_may_cancel(event: Event, booking: Booking, now: datetime) -> None:
    if event.status is EventStatus.CANCELLED:
        raise AlreadyCancelled
    if event.status is EventStatus.COMPLETED or event.has_started(now):
        raise CancellationClosed
    # The deadline binds confirmed bookings only; others may be cancelled until the start.
    is_late = event.is_past_deadline(booking.cancellation_deadline_hours, now)
    if booking.status is BookingStatus.CONFIRMED and is_late and not is_released(event, booking, now):
        raise CancellationClosed


def may_customer_cancel(event: Event, booking: Booking, now: datetime) -> bool:
    """Return whether its customer may cancel a live booking."""
    if booking.used:
        return False
    try:
        _check_customer_may_cancel(event, booking, now)
    except (AlreadyCancelled, CancellationClosed):
        return False
    return True


def is_released(event: Event, booking: Booking, now: datetime) -> bool:
    """Return whether neither deadline nor fee bind the booking.

    The event was moved after the booking was made, or the grace of a late promotion has not ended.
    """
    if booking.reschedules < event.reschedules:
        return True
    return booking.grace_until is not None and now < booking.grace_until


def cancellable_until(event: Event, booking: Booking, now: datetime) -> datetime | None:
    """Return until when its customer may cancel a confirmed booking.

    None: no longer, or, while the event has no start, at any time.
    """
    if event.starts_at is None or event.status.is_closed or booking.used:
        return None
    until = event.starts_at
    if booking.reschedules == event.reschedules:
        deadline = until - timedelta(hours=booking.cancellation_deadline_hours)
        until = max(deadline, booking.grace_until or deadline)
    return until if now < until else None

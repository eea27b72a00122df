"""Cancelling: end a booking and give its tickets to the waiting list in the same decision."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from ..booking import Booking, BookingStatus
from ..event import Event, EventStatus
from ..inventory import Decision, Inventory
from ..policy import PersonalRight, Right
from ..refusals import AlreadyCancelled, CancellationClosed, NotFound, invalid
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

    The fee of the event's policy is for customers alone, and not for those whom a move or a grace period releases.

    Raises: NotFound, NotAllowed, InvalidRequest, CancellationClosed, AlreadyCancelled.
    """
    booking = _booking_to_cancel(inventory, command, now)
    may_cancel_any = inventory.event.may_with_booking(booking.customer_id, command.actor, Right.CANCEL_BOOKINGS)
    if command.booking_id is not None and may_cancel_any:
        _check_organizer_may_cancel(inventory.event)
        by, fee_percent = "organizer", 0
    else:
        command.actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, inventory.event.id)
        _check_customer_may_cancel(inventory.event, booking, now)
        by = "customer"
        fee_percent = 0 if is_released(inventory.event, booking, now) else booking.refund_fee_percent
    return _cancelled(inventory, booking, now, by=by, fee_percent=fee_percent)


class Withdraw(Struct, frozen=True, gc=False, kw_only=True):
    """Cancel a booking because its customer's account was erased at `erased_at`."""

    event_id: UUID
    booking_id: UUID
    erased_at: datetime


def withdraw(inventory: Inventory, command: Withdraw, now: datetime) -> Decision[Cancelled]:
    """Cancel as the customer, by the rules and the fee of the time of the erasure.

    Who waits or holds may leave at any time, so that nothing is promoted for an erased account.

    Raises: NotFound, CancellationClosed, AlreadyCancelled.
    """
    event, booking = inventory.event, inventory.booking(command.booking_id)
    if booking.status is BookingStatus.CONFIRMED:
        _check_customer_may_cancel(event, booking, command.erased_at)
    elif event.status.is_closed:
        raise CancellationClosed
    fee_percent = 0 if is_released(event, booking, command.erased_at) else booking.refund_fee_percent
    return _cancelled(inventory, booking, now, by="customer", fee_percent=fee_percent)


def _cancelled(
    inventory: Inventory, booking: Booking, now: datetime, *, by: str, fee_percent: int
) -> Decision[Cancelled]:
    if not booking.as_of(now).status.is_live:
        raise AlreadyCancelled
    builder = DecisionBuilder(inventory, now)
    cancelled = cancel_booking(builder, booking, by, fee_percent=fee_percent)
    # An unfinished settlement concerns every type; otherwise only the freed type can have bookings to serve.
    freed = [each.id for each in inventory.ticket_types] if inventory.event.is_unsettled else [booking.ticket_type_id]
    settle_event(builder, freed)
    return builder.decision(cancelled)


def _booking_to_cancel(inventory: Inventory, command: Cancel, now: datetime) -> Booking:
    if command.booking_id is not None:
        booking = inventory.booking(command.booking_id)
        if not command.actor.is_customer(booking.customer_id):
            inventory.event.check_may_with_booking(booking.customer_id, command.actor, Right.CANCEL_BOOKINGS)
        return booking
    inventory.event.check_visible_to(command.actor)
    live = [
        booking
        for booking in inventory.bookings
        if command.actor.is_customer(booking.customer_id) and booking.as_of(now).status.is_live
    ]
    if not live or inventory.event.status is EventStatus.CANCELLED:
        raise NotFound("You have no live booking of this event.")
    if len(live) > 1:
        raise invalid("names an event of which you have several live bookings; name the booking instead", "event_id")
    return live[0]


def _check_organizer_may_cancel(event: Event) -> None:
    if event.status is EventStatus.CANCELLED:
        raise CancellationClosed("The event is cancelled; its bookings end with it.")


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
    if event.starts_at is None or event.status.is_closed:
        return None
    until = event.starts_at
    if booking.reschedules == event.reschedules:
        deadline = until - timedelta(hours=booking.cancellation_deadline_hours)
        until = max(deadline, booking.grace_until or deadline)
    return until if now < until else None

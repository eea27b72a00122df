"""Suspending: waiting bookings of a disabled account leave the waiting list, and take their places again later."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import WAITLISTED, Booking
from ..facts import WaitingResumed, WaitingSuspended
from ..inventory import Decision, Inventory
from .decision_builder import DecisionBuilder
from .settle import cancel_booking, settle_event


class SuspendWaiting(Struct, frozen=True, gc=False, kw_only=True):
    """Take a customer's waiting bookings off an event's waiting lists."""

    event_id: UUID
    customer_id: UUID


class ResumeWaiting(Struct, frozen=True, gc=False, kw_only=True):
    """Put a customer's suspended bookings back on an event's waiting lists."""

    event_id: UUID
    customer_id: UUID


def suspend_waiting(inventory: Inventory, command: SuspendWaiting, now: datetime) -> Decision[None]:
    """Suspend the customer's waiting bookings, and serve those whom they blocked.

    Suspended bookings are live, but do not count for others. Held and confirmed bookings stay as they are.
    """
    builder = DecisionBuilder(inventory, now)
    suspended = _bookings(inventory, command.customer_id, are_suspended=False)
    _change(builder, suspended, WaitingSuspended, now)
    return _settled(builder, suspended)


def resume_waiting(inventory: Inventory, command: ResumeWaiting, now: datetime) -> Decision[None]:
    """Let the customer's suspended bookings wait again at their queue numbers, and serve the waiting lists.

    A booking that asks for more tickets than its type still has could never be served, so it is cancelled: the
    organizer has lowered the number meanwhile.
    """
    builder = DecisionBuilder(inventory, now)
    resumed = []
    for booking in _bookings(inventory, command.customer_id, are_suspended=True):
        if booking.quantity > builder.ticket_type(booking.ticket_type_id).total_tickets:
            cancel_booking(builder, booking, "organizer")
        else:
            resumed.append(booking)
    _change(builder, resumed, WaitingResumed, now)
    return _settled(builder, resumed)


def _bookings(inventory: Inventory, customer_id: UUID, *, are_suspended: bool) -> list[Booking]:
    """Return the bookings to change, by queue number. Those of a closed event are about to be cancelled anyway."""
    if inventory.event.status.is_closed:
        return []
    found = [
        each
        for each in inventory.bookings
        if each.customer_id == customer_id and each.status is WAITLISTED and each.is_suspended is are_suspended
    ]
    return sorted(found, key=lambda each: each.queue_number or 0)


def _change(
    builder: DecisionBuilder, bookings: list[Booking], what: type[WaitingSuspended | WaitingResumed], now: datetime
) -> None:
    for booking in bookings:
        builder.change(booking, replace(booking, is_suspended=what is WaitingSuspended, updated_at=now))
        builder.add_fact(
            what(
                ticket_type_id=booking.ticket_type_id,
                customer_id=booking.customer_id,
                quantity=booking.quantity,
                queue_number=booking.queue_number or 0,
            ),
            booking,
        )
        builder.note_room(booking.ticket_type_id)


def _settled(builder: DecisionBuilder, changed: list[Booking]) -> Decision[None]:
    # An unfinished settlement concerns every type, as in cancelling.
    event, every = builder.event, [each.id for each in builder.ticket_types]
    settle_event(builder, every if event.is_unsettled else [each.ticket_type_id for each in changed])
    return builder.decision(None)

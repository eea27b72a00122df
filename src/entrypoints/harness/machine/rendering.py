"""What the machine sees of the results of use cases."""

from datetime import datetime
from typing import Any

from ....application.bookings.attendees import Attendee
from ....application.bookings.cancel_booking import Cancellation
from ....application.bookings.queries import CustomersBooking
from ....application.ports.accounts.staff import Colleague
from ....domain.booking import Booking
from ....domain.explanations.explanation import Explanation
from ....domain.facts import Fact
from ....domain.tickets.ticket_type import EventState
from .box_office import (
    AttendeeSeen,
    BookingSeen,
    CancellationSeen,
    EventSeen,
    ExplanationSeen,
    FactSeen,
    PaymentSeen,
    StaffSeen,
    TicketTypeSeen,
)


def seen_of(result: Any, now: datetime) -> Any:
    """Convert a result of the application at `now`. A refusal's code stays as it is."""
    match result:
        case Cancellation():
            seen: Any = CancellationSeen(
                booking=_booking_seen(result.booking.as_of(now)),
                promoted_count=result.promoted_count,
                refund=result.refund,
            )
        case CustomersBooking():
            seen = _booking_seen(result.booking.as_of(now))
        case Booking():
            seen = _booking_seen(result.as_of(now))
        case Explanation():
            seen = _explanation_seen(result)
        case EventState():
            seen = _event_seen(result, now)
        case Attendee():
            seen = AttendeeSeen(
                number=result.number,
                ticket_type_id=result.ticket_type_id,
                status=result.status.value,
                booking_id=result.booking_id,
                checked_in_at=result.checked_in_at,
            )
        case Fact():
            seen = FactSeen.of(result)
        case Colleague():
            seen = StaffSeen(user_id=result.user.id, role=result.member.role.value)
        case str():
            return result
        case _:
            seen = PaymentSeen.of(result)
    return seen


def _booking_seen(booking: Booking) -> BookingSeen:
    return BookingSeen(
        id=booking.id,
        event_id=booking.event_id,
        ticket_type_id=booking.ticket_type_id,
        customer_id=booking.customer_id,
        quantity=booking.quantity,
        status=booking.status.value,
        amount=booking.amount,
        payment_status=booking.payment_status.value,
        position=booking.place.position if booking.place else None,
        tickets_ahead=booking.place.tickets_ahead if booking.place else None,
        expires_at=booking.expires_at,
        created_at=booking.created_at,
    )


def _explanation_seen(explanation: Explanation) -> ExplanationSeen:
    since, chance = explanation.since, explanation.chance
    return ExplanationSeen(
        status=explanation.status.value,
        code=explanation.code.value,
        sentence=explanation.sentence,
        policy=explanation.policy.value,
        position=explanation.position,
        tickets_ahead=explanation.tickets_ahead,
        since={
            "served": since.served,
            "left": since.left,
            "overtookYou": since.overtook,
            "granted": since.granted,
        },
        chance=None if chance is None else {"percent": chance.percent, "basis": chance.basis},
    )


def _event_seen(state: EventState, now: datetime) -> EventSeen:
    event = state.event
    return EventSeen(
        id=event.id,
        organizer_id=event.organizer_id,
        starts_at=event.starts_at,
        sales_open_at=event.sales_open_at,
        sales_close_at=event.sales_close_at,
        time_zone=event.time_zone,
        max_tickets_per_customer=event.max_tickets_per_customer,
        payment_window_minutes=event.payment_window_minutes,
        cancellation_deadline_hours=event.cancellation_deadline_hours,
        refund_fee_percent=event.refund_fee_percent,
        waiting_list_policy=event.waiting_list_policy.value,
        max_overtakes=event.max_overtakes,
        waiting_list=event.waiting_list.value,
        log=event.log.value,
        status=event.status.value,
        version=event.version,
        is_sold_out=state.is_sold_out(now),
        ticket_types=[
            TicketTypeSeen(
                id=each.id,
                name=each.name,
                price=each.price,
                total_tickets=each.total_tickets,
                available_tickets=each.available,
                waiting_list_count=each.waiting,
            )
            for each in state.ticket_types
        ],
    )

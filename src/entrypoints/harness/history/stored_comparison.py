"""Compare what is stored of an event with its facts (promises 1, 2, 6 and 7)."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from ....domain.booking import Booking
from ....domain.event import Event
from ....domain.tickets.ticket_type import EventState
from .breach import Breach
from .projection.fact_projection import FactProjection
from .projection.projected_state import ProjectedBooking, ProjectedType


def compare_with_stored(
    projection: FactProjection, state: EventState, bookings: Mapping[UUID, Booking]
) -> list[Breach]:
    """Return every difference between the facts of an event and its stored state and bookings."""
    return [
        Breach(promise, rule, f"event {projection.event_id}, fact {projection.seq}: {what}")
        for promise, rule, what in _differences(projection, state, bookings)
    ]


_Difference = tuple[int, str, str]


def _differences(
    projection: FactProjection, state: EventState, bookings: Mapping[UUID, Booking]
) -> Iterator[_Difference]:
    yield from _event_differences(projection, state.event)
    if state.event.last_ticket_number != projection.last_ticket_number:
        numbers = (state.event.last_ticket_number, projection.last_ticket_number)
        yield 7, "event", f"the last ticket number is {numbers[0]}, by its facts {numbers[1]}"
    for each in state.ticket_types:
        expected = _counters(projection.types.get(each.id, ProjectedType(0)))
        stored = (each.total_tickets, each.taken, each.waiting, each.waiting_tickets)
        if stored != expected:
            yield 1, "counters", f"ticket type {each.id} has the counters {stored}, its facts give {expected}"
    for type_id in projection.types.keys() - {each.id for each in state.ticket_types}:
        yield 7, "event", f"ticket type {type_id} is missing"
    for booking in projection.bookings.values():
        yield from _booking_differences(booking, bookings.get(booking.id))
    for booking_id, stored_booking in bookings.items():
        if stored_booking.event_id == projection.event_id and booking_id not in projection.bookings:
            yield 7, "booking", f"booking {booking_id} is stored without a fact"
    if projection.may_be_unsettled and not state.event.is_unsettled and projection.has_unserved_booking():
        yield 6, "idle", "at the end tickets are free and a waiting booking fits them"


def _event_differences(projection: FactProjection, event: Event) -> Iterator[_Difference]:
    if event.last_seq != projection.seq:
        yield 7, "facts", f"the event counts {event.last_seq} facts, {projection.seq} exist"
    expected = projection.event
    if event.status != expected.status:
        yield 7, "event", f"the event is {event.status}, by its facts {expected.status}"
    stored = (event.was_published, event.reschedules, event.max_overtakes, event.log)
    wanted = (expected.was_published, expected.reschedules, expected.bound, expected.log)
    if stored != wanted:
        yield 7, "event", f"was published, reschedules, bound for overtakes, log: {stored}, by its facts {wanted}"


def _booking_differences(booking: ProjectedBooking, kept: Booking | None) -> Iterator[_Difference]:
    if kept is None:
        yield 2, "lost", f"booking {booking.id} has facts and is not stored"
        return
    expected = (
        *(booking.customer_id, booking.ticket_type_id, booking.quantity, booking.status, booking.queue_number),
        *(str(booking.payment_status), booking.first_ticket_number, booking.is_suspended),
    )
    stored = (
        *(kept.customer_id, kept.ticket_type_id, kept.quantity, kept.status.value, kept.queue_number),
        *(kept.payment_status.value, kept.first_ticket_number, kept.is_suspended),
    )
    if expected != stored:
        yield 7, "booking", f"booking {booking.id} is stored as {_joined(stored)}, by its facts {_joined(expected)}"
    if booking.status == "confirmed" and kept.used != len(booking.used):
        yield 7, "booking", f"booking {booking.id} counts {kept.used} used tickets, by its facts {len(booking.used)}"


def _counters(ticket_type: ProjectedType) -> tuple[int, int, int, int]:
    return ticket_type.total, ticket_type.taken, ticket_type.waiting, ticket_type.waiting_tickets


def _joined(values: Sequence[object]) -> str:
    return " ".join(str(value) for value in values)

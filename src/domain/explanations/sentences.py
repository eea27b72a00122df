"""The sentences of explanations, which customers and staff read. They name nobody."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ..booking import WAITLISTED, Booking
from ..event import Event, EventStatus, WaitingListPolicy
from ..tickets.ticket_type import TicketType

_SENTENCES: Final[Mapping[str, str]] = {
    "confirmed-at-once": "Enough tickets were free when this booking of {tickets} was made: it got them at once.",
    "promoted": "This booking was on the waiting list and got its {tickets} when its turn came.",
    "granted": "The organizer gave {tickets} away with this booking; nothing has to be paid.",
    "held": "This booking of {tickets} is held until {until}, and is confirmed once it is paid.",
    "hold-lapsed": "This booking of {tickets} was not paid in time, so its hold has ended.",
    "cancelled-by-customer": "This booking of {tickets} was cancelled by its customer.",
    "cancelled-by-organizer": "This booking of {tickets} was cancelled by the organizer.",
}

_RULES: Final = {
    WaitingListPolicy.STRICT: "the waiting list is served strictly in its order",
    WaitingListPolicy.FILL: "whoever is first of those that the free tickets are enough for is served",
}


def sentence_of(code: str, booking: Booking, event: Event, ticket_type: TicketType, now: datetime) -> str:
    """Return the sentence for a booking that stands where this code says."""
    if booking.status is WAITLISTED:
        return _waiting_sentence(code, booking, event, ticket_type)
    tickets = counted(booking.quantity, "ticket")
    if code == "event-cancelled":
        if event.status is EventStatus.COMPLETED:
            return f"The event was completed while this booking of {tickets} was on the waiting list, so it has ended."
        return f"The event was cancelled, and this booking of {tickets} with it."
    until = event.local_time(booking.expires_at or now)
    return _SENTENCES[code].format(tickets=tickets, until=f"{until:%Y-%m-%d %H:%M} ({event.time_zone})")


def _waiting_sentence(code: str, booking: Booking, event: Event, ticket_type: TicketType) -> str:
    if code == "not-served-now":
        return _not_served_sentence(booking, event)
    wanted = counted(booking.quantity, "ticket")
    free = counted(ticket_type.available, "ticket").capitalize()
    free += " is free" if ticket_type.available == 1 else " are free"
    if code == "blocked-by-bigger-group":
        # While an event is unsettled, who fits is served with the next step.
        if event.is_unsettled or ticket_type.allows_overtaking(event):
            return f"{free}, enough for this booking of {wanted}; the waiting list is just being served."
        return f"{free}, enough for this booking of {wanted}, but the first one needs more and must not be overtaken."
    if code == "waiting-for-its-size":
        return f"{free}, but this booking needs {wanted} at once; it gets them as soon as enough are free."
    return f"{free}; {_ahead(booking)}, and {_RULES[event.waiting_list_policy]}."


def _not_served_sentence(booking: Booking, event: Event) -> str:
    if booking.is_suspended:
        return "This booking is passed over while its customer's account is disabled; it keeps its place."
    if event.status is EventStatus.PAUSED:
        return "The sale is paused, and the waiting list with it; this booking keeps its place until the sale goes on."
    if event.status.is_closed:
        return f"The event is {event.status.value}, and this booking is about to end with it."
    if event.awaits_draw:
        return "The order of the waiting list is still to be drawn, and nobody is served before."
    return "The event has begun, so the waiting list is not served any more."


def _ahead(booking: Booking) -> str:
    place = booking.place
    bookings, tickets = (0, 0) if place is None else (place.position - 1, place.tickets_ahead)
    stand = "stands" if bookings == 1 else "stand"
    return f"{counted(bookings, 'booking')} for {counted(tickets, 'ticket')} {stand} before this one"


def counted(number: int, what: str) -> str:
    """Return a number of things in words: `no tickets`, `1 ticket`, `2 tickets`."""
    return f"1 {what}" if number == 1 else f"{number or 'no'} {what}s"

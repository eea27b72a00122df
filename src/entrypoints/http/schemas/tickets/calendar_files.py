"""A booking as an entry for calendars (RFC 5545)."""

from datetime import datetime
from typing import Final

from icalendar import Calendar, Event

from .....application.ports.queries import BookingOfEvent
from .....domain.booking import BookingStatus
from .....domain.event import EventStatus

MEDIA_TYPE: Final = "text/calendar"

_STATUS: Final = {
    BookingStatus.WAITLISTED: "TENTATIVE",
    BookingStatus.HELD: "TENTATIVE",
    BookingStatus.CONFIRMED: "CONFIRMED",
    BookingStatus.CANCELLED: "CANCELLED",
    BookingStatus.EXPIRED: "CANCELLED",
}


def calendar_file(booked: BookingOfEvent, now: datetime) -> bytes | None:
    """Return a file with one entry, with times in UTC; None if the event has no start.

    The entry keeps its `UID`, and its `SEQUENCE` counts edits of the event, so a calendar that gets a newer file
    replaces the entry. It names the event and no customer.
    """
    event, booking = booked.event, booked.booking.as_of(now)
    if event.starts_at is None:
        return None
    entry = Event()
    entry.add("uid", f"{booking.id}@boxoffice")
    entry.add("dtstamp", now)
    entry.add("sequence", event.version)
    entry.add("dtstart", event.starts_at)
    if event.ends_at is not None:
        entry.add("dtend", event.ends_at)
    entry.add("summary", event.name)
    if event.venue:
        entry.add("location", event.venue)
    if event.description:
        entry.add("description", event.description)
    entry.add("status", "CANCELLED" if event.status is EventStatus.CANCELLED else _STATUS[booking.status])
    calendar = Calendar()
    calendar.add("prodid", "-//boxoffice//tickets//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(entry)
    file: bytes = calendar.to_ical()
    return file

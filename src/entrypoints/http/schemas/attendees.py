"""Attendees: the tickets of an event with their holders, as JSON and as CSV."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....application.bookings.attendees import Attendee, AttendeeExport, AttendeePage
from ....domain.tickets.ticket import TicketStatus
from .csv_files import Cell, csv_chunks
from .fields import NextCursor, TicketTypeId, Time, View


class AttendeeView(View, frozen=True, kw_only=True):
    """A ticket with its holder."""

    ticket_id: Annotated[UUID, Meta(description="The ticket's id.")]
    number: Annotated[
        int,
        Meta(description="The ticket's number: it counts up within the event and is never used again.", examples=[7]),
    ]
    holder_name: Annotated[
        str | None,
        Meta(description="The name of who has it, the ticket's own or the customer's; `null` once it is erased."),
    ]
    email: Annotated[
        str | UnsetType | None,
        Meta(description="The customer's e-mail address, or `null`; left out for those who check in at the door."),
    ] = UNSET
    ticket_type_id: TicketTypeId
    ticket_type_name: Annotated[str, Meta(description="The ticket type's name.", examples=["General admission"])]
    status: Annotated[
        TicketStatus, Meta(description="`valid`, `used` once its holder came in, or `void` once it is given back.")
    ]
    booking_id: Annotated[UUID, Meta(description="The booking.")]
    checked_in_at: Annotated[Time | None, Meta(description="When its holder was let in; `null` until then.")]

    @classmethod
    def at(cls, attendee: Attendee, *, shows_addresses: bool) -> "AttendeeView":
        """Return an attendee, with the address or without."""
        return cls.of(attendee, email=attendee.email if shows_addresses else UNSET)


class AttendeesView(View, frozen=True, kw_only=True):
    """A page of attendees."""

    items: Annotated[list[AttendeeView], Meta(description="The attendees of this page, by the numbers of the tickets.")]
    next_cursor: NextCursor

    @classmethod
    def at(cls, page: AttendeePage, next_cursor: str | None) -> "AttendeesView":
        """Return a page of attendees."""
        views = [AttendeeView.at(each, shows_addresses=page.shows_addresses) for each in page.attendees]
        return cls(items=views, next_cursor=next_cursor)


_COLUMNS: Final = ("number", "holderName", "email", "ticketType", "status", "bookingId", "checkedInAt")


def attendees_csv(export: AttendeeExport) -> AsyncIterator[bytes]:
    """Yield a CSV file of all attendees, with the column of addresses or without."""
    columns = [each for each in _COLUMNS if export.shows_addresses or each != "email"]

    def row(attendee: Attendee) -> Sequence[Cell]:
        return (
            attendee.number,
            attendee.holder_name,
            *([attendee.email] if export.shows_addresses else []),
            attendee.ticket_type_name,
            attendee.status.value,
            str(attendee.booking_id),
            _in_utc(attendee.checked_in_at),
        )

    return csv_chunks(columns, (map(row, part) async for part in export.parts))


def _in_utc(time: datetime | None) -> str | None:
    """Return a time as in JSON."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")

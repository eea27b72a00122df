"""Who comes to an event: its bookings and waiting list with customers, and its attendees, also as CSV."""

from typing import Annotated, Final
from uuid import UUID

from litestar import Router
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from ....application.bookings.attendees import ExportAttendees, ListAttendees
from ....application.bookings.queries import ListEventBookings, ReadWaitingList
from ....application.ports.system import Clock
from ....domain.values.fields import text
from ..etags import tagged
from ..paging import Cursor, Limit, check_parameters, id_cursors, number_cursors, search_text, waiting_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.attendees import AttendeesView, attendees_csv
from ..schemas.bookings import BookingPage
from ..schemas.csv_files import MEDIA_TYPE, csv_headers
from ..schemas.fields import NOT_BLANK
from .bookings import BookingFilter

_searched: Final = text(1, 254)


def router(
    list_event_bookings: ListEventBookings,
    read_waiting_list: ReadWaitingList,
    list_attendees: ListAttendees,
    export_attendees: ExportAttendees,
    clock: Clock,
) -> Router:
    """Return the routes of who comes."""
    attendees = Subject("Events")

    @attendees.get("/events/{event_id:str}/bookings", BookingPage, ("not-allowed",), ("If-None-Match",))
    async def handle_list_event_bookings(
        event_id: FromPath[str],
        request: SignedInRequest,
        status: BookingFilter = None,
        q: Annotated[
            str | None,
            QueryParameter(
                min_length=1,
                schema_extra={"max_length": 254, "pattern": NOT_BLANK},
                description="Text in the customer's name or e-mail address, case-insensitive, without wildcards; 1 to "
                "254 characters. A search may give fewer bookings than `limit`, or none, before the list ends.",
            ),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List all bookings of an event with their customers, newest first. For the desk and up."""
        check_parameters(request, "status", "q", "cursor", "limit")
        search = search_text(q, _searched)
        cursors = id_cursors("event bookings", event_id.lower(), status, search)
        before = cursors.read(cursor)
        page = await list_event_bookings(
            id_in_path(event_id), request.user.actor, status=status, q=search, before=before, limit=limit
        )
        return tagged(request, BookingPage.with_customers(page.items, cursors.write(page.next), clock.now()))

    @attendees.get("/events/{event_id:str}/waiting-list", BookingPage, ("not-allowed",), ("If-None-Match",))
    async def handle_read_waiting_list(
        event_id: FromPath[str],
        request: SignedInRequest,
        ticket_type_id: Annotated[
            UUID | None,
            QueryParameter(name="ticketTypeId", description="Only the waiting list of this ticket type."),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """Read an event's waiting list with customers, by ticket type and position. For the desk and up."""
        check_parameters(request, "ticketTypeId", "cursor", "limit")
        cursors = waiting_cursors("waiting list", event_id.lower(), ticket_type_id)
        page = await read_waiting_list(
            id_in_path(event_id),
            request.user.actor,
            ticket_type_id=ticket_type_id,
            after=cursors.read(cursor),
            limit=limit,
        )
        return tagged(request, BookingPage.with_customers(page.items, cursors.write(page.next), clock.now()))

    @attendees.get("/events/{event_id:str}/attendees", AttendeesView, ("not-allowed",), ("If-None-Match",))
    async def handle_list_attendees(
        event_id: FromPath[str], request: SignedInRequest, cursor: Cursor = None, limit: Limit = 50
    ) -> Reply:
        """List the tickets of an event with their holders, by number. For everyone who works for it.

        Void tickets stay in the list. Only the desk and up see addresses.
        """
        check_parameters(request, "cursor", "limit")
        cursors = number_cursors("attendees", event_id.lower())
        page = await list_attendees(
            id_in_path(event_id), request.user.actor, after=cursors.read(cursor) or 0, limit=limit
        )
        return tagged(request, AttendeesView.at(page, cursors.write(page.next)))

    @attendees.get("/events/{event_id:str}/attendees.csv", str, ("not-allowed",), media_types=(MEDIA_TYPE,))
    async def handle_export_attendees(event_id: FromPath[str], request: SignedInRequest) -> Stream:
        """Export the tickets of an event with their holders as CSV, by number. For everyone who works for it.

        The file is streamed. It has the tickets that exist when it begins, void ones too, and no addresses for those
        who only work at the door. A cell that a spreadsheet would calculate begins with `'`.
        """
        export = await export_attendees(id_in_path(event_id), request.user.actor)
        return Stream(attendees_csv(export), headers=csv_headers("attendees.csv"), media_type=MEDIA_TYPE)

    return attendees.router

"""The tickets of a booking: their codes, also as pictures, and the booking as an entry for calendars."""

import asyncio
from typing import Final

from litestar import Router
from litestar.params import FromPath, JSONBody

from ....application.ports.system import Clock
from ....application.tickets.list_tickets import ListTickets, ReadBookedEvent
from ....application.tickets.name_ticket import NameTicket, TicketChanges
from ....domain.refusals import NotFound
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.tickets import calendar_files, qr_codes
from ..schemas.tickets.bodies import TicketChangesRequest, TicketsView, TicketView

_ATTACHED: Final = {"Content-Disposition": 'attachment; filename="booking.ics"'}


def router(
    list_tickets: ListTickets, name_ticket: NameTicket, read_booked_event: ReadBookedEvent, clock: Clock
) -> Router:
    """Return the routes of tickets."""
    tickets = Subject("Tickets")

    @tickets.get("/bookings/{booking_id:str}/tickets", TicketsView, ("not-allowed",))
    async def handle_list_tickets(booking_id: FromPath[str], request: SignedInRequest) -> Reply:
        """List the tickets of a booking with their codes. For its customer, and for everyone who works for the event.

        Void tickets stay in the list. A booking that was never confirmed has none.
        """
        shown = await list_tickets(id_in_path(booking_id), request.user.actor)
        return Reply(TicketsView(items=[TicketView.of(each) for each in shown]))

    @tickets.patch(
        "/bookings/{booking_id:str}/tickets/{ticket_id:str}",
        TicketView,
        ("not-allowed", "event-started", "event-closed", "ticket-void"),
    )
    async def handle_change_ticket(
        booking_id: FromPath[str],
        ticket_id: FromPath[str],
        data: JSONBody[TicketChangesRequest],
        request: SignedInRequest,
    ) -> Reply:
        """Name the holder of a ticket, or give it a new code.

        For its customer until the start, and for the desk and up. The code stays the same for another name, so a copy
        of it is still good: with `reissue` it is void at the door.
        """
        changes = data.to(
            TicketChanges,
            booking_id=id_in_path(booking_id),
            ticket_id=id_in_path(ticket_id),
            actor=request.user.actor,
        )
        return Reply(TicketView.of(await name_ticket(changes)))

    @tickets.get(
        "/bookings/{booking_id:str}/tickets/{ticket_id:str}/qr.svg",
        str,
        ("not-allowed",),
        media_types=(qr_codes.MEDIA_TYPE,),
    )
    async def handle_read_ticket_qr(
        booking_id: FromPath[str], ticket_id: FromPath[str], request: SignedInRequest
    ) -> Reply:
        """Draw the code of a ticket as a QR code. For whom its tickets are listed."""
        shown = await list_tickets.one(id_in_path(booking_id), id_in_path(ticket_id), request.user.actor)
        # In a thread, because it takes as long as many other requests.
        picture = await asyncio.to_thread(qr_codes.qr_svg, shown.code)
        return Reply(picture, media_type=qr_codes.MEDIA_TYPE)

    @tickets.get(
        "/bookings/{booking_id:str}/calendar.ics", str, ("not-allowed",), media_types=(calendar_files.MEDIA_TYPE,)
    )
    async def handle_read_calendar(booking_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Read a booking as an entry for calendars (RFC 5545). For whom its tickets are listed.

        `not-found` too if the event has no start.
        """
        booked = await read_booked_event(id_in_path(booking_id), request.user.actor)
        file = calendar_files.calendar_file(booked, clock.now())
        if file is None:
            raise NotFound("The event has no start, so there is nothing for a calendar.")
        return Reply(file, headers=_ATTACHED, media_type=f"{calendar_files.MEDIA_TYPE}; charset=utf-8")

    return tickets.router

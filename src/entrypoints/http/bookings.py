"""Bookings: /book, /cancel, /bookings."""

from collections.abc import Iterator, Mapping
from typing import Final, cast
from uuid import UUID

from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.book_ticket import BookTicket
from ...application.cancel_booking import CancelBooking, Cancellation
from ...application.idempotency import Answer
from ...application.ports import Clock, Ids
from ...application.queries import ListBookings, ReadBooking
from ...domain.book import Book
from ...domain.booking import BOOK_RULES, Booking, BookingStatus
from ...domain.cancel import Cancel
from .body import Body
from .exchange import Request, Response
from .idempotency import answer_of, read_once, respond
from .operation import CURSOR, LIMIT, Operation, Parameter
from .paths import id_in_path
from .problems import FieldProblem, pointer
from .query import Listed, booking_cursors, limit, one_of, page_of, query
from .routing import get, post
from .views import BookingView, CancellationView

STATUS: Final = Parameter(
    "status", "Only bookings that stand so.", {"type": "string", "enum": [each.value for each in BookingStatus]}
)
BOOKING: Final = {
    "id": "019a0000-0000-7000-8000-000000000004",
    "eventId": "019a0000-0000-7000-8000-000000000002",
    "ticketTypeId": "019a0000-0000-7000-8000-000000000003",
    "customerId": "019a0000-0000-7000-8000-000000000001",
    "quantity": 2,
    "status": "confirmed",
    "amount": {"amount": 5000, "currency": "EUR"},
    "paymentStatus": "due",
    "position": None,
    "ticketsAhead": None,
    "expiresAt": None,
    "createdAt": "2027-01-01T12:00:00Z",
    "updatedAt": "2027-01-01T12:00:00Z",
}


class BookBody(Body, frozen=True, kw_only=True):
    """Which tickets, and how many. `ticketTypeId` may be left out where the event has one type."""

    rules = BOOK_RULES

    event_id: UUID
    quantity: int = 1
    ticket_type_id: UUID | UnsetType = UNSET


class CancelBody(Body, frozen=True, kw_only=True):
    """Which booking: its id, or the event in which the caller has just one that is live. Not both."""

    booking_id: UUID | UnsetType = UNSET
    event_id: UUID | UnsetType = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Exactly one of the two."""
        if "bookingId" in given and "eventId" in given:
            yield FieldProblem(pointer("eventId"), "must not stand beside bookingId")
        elif "bookingId" not in given and "eventId" not in given:
            yield FieldProblem(pointer("bookingId"), "is required, or eventId")


@post(
    "/book",
    Operation(
        "BookTicket",
        "Book tickets, or join the waiting list",
        tag="Bookings",
        signed_in=True,
        takes_key=True,
        body=BookBody,
        example={"eventId": BOOKING["eventId"], "quantity": 2},
        answer=BookingView,
        answer_example=BOOKING,
        status=201,
        has_location=True,
        problems=(
            "not-found",
            "not-on-sale",
            "event-started",
            "exceeds-capacity",
            "already-booked",
            "limit-exceeded",
        ),
    ),
)
async def book_ticket(
    request: Request[Caller],
    book_ticket: BookTicket,
    clock: Clock,
    ids: Ids,
) -> Response:
    """All tickets at once or a place in line for all of them: waiting is an outcome, no error."""
    asked = await read_once(request, BookBody)
    body, now = asked.body, clock.now()

    def answer(booking: Booking) -> Answer:
        view = BookingView.of(booking, now)
        return answer_of(view, booking.id, status=201, location=f"/bookings/{booking.id}")

    command = Book(
        booking_id=ids.new(),
        event_id=body.event_id,
        actor=request.caller.actor,
        quantity=body.quantity,
        ticket_type_id=None if body.ticket_type_id is UNSET else body.ticket_type_id,
    )
    return respond(answer(await book_ticket(command, asked.once(answer, body.event_id))))


@post(
    "/cancel",
    Operation(
        "CancelBooking",
        "Cancel a booking",
        tag="Bookings",
        signed_in=True,
        takes_key=True,
        body=CancelBody,
        example={"bookingId": BOOKING["id"]},
        answer=CancellationView,
        answer_example={"booking": {**BOOKING, "status": "cancelled", "paymentStatus": "none"}, "promotedCount": 1},
        problems=("not-found", "cancellation-closed", "already-cancelled"),
    ),
)
async def cancel_booking(
    request: Request[Caller],
    cancel_booking: CancelBooking,
    clock: Clock,
) -> Response:
    """Its tickets go to the waiting list in the same transaction."""
    asked = await read_once(request, CancelBody)
    body, actor, now = asked.body, request.caller.actor, clock.now()

    def answer(cancellation: Cancellation) -> Answer:
        return answer_of(CancellationView.of(cancellation, now), cancellation.booking.id)

    if isinstance(body.booking_id, UUID):
        once = asked.once(answer, body.booking_id)
        return respond(answer(await cancel_booking.by_id(body.booking_id, actor, once)))
    event_id = cast("UUID", body.event_id)  # One of the two is given, or there would have been a contradiction.
    once = asked.once(answer, event_id)
    return respond(answer(await cancel_booking(Cancel(event_id=event_id, actor=actor), once)))


@get(
    "/bookings",
    Operation(
        "ListBookings",
        "One's own bookings, newest first",
        tag="Bookings",
        signed_in=True,
        answer=Listed[BookingView],
        answer_example={"items": [BOOKING], "nextCursor": None},
        parameters=(STATUS, CURSOR, LIMIT),
        problems=("invalid-request",),
    ),
)
async def list_bookings(
    request: Request[Caller],
    list_bookings: ListBookings,
    clock: Clock,
) -> Listed[BookingView]:
    """One's own bookings, newest first."""
    actor = request.caller.actor
    asked = query(request, status=one_of(BookingStatus), limit=limit, cursor=str)
    cursors = booking_cursors("bookings", actor.user_id, asked.get("status"))
    page = await list_bookings(
        actor, status=asked.get("status"), before=cursors.read_from(asked), limit=asked.get("limit", 50)
    )
    now = clock.now()
    return page_of(page, lambda booking: BookingView.of(booking, now), cursors)


@get(
    "/bookings/{booking_id}",
    Operation(
        "ReadBooking",
        "See a booking",
        tag="Bookings",
        signed_in=True,
        answer=BookingView,
        answer_example=BOOKING,
        problems=("not-found",),
    ),
)
async def read_booking(
    request: Request[Caller],
    booking_id: str,
    read_booking: ReadBooking,
    clock: Clock,
) -> BookingView:
    """With today's place in line; for its customer, the organizer and admins."""
    return BookingView.of(await read_booking(id_in_path(booking_id), request.caller.actor), clock.now())

"""Bookings: /book, /cancel, /bookings and the payments below them."""

from typing import Annotated, Final, cast
from uuid import UUID

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter

from ....application.bookings.book_for_other import BookForOther, BookingForOther, Person
from ....application.bookings.book_ticket import BookTicket
from ....application.bookings.cancel_booking import CancelBooking, Cancellation
from ....application.bookings.explain_booking import ExplainBooking
from ....application.bookings.give_back_tickets import GiveBackTickets, TicketsToReturn
from ....application.bookings.pay_booking import Bill, PayBooking
from ....application.bookings.queries import ListBookings, ListPayments, ReadBooking
from ....application.pages import Page
from ....application.ports.system import Clock, Ids
from ....domain.booking import Booking, BookingStatus
from ....domain.decisions.book import Book, Complimentary
from ....domain.decisions.cancel import Cancel
from ....domain.payment import Payment
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import Cursor, Limit, check_parameters, id_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.bookings import (
    BookingPage,
    BookingView,
    BookRequest,
    CancellationView,
    CancelRequest,
    ComplimentaryRequest,
    PaymentPage,
    PaymentRequest,
    PaymentView,
    PersonRequest,
)
from ..schemas.fairness.explanations import ExplanationView

BookingFilter = Annotated[BookingStatus | None, QueryParameter(description="Only bookings with this status.")]

_BOOKING: Final = (
    *("not-allowed", "not-found", "not-on-sale", "event-started"),
    *("exceeds-capacity", "already-booked", "limit-exceeded", "sold-out"),
)
_CANCELLING: Final = (
    *("not-allowed", "not-found", "cancellation-closed", "already-cancelled"),
    *("payment-under-way", "exceeds-booking", "ticket-used", "try-again"),
)
_PAYING: Final = (
    *("not-allowed", "hold-expired", "payment-not-due"),
    *("payment-declined", "payment-action-required", "payment-under-way", "payment-unknown"),
)


def router(
    book_ticket: BookTicket,
    book_for_other: BookForOther,
    cancel_booking: CancelBooking,
    give_back_tickets: GiveBackTickets,
    list_bookings: ListBookings,
    read_booking: ReadBooking,
    pay_booking: PayBooking,
    list_payments: ListPayments,
    explain_booking: ExplainBooking,
    clock: Clock,
    ids: Ids,
) -> Router:
    """Return the routes of bookings."""
    bookings = Subject("Bookings")

    @bookings.post("/book", BookingView, _BOOKING, ("Idempotency-Key",), status=201)
    async def handle_book_ticket(data: JSONBody[BookRequest], request: SignedInRequest) -> Reply:
        """Book tickets, or join the waiting list. Either is for all of them; waiting is an outcome, not an error.

        With `onlyIfAvailable`, or if the event's `waitingList` is `off`, there is no waiting: `sold-out`. With
        `onBehalfOf`, the desk, managers, the organizer and admins book for another person, whose limits apply. With
        `complimentary`, managers, the organizer and admins give that person tickets while some are free, also past
        those who wait. The event's facts have the reason, and how many were passed over.
        """
        now = clock.now()

        def respond(booking: Booking) -> RepeatableResponse:
            view = BookingView.at(booking, now)
            return response_of(view, booking.id, status=201, location=f"/bookings/{booking.id}")

        actor, idempotent = request.user.actor, await idempotent_request(request, respond, data.event_id)
        if isinstance(data.on_behalf_of, PersonRequest):
            person = data.on_behalf_of.to(Person)
            given = data.complimentary
            reason = given.to(Complimentary) if isinstance(given, ComplimentaryRequest) else None
            wanted = data.to(BookingForOther, booking_id=ids.new(), actor=actor, person=person, complimentary=reason)
            return reply_of(respond(await book_for_other(wanted, idempotent)))
        command = Book(
            booking_id=ids.new(),
            event_id=data.event_id,
            actor=actor,
            quantity=data.quantity,
            ticket_type_id=data.ticket_type_id or None,
            only_if_available=data.only_if_available,
        )
        return reply_of(respond(await book_ticket(command, idempotent)))

    @bookings.post(
        "/cancel",
        CancellationView,
        _CANCELLING,
        ("Idempotency-Key",),
    )
    async def handle_cancel_booking(data: JSONBody[CancelRequest], request: SignedInRequest) -> Reply:
        """Cancel a booking, or give `quantity` of its tickets back.

        The tickets go to the waiting list in the same transaction. A waiting booking keeps its place, and a hold its
        end. What was paid for the tickets is refunded, less the fee. The desk and up cancel the bookings of others by
        the organizer's rules.
        """
        actor, now = request.user.actor, clock.now()

        def respond(cancellation: Cancellation) -> RepeatableResponse:
            return response_of(CancellationView.at(cancellation, now), cancellation.booking.id)

        if isinstance(data.booking_id, UUID):
            idempotent = await idempotent_request(request, respond, data.booking_id)
            if isinstance(data.quantity, int):
                part = data.to(TicketsToReturn)
                return reply_of(respond(await give_back_tickets(part, actor, idempotent)))
            return reply_of(respond(await cancel_booking.by_id(data.booking_id, actor, idempotent)))
        event_id = cast("UUID", data.event_id)  # Decoding has checked that one of the two is given.
        idempotent = await idempotent_request(request, respond, event_id)
        return reply_of(respond(await cancel_booking(Cancel(event_id=event_id, actor=actor), idempotent)))

    @bookings.get("/bookings", BookingPage, ("not-allowed",))
    async def handle_list_bookings(
        request: SignedInRequest, status: BookingFilter = None, cursor: Cursor = None, limit: Limit = 50
    ) -> Reply:
        """List your bookings, newest first. Waiting bookings have their current place in the waiting list."""
        check_parameters(request, "status", "cursor", "limit")
        actor, now = request.user.actor, clock.now()
        cursors = id_cursors("bookings", actor.user_id, status)
        page = await list_bookings(actor, status=status, before=cursors.read(cursor), limit=limit)
        return Reply(BookingPage.at(page.items, cursors.write(page.next), now))

    @bookings.get("/bookings/{booking_id:str}", BookingView, ("not-allowed",))
    async def handle_read_booking(booking_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Read a booking with its current place in the waiting list. For its customer, the desk and up."""
        shown = await read_booking(id_in_path(booking_id), request.user.actor)
        return Reply(BookingView.with_customer(shown, clock.now()))

    @bookings.get("/bookings/{booking_id:str}/explanation", ExplanationView, ("not-allowed",))
    async def handle_explain_booking(booking_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Explain why a booking stands where it stands, in a word, in a sentence and in numbers.

        `since` counts what happened while it waited, from the facts of its event. The chance follows from the tickets
        that have come back so far; who stands further back never has a higher one. For its customer, the desk and up.
        """
        explanation = await explain_booking(id_in_path(booking_id), request.user.actor)
        return Reply(ExplanationView.explaining(explanation))

    @bookings.post("/bookings/{booking_id:str}/payment", BookingView, _PAYING, ("Idempotency-Key",))
    async def handle_pay_booking(
        booking_id: FromPath[str], data: JSONBody[PaymentRequest], request: SignedInRequest
    ) -> Reply:
        """Pay for a booking once. Customers pay by card; the desk and up record cash.

        A bank may ask for its customer first (`payment-action-required`): send the payment again afterwards.
        """
        now = clock.now()

        def respond(booking: Booking) -> RepeatableResponse:
            return response_of(BookingView.at(booking, now), booking.id)

        bill = data.to(Bill, booking_id=id_in_path(booking_id), actor=request.user.actor)
        return reply_of(respond(await pay_booking(bill, await idempotent_request(request, respond, bill.booking_id))))

    @bookings.get("/bookings/{booking_id:str}/payments", PaymentPage, ("not-allowed",))
    async def handle_list_payments(
        booking_id: FromPath[str], request: SignedInRequest, cursor: Cursor = None, limit: Limit = 50
    ) -> Reply:
        """List a booking's charges and refunds, oldest first.

        Failed attempts are included. For its customer, the desk and up.
        """
        check_parameters(request, "cursor", "limit")
        cursors = id_cursors("payments", booking_id.lower())
        after = cursors.read(cursor)
        page = _page(await list_payments(id_in_path(booking_id), request.user.actor), after, limit)
        views = [PaymentView.of(payment) for payment in page.items]
        return Reply(PaymentPage(items=views, next_cursor=cursors.write(page.next)))

    return bookings.router


def _page(payments: list[Payment], after: UUID | None, limit: int) -> Page[Payment, UUID]:
    """Return one page of a booking's payments, which are few and therefore read together."""
    ids = [payment.id for payment in payments]
    first = 0 if after is None else ids.index(after) + 1 if after in ids else len(ids)
    last = first + limit
    return Page(payments[first:last], ids[last - 1] if last < len(ids) else None)

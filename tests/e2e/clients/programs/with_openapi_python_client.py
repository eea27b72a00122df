"""Book with the client that openapi-python-client creates beside this file."""

import sys
from uuid import UUID

from boxoffice_client import AuthenticatedClient, Client
from boxoffice_client.api.accounts import create_user, log_in
from boxoffice_client.api.bookings import book_ticket, cancel_booking, list_bookings
from boxoffice_client.api.events import initialize_event, read_changes, read_status
from boxoffice_client.models import (
    BookingPage,
    BookingStatus,
    BookingView,
    BookRequest,
    CancellationView,
    CancelRequest,
    ChangesView,
    CredentialsRequest,
    EventView,
    InitializeRequest,
    Price,
    Problem,
    ProblemCode,
    RegistrationRequest,
    StatusView,
    TokenView,
    UserView,
)

URL = sys.argv[1]
PASSWORD = "correct horse battery"


def signed_in(name: str) -> AuthenticatedClient:
    """Return a client for a new account."""
    client = Client(base_url=URL)
    email = f"{name.lower()}.python@example.org"
    user = create_user.sync(client=client, body=RegistrationRequest(name=name, email=email, password=PASSWORD))
    assert isinstance(user, UserView), user
    assert user.created_at.utcoffset() is not None
    tokens = log_in.sync(client=client, body=CredentialsRequest(email=email, password=PASSWORD))
    assert isinstance(tokens, TokenView), tokens
    return AuthenticatedClient(base_url=URL, token=tokens.access_token)


def booked(client: AuthenticatedClient, event_id: UUID, quantity: int) -> BookingView:
    """Return a new booking."""
    body = BookRequest(event_id=event_id, quantity=quantity)
    booking = book_ticket.sync(client=client, body=body, idempotency_key=f"book-{quantity}")
    assert isinstance(booking, BookingView), booking
    return booking


organizer, group, waiting = signed_in("Olga"), signed_in("Greta"), signed_in("Walt")
event = initialize_event.sync(
    client=organizer,
    body=InitializeRequest(name="Jazz night", total_tickets=4, price=Price(amount=2_500, currency="EUR")),
)
assert isinstance(event, EventView), event
first = booked(group, event.id, 3)
assert first.status is BookingStatus.CONFIRMED
assert first.amount.amount == 7_500
second = booked(waiting, event.id, 2)
assert (second.status, second.position, second.tickets_ahead) == (BookingStatus.WAITLISTED, 1, 0)

problem = book_ticket.sync(client=waiting, body=BookRequest(event_id=event.id))
assert isinstance(problem, Problem), problem
assert (problem.status, problem.code, problem.booking_id) == (409, ProblemCode.ALREADY_BOOKED, second.id)
refused = book_ticket.sync(client=waiting, body=BookRequest(event_id=event.id, quantity=0))
assert isinstance(refused, Problem), refused
assert isinstance(refused.errors, list), refused
assert [error.pointer for error in refused.errors] == ["/quantity"]

cancelled = cancel_booking.sync(client=group, body=CancelRequest(booking_id=first.id))
assert isinstance(cancelled, CancellationView), cancelled
assert (cancelled.booking.status, cancelled.promoted_count) == (BookingStatus.CANCELLED, 1)
page = list_bookings.sync(client=waiting, status=BookingStatus.CONFIRMED, limit=10)
assert isinstance(page, BookingPage), page
assert ([booking.id for booking in page.items], page.next_cursor) == ([second.id], None)
status = read_status.sync(event.id, client=Client(base_url=URL))
assert isinstance(status, StatusView), status
assert (status.available_tickets, status.is_sold_out) == (2, False)
changes = read_changes.sync(event.id, client=organizer, after=1)
assert isinstance(changes, ChangesView), changes
assert [fact.kind for fact in changes.items][:2] == ["TicketsBooked", "CustomerWaitlisted"]

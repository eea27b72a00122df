"""Book with the Python client that OpenAPI Generator creates beside this file."""

import sys
from uuid import UUID

from boxoffice_client import (
    AccountsApi,
    ApiClient,
    BookingsApi,
    BookingStatus,
    BookingView,
    BookRequest,
    CancelRequest,
    Configuration,
    CredentialsRequest,
    EventsApi,
    InitializeRequest,
    Price,
    Problem,
    ProblemCode,
    RegistrationRequest,
)
from boxoffice_client.exceptions import BadRequestException, ConflictException

URL = sys.argv[1]
PASSWORD = "correct horse battery"


def signed_in(name: str) -> ApiClient:
    """Return a client for a new account."""
    accounts = AccountsApi(ApiClient(Configuration(host=URL)))
    email = f"{name.lower()}.generator@example.org"
    user = accounts.create_user(RegistrationRequest(name=name, email=email, password=PASSWORD))
    assert user.created_at.utcoffset() is not None
    tokens = accounts.log_in(CredentialsRequest(email=email, password=PASSWORD))
    return ApiClient(Configuration(host=URL, access_token=tokens.access_token))


def booked(client: ApiClient, event_id: UUID, quantity: int) -> BookingView:
    """Return a new booking."""
    body = BookRequest(event_id=event_id, quantity=quantity)
    return BookingsApi(client).book_ticket(body, idempotency_key=f"book-{quantity}")


organizer, group, waiting = signed_in("Olga"), signed_in("Greta"), signed_in("Walt")
event = EventsApi(organizer).initialize_event(
    InitializeRequest(name="Jazz night", total_tickets=4, price=Price(amount=2_500, currency="EUR"))
)
first = booked(group, event.id, 3)
assert first.status is BookingStatus.CONFIRMED
assert first.amount.amount == 7_500
second = booked(waiting, event.id, 2)
assert (second.status, second.position, second.tickets_ahead) == (BookingStatus.WAITLISTED, 1, 0)

try:
    BookingsApi(waiting).book_ticket(BookRequest(event_id=event.id))
except ConflictException as error:
    assert isinstance(error.data, Problem), error
    assert (error.data.status, error.data.code) == (409, ProblemCode.ALREADY_MINUS_BOOKED)
    assert error.data.booking_id == second.id
else:
    raise AssertionError("booked twice")
try:
    BookingsApi(waiting).book_ticket(BookRequest.model_construct(event_id=event.id, quantity=0))
except BadRequestException as error:
    assert isinstance(error.data, Problem), error
    assert [each.pointer for each in error.data.errors or ()] == ["/quantity"]
else:
    raise AssertionError("booked nothing")

cancelled = BookingsApi(group).cancel_booking(CancelRequest(booking_id=first.id))
assert (cancelled.booking.status, cancelled.promoted_count) == (BookingStatus.CANCELLED, 1)
page = BookingsApi(waiting).list_bookings(status=BookingStatus.CONFIRMED, limit=10)
assert ([booking.id for booking in page.items], page.next_cursor) == ([second.id], None)
status = EventsApi(ApiClient(Configuration(host=URL))).read_status(event.id)
assert (status.available_tickets, status.is_sold_out) == (2, False)
changes = EventsApi(organizer).read_changes(event.id, after=1)
assert [fact.kind for fact in changes.items][:2] == ["TicketsBooked", "CustomerWaitlisted"]

"""Bodies of bookings and payments."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....application.bookings.cancel_booking import Cancellation
from ....application.bookings.queries import CustomersBooking
from ....application.ports.queries import Customer
from ....domain.booking import Booking, BookingStatus, PaymentStatus
from ....domain.decisions.book import COMPLIMENTARY_RULES
from ....domain.payment import ChargeStatus, PaymentKind, PaymentMethod
from ....domain.user import PERSON_RULES
from ....domain.values.fields import Rules
from ....domain.values.money import Money
from ..decoding import RequestBody
from ..problems.problem import FieldProblem, pointer
from .fields import NO_SPACE, CardToken, CreatedAt, Email, EventId, Name, NextCursor, Note, TicketTypeId, Time, View


class PersonRequest(RequestBody, frozen=True, kw_only=True):
    """A person, whose account is known by the address."""

    rules: ClassVar[Rules] = PERSON_RULES

    name: Annotated[
        Name, Meta(description="The name of a new account; one that exists keeps its own.", examples=["Ada"])
    ]
    email: Annotated[Email, Meta(description="The person's address.", examples=["ada@example.org"])]


class ComplimentaryRequest(RequestBody, frozen=True, kw_only=True):
    """Why tickets are given away."""

    rules: ClassVar[Rules] = COMPLIMENTARY_RULES

    reason: Annotated[
        Note, Meta(description="Why, for the event's facts, which others read.", examples=["A guest of the band"])
    ]


class BookRequest(RequestBody, frozen=True, kw_only=True):
    """Tickets of one type to book."""

    event_id: EventId
    quantity: Annotated[int, Meta(ge=1, le=1_000, description="The number of tickets, by default 1.", examples=[2])] = 1
    ticket_type_id: Annotated[UUID | UnsetType, Meta(description="The ticket type; required if there are several.")] = (
        UNSET
    )
    only_if_available: Annotated[
        bool, Meta(description="Whether to be refused (`sold-out`) instead of joining the waiting list.")
    ] = False
    on_behalf_of: Annotated[
        PersonRequest | UnsetType,
        Meta(description="The person to book for, as the event's desk or above; an account is made if there is none."),
    ] = UNSET
    complimentary: Annotated[
        ComplimentaryRequest | UnsetType,
        Meta(
            description="Give the tickets to this person, past those who wait, as one of the event's managers or above."
        ),
    ] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Require a person to whom tickets are given."""
        if "complimentary" in given and "onBehalfOf" not in given:
            yield FieldProblem(pointer("onBehalfOf"), "is required with complimentary")


TicketIds = Annotated[list[UUID], Meta(min_length=1, max_length=1_000)]


class CancelRequest(RequestBody, frozen=True, kw_only=True):
    """A booking to cancel: either its id, or the event in which you have exactly one live booking.

    With `quantity` only so many of its tickets are given back.
    """

    booking_id: Annotated[UUID | UnsetType, Meta(description="The booking's id.")] = UNSET
    event_id: Annotated[UUID | UnsetType, Meta(description="The event of your only live booking there.")] = UNSET
    quantity: Annotated[
        Annotated[int, Meta(ge=1, le=1_000)] | UnsetType,
        Meta(description="How many tickets to give back, fewer than the booking has; left out: all.", examples=[1]),
    ] = UNSET
    ticket_ids: Annotated[
        TicketIds | UnsetType,
        # The reference has nothing of the bounds within a union.
        Meta(
            description="Which tickets of a confirmed booking, as many as `quantity`; left out: the highest numbers.",
            extra_json_schema={"minItems": 1, "maxItems": 1_000},
        ),
    ] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Require exactly one of the two, and what belongs to a part of a booking."""
        if "quantity" in given and "bookingId" not in given:
            yield FieldProblem(pointer("quantity"), "must be combined with bookingId")
        tickets, quantity = given.get("ticketIds"), given.get("quantity")
        if "ticketIds" in given and "quantity" not in given:
            yield FieldProblem(pointer("quantity"), "is required with ticketIds")
        elif isinstance(tickets, list) and isinstance(quantity, int) and tickets:
            if len(tickets) != quantity:
                yield FieldProblem(pointer("ticketIds"), "must be as many as quantity says")
            elif len({str(each).lower() for each in tickets}) < len(tickets):
                yield FieldProblem(pointer("ticketIds"), "must be distinct")
        if "bookingId" in given and "eventId" in given:
            yield FieldProblem(pointer("eventId"), "must not be combined with bookingId")
        elif "bookingId" not in given and "eventId" not in given:
            yield FieldProblem(pointer("bookingId"), "is required unless eventId is given")


def _token(value: str) -> str:
    """Check a provider's card token. Raises: ValueError."""
    if len(value) > 255 or not re.fullmatch(NO_SPACE, value):
        raise ValueError("must be 1 to 255 characters without spaces and control characters")
    return value


class PaymentRequest(RequestBody, frozen=True, kw_only=True):
    """How a booking is paid: a card with its `token`, or cash without one."""

    rules: ClassVar[Rules] = {"token": _token}

    method: Annotated[PaymentMethod, Meta(description="`card` by the customer, `cash` by the organizer or an admin.")]
    token: Annotated[CardToken | UnsetType, Meta(description="The provider's card token.", examples=["tok_ok"])] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Require a token for a card, and none for cash."""
        if given.get("method") == PaymentMethod.CARD and "token" not in given:
            yield FieldProblem(pointer("token"), "is required to pay by card")
        elif given.get("method") == PaymentMethod.CASH and "token" in given:
            yield FieldProblem(pointer("token"), "must not be combined with cash")


class CustomerView(View, frozen=True, kw_only=True):
    """Who booked."""

    id: Annotated[UUID, Meta(description="The account.")]
    name: Annotated[str, Meta(description="The customer's name.", examples=["Ada Lovelace"])]
    email: Annotated[
        str | None,
        Meta(
            description="The e-mail address; `null` once another account has verified it.", examples=["ada@example.org"]
        ),
    ]


class BookingView(View, frozen=True, kw_only=True):
    """A booking: one customer's claim on tickets of one type."""

    id: Annotated[UUID, Meta(description="The booking's id.")]
    event_id: EventId
    ticket_type_id: TicketTypeId
    customer_id: Annotated[UUID, Meta(description="The account that booked.")]
    customer: Annotated[
        CustomerView | UnsetType | None,
        Meta(description="Who booked, for the desk and up; `null` once the account is erased. Left out of one's own."),
    ] = UNSET
    quantity: Annotated[int, Meta(description="The number of tickets.", examples=[2])]
    status: Annotated[BookingStatus, Meta(description="The booking's status.")]
    amount: Annotated[
        Money,
        Meta(description="The price at the time of booking, or of promotion if lower, times the quantity."),
    ]
    payment_status: Annotated[PaymentStatus, Meta(description="The status of its payment.")]
    position: Annotated[
        int | None,
        Meta(
            description="Its place in the waiting list, from 1; `null` unless it waits, and while its customer's "
            "account is disabled."
        ),
    ]
    tickets_ahead: Annotated[
        int | None, Meta(description="Tickets requested by the bookings before it; `null` where `position` is.")
    ]
    expires_at: Annotated[
        Time | None, Meta(description="When the hold expires unless it is paid; `null` unless it is held.")
    ]
    created_at: CreatedAt
    updated_at: Annotated[Time, Meta(description="When it last changed.")]

    @classmethod
    def at(cls, booking: Booking, now: datetime, customer: Customer | UnsetType | None = UNSET) -> "BookingView":
        """Return a booking as of `now`, with its place if it waits."""
        booking = booking.as_of(now)
        place = booking.place
        return cls.of(
            booking,
            customer=CustomerView.of(customer) if customer else customer,
            position=place and place.position,
            tickets_ahead=place and place.tickets_ahead,
        )

    @classmethod
    def with_customer(cls, shown: CustomersBooking, now: datetime) -> "BookingView":
        """Return a booking as of `now` with its customer."""
        return cls.at(shown.booking, now, shown.customer)


class BookingPage(View, frozen=True, kw_only=True):
    """A page of bookings."""

    items: Annotated[list[BookingView], Meta(description="The bookings of this page, in the list's order.")]
    next_cursor: NextCursor

    @classmethod
    def at(cls, bookings: Iterable[Booking], next_cursor: str | None, now: datetime) -> "BookingPage":
        """Return a page of bookings as of `now`."""
        return cls(items=[BookingView.at(booking, now) for booking in bookings], next_cursor=next_cursor)

    @classmethod
    def with_customers(cls, shown: Iterable[CustomersBooking], next_cursor: str | None, now: datetime) -> "BookingPage":
        """Return a page of bookings as of `now` with their customers."""
        return cls(items=[BookingView.with_customer(each, now) for each in shown], next_cursor=next_cursor)


class CancellationView(View, frozen=True, kw_only=True):
    """The cancelled or smaller booking, and the number of waiting bookings that got its tickets."""

    booking: Annotated[BookingView, Meta(description="The booking that was cancelled, or with what is left of it.")]
    promoted_count: Annotated[
        int, Meta(description="The number of waiting bookings that got its tickets.", examples=[1])
    ]
    refund: Annotated[Money | None, Meta(description="What is refunded, less the fee; `null`: nothing.")]

    @classmethod
    def at(cls, cancellation: Cancellation, now: datetime) -> "CancellationView":
        """Return the outcome of a cancellation."""
        return cls.of(cancellation, booking=BookingView.at(cancellation.booking, now))


class PaymentView(View, frozen=True, kw_only=True):
    """A charge or a refund."""

    id: Annotated[UUID, Meta(description="The payment's id.")]
    kind: Annotated[PaymentKind, Meta(description="Charge or refund.")]
    status: Annotated[ChargeStatus, Meta(description="Whether the money was moved.")]
    method: Annotated[PaymentMethod, Meta(description="The means of payment.")]
    amount: Annotated[Money, Meta(description="The amount.")]
    created_at: CreatedAt
    settled_at: Annotated[Time | None, Meta(description="When its outcome became known; `null` until then.")]


class PaymentPage(View, frozen=True, kw_only=True):
    """A page of a booking's payments."""

    items: Annotated[list[PaymentView], Meta(description="The payments of this page, oldest first.")]
    next_cursor: NextCursor

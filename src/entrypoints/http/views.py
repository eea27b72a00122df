"""What is answered: msgspec structs in camelCase, each made `of` what the domain knows."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from ...application.cancel_booking import Cancellation
from ...application.log_in import SignedIn
from ...domain.booking import Booking, BookingStatus, PaymentStatus
from ...domain.event import EventState, EventStatus, TicketType, WaitingListPolicy
from ...domain.facts import Fact
from ...domain.money import Money
from ...domain.payment import Payment, PaymentKind, PaymentMethod, PaymentState
from ...domain.user import Role, User

_SCHEME: Final = "Bearer"


class View(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that is answered."""


class UserView(View, frozen=True, kw_only=True):
    """An account."""

    id: UUID
    name: str
    email: str
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserView":
        """An account without its secrets."""
        return cls(id=user.id, name=user.name, email=user.email, role=user.role, created_at=user.created_at)


class TokenView(View, frozen=True, kw_only=True):
    """An access token and the seconds it is good for; the refresh token gets the next one, once."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int

    @classmethod
    def of(cls, signed_in: SignedIn) -> "TokenView":
        """A bearer token (RFC 6750) with its refresh token (RFC 6749, 1.5)."""
        return cls(
            access_token=signed_in.access.text,
            refresh_token=signed_in.refresh_token,
            token_type=_SCHEME,
            expires_in=signed_in.access.expires_in,
        )


class TicketTypeView(View, frozen=True, kw_only=True):
    """A kind of ticket; `availableTickets` are those not taken, `waitingListCount` counts bookings."""

    id: UUID
    name: str
    price: Money | None
    total_tickets: int
    available_tickets: int
    waiting_list_count: int

    @classmethod
    def of(cls, ticket_type: TicketType) -> "TicketTypeView":
        """A ticket type with its counters."""
        return cls(
            id=ticket_type.id,
            name=ticket_type.name,
            price=ticket_type.price,
            total_tickets=ticket_type.total_tickets,
            available_tickets=ticket_type.available,
            waiting_list_count=ticket_type.waiting,
        )


class EventView(View, frozen=True, kw_only=True):
    """An event. With several ticket types `price` is null and `totalTickets` the sum; `version` counts edits."""

    id: UUID
    organizer_id: UUID
    name: str
    description: str
    venue: str
    starts_at: datetime | None
    ends_at: datetime | None
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    max_tickets_per_customer: int
    payment_window_minutes: int | None
    cancellation_deadline_hours: int
    waiting_list_policy: WaitingListPolicy
    status: EventStatus
    price: Money | None
    total_tickets: int
    available_tickets: int
    waiting_list_count: int
    is_sold_out: bool
    ticket_types: list[TicketTypeView]
    version: int
    created_at: datetime

    @classmethod
    def of(cls, state: EventState, now: datetime) -> "EventView":
        """An event with the sums of its ticket types; whether it is sold out depends on the time as well."""
        event, ticket_types = state.event, state.ticket_types
        return cls(
            id=event.id,
            organizer_id=event.organizer_id,
            name=event.name,
            description=event.description,
            venue=event.venue,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            sales_open_at=event.sales_open_at,
            sales_close_at=event.sales_close_at,
            max_tickets_per_customer=event.max_tickets_per_customer,
            payment_window_minutes=event.payment_window_minutes,
            cancellation_deadline_hours=event.cancellation_deadline_hours,
            waiting_list_policy=event.waiting_list_policy,
            status=event.status,
            price=ticket_types[0].price if len(ticket_types) == 1 else None,
            total_tickets=sum(each.total_tickets for each in ticket_types),
            available_tickets=sum(each.available for each in ticket_types),
            waiting_list_count=sum(each.waiting for each in ticket_types),
            is_sold_out=state.is_sold_out(now),
            ticket_types=[TicketTypeView.of(each) for each in ticket_types],
            version=event.version,
            created_at=event.created_at,
        )


class StatusView(View, frozen=True, kw_only=True):
    """How many tickets of an event are left, as committed."""

    event_id: UUID
    name: str
    status: EventStatus
    total_tickets: int
    available_tickets: int
    waiting_list_count: int
    is_sold_out: bool
    ticket_types: list[TicketTypeView]

    @classmethod
    def of(cls, state: EventState, now: datetime) -> "StatusView":
        """The counters of an event and of its ticket types."""
        return cls(
            event_id=state.event.id,
            name=state.event.name,
            status=state.event.status,
            total_tickets=sum(each.total_tickets for each in state.ticket_types),
            available_tickets=sum(each.available for each in state.ticket_types),
            waiting_list_count=sum(each.waiting for each in state.ticket_types),
            is_sold_out=state.is_sold_out(now),
            ticket_types=[TicketTypeView.of(each) for each in state.ticket_types],
        )


class BookingView(View, frozen=True, kw_only=True):
    """A booking. `position` counts the bookings in line from 1, `ticketsAhead` the tickets they ask for."""

    id: UUID
    event_id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    status: BookingStatus
    amount: Money
    payment_status: PaymentStatus
    position: int | None
    tickets_ahead: int | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, booking: Booking, now: datetime) -> "BookingView":
        """A booking as it counts now, with its place in line, if it has one."""
        booking = booking.as_of(now)
        place = booking.place
        return cls(
            id=booking.id,
            event_id=booking.event_id,
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            status=booking.status,
            amount=booking.amount,
            payment_status=booking.payment_status,
            position=place.position if place else None,
            tickets_ahead=place.tickets_ahead if place else None,
            expires_at=booking.expires_at,
            created_at=booking.created_at,
            updated_at=booking.updated_at,
        )


class CancellationView(View, frozen=True, kw_only=True):
    """The cancelled booking and how many bookings its tickets promoted."""

    booking: BookingView
    promoted_count: int

    @classmethod
    def of(cls, cancellation: Cancellation, now: datetime) -> "CancellationView":
        """What a cancellation led to."""
        return cls(booking=BookingView.of(cancellation.booking, now), promoted_count=cancellation.promoted_count)


class PaymentView(View, frozen=True, kw_only=True):
    """A charge or a refund; `settledAt` is when the money had gone, or it was clear that it does not."""

    id: UUID
    kind: PaymentKind
    status: PaymentState
    method: PaymentMethod
    amount: Money
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, payment: Payment) -> "PaymentView":
        """A payment without what only the service needs of it."""
        return cls(
            id=payment.id,
            kind=payment.kind,
            status=payment.status,
            method=payment.method,
            amount=payment.amount,
            created_at=payment.created_at,
            settled_at=payment.settled_at,
        )


class FactView(View, frozen=True, kw_only=True):
    """What happened to an event; `data` depends on the kind."""

    seq: int
    kind: str
    booking_id: UUID | None
    occurred_at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, fact: Fact) -> "FactView":
        """A fact with all that it changed."""
        return cls(
            seq=fact.seq,
            kind=fact.kind,
            booking_id=fact.booking_id,
            occurred_at=fact.occurred_at,
            data=fact.what.all_said,
        )


class ChangesView(View, frozen=True, kw_only=True):
    """Facts in order. Ask again with `after=lastSeq`; no items: nothing new."""

    items: list[FactView]
    last_seq: int

    @classmethod
    def of(cls, facts: list[Fact], after: int) -> "ChangesView":
        """Facts, and where to go on."""
        return cls(items=[FactView.of(fact) for fact in facts], last_seq=facts[-1].seq if facts else after)

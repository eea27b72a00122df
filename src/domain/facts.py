"""Facts: what happened, in the past tense, numbered without gaps per event under the event's lock.

Replaying an event's facts gives its bookings and counters (promise 7), so each fact carries all that it changed.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import fields

from .booking import BookingStatus, PaymentStatus
from .money import Money
from .payment import PaymentMethod


class Happening(
    Struct, frozen=True, gc=False, kw_only=True, rename="camel", tag_field="kind", tag=True, omit_defaults=True
):
    """What a fact says. The kind is the class's name.

    What has its default is not written down, so that a default is for ever.
    """

    @property
    def all_said(self) -> dict[str, Any]:
        """All of it, defaults too, by the names under which it is told."""
        return {field.encode_name: getattr(self, field.name) for field in fields(self)}


class EventInitialized(Happening, frozen=True, kw_only=True):
    """The event came to be, with these ticket types and values."""

    organizer_id: UUID
    currency: str
    values: dict[str, Any]
    ticket_types: list["TicketTypeAdded"]


class EventChanged(Happening, frozen=True, kw_only=True):
    """These values of the event are new; its status is one of them."""

    version: int
    changes: dict[str, Any]


class TicketTypeAdded(Happening, frozen=True, kw_only=True):
    """The event has one more kind of ticket."""

    ticket_type_id: UUID
    name: str
    total_tickets: int
    price: Money | None


class TicketTypeChanged(Happening, frozen=True, kw_only=True):
    """These values of a ticket type are new."""

    version: int
    ticket_type_id: UUID
    changes: dict[str, Any]


class TicketsBooked(Happening, frozen=True, kw_only=True):
    """A customer got tickets at once."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    amount: Money
    status: BookingStatus
    payment_status: PaymentStatus = PaymentStatus.NONE
    cancellation_deadline_hours: int = 0
    reschedules: int = 0
    expires_at: datetime | None = None


class CustomerWaitlisted(Happening, frozen=True, kw_only=True):
    """A customer joined the waiting list at this queue number."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    amount: Money
    cancellation_deadline_hours: int = 0
    reschedules: int = 0
    queue_number: int


class BookingPromoted(Happening, frozen=True, kw_only=True):
    """Somebody who waited at this queue number got tickets."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    queue_number: int
    status: BookingStatus
    payment_status: PaymentStatus
    expires_at: datetime | None = None
    grace_until: datetime | None = None


class BookingCancelled(Happening, frozen=True, kw_only=True):
    """A live booking ended; what it had taken is free again. `by` is `customer`, `organizer` or `event`."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    was: BookingStatus
    by: str
    payment_status: PaymentStatus


class HoldShortened(Happening, frozen=True, kw_only=True):
    """A hold lapses earlier than it was granted for, because the event starts earlier."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    expires_at: datetime


class HoldExpired(Happening, frozen=True, kw_only=True):
    """A hold was not paid in time, or its event was completed; its tickets are free again."""

    ticket_type_id: UUID
    customer_id: UUID
    quantity: int


class PaymentStarted(Happening, frozen=True, kw_only=True):
    """The provider is asked for the money; the id is the reference by which it is asked."""

    payment_id: UUID
    method: PaymentMethod
    amount: Money


class PaymentFailed(Happening, frozen=True, kw_only=True):
    """The provider said no, or never heard of it: nothing was charged."""

    payment_id: UUID


class PaymentTaken(Happening, frozen=True, kw_only=True):
    """The money is there. `status` says what the booking is now: where its tickets are gone, a refund is owed."""

    payment_id: UUID
    method: PaymentMethod
    amount: Money
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    was: BookingStatus
    status: BookingStatus
    payment_status: PaymentStatus
    paid_by: UUID | None


class PaymentRefunded(Happening, frozen=True, kw_only=True):
    """The money went back."""

    payment_id: UUID
    amount: Money
    payment_status: PaymentStatus


AnyHappening = (
    EventInitialized
    | EventChanged
    | TicketTypeAdded
    | TicketTypeChanged
    | TicketsBooked
    | CustomerWaitlisted
    | BookingPromoted
    | BookingCancelled
    | HoldShortened
    | HoldExpired
    | PaymentStarted
    | PaymentFailed
    | PaymentTaken
    | PaymentRefunded
)


class Fact(Struct, frozen=True, gc=False, kw_only=True):
    """A happening with its place in the event's history; the first has `seq` 1."""

    event_id: UUID
    seq: int
    booking_id: UUID | None
    occurred_at: datetime
    what: AnyHappening

    @property
    def kind(self) -> str:
        """The happening's name."""
        return type(self.what).__name__

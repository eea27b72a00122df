"""Facts: what happened, in the past tense, numbered without gaps per event under the event's lock.

Replaying an event's facts gives its bookings and counters (promise 7), so each fact carries all that it changed.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from .booking import BookingStatus, PaymentStatus
from .payment import PaymentMethod
from .values.money import Money

# The descriptions are for those who are told of facts.
_TicketTypeId = Annotated[UUID, Meta(description="The ticket type.")]
_CustomerId = Annotated[UUID, Meta(description="The account that booked.")]
_Quantity = Annotated[int, Meta(description="How many tickets.")]
_Amount = Annotated[Money, Meta(description="How much money.")]
_Status = Annotated[BookingStatus, Meta(description="What the booking is now.")]
_Was = Annotated[BookingStatus, Meta(description="What the booking was before.")]
_PaymentStatus = Annotated[PaymentStatus, Meta(description="Where the booking's payment stands now.")]
_Deadline = Annotated[int, Meta(description="Until how many hours before the start the customer may cancel.")]
_Reschedules = Annotated[
    int, Meta(description="How often the event had been moved to an earlier start or another day.")
]
_QueueNumber = Annotated[int, Meta(description="The place in the waiting list, issued under the event's lock.")]
_PaymentId = Annotated[UUID, Meta(description="The charge or refund.")]
_Method = Annotated[PaymentMethod, Meta(description="How it is paid.")]
_Version = Annotated[int, Meta(description="The version of the event after the edit.")]
_Changes = Annotated[dict[str, Any], Meta(description="The new values, by name.")]
_Time = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
_HELD_UNTIL = Meta(description="Until when the tickets are held for payment; none: they are not held.")
_GRACE = Meta(description="Until when the customer may cancel free of charge; none: by the deadline.")


class FactPayload(
    Struct, frozen=True, gc=False, kw_only=True, rename="camel", tag_field="kind", tag=True, omit_defaults=True
):
    """What a fact says. The kind is the class's name.

    What has its default is not written down, so that a default is for ever.
    """

    @property
    def all_said(self) -> dict[str, Any]:
        """All of it, defaults too, by the names under which it is told."""
        return {
            said: getattr(self, name)
            for said, name in zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        }


class EventInitialized(FactPayload, frozen=True, kw_only=True):
    """The event came to be, with these ticket types and values."""

    organizer_id: Annotated[UUID, Meta(description="The account that initialized the event.")]
    currency: Annotated[str, Meta(description="The event's currency.")]
    values: Annotated[dict[str, Any], Meta(description="The event's values, by name.")]
    ticket_types: Annotated[list["TicketTypeAdded"], Meta(description="The event's kinds of tickets.")]


class EventChanged(FactPayload, frozen=True, kw_only=True):
    """These values of the event are new; its status is one of them."""

    version: _Version
    changes: _Changes


class TicketTypeAdded(FactPayload, frozen=True, kw_only=True):
    """The event has one more kind of ticket."""

    ticket_type_id: _TicketTypeId
    name: Annotated[str, Meta(description="The ticket type's name.")]
    total_tickets: Annotated[int, Meta(description="How many tickets there are.")]
    price: Annotated[Money | None, Meta(description="What one ticket costs; none: free.")]


class TicketTypeChanged(FactPayload, frozen=True, kw_only=True):
    """These values of a ticket type are new."""

    version: _Version
    ticket_type_id: _TicketTypeId
    changes: _Changes


class TicketsBooked(FactPayload, frozen=True, kw_only=True):
    """A customer got tickets at once."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    amount: _Amount
    status: _Status
    payment_status: _PaymentStatus = PaymentStatus.NONE
    cancellation_deadline_hours: _Deadline = 0
    reschedules: _Reschedules = 0
    expires_at: Annotated[_Time | None, _HELD_UNTIL] = None


class CustomerWaitlisted(FactPayload, frozen=True, kw_only=True):
    """A customer joined the waiting list at this queue number."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    amount: _Amount
    cancellation_deadline_hours: _Deadline = 0
    reschedules: _Reschedules = 0
    queue_number: _QueueNumber


class BookingPromoted(FactPayload, frozen=True, kw_only=True):
    """Somebody who waited at this queue number got tickets."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    queue_number: _QueueNumber
    status: _Status
    payment_status: _PaymentStatus
    expires_at: Annotated[_Time | None, _HELD_UNTIL] = None
    grace_until: Annotated[_Time | None, _GRACE] = None


class BookingCancelled(FactPayload, frozen=True, kw_only=True):
    """A live booking ended; what it had taken is free again. `by` is `customer`, `organizer` or `event`."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    was: _Was
    by: Annotated[str, Meta(description="Who ended it: `customer`, `organizer` or `event`.")]
    payment_status: _PaymentStatus


class HoldShortened(FactPayload, frozen=True, kw_only=True):
    """A hold lapses earlier than it was granted for, because the event starts earlier."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    expires_at: Annotated[_Time, _HELD_UNTIL]


class HoldExpired(FactPayload, frozen=True, kw_only=True):
    """A hold was not paid in time, or its event was completed; its tickets are free again."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity


class PaymentStarted(FactPayload, frozen=True, kw_only=True):
    """The provider is asked for the money; the id is the reference by which it is asked."""

    payment_id: _PaymentId
    method: _Method
    amount: _Amount


class PaymentFailed(FactPayload, frozen=True, kw_only=True):
    """The provider said no, or never heard of it: nothing was charged."""

    payment_id: _PaymentId


class PaymentTaken(FactPayload, frozen=True, kw_only=True):
    """The money is there. `status` says what the booking is now: where its tickets are gone, a refund is owed."""

    payment_id: _PaymentId
    method: _Method
    amount: _Amount
    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    was: _Was
    status: _Status
    payment_status: _PaymentStatus
    paid_by: Annotated[UUID | None, Meta(description="Who recorded the payment; none: the provider.")]


class PaymentRefunded(FactPayload, frozen=True, kw_only=True):
    """The money went back."""

    payment_id: _PaymentId
    amount: _Amount
    payment_status: _PaymentStatus


AnyFactPayload = (
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
    what: AnyFactPayload

    @property
    def kind(self) -> str:
        """The happening's name."""
        return type(self.what).__name__

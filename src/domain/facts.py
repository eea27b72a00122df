"""Facts: what happened, in the past tense, numbered without gaps per event under the event's lock.

Replaying an event's facts gives its bookings and counters (promise 7), so each fact carries everything it changed.
"""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct

from .booking import CONFIRMED, BookingStatus, PaymentStatus
from .payment import DisputeStatus, PaymentMethod
from .values.money import Money

# The descriptions appear in the reference of the webhooks.
_TicketTypeId = Annotated[UUID, Meta(description="The ticket type.")]
_CustomerId = Annotated[UUID, Meta(description="The customer's account.")]
_Quantity = Annotated[int, Meta(description="The number of tickets.")]
_Amount = Annotated[Money, Meta(description="The amount of money.")]
_Status = Annotated[BookingStatus, Meta(description="The booking's status after the fact.")]
_Was = Annotated[BookingStatus, Meta(description="The booking's status before the fact.")]
_PaymentStatus = Annotated[PaymentStatus, Meta(description="The status of the booking's payment after the fact.")]
_Deadline = Annotated[int, Meta(description="Hours before the start at which the right to cancel ends.")]
_Reschedules = Annotated[
    int, Meta(description="How often the event had been moved to an earlier start or another day before.")
]
_Fee = Annotated[int, Meta(description="The part of a refund, in percent, that the customer's cancellation costs.")]
_By = Annotated[str, Meta(description="Who did it: the booking's `customer`, or the `organizer`.")]
_Refund = Annotated[Money | None, Meta(description="What is refunded because of it; none: nothing.")]
_WAS_SUSPENDED = Meta(description="Whether it was off the waiting list, because its customer's account was disabled.")
_Kept = Annotated[int, Meta(description="What is left of the payment after all refunds, in minor units.")]
_QueueNumber = Annotated[int, Meta(description="The place in the waiting list, issued under the event's lock.")]
_PaymentId = Annotated[UUID, Meta(description="The charge or refund.")]
_TicketId = Annotated[UUID, Meta(description="The ticket.")]
_PassedOver = Annotated[
    int | None,
    Meta(description="How many waiting bookings of the type stood before it; none: the fact is older than this count."),
]
_Method = Annotated[PaymentMethod, Meta(description="The means of payment.")]
_Version = Annotated[int, Meta(description="The version of the event after the edit.")]
_Changes = Annotated[dict[str, Any], Meta(description="The new values by name.")]
_Time = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
_BookedBy = Annotated[UUID | None, Meta(description="The account that booked for the customer; none: the customer.")]
_HELD_UNTIL = Meta(description="The end of the hold; none: the tickets are not held.")
_GRACE = Meta(description="The customer may cancel free of charge before this; none: the deadline applies.")


SERVING_VALUES: Final = frozenset({"status", "startsAt", "waitingListPolicy", "maxOvertakes"})
"""The event's values, by their names in facts, that decide who of a waiting list is served."""


class FactPayload(
    Struct, frozen=True, gc=False, kw_only=True, rename="camel", tag_field="kind", tag=True, omit_defaults=True
):
    """The content of a fact. Its kind is the class's name.

    Default values are omitted from storage, so a default must never change.
    """

    @property
    def all_values(self) -> dict[str, Any]:
        """All fields with their stored names, defaults included."""
        return {
            field: getattr(self, name)
            for field, name in zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        }


class EventInitialized(FactPayload, frozen=True, kw_only=True):
    """An event was initialized with these ticket types and values."""

    organizer_id: Annotated[UUID, Meta(description="The account that initialized the event.")]
    currency: Annotated[str, Meta(description="The event's currency.")]
    values: Annotated[dict[str, Any], Meta(description="The event's values by name.")]
    ticket_types: Annotated[list["TicketTypeAdded"], Meta(description="The event's ticket types.")]


class EventChanged(FactPayload, frozen=True, kw_only=True):
    """Values of the event changed, its status among them."""

    version: _Version
    changes: _Changes


class TicketTypeAdded(FactPayload, frozen=True, kw_only=True):
    """A ticket type was added."""

    ticket_type_id: _TicketTypeId
    name: Annotated[str, Meta(description="The ticket type's name.")]
    total_tickets: Annotated[int, Meta(description="The total number of tickets.")]
    price: Annotated[Money | None, Meta(description="The price of one ticket; none: free.")]


class TicketTypeChanged(FactPayload, frozen=True, kw_only=True):
    """Values of a ticket type changed."""

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
    refund_fee_percent: _Fee = 0
    expires_at: Annotated[_Time | None, _HELD_UNTIL] = None
    booked_by: _BookedBy = None
    passed_over: _PassedOver = None


class TicketsGranted(FactPayload, frozen=True, kw_only=True):
    """A customer was given tickets, past those who waited for the type."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    amount: Annotated[Money, Meta(description="Nothing, in the event's currency.")]
    reason: Annotated[
        str, Meta(description="Why, in the words of who gave them. Everybody who sees the fact reads it.")
    ]
    passed_over: Annotated[int, Meta(description="How many bookings waited for the type at that time.")] = 0
    cancellation_deadline_hours: _Deadline = 0
    reschedules: _Reschedules = 0
    granted_by: Annotated[UUID, Meta(description="The account that gave them.")]


class CustomerWaitlisted(FactPayload, frozen=True, kw_only=True):
    """A customer joined the waiting list at this queue number."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    amount: _Amount
    cancellation_deadline_hours: _Deadline = 0
    reschedules: _Reschedules = 0
    refund_fee_percent: _Fee = 0
    queue_number: _QueueNumber
    booked_by: _BookedBy = None


class DrawHeld(FactPayload, frozen=True, kw_only=True):
    """The order of the waiting lists was drawn among the bookings that waited at the closing."""

    last_entry: Annotated[int, Meta(description="The last queue number before the closing.")]
    entries: Annotated[int, Meta(description="The number of entries.")]
    root: Annotated[str, Meta(description="The root over the entries' hashes (RFC 6962), in hexadecimal digits.")]
    randomness: Annotated[str, Meta(description="32 bytes, in hexadecimal digits.")]
    round: Annotated[
        int | None, Meta(description="The round of drand that gave the randomness; none: it is the operator's secret.")
    ] = None
    signature: Annotated[
        str | None, Meta(description="The signature of the round, in hexadecimal digits; none: as above.")
    ] = None


class PlaceDrawn(FactPayload, frozen=True, kw_only=True):
    """An entry of a draw has its place: a new queue number, by which its waiting list is served."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    entered_as: Annotated[int, Meta(description="The queue number of the entry, with which it joined.")]
    queue_number: Annotated[int, Meta(description="The last queue number before the closing, plus the place.")]


class BookingPromoted(FactPayload, frozen=True, kw_only=True):
    """The waiting booking with this queue number got tickets."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    queue_number: _QueueNumber
    amount: Annotated[
        Money | None,
        Meta(description="The price of when the customer joined or of now, whichever is lower; none: the former."),
    ] = None
    status: _Status
    payment_status: _PaymentStatus
    expires_at: Annotated[_Time | None, _HELD_UNTIL] = None
    grace_until: Annotated[_Time | None, _GRACE] = None
    caused_by: Annotated[
        int | None,
        Meta(
            description="The `seq` of the fact that made room: the last one that freed tickets of the type, or changed "
            "who is served; none: the fact is older than this member."
        ),
    ] = None
    passed_over: _PassedOver = None


class BookingCancelled(FactPayload, frozen=True, kw_only=True):
    """A live booking was cancelled; its tickets are free again."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    was: _Was
    by: Annotated[str, Meta(description="Who cancelled it: `customer`, `organizer` or `event`.")]
    payment_status: _PaymentStatus
    refund: _Refund = None
    was_suspended: Annotated[bool, _WAS_SUSPENDED] = False
    queue_number: Annotated[
        int | None,
        Meta(
            description="The place in the waiting list that it has or had; none: it never waited, or the fact is older "
            "than this member."
        ),
    ] = None


class TicketsReturned(FactPayload, frozen=True, kw_only=True):
    """A part of a live booking was given back, which keeps its status; these tickets are free again."""

    ticket_type_id: _TicketTypeId
    quantity: Annotated[int, Meta(description="The number of tickets given back.")]
    left: Annotated[int, Meta(description="The number of tickets that the booking keeps.")]
    was: Annotated[BookingStatus, Meta(description="The booking's status.")] = CONFIRMED
    by: _By = "customer"
    amount: Annotated[Money | None, Meta(description="The price of what was given back; none: free.")] = None
    payment_status: _PaymentStatus = PaymentStatus.NONE
    refund: _Refund = None
    refund_id: Annotated[UUID | None, Meta(description="The refund; none: nothing is refunded.")] = None
    numbers: Annotated[
        tuple[int, ...], Meta(description="The numbers of the tickets given back; none before it is confirmed.")
    ] = ()
    used: Annotated[int, Meta(description="How many of these tickets were checked in.")] = 0
    queue_number: Annotated[
        int | None, Meta(description="The place in the waiting list, which it keeps; none: it does not wait.")
    ] = None
    was_suspended: Annotated[bool, _WAS_SUSPENDED] = False


class WaitingSuspended(FactPayload, frozen=True, kw_only=True):
    """A waiting booking left the waiting list for a time, because its customer's account was disabled."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    queue_number: _QueueNumber


class WaitingResumed(FactPayload, frozen=True, kw_only=True):
    """A suspended booking is on the waiting list again, at its queue number: its customer's account was enabled."""

    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    queue_number: _QueueNumber


class HoldShortened(FactPayload, frozen=True, kw_only=True):
    """A hold ends earlier than granted, because the event starts earlier."""

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
    """A charge was started; its id is the reference at the provider."""

    payment_id: _PaymentId
    method: _Method
    amount: _Amount


class PaymentFailed(FactPayload, frozen=True, kw_only=True):
    """The provider declined the charge, or does not know it: nothing was charged."""

    payment_id: _PaymentId


class PaymentTaken(FactPayload, frozen=True, kw_only=True):
    """The money was taken. If `status` shows that the tickets are gone, a refund is owed."""

    payment_id: _PaymentId
    method: _Method
    amount: _Amount
    ticket_type_id: _TicketTypeId
    customer_id: _CustomerId
    quantity: _Quantity
    was: _Was
    status: _Status
    payment_status: _PaymentStatus
    paid_by: Annotated[
        UUID | None,
        Meta(description="The charge that paid the booking; a different one means that this charge is refunded."),
    ]
    refund: Annotated[
        Money | None,
        Meta(description="What is refunded of it, because it was for more tickets than are left; none: nothing."),
    ] = None


class RefundGranted(FactPayload, frozen=True, kw_only=True):
    """The organizer gives a part of the payment back, or all that is left of it."""

    payment_id: _PaymentId
    amount: _Amount
    reason: Annotated[str, Meta(description="Why, in the organizer's words.")]
    payment_status: _PaymentStatus
    kept: _Kept


class PaymentRefunded(FactPayload, frozen=True, kw_only=True):
    """A refund was paid, by the provider or by hand."""

    payment_id: _PaymentId
    amount: _Amount
    payment_status: _PaymentStatus
    settled_by: Annotated[UUID | None, Meta(description="The account that paid it by hand; none: the provider.")] = None
    note: Annotated[str | None, Meta(description="How it was paid by hand.")] = None


class RefundFailed(FactPayload, frozen=True, kw_only=True):
    """The provider refused a refund for good, or the bank returned it: it has to be paid by hand."""

    payment_id: _PaymentId
    amount: _Amount
    payment_status: _PaymentStatus


class PaymentDisputed(FactPayload, frozen=True, kw_only=True):
    """The customer disputes a charge with their bank, which takes the money until it has decided."""

    payment_id: _PaymentId
    amount: _Amount
    payment_status: _PaymentStatus
    kept: _Kept


class DisputeClosed(FactPayload, frozen=True, kw_only=True):
    """The bank has decided. If the dispute is lost, the customer keeps the money; if it is won, refunds go out."""

    payment_id: _PaymentId
    amount: _Amount
    outcome: Annotated[DisputeStatus, Meta(description="`won` or `lost`, as the organizer sees it.")]
    payment_status: _PaymentStatus
    kept: _Kept


class TicketCheckedIn(FactPayload, frozen=True, kw_only=True):
    """The holder of a ticket was let in. Another entry of a ticket that counts as let in is no fact of its own."""

    ticket_id: _TicketId
    at: Annotated[_Time, Meta(description="When, by the scanner's clock.")]
    device: Annotated[str, Meta(description="The scanner, in its own words.")]


class CheckInUndone(FactPayload, frozen=True, kw_only=True):
    """A ticket no longer counts as let in, because every entry that let its holder in was undone."""

    ticket_id: _TicketId


class TicketReissued(FactPayload, frozen=True, kw_only=True):
    """A ticket got a new code. Its earlier ones are void."""

    ticket_id: _TicketId
    serial: Annotated[int, Meta(description="Which code of the ticket it is; the first one is 1.")]


AnyFactPayload = (
    EventInitialized
    | EventChanged
    | TicketTypeAdded
    | TicketTypeChanged
    | TicketsBooked
    | TicketsGranted
    | CustomerWaitlisted
    | DrawHeld
    | PlaceDrawn
    | BookingPromoted
    | BookingCancelled
    | TicketsReturned
    | WaitingSuspended
    | WaitingResumed
    | HoldShortened
    | HoldExpired
    | PaymentStarted
    | PaymentFailed
    | PaymentTaken
    | RefundGranted
    | PaymentRefunded
    | RefundFailed
    | PaymentDisputed
    | DisputeClosed
    | TicketCheckedIn
    | CheckInUndone
    | TicketReissued
)


class Fact(Struct, frozen=True, gc=False, kw_only=True):
    """A payload with its place in the event's history; the first fact has `seq` 1."""

    event_id: UUID
    seq: int
    booking_id: UUID | None
    occurred_at: datetime
    what: AnyFactPayload

    @property
    def kind(self) -> str:
        """The name of the payload's class."""
        return type(self.what).__name__


def tickets_confirmed(what: FactPayload) -> int:
    """Return how many tickets a fact confirms, which get the event's next numbers."""
    match what:
        case TicketsBooked() | BookingPromoted() if what.status is CONFIRMED:
            return what.quantity
        case TicketsGranted():
            return what.quantity
        case PaymentTaken() if what.status is CONFIRMED and what.was is not CONFIRMED:
            return what.quantity
        case _:
            return 0

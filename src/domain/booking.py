"""Bookings: one customer's claim on a quantity of one ticket type."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .payment import PaymentMethod
from .values.fields import Rules, whole_number
from .values.money import Money


class BookingStatus(StrEnum):
    """The status of a booking. The first three are live: one live booking per customer and ticket type (promise 3)."""

    WAITLISTED = "waitlisted"
    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_live(self) -> bool:
        """Whether the booking still has a claim."""
        return self in LIVE

    @property
    def takes_tickets(self) -> bool:
        """Whether its tickets count as taken."""
        return self in TAKING


# Module globals are faster to look up than enumeration members, and booking looks up many.
WAITLISTED: Final = BookingStatus.WAITLISTED
HELD: Final = BookingStatus.HELD
CONFIRMED: Final = BookingStatus.CONFIRMED

LIVE = frozenset({BookingStatus.WAITLISTED, BookingStatus.HELD, BookingStatus.CONFIRMED})
TAKING = frozenset({BookingStatus.HELD, BookingStatus.CONFIRMED})


class PaymentStatus(StrEnum):
    """The payment of a booking; `none` while it waits, or if it is free."""

    NONE = "none"
    DUE = "due"
    TAKEN = "taken"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTED = "disputed"

    @property
    def has_charge(self) -> bool:
        """Whether money was taken, whatever became of it."""
        return self not in (PaymentStatus.NONE, PaymentStatus.DUE)


class Place(Struct, frozen=True, gc=False):
    """A place in a waiting list: `position` counts from 1, `tickets_ahead` counts the tickets before it."""

    position: int
    tickets_ahead: int


class Booking(Struct, frozen=True, gc=False, kw_only=True):
    """One customer's claim on tickets of one type. The id never changes.

    `amount` is the price at the time of booking, times the quantity; for a promoted booking that of its promotion, if
    lower. `cancellation_deadline_hours` and `refund_fee_percent`, the part of a refund that its customer's cancellation
    costs, are the event's policy at the time of booking. They do not bind a booking once the event's `reschedules`
    exceed its own, nor before `grace_until`, which a promotion past the deadline sets. `expires_at` is the end of a
    hold. `paid_by` is the charge that paid it, and `kept` what is left of that after all refunds, owed ones included,
    in minor units. `queue_number` orders the waiting list and is kept afterwards; None: it never waited. A waiting
    booking that `is_suspended` is off the waiting list, because its customer's account is disabled.
    `first_ticket_number` begins its `ticket_numbers` and is kept too; None: it was never confirmed. `quantity` counts
    the tickets that it has, `returned` those that were given back while it was confirmed, and `used` those that it has
    and that are checked in. `place` is computed when the booking is read and never stored.
    """

    id: UUID
    event_id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    status: BookingStatus
    amount: Money
    payment_status: PaymentStatus = PaymentStatus.NONE
    paid_by: UUID | None = None
    paid_with: PaymentMethod | None = None
    kept: int = 0
    refund_fee_percent: int = 0
    cancellation_deadline_hours: int = 0
    reschedules: int = 0
    grace_until: datetime | None = None
    queue_number: int | None = None
    first_ticket_number: int | None = None
    returned: int = 0
    used: int = 0
    is_suspended: bool = False
    expires_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    place: Place | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is on the waiting list."""
        return self.status is WAITLISTED and not self.is_suspended

    def has_lapsed(self, now: datetime) -> bool:
        """Return whether it is a hold whose time is over. It counts as expired from then on, settled or not."""
        return self.status is HELD and self.expires_at is not None and self.expires_at <= now

    @property
    def ticket_numbers(self) -> range:
        """The numbers of its tickets, of those given back too; none before it is confirmed."""
        first = self.first_ticket_number
        return range(0) if first is None else range(first, first + self.quantity + self.returned)

    def as_of(self, now: datetime) -> "Booking":
        """Return the booking with the status that counts at `now`."""
        return lapsed(self) if self.has_lapsed(now) else self


def lapsed(booking: Booking) -> Booking:
    """Return the hold as an expired booking."""
    return replace(booking, status=BookingStatus.EXPIRED, payment_status=PaymentStatus.NONE)


BOOK_RULES: Rules = {"quantity": whole_number(1, 1_000)}

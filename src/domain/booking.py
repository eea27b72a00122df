"""Bookings: one customer's claim on a quantity of one ticket type."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .payment import PaymentMethod
from .values.fields import Rules, whole
from .values.money import Money


class BookingStatus(StrEnum):
    """Where a booking stands. The first three are live: a customer has one such booking per ticket type (promise 3)."""

    WAITLISTED = "waitlisted"
    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_live(self) -> bool:
        """Whether the booking still claims something."""
        return self in LIVE

    @property
    def takes_tickets(self) -> bool:
        """Whether its tickets count as taken."""
        return self in TAKING


# An enumeration's member takes three times as long to look up as a name of the module, and a booking looks up ten.
WAITLISTED: Final = BookingStatus.WAITLISTED
HELD: Final = BookingStatus.HELD
CONFIRMED: Final = BookingStatus.CONFIRMED

LIVE = frozenset({BookingStatus.WAITLISTED, BookingStatus.HELD, BookingStatus.CONFIRMED})
TAKING = frozenset({BookingStatus.HELD, BookingStatus.CONFIRMED})


class PaymentStatus(StrEnum):
    """What is owed for a booking; `none` where it is free or still waits."""

    NONE = "none"
    DUE = "due"
    TAKEN = "taken"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"


class Place(Struct, frozen=True, gc=False):
    """A place in a waiting list: `position` counts bookings from 1, `tickets_ahead` what those before it ask for."""

    position: int
    tickets_ahead: int


class Booking(Struct, frozen=True, gc=False, kw_only=True):
    """One claim, one id from first to last.

    `amount` is the price when it was booked, times the quantity, and `cancellation_deadline_hours` the event's policy
    then, which binds it, but for moves of the start after the `reschedules` that it was made after, and before
    `grace_until`: somebody promoted past the deadline has until then. `expires_at` is when a hold lapses. `paid_by` is
    the charge that paid it and `paid_with` how.
    `queue_number` is its place in the order of the waiting list, kept as history once it has been served; None where it
    never waited. `place` is as of the answer that carries it and is stored nowhere.
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
    cancellation_deadline_hours: int = 0
    reschedules: int = 0
    grace_until: datetime | None = None
    queue_number: int | None = None
    expires_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    place: Place | None = None

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it is a hold whose time is over, settled or not: it counts as expired from that moment."""
        return self.status is HELD and self.expires_at is not None and self.expires_at <= now

    def as_of(self, now: datetime) -> "Booking":
        """The booking as it counts now."""
        return lapsed(self) if self.has_lapsed(now) else self


def lapsed(booking: Booking) -> Booking:
    """A hold whose time is over."""
    return replace(booking, status=BookingStatus.EXPIRED, payment_status=PaymentStatus.NONE)


BOOK_RULES: Rules = {"quantity": whole(1, 1_000)}

"""Bookings: one customer's claim on a quantity of one ticket type."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from .fields import Rules, whole
from .money import Money


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


LIVE = frozenset({BookingStatus.WAITLISTED, BookingStatus.HELD, BookingStatus.CONFIRMED})
TAKING = frozenset({BookingStatus.HELD, BookingStatus.CONFIRMED})


class PaymentStatus(StrEnum):
    """What is owed for a booking; `none` where it is free or still waits."""

    NONE = "none"
    DUE = "due"
    TAKEN = "taken"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"


class Place(Struct, frozen=True):
    """A place in a waiting list: `position` counts bookings from 1, `tickets_ahead` what those before it ask for."""

    position: int
    tickets_ahead: int


class Booking(Struct, frozen=True, kw_only=True):
    """One claim, one id from first to last.

    `amount` is the price when it was booked, times the quantity. `queue_number` is its place in the order of the
    waiting list, kept as history once it has been served; None where it never waited. `place` is as of the answer that
    carries it and is stored nowhere.
    """

    id: UUID
    event_id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    status: BookingStatus
    amount: Money
    payment_status: PaymentStatus = PaymentStatus.NONE
    queue_number: int | None = None
    expires_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    place: Place | None = None


BOOK_RULES: Rules = {"quantity": whole(1, 1_000)}

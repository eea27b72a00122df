"""The commands of the machine: those of the application, and some whose ids the application would choose."""

from uuid import UUID

from msgspec import Struct

from ....application.bookings.book_for_other import BookingForOther
from ....application.bookings.pay_booking import Bill
from ....application.payments.grant_refund import Grant
from ....application.payments.settle_refund import Settlement
from ....domain.decisions.book import Book
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import AddTicketType, Edit, EditTicketType, Initialize
from ....domain.policy import StaffRole
from ....domain.user import Actor


class Appoint(Struct, frozen=True):
    """Let a user work for an event."""

    event_id: UUID
    actor: Actor
    user_id: UUID
    role: StaffRole


class ChangeDuty(Appoint, frozen=True):
    """Give a user who works for an event another role."""


class Dismiss(Struct, frozen=True):
    """End a user's work for an event."""

    event_id: UUID
    actor: Actor
    user_id: UUID


class GiveBack(Struct, frozen=True):
    """Give a part of a booking back: these tickets of it, or with None those with the highest numbers."""

    event_id: UUID
    booking_id: UUID
    actor: Actor
    quantity: int
    numbers: tuple[int, ...] | None = None


Command = (
    Initialize
    | Book
    | BookingForOther
    | Cancel
    | GiveBack
    | Bill
    | Grant
    | Settlement
    | Edit
    | EditTicketType
    | AddTicketType
    | Appoint
    | ChangeDuty
    | Dismiss
)

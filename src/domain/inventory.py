"""The inventory: one event as its rules see it under its lock, and the decisions about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .booking import Booking, BookingStatus
from .event import Event, TicketType, WaitingListPolicy
from .facts import Fact
from .payment import Payment
from .refusals import NotFound, invalid

Outcome = TypeVar("Outcome")


class WaitingList(Struct, frozen=True, gc=False):
    """The head of one ticket type's waiting list, as far as it was loaded, in the order of its queue numbers.

    It holds every waiting booking up to its last one that asks for at most `fitting` tickets (None: for any number),
    and the whole list when `is_whole`. What a line does not show is not known to be absent.
    """

    head: tuple[Booking, ...] = ()
    fitting: int | None = 0
    is_whole: bool = False

    def shows(self, available: int, policy: WaitingListPolicy) -> bool:
        """Whether this line was loaded in a way that serving it with `available` tickets may rely on."""
        if self.fitting is None:
            return True
        return policy is WaitingListPolicy.FILL and available <= self.fitting

    def without(self, booking: Booking) -> "WaitingList":
        """The line once this booking has left it."""
        if self.head and self.head[0].id == booking.id:
            return replace(self, head=self.head[1:])
        if any(waiting.id == booking.id for waiting in self.head):
            return replace(self, head=tuple(waiting for waiting in self.head if waiting.id != booking.id))
        return self

    def joined_by(self, booking: Booking) -> "WaitingList":
        """The line once this booking has joined its end."""
        if self.is_whole and (self.fitting is None or booking.quantity <= self.fitting):
            return replace(self, head=(*self.head, booking))
        return self


NOT_LOADED = WaitingList()
"""A line of which nothing was loaded."""


class WaitingSizes(Struct, frozen=True, gc=False):
    """The fewest and the most tickets that one booking in a ticket type's line asks for."""

    smallest: int
    largest: int


class ExpiredHolds(Struct, frozen=True, gc=False):
    """Holds whose time is over, as many as were loaded, and when the next one after them lapses (None: no more)."""

    bookings: tuple[Booking, ...]
    next_expiry: datetime | None


class LiveBooking(Protocol):
    """What a rule for one customer reads of a live booking. A `Booking` has it too."""

    @property
    def id(self) -> UUID:
        """The booking's id."""

    @property
    def ticket_type_id(self) -> UUID:
        """What its tickets are of."""

    @property
    def customer_id(self) -> UUID:
        """Whose it is."""

    @property
    def quantity(self) -> int:
        """The number of its tickets."""


class OverlongHolds(Struct, frozen=True, gc=False):
    """Holds that would lapse after the event starts at `starts_at`, as many as were loaded."""

    starts_at: datetime
    bookings: tuple[Booking, ...]


class Inventory(Struct, frozen=True, gc=False, kw_only=True):
    """One event under its lock: counters, the live bookings that a command concerns, the heads of its waiting lists.

    `bookings` are the few that the command changes. `of_customers` are the live bookings of the customers that the
    command is about, as far as rules for one customer read them. `closing` are live bookings of a closed event that are
    still to be cancelled. `waiting_sizes` tells, per ticket type, what those in line ask for; it is loaded for edits
    alone. `due` are holds that have lapsed and `overlong` those that outlive the start, None while they are not loaded.
    `payments` are those of the bookings that a command concerns, loaded where it is about money.
    """

    event: Event
    ticket_types: tuple[TicketType, ...]
    bookings: tuple[Booking, ...] = ()
    of_customers: tuple[LiveBooking, ...] = ()
    lines: Mapping[UUID, WaitingList] = {}
    closing: tuple[Booking, ...] = ()
    due: ExpiredHolds | None = None
    overlong: OverlongHolds | None = None
    payments: tuple[Payment, ...] = ()
    waiting_sizes: Mapping[UUID, WaitingSizes] = {}

    def ticket_type(self, ticket_type_id: UUID | None) -> TicketType:
        """The ticket type meant; None means the only one there is.

        Raises: InvalidRequest where there are several, NotFound where there is no such one.
        """
        if ticket_type_id is None:
            if len(self.ticket_types) > 1:
                raise invalid("is needed, because the event has several ticket types", "ticket_type_id")
            return self.ticket_types[0]
        for ticket_type in self.ticket_types:
            if ticket_type.id is ticket_type_id or ticket_type.id == ticket_type_id:
                return ticket_type
        raise NotFound


class Change(Struct, frozen=True, gc=False):
    """A booking as it was and as it shall be."""

    before: Booking
    after: Booking

    @property
    def is_promotion(self) -> bool:
        """Whether somebody who waited got tickets."""
        return self.before.status is BookingStatus.WAITLISTED and self.after.status.takes_tickets


class Decision(Struct, Generic[Outcome], frozen=True, gc=False, kw_only=True):
    """What a command leads to: the next inventory, the bookings that are new or changed, the facts, and the outcome.

    All of it is recorded in one transaction, or nothing. `inventory` is what the next command on the event starts from.
    """

    inventory: Inventory
    outcome: Outcome
    is_new_event: bool = False
    new_ticket_types: tuple[TicketType, ...] = ()
    changed_ticket_types: tuple[TicketType, ...] = ()
    booked: tuple[Booking, ...] = ()
    changed: tuple[Change, ...] = ()
    new_payments: tuple[Payment, ...] = ()
    changed_payments: tuple[Payment, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def promoted(self) -> int:
        """How many bookings left the waiting list with tickets."""
        return sum(change.is_promotion for change in self.changed) if self.changed else 0

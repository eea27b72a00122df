"""The inventory: one event as its rules see it under its lock, and the decisions about it."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .booking import WAITLISTED, Booking
from .event import Event, WaitingListPolicy
from .facts import Fact
from .payment import Payment
from .refusals import NotFound, invalid
from .tickets.check_in import CheckIn
from .tickets.ticket import Ticket
from .tickets.ticket_type import TicketType

Outcome = TypeVar("Outcome")


class WaitingList(Struct, frozen=True, gc=False):
    """The loaded head of one ticket type's waiting list, in the order of its queue numbers.

    It contains the first waiting bookings of at most `fitting` tickets (None: of any quantity), and all of them when
    `is_whole`. Other bookings may be waiting as well: `skipped` has, for each one of the head, how many of these wait
    before it (None: not known), and is empty if it is none for all. `front`, in events with a bound for overtakes,
    contains the first waiting bookings of any quantity.
    """

    head: tuple[Booking, ...] = ()
    fitting: int | None = 0
    is_whole: bool = False
    skipped: tuple[int | None, ...] = ()
    front: "WaitingList | None" = None

    @property
    def first_number(self) -> int | None:
        """The queue number of the first waiting booking; None: not loaded, or none waits."""
        return self.front.head[0].queue_number if self.front is not None and self.front.head else None

    def shows(self, available: int, policy: WaitingListPolicy) -> bool:
        """Return whether enough was loaded to serve the list with `available` tickets."""
        if self.fitting is None:
            return True
        return policy is WaitingListPolicy.FILL and available <= self.fitting

    def without(self, booking: Booking) -> "WaitingList":
        """Return the list without this booking."""
        if self.front is not None:
            return replace(replace(self, front=None).without(booking), front=self.front.without(booking))
        place = self._place_of(booking)
        if place < len(self.head) and self.head[place].id == booking.id:
            head, skipped = self.head, self.skipped
            if place == 0:
                return replace(self, head=head[1:], skipped=skipped[1:])
            return replace(
                self,
                head=(*head[:place], *head[place + 1 :]),
                skipped=(*skipped[:place], *skipped[place + 1 :]),
            )
        return self._with_others_ahead(place, -1)

    def joined_by(self, booking: Booking, ahead: int | None = None) -> "WaitingList":
        """Return the list with this booking at the place of its queue number, if that is in what was loaded.

        `ahead` is how many bookings wait before it; None: not known.
        """
        if self.front is not None:
            front = self.front.joined_by(booking, ahead)
            return replace(replace(self, front=None).joined_by(booking, ahead), front=front)
        place = self._place_of(booking)
        if self.fitting is not None and booking.quantity > self.fitting:
            return self._with_others_ahead(place, 1)
        if place == len(self.head) and not self.is_whole:
            return self
        skipped = self._skipped_at(place) if ahead is None else ahead - place
        joined = replace(self, head=(*self.head[:place], booking, *self.head[place:]))
        if skipped == 0 and not self.skipped:
            return joined
        of_all = self._skipped_of_all
        return replace(joined, skipped=(*of_all[:place], skipped, *of_all[place:]))

    def number_before(self, booking: Booking) -> int | None:
        """Return how many bookings wait before one of the head; None: not known."""
        place = self._place_of(booking)
        if not self.skipped:
            return place
        skipped = self.skipped[place]
        return None if skipped is None else place + skipped

    @property
    def _skipped_of_all(self) -> tuple[int | None, ...]:
        return self.skipped or (0,) * len(self.head)

    def _place_of(self, booking: Booking) -> int:
        # Usually it is the first one, whom a search would find last.
        if self.head and self.head[0].queue_number == booking.queue_number:
            return 0
        return bisect_left(self.head, booking.queue_number or 0, key=lambda waiting: waiting.queue_number or 0)

    def _skipped_at(self, place: int) -> int | None:
        """Return how many of the others wait before a place, if as many wait before both of its neighbours."""
        if self.fitting is None:
            return 0
        of_all = (0, *self._skipped_of_all, None)
        return of_all[place] if of_all[place] == of_all[place + 1] else None

    def _with_others_ahead(self, place: int, more: int) -> "WaitingList":
        """Return the list after another booking joined or left before the one at a place."""
        if place == len(self.head):
            return self
        of_all = self._skipped_of_all
        behind = [None if each is None else each + more for each in of_all[place:]]
        return replace(self, skipped=(*of_all[:place], *behind))


NOT_LOADED = WaitingList()
"""A waiting list of which nothing was loaded."""


class WaitingSizes(Struct, frozen=True, gc=False):
    """The smallest and the largest quantity in a ticket type's waiting list."""

    smallest: int
    largest: int


class ExpiredHolds(Struct, frozen=True, gc=False):
    """Loaded holds whose time is over, and the time when the next one after them ends (None: no more)."""

    bookings: tuple[Booking, ...]
    next_expiry: datetime | None


class LiveBooking(Protocol):
    """The fields of a live booking that rules for one customer read. `Booking` implements it."""

    @property
    def id(self) -> UUID:
        """The booking's id."""

    @property
    def ticket_type_id(self) -> UUID:
        """The ticket type of its tickets."""

    @property
    def customer_id(self) -> UUID:
        """The customer who booked."""

    @property
    def quantity(self) -> int:
        """The number of its tickets."""


class OverlongHolds(Struct, frozen=True, gc=False):
    """Loaded holds that would end after the event starts at `starts_at`."""

    starts_at: datetime
    bookings: tuple[Booking, ...]


class Inventory(Struct, frozen=True, gc=False, kw_only=True):
    """One event under its lock: counters, the live bookings that a command concerns, the heads of its waiting lists.

    `bookings` are those that the command may change, `of_customers` the live bookings of its customer as far as rules
    read them. `waiting_sizes` is loaded for edits only. `closing` are bookings of a closed event to be cancelled, `due`
    lapsed holds, and `overlong` holds that would end after the start; None: not loaded. `payments` belong to the
    bookings of commands about money, `tickets` to those of commands about single tickets,
    and `check_ins` are their entries that the command concerns.
    """

    event: Event
    ticket_types: tuple[TicketType, ...]
    bookings: tuple[Booking, ...] = ()
    of_customers: tuple[LiveBooking, ...] = ()
    waiting_lists: Mapping[UUID, WaitingList] = {}
    closing: tuple[Booking, ...] | None = None
    due: ExpiredHolds | None = None
    overlong: OverlongHolds | None = None
    payments: tuple[Payment, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    check_ins: tuple[CheckIn, ...] = ()
    waiting_sizes: Mapping[UUID, WaitingSizes] = {}

    def ticket_type(self, ticket_type_id: UUID | None) -> TicketType:
        """Return the ticket type; None means the only one.

        Raises: InvalidRequest where None is ambiguous, NotFound.
        """
        if ticket_type_id is None:
            if len(self.ticket_types) > 1:
                raise invalid("is needed, because the event has several ticket types", "ticket_type_id")
            return self.ticket_types[0]
        for ticket_type in self.ticket_types:
            if ticket_type.id is ticket_type_id or ticket_type.id == ticket_type_id:
                return ticket_type
        raise NotFound

    def booking(self, booking_id: UUID) -> Booking:
        """Return a booking that the command may change. Raises: NotFound."""
        for booking in self.bookings:
            if booking.id == booking_id:
                return booking
        raise NotFound

    def payment(self, payment_id: UUID) -> Payment:
        """Return a loaded charge or refund. Raises: NotFound."""
        for payment in self.payments:
            if payment.id == payment_id:
                return payment
        raise NotFound


class Change(Struct, frozen=True, gc=False):
    """A booking before and after a decision."""

    before: Booking
    after: Booking

    @property
    def is_promotion(self) -> bool:
        """Whether a waiting booking got tickets."""
        return self.before.status is WAITLISTED and self.after.status.takes_tickets


class Decision(Struct, Generic[Outcome], frozen=True, gc=False, kw_only=True):
    """The result of a command: the next inventory, new and changed bookings, the facts, and the outcome.

    `tickets` and `check_ins` are new rows, or replace those of the same tickets and entries.

    It is recorded completely in one transaction or not at all. The event's next command starts from `inventory`.
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
    tickets: tuple[Ticket, ...] = ()
    check_ins: tuple[CheckIn, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Whether it changes something that is no part of the inventory that the next command starts from."""
        return bool(self.new_payments or self.changed_payments or self.tickets or self.check_ins)

    @property
    def promoted(self) -> int:
        """How many waiting bookings got tickets."""
        return sum(change.is_promotion for change in self.changed) if self.changed else 0

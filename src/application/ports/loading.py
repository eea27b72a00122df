"""What a command needs loaded of its event, and the queries of a step of settling."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class DoorSpec(Struct, frozen=True, gc=False, kw_only=True):
    """What a command of the door needs loaded: tickets, each by its booking and number, and entries by their ids.

    `undoes`: it may undo an entry, so the earliest other one of its ticket that counts is loaded too.
    """

    tickets: tuple[tuple[UUID, int], ...] = ()
    check_in_ids: tuple[UUID, ...] = ()
    undoes: bool = False


class LoadSpec(Struct, frozen=True, gc=False, kw_only=True):
    """What a command needs loaded of one event: a customer's live bookings, as far as rules read them, and one booking.

    `whole`: the decision may change the customer's live bookings, so they are also loaded as `bookings`. `settles`: it
    may free tickets, so the heads of the waiting lists are loaded. `sizes`: so are the smallest and largest waiting
    quantities. `payments`: so are the payments of the booking. `tickets`: so are its tickets that have rows.
    `shows`: the result has the booking with its place, after all steps of settling.
    `door` is what a command of the door needs; it needs nothing else.
    """

    event_id: UUID
    customer_id: UUID | None = None
    booking_id: UUID | None = None
    whole: bool = False
    settles: bool = False
    sizes: bool = False
    payments: bool = False
    tickets: bool = False
    shows: bool = False
    door: DoorSpec | None = None


class WaitingListQuery(Struct, frozen=True, gc=False):
    """Load the first `limit` waiting bookings of a ticket type; with `fitting`, those of at most so many tickets."""

    ticket_type_id: UUID
    fitting: int | None
    limit: int


class ClosingQuery(Struct, frozen=True, gc=False):
    """Load up to `limit` live bookings of a closed event; `waiting_only`: only waiting ones."""

    event_id: UUID
    waiting_only: bool
    limit: int


class ExpiredHoldsQuery(Struct, frozen=True, gc=False):
    """Load the first `limit` holds of an event that end at `until` or earlier, and when the next one ends."""

    event_id: UUID
    until: datetime
    limit: int


class OverlongHoldsQuery(Struct, frozen=True, gc=False):
    """Load up to `limit` holds of an event that end after `starts_at`."""

    event_id: UUID
    starts_at: datetime
    limit: int

"""What a command needs loaded of its event, and the queries for what a step of settling reads."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class LoadSpec(Struct, frozen=True, gc=False, kw_only=True):
    """What a command needs loaded of one event: what rules read of the customer's live bookings, and one booking by id.

    `whole`: the decision may change the customer's live bookings, so they are needed as `bookings` as well. `settles`:
    it may free tickets, so the head of the line is needed as well. `sizes`: and what those in line ask for. `payments`:
    and the payments of that booking.
    """

    event_id: UUID
    customer_id: UUID | None = None
    booking_id: UUID | None = None
    whole: bool = False
    settles: bool = False
    sizes: bool = False
    payments: bool = False


class WaitingListQuery(Struct, frozen=True, gc=False):
    """Load the first `limit` in a ticket type's line; with `fitting`, of those who ask for at most so many."""

    ticket_type_id: UUID
    fitting: int | None
    limit: int


class ClosingQuery(Struct, frozen=True, gc=False):
    """Load `limit` live bookings of a closed event; `waiting_only` those in line alone."""

    event_id: UUID
    waiting_only: bool
    limit: int


class ExpiredHoldsQuery(Struct, frozen=True, gc=False):
    """Load the first `limit` holds of an event that lapse at `until` or earlier, and when the next one lapses."""

    event_id: UUID
    until: datetime
    limit: int


class OverlongHoldsQuery(Struct, frozen=True, gc=False):
    """Load up to `limit` holds of an event that lapse after `starts_at`."""

    event_id: UUID
    starts_at: datetime
    limit: int

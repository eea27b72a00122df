"""Queries: committed state, read without locks.

Every method may raise Unavailable.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking, BookingStatus
from ...domain.event import Event, EventState, EventStatus
from ...domain.facts import Fact
from ...domain.inventory import WaitingList
from ...domain.payment import Payment
from ...domain.user import Role, Session, User
from .loading import WaitingListQuery
from .security import AccountKey


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events: by status, organizer (None: anybody), and text in name or venue, literally and without case.

    `hides_unpublished` leaves out those that never were on sale, but for those that `viewer_id` organizes.
    """

    statuses: frozenset[EventStatus]
    organizer_id: UUID | None = None
    q: str | None = None
    hides_unpublished: bool = False
    viewer_id: UUID | None = None


class EventKey(Struct, frozen=True):
    """Where an event stands in a list of events: soonest first, those without a start last, then by id."""

    starts_at: datetime | None
    event_id: UUID


class EventPage(Struct, frozen=True):
    """A piece of a list of events; `next` is the place after which the list goes on, None at its end."""

    events: list[EventState]
    next: EventKey | None


class WaitingKey(Struct, frozen=True):
    """Where a booking stands in an event's waiting list: by ticket type, then queue number."""

    ordinal: int
    queue_number: int


class BookingOfEvent(Struct, frozen=True):
    """A booking with the event it belongs to."""

    booking: Booking
    event: Event


class Revocations(Struct, frozen=True):
    """What access tokens may still say that is so no more.

    `ended` are sessions, `users` those for whom an operator changed something, with today's role; None: disabled.
    """

    ended: Sequence[UUID]
    users: Mapping[UUID, Role | None]


class Account(Struct, frozen=True):
    """A user with one of their sessions."""

    user: User
    session: Session | None


class EventQueries(Protocol):
    """Events and their facts. Each call sees one consistent state, but a search may read in pieces."""

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """Events with their ticket types in their order, as far as there are such."""

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """Events after that place in their list, at most so many.

        A search looks at a bounded number of events. It may find fewer, or none, before the list ends.
        """

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """An event's facts after that sequence number, in order."""

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """Events whose `earliest_expiry` has come, the earliest first."""

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """Events for which a step is still to be done, by id."""


class BookingQueries(Protocol):
    """Bookings. Each call sees one consistent state, but a list may show a place that is newer than its bookings."""

    async def event_of(self, booking_id: UUID) -> UUID | None:
        """Which event a booking belongs to; that never changes."""

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """One booking, with its place while it waits."""

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """A customer's bookings, newest (highest id) first, from below that id, with their places."""

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """An event's bookings, newest (highest id) first, from below that id, with their places."""

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """Those who wait, by ticket type and queue number, after that place, with their places."""


class PaymentQueries(Protocol):
    """Charges and refunds. Each call sees one consistent state."""

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """A booking's charges and refunds, oldest first; of the same moment the charges, then by id."""

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Pending payments about which the provider may be asked by now, those that waited longest first."""


class AccountQueries(Protocol):
    """Accounts and sessions. Each call sees one consistent state."""

    async def user_by_email(self, email: str) -> User | None:
        """The account with this e-mail."""

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """Accounts by id, from above that one."""

    async def revocations(self, since: datetime) -> Revocations:
        """What was revoked then or later, by the time that it bears."""

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """Users, each with that session if it exists and is theirs, as far as there are such users."""


class BookingHistory(Struct, frozen=True):
    """A booking with its facts in order and its payments."""

    booking: Booking
    facts: list[Fact]
    payments: list[Payment]


class Snapshot(Protocol):
    """A whole database at one moment, read in pieces."""

    async def events(self, after: UUID | None, limit: int) -> list[EventState]:
        """Events by id."""

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """An event's facts by sequence number."""

    async def bookings(self, after: UUID | None, limit: int) -> list[BookingHistory]:
        """Bookings by id."""

    async def counts(self, event_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
        """Per ticket type, counted from the bookings: tickets taken, bookings waiting, tickets waited for."""

    async def lines(self, asks: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """As `EventRepository.lines`."""

    async def strays(self) -> Mapping[str, int]:
        """Rows that contradict each other, counted by a sentence that says how; none: empty.

        More than one live booking of a customer for a type, waiting bookings without a place in line and places without
        one, facts or bookings of no event, stored responses about nothing.
        """

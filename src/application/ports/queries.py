"""Queries: committed state, read without locks.

Every method may raise Unavailable.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking, BookingStatus
from ...domain.decisions.erase import Erasure
from ...domain.event import Event, EventStatus, When
from ...domain.explanations.explanation import Explained
from ...domain.explanations.line_history import LineMove
from ...domain.facts import Fact
from ...domain.inventory import WaitingList
from ...domain.payment import ChargeStatus, Need, Payment
from ...domain.tickets.ticket import Ticket
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Role, Session, User
from .loading import WaitingListQuery
from .repositories import AccountReview
from .security import AccountKey


class EventFilter(Struct, frozen=True, kw_only=True):
    """A filter by status, organizer (None: any), time, and text in name or venue, literally and without case.

    `member_id` is who organizes or works for the events (None: any); it is not combined with an organizer. `when` is
    judged at `now`. `hides_unpublished` leaves out events that were never on sale, except those that
    `viewer_id` organizes.
    """

    statuses: frozenset[EventStatus]
    now: datetime
    when: When = When.ALL
    organizer_id: UUID | None = None
    member_id: UUID | None = None
    q: str | None = None
    hides_unpublished: bool = False
    viewer_id: UUID | None = None


class EventKey(Struct, frozen=True):
    """An event's place in a list of events: soonest first, those without a start last, then by id."""

    starts_at: datetime | None
    event_id: UUID


class EventPage(Struct, frozen=True):
    """One page of a list of events; `next` is the key to continue after, None at the end."""

    events: list[EventState]
    next: EventKey | None


class WaitingKey(Struct, frozen=True):
    """A booking's place among an event's waiting bookings: by ticket type, then queue number."""

    ordinal: int
    queue_number: int


class BookingPage(Struct, frozen=True):
    """One page of a search of bookings; `next` is the id to continue below, None at the end."""

    bookings: list[Booking]
    next: UUID | None


class Customer(Struct, frozen=True, gc=False):
    """Who booked. `email` is None where another account has verified the address."""

    id: UUID
    name: str
    email: str | None


class AttendingBooking(Struct, frozen=True, gc=False, kw_only=True):
    """A booking that has tickets, as far as these show it. `customer` is None once the account is erased.

    `tickets` counts those that were given back too.
    """

    id: UUID
    first_ticket_number: int
    tickets: int
    status: BookingStatus
    ticket_type_id: UUID
    ticket_type_name: str
    customer: Customer | None


class BookingOfEvent(Struct, frozen=True):
    """A booking with its event."""

    booking: Booking
    event: Event


class BookingOwner(Struct, frozen=True, gc=False):
    """The event and the customer of a booking, which never change."""

    event_id: UUID
    customer_id: UUID


class Revocations(Struct, frozen=True):
    """Changes that older access tokens do not contain.

    `ended` are sessions; `users` are those who were changed, with their current role, None: disabled or erased.
    """

    ended: Sequence[UUID]
    users: Mapping[UUID, Role | None]


class Account(Struct, frozen=True):
    """A user with one of their sessions."""

    user: User
    session: Session | None


class EventQueries(Protocol):
    """Events and their facts. Each call sees one consistent state, but a search may read several."""

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """Return the events that exist, with their ticket types in order."""

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """Return up to `limit` events after that place in their list.

        A search reads a bounded number of events, so it may find fewer, or none, before the list ends.
        """

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """Return an event's facts after that sequence number, in order."""

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """Return events whose `earliest_expiry` has passed, the earliest first."""

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """Return events that need another step of settling, by id."""

    async def unnumbered_events(self, limit: int) -> list[UUID]:
        """Return events that have confirmed bookings without ticket numbers."""


class BookingQueries(Protocol):
    """Bookings. Each call sees one consistent state, but the places in a list may be newer than its bookings."""

    async def owner_of(self, booking_id: UUID) -> BookingOwner | None:
        """Return the event and the customer of a booking."""

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """Return one booking with its event, and with its place while it waits."""

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """Return a customer's bookings with their places, newest (highest id) first, below the id `before`."""

    async def bookings_with_events(
        self, customer_id: UUID, status: BookingStatus, after: UUID | None, limit: int
    ) -> list[BookingOfEvent]:
        """Return a customer's bookings of a status with their events, without places, by id, above the id `after`."""

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """Return an event's bookings with their places, newest (highest id) first, below the id `before`."""

    async def waitlisted_of_customer(self, customer_id: UUID, limit: int, *, suspended: bool) -> list[Booking]:
        """Return a customer's waitlisted bookings that are suspended, or that are not, by id and without places."""

    async def search_bookings(
        self, event_id: UUID, q: str, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> BookingPage:
        """Return those of `bookings_of_event` whose customer's name or address contains a text, without case.

        A search reads a bounded number of bookings, so it may find fewer, or none, before the list ends.
        """

    async def attending_bookings(self, event_id: UUID, after: int, limit: int) -> list[AttendingBooking]:
        """Return an event's bookings in the order of their tickets, those with ticket numbers above `after`."""

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """Return waiting bookings with their places, by ticket type and queue number, after `after`."""


class ExplanationQueries(Protocol):
    """What explanations of bookings follow from."""

    async def explained(self, booking_id: UUID) -> Explained | None:
        """Return a booking with its event, its ticket type, its facts and its place; a place may be newer."""

    async def line_moves(self, event_id: UUID, after: int, until: int) -> list[LineMove]:
        """Return the moves (`move_of`) after one fact of an event, up to another, in their order.

        A booking that passed nobody over may be left out.
        """


class PaymentQueries(Protocol):
    """Charges and refunds. Each call sees one consistent state."""

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """Return a booking's charges and refunds, oldest first; at the same time charges first, then by id."""

    async def payments_of_bookings(self, booking_ids: Sequence[UUID]) -> list[Payment]:
        """Return the charges and refunds of these bookings, by id."""

    async def payment(self, payment_id: UUID) -> Payment | None:
        """Return one charge or refund."""

    async def charge_of_provider(self, provider_id: str) -> UUID | None:
        """Return the id of the charge with this id at the provider."""

    async def payments_of_event(
        self, event_id: UUID, status: ChargeStatus | None, before: UUID | None, limit: int
    ) -> list[Payment]:
        """Return an event's charges and refunds by id, the highest first, below the id `before`.

        The refund that ends a charge has an id beside the charge's.
        """

    async def needing_payments(self, need: Need, now: datetime, after: UUID | None, limit: int) -> list[Payment]:
        """Return the payments of which `need_of` says so, by id, above the id `after`."""

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Return pending payments whose `ask_at` has passed, longest first."""


class AccountQueries(Protocol):
    """Accounts and sessions. Each call sees one consistent state."""

    async def user_by_email(self, email: str) -> User | None:
        """Return the account with this e-mail address."""

    async def customers(self, user_ids: Collection[UUID]) -> dict[UUID, Customer]:
        """Return those of these accounts that exist and are not erased."""

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """Return accounts by id, above the id `after`."""

    async def revocations(self, since: datetime) -> Revocations:
        """Return the revocations with timestamps from `since` on."""

    async def due_reviews(self, now: datetime, limit: int) -> list[AccountReview]:
        """Return reviews of accounts whose `due_at` has passed, longest first."""

    async def sessions_of(self, user_id: UUID) -> list[Session]:
        """Return a user's sessions by id, ended ones too."""

    async def due_erasures(self, now: datetime, limit: int) -> list[Erasure]:
        """Return erasures that are due, longest first."""

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """Return the users that exist, each with the session if it exists and is theirs."""


class BookingHistory(Struct, frozen=True):
    """A booking with its facts in order, its payments, and those of its tickets that have rows."""

    booking: Booking
    facts: list[Fact]
    payments: list[Payment]
    tickets: list[Ticket]


class Snapshot(Protocol):
    """The whole database at one moment, read in pages."""

    async def events(self, after: UUID | None, limit: int) -> list[EventState]:
        """Return events by id."""

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """Return an event's facts by sequence number."""

    async def bookings(self, after: UUID | None, limit: int) -> list[BookingHistory]:
        """Return bookings by id."""

    async def first_ticket_numbers(self, event_id: UUID, after: int, limit: int) -> list[tuple[int, UUID]]:
        """Return the bookings with ticket numbers in the order of their first ones, with these, above `after`."""

    async def counts(self, event_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
        """Return by ticket type, counted from bookings: tickets taken, waiting bookings, their tickets."""

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """Return the heads of waiting lists, as `EventRepository.waiting_lists`."""

    async def strays(self) -> Mapping[str, int]:
        """Return the number of rows that contradict each other, by a description; empty: none.

        Several live bookings of a customer for one type, waiting bookings without a place and places without a waiting
        booking, bookings that contradict whether their accounts are disabled, used tickets that contradict the entries
        of the door, facts or bookings of no event, stored responses about nothing, anything of erased accounts but
        their ids.
        """

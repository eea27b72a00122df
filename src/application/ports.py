"""The ports: what the use cases need of the world. The docstrings are the guarantees that adapters are held to.

Repositories speak in sets. Whatever raises may raise the failures of `failures`; only what is special is said below.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from ..domain.booking import Booking, BookingStatus
from ..domain.event import Event, EventState, EventStatus
from ..domain.facts import Fact
from ..domain.inventory import Decision, DueHolds, Inventory, Line, OverlongHolds, WaitingSizes
from ..domain.money import Money
from ..domain.payment import Payment
from ..domain.settle import ClosingAsk, HoldAsk, LineAsk, OverlongHoldsQuery
from ..domain.user import Role, Session, User
from .idempotency import Key, Remembered
from .observing import Figures
from .telling import Mails, TellingReads, Webhooks


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time in UTC, to the microsecond."""


class Ids(Protocol):
    """Makes new ids."""

    def new(self) -> UUID:
        """An id that nobody has (UUID version 7, so that ids of one process sort by their age)."""


class Asker(Struct, frozen=True):
    """For whom a password is hashed or checked: each has a share of the work, and all have their turns.

    `subject` is what it is about, a user's id for instance. An anonymous caller's e-mail address stands there only
    together with the network address: a stranger must not use up the share of the account that he tries.
    `address` is the network address; None: it is not known.
    """

    subject: Hashable
    address: Hashable = None


class PasswordHasher(Protocol):
    """Keeps passwords as something that cannot be turned back. Its work is slow on purpose and bounded in number."""

    async def hash(self, password: str, asker: Asker) -> str:
        """What to keep of a password. Raises: Unavailable when too many wait, or too many of the asker's."""

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        """Whether this is the password. Without a hash (no such account): False, after the same time.

        Raises: as `hash`.
        """

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the password would be kept better today, so that it is worth hashing again while it is known."""


class KnownPasswords(Protocol):
    """The passwords that everybody tries first."""

    def contains(self, password: str) -> bool:
        """Whether the password is a well-known one, upper and lower case being the same."""


class Token(Struct, frozen=True):
    """An access token and the seconds it is good for."""

    text: str
    expires_in: int


class AccountKey(Struct, frozen=True, gc=False):
    """A user, and which of the user's sessions, if any."""

    user_id: UUID
    session_id: UUID | None = None


class Claims(Struct, frozen=True, gc=False):
    """Whom an access token speaks for, and the role that the user had when it was issued."""

    user_id: UUID
    session_id: UUID
    role: Role


class Tokens(Protocol):
    """Issues access tokens and reads them."""

    lifetime: int
    """Seconds."""

    def issue(self, claims: Claims, now: datetime) -> Token:
        """A token for one session."""

    def read(self, text: str, now: datetime) -> Claims:
        """Whom it speaks for. Raises: InvalidToken (the refusal) for anything that we did not issue or that expired."""


class RefreshDigests(Struct, frozen=True):
    """All that is kept of a refresh token: nobody makes a token of it.

    `family` is the same for every refresh token of a session, `token` is another one for each.
    """

    family: bytes
    token: bytes


class RefreshToken(Struct, frozen=True):
    """A refresh token, for its holder, and what is kept of it."""

    text: str
    digests: RefreshDigests


class RefreshTokens(Protocol):
    """Makes refresh tokens, which cannot be guessed, and reads them."""

    def first(self) -> RefreshToken:
        """The first token of a new session."""

    def after(self, token: RefreshToken) -> RefreshToken:
        """Another token of the same session."""

    def read(self, text: str) -> RefreshToken | None:
        """The token; None for what was never one. Whether it is one of ours, and the newest, its digests tell."""


class GatewaySilent(Exception):
    """The provider did not answer, so it is not known whether the money moved. Ask again with the same reference."""


class PaymentGateway(Protocol):
    """The payment provider. Every call names our reference, and per reference the money moves once at most."""

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """Take the money; False when it was declined. A reference that was used before gives its first outcome.

        Raises: GatewaySilent.
        """

    async def find_charge(self, reference: UUID) -> bool | None:
        """What became of a charge: True taken, False declined, None never heard of. Raises: GatewaySilent."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Give the money of a charge back; False when it was refused for now. Raises: GatewaySilent."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Needs(Struct, frozen=True, gc=False, kw_only=True):
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


class Inventories(Protocol):
    """The events under their locks, inside a unit of work."""

    async def lock(self, needs: Sequence[Needs]) -> dict[UUID, Inventory]:
        """Every event named that exists, locked in id order until the unit of work ends, with the bookings needed.

        It is the first statement of the unit of work. `Inventory.bookings` holds the bookings needed by any of the
        commands on that event, `Inventory.of_customers` the live ones of their customers, `Inventory.payments` the
        payments where they are needed; lines, closing, due holds and sizes are not loaded yet. A booking of another
        event is left out.

        Raises: Locked when somebody else has held some of the events for too long, naming those where it can.
        """

    async def lines(self, asks: Sequence[LineAsk]) -> dict[UUID, Line]:
        """The head of each line asked for, by ticket type, as saved by now."""

    async def closing(self, asks: Sequence[ClosingAsk]) -> dict[UUID, tuple[Booking, ...]]:
        """Live bookings of closed events, by event, as saved by now."""

    async def due_holds(self, asks: Sequence[HoldAsk]) -> dict[UUID, DueHolds]:
        """Holds that have lapsed, by event, as saved by now, those that lapsed first first."""

    async def overlong_holds(self, asks: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """Holds that outlive the start of their event, by event, as saved by now."""

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """How many live events each of these organizers has as saved by now, counted to `MOST_LIVE_EVENTS` at most."""

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """The sizes in each line that is not empty, by event and ticket type, as saved by now."""

    async def save(self, decisions: Sequence[Decision[Any]], mark: UUID, *, more_follow: bool = False) -> None:
        """Record decisions, in their order, all or nothing with the unit of work. May be called again in it.

        `more_follow`: others are decided next. A storage that works by itself can write these meanwhile, and tell with
        what it is asked after that, or with the commit, that it could not.

        Every locked event that a decision concerns is written. `mark` is kept with each fact, so that `holds` can find
        it. Raises: Conflict when the schema refuses (maybe at commit only).
        """

    async def remembered(self, keys: Sequence[Key]) -> dict[Key, Remembered]:
        """What is kept of requests that came before."""

    async def remember(self, answers: Sequence[Remembered], now: datetime) -> None:
        """Keep answers with the unit of work. Raises: Conflict where a key has one already (maybe at commit only)."""

    async def holds(self, last: Mapping[UUID, int], mark: UUID) -> bool:
        """Whether one of these facts carries this mark, looked up under their events' locks.

        Each is named by its event and its number, and is the last that its transaction saved of that event.
        """


class SignIn(Struct, frozen=True):
    """A session with its user, and the digest of its newest refresh token: only that one is still to be used."""

    user: User
    session: Session
    token: bytes


class Users(Protocol):
    """Accounts and sessions, inside a unit of work."""

    async def add(self, user: User) -> None:
        """A new account. Raises: Conflict when id or e-mail exist (maybe at commit only)."""

    async def lock(self, user_id: UUID) -> User | None:
        """The account, locked until the unit of work ends."""

    async def lock_by_email(self, email: str) -> User | None:
        """The account with this e-mail, locked until the unit of work ends."""

    async def save(self, user: User) -> None:
        """Put an account that was locked."""

    async def add_session(self, session: Session, digests: RefreshDigests, now: datetime) -> None:
        """A new session with its first refresh token; the user's sessions that have expired by `now` go.

        Raises: Conflict when the id or the family exist (maybe at commit only).
        """

    async def lock_session(self, family: bytes) -> SignIn | None:
        """The session of a family of refresh tokens and its user, both locked until the unit of work ends."""

    async def save_session(self, session: Session, token: bytes) -> None:
        """Put a session that was locked, with the digest of its newest refresh token."""

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """End every live session of a user but this one."""


def is_turn_running(ends_at: datetime, now: datetime, until: datetime) -> bool:
    """Whether a turn that ends at `ends_at` keeps a process waiting that would take one until `until`.

    A turn that has more than twice the length of one still to go was taken by a clock that was ahead. Its process may
    be gone, and nobody would do the chore until that time has come.
    """
    return now < ends_at < until + (until - now)


class Chores(Protocol):
    """What the background work keeps, inside a unit of work."""

    async def take_turn(self, chore: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """Whether this process may do a chore until then: it is its turn already, or nobody else's.

        Nobody else's turn counts that is not running (`is_turn_running`).
        """

    async def forget_answers(self, before: datetime, limit: int) -> int:
        """Forget remembered answers that are older; how many went."""


class Count(Struct, frozen=True, gc=False):
    """How many requests a process counted in a minute (minutes since 1970) for what a key stands for."""

    minute: int
    key: UUID
    requests: int


class Failures(Struct, frozen=True, gc=False):
    """Failures to prove a password: at a moment, or several in a minute, the last of them at that moment."""

    at: datetime
    number: int = 1


class Limits(Protocol):
    """What limits are held against, inside a unit of work."""

    async def put_counts(self, process_id: UUID, counts: Sequence[Count]) -> None:
        """What a process counted by now, in the place of what it had said before."""

    async def counts_of_others(self, process_id: UUID, counts: Sequence[Count]) -> dict[tuple[int, UUID], int]:
        """What all other processes counted for these keys, by minute and key: in their minutes and those before."""

    async def forget_counts(self, before: int) -> None:
        """Forget the counts of earlier minutes."""

    async def failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """Failures to prove a password, by whom or what they are counted for, as far as there are any."""

    async def lock_failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """The same, for all of them, locked in their order until the unit of work ends."""

    async def save_failures(self, failures: Mapping[UUID, tuple[Failures, ...]]) -> None:
        """Put what was locked; thirty-two at most for each, the last one last."""

    async def forget_failures(self, before: datetime) -> None:
        """Forget those whose last failure is older."""


class UnitOfWork(Protocol):
    """One transaction. What is not committed is rolled back when its context ends."""

    @property
    def inventories(self) -> Inventories:
        """Events under their locks."""

    @property
    def users(self) -> Users:
        """Accounts and sessions."""

    @property
    def chores(self) -> Chores:
        """What the background work keeps."""

    @property
    def webhooks(self) -> Webhooks:
        """Webhooks and how far each was told."""

    @property
    def mails(self) -> Mails:
        """Mails to be sent."""

    @property
    def limits(self) -> Limits:
        """What limits are held against."""

    async def commit(self) -> None:
        """Make everything durable, then return. Raises: OutcomeUnknown when the connection was lost meanwhile."""


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


class Reads(Protocol):
    """What is committed, read without locks. Each call sees one consistent state.

    The exceptions are a search, whose pieces may be read one after the other, and a list of bookings, which may show a
    place that is newer than the bookings.
    """

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """Events with their ticket types in their order, as far as there are such."""

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """Events after that place in their list, at most so many.

        A search looks at a bounded number of events. It may find fewer, or none, before the list ends.
        """

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

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """An event's facts after that sequence number, in order."""

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """A booking's charges and refunds, oldest first; of the same moment the charges, then by id."""

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Pending payments about which the provider may be asked by now, those that waited longest first."""

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """Events whose `earliest_expiry` has come, the earliest first."""

    async def user_by_email(self, email: str) -> User | None:
        """The account with this e-mail."""

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """Accounts by id, from above that one."""

    async def revocations(self, since: datetime) -> Revocations:
        """What was revoked then or later, by the time that it bears."""

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """Users, each with that session if it exists and is theirs, as far as there are such users."""

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """Events for which a step is still to be done, by id."""


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

    async def lines(self, asks: Sequence[LineAsk]) -> dict[UUID, Line]:
        """As `Inventories.lines`."""

    async def strays(self) -> Mapping[str, int]:
        """Rows that contradict each other, counted by a sentence that says how; none: empty.

        More than one live booking of a customer for a type, waiting bookings without a place in line and places without
        one, facts or bookings of no event, remembered answers about nothing.
        """


class Storage(Protocol):
    """Where everything is kept."""

    @property
    def reads(self) -> Reads:
        """What is committed."""

    @property
    def telling(self) -> TellingReads:
        """What is committed of webhooks and mails."""

    @property
    def figures(self) -> Figures:
        """What it tells whoever looks after it."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new transaction; several may run side by side. Raises: Unavailable."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """One consistent look at everything, beside live traffic."""

    async def check_ready(self) -> None:
        """Raises Unavailable, saying why, when the database is away, read-only or at another schema version."""

    async def close(self) -> None:
        """Let go of every connection."""

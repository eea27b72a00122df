"""Repositories: what a unit of work reads under locks and writes.

They take and return sets. Every method may raise the failures of `errors`; docstrings name only special ones.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ...domain.user import Session, User
from .idempotency import Key, StoredResponse
from .loading import ClosingQuery, ExpiredHoldsQuery, LoadSpec, OverlongHoldsQuery, WaitingListQuery
from .security import RefreshDigests


class EventRepository(Protocol):
    """The events under their locks, inside a unit of work."""

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """Every event named that exists, locked in id order until the unit of work ends, with the bookings needed.

        It is the first statement of the unit of work. `Inventory.bookings` holds the bookings needed by any of the
        commands on that event, `Inventory.of_customers` the live ones of their customers, `Inventory.payments` the
        payments where they are needed; lines, closing, due holds and sizes are not loaded yet. A booking of another
        event is left out.

        Raises: Locked when somebody else has held some of the events for too long, naming those where it can.
        """

    async def lines(self, asks: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """The head of each line asked for, by ticket type, as saved by now."""

    async def closing(self, asks: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """Live bookings of closed events, by event, as saved by now."""

    async def expired_holds(self, asks: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """Holds that have lapsed, by event, as saved by now, those that lapsed first first."""

    async def overlong_holds(self, asks: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """Holds that outlive the start of their event, by event, as saved by now."""

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """How many live events each of these organizers has as saved by now, counted to `MOST_LIVE_EVENTS` at most."""

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """The sizes in each line that is not empty, by event and ticket type, as saved by now."""

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:
        """Record decisions, in their order, all or nothing with the unit of work. May be called again in it.

        `more_follow`: others are decided next. A storage that works by itself can write these meanwhile, and tell with
        what it is asked after that, or with the commit, that it could not.

        Every locked event that a decision concerns is written. `batch_id` is kept with each fact, for
        `was_committed`. Raises: Conflict when the schema refuses (maybe at commit only).
        """

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """Return the responses that these keys have got."""

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """Store responses in the unit of work. Raises: Conflict where a key has one (maybe at commit only)."""

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """Return whether one of these facts carries this batch id, looked up under their events' locks.

        Each is named by its event and its number, and is the last that its transaction saved of that event.
        """


class SignIn(Struct, frozen=True):
    """A session with its user, and the digest of its newest refresh token: only that one is still to be used."""

    user: User
    session: Session
    token: bytes


class UserRepository(Protocol):
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


def is_lease_active(ends_at: datetime, now: datetime, until: datetime) -> bool:
    """Whether a turn that ends at `ends_at` keeps a process waiting that would take one until `until`.

    A turn that has more than twice the length of one still to go was taken by a clock that was ahead. Its process may
    be gone, and nobody would do the chore until that time has come.
    """
    return now < ends_at < until + (until - now)


class LeaseRepository(Protocol):
    """What the background work keeps, inside a unit of work."""

    async def acquire_lease(self, chore: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """Whether this process may do a chore until then: it is its turn already, or nobody else's.

        Nobody else's turn counts that is not running (`is_lease_active`).
        """

    async def delete_stored_responses(self, before: datetime, limit: int) -> int:
        """Delete stored responses that are older and return how many."""


class Count(Struct, frozen=True, gc=False):
    """How many requests a process counted in a minute (minutes since 1970) for what a key stands for."""

    minute: int
    key: UUID
    requests: int


class Failures(Struct, frozen=True, gc=False):
    """Failures to prove a password: at a moment, or several in a minute, the last of them at that moment."""

    at: datetime
    number: int = 1


class LimitRepository(Protocol):
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

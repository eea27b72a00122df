"""Repositories: what a unit of work reads under locks and writes.

They take and return sets. Every method may raise the failures of `errors`; docstrings name only special cases.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking, Place
from ...domain.decisions.erase import Erasure
from ...domain.facts import Fact
from ...domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ...domain.tickets.check_in import CheckIn
from ...domain.user import Session, User
from .check_ins import ScannedTickets
from .idempotency import Key, StoredResponse
from .loading import ClosingQuery, DoorSpec, ExpiredHoldsQuery, LoadSpec, OverlongHoldsQuery, WaitingListQuery
from .security import RefreshDigests, ReplacedToken


class EventRepository(Protocol):
    """Events under their locks, inside a unit of work."""

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """Lock the events that exist, in id order, until the unit of work ends, and return them with what is needed.

        It is the first statement of the unit of work. `Inventory.bookings` contains the bookings that any command on
        the event needs, `of_customers` the live bookings of their customers, `payments` and `tickets` these where
        needed. Waiting lists, closing bookings, holds and sizes are not loaded. Bookings of other events are left out.

        Raises: Locked, with the events if the storage knows them, when others have locked some for too long.
        """

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """Return the head of each waiting list, by ticket type, as saved so far."""

    async def closing(self, queries: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """Return live bookings of closed events, by event, as saved so far."""

    async def expired_holds(self, queries: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """Return lapsed holds by event, earliest first, as saved so far."""

    async def overlong_holds(self, queries: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """Return holds that end after the start of their event, by event, as saved so far."""

    async def scanned_tickets(self, needs: Collection[tuple[UUID, DoorSpec]]) -> dict[UUID, ScannedTickets]:
        """Return what commands of the door need of locked events, as committed. Others' bookings are left out."""

    async def other_check_in(self, check_in: CheckIn) -> CheckIn | None:
        """Return the earliest other entry of the same ticket that counts, as saved so far."""

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """Return a locked event's committed facts after that sequence number, in order."""

    async def bookings(self, booking_ids: Collection[UUID]) -> tuple[Booking, ...]:
        """Return committed bookings of locked events, those that exist."""

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """Return each organizer's number of live events, up to `MOST_LIVE_EVENTS`, as saved so far."""

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """Return the sizes of each waiting list that is not empty, by event and ticket type, as saved so far."""

    async def place(self, booking: Booking) -> Place | None:
        """Return the place of a booking of a locked event on its waiting list, as saved so far; None: it is on none."""

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:
        """Record decisions in order, atomically with the unit of work. May be called repeatedly.

        With `more_follow` a storage may write in the background; a failure is then raised by a later call, or by the
        commit.

        Every locked event with a decision is written. `batch_id` is stored with each fact, for `was_committed`. Raises:
        Conflict when the schema refuses (maybe only at commit).
        """

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """Return the stored responses of these keys."""

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """Store responses. Raises: Conflict where a key already has one (maybe only at commit)."""

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """Return whether one of these facts has this batch id, looked up under their events' locks.

        `last_facts` has the number of the last fact that the transaction saved of each event.
        """


class SignIn(Struct, frozen=True):
    """A session with its user, the digest of its newest refresh token, and the token that was exchanged for that."""

    user: User
    session: Session
    token: bytes
    replaced: ReplacedToken | None = None


class AccountReview(Struct, frozen=True):
    """That the waiting bookings of an account are to be compared with whether it is disabled, at `due_at`.

    It is repeated until `until`, because bookings from shortly before the account was disabled or enabled may be saved
    shortly after.
    """

    user_id: UUID
    until: datetime
    due_at: datetime


class UserRepository(Protocol):
    """Accounts and sessions, inside a unit of work."""

    async def add(self, user: User) -> None:
        """Add an account. Raises: Conflict when its id or e-mail address exists (maybe only at commit)."""

    async def lock(self, user_id: UUID) -> User | None:
        """Return the account, locked until the unit of work ends."""

    async def lock_by_email(self, email: str) -> User | None:
        """Return the account with this e-mail address, locked until the unit of work ends."""

    async def save(self, user: User) -> None:
        """Replace a locked account."""

    async def add_session(self, session: Session, digests: RefreshDigests, now: datetime) -> None:
        """Add a session with its first refresh token, and delete the user's sessions that have expired by `now`.

        Raises: Conflict when the id or the family exists (maybe only at commit).
        """

    async def lock_session(self, family: bytes) -> SignIn | None:
        """Return the session of a family of refresh tokens with its user, both locked until the unit of work ends."""

    async def save_session(self, sign_in: SignIn) -> None:
        """Replace a locked session and what is stored of its refresh tokens; its user stays as it is."""

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """End every live session of a user except this one."""

    async def put_review(self, review: AccountReview) -> None:
        """Store the review of a locked account, replacing an earlier one."""

    async def finish_review(self, review: AccountReview, due_at: datetime | None) -> None:
        """Let this review be due again at `due_at`, or delete it (None), unless one with another end replaced it."""


class ErasureRepository(Protocol):
    """What is erased with an account, and the erasures that are not finished, inside a unit of work."""

    async def erase(self, user: User) -> None:
        """Delete what is kept of a locked account beside its row, bookings and events.

        These are its sessions, links, duties, and its key in events' logs.

        If it has verified its address, delete all links and claims with that address too.
        """

    async def save(self, erasure: Erasure) -> None:
        """Add or replace an erasure."""

    async def remove(self, user_id: UUID) -> None:
        """Delete an erasure that is finished."""

    async def forget_payment_keys(self, booking_ids: Sequence[UUID]) -> None:
        """Delete the idempotency keys of completed payments of these bookings."""

    async def delete_stored_responses(self, user_id: UUID, limit: int) -> int:
        """Delete up to `limit` stored responses to an account and return how many."""


def is_lease_active(ends_at: datetime, now: datetime, until: datetime) -> bool:
    """Return whether another process's lease until `ends_at` prevents acquiring one until `until`.

    A lease with more than twice the normal length left was acquired by a clock that was ahead. It does not count,
    because its process may be gone and the task would not be done until then.
    """
    return now < ends_at < until + (until - now)


class LeaseRepository(Protocol):
    """Leases of background tasks, and their clean-up, inside a unit of work."""

    async def acquire_lease(self, task: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """Acquire or renew the lease of a task until `until`; return False if another process has an active one.

        `is_lease_active` says which leases are active.
        """

    async def delete_stored_responses(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` stored responses older than `before` and return how many."""


class Count(Struct, frozen=True, gc=False):
    """The requests that a process counted for a key in a minute (minutes since 1970)."""

    minute: int
    key: UUID
    requests: int


class Failures(Struct, frozen=True, gc=False):
    """Failed passwords: one at that time, or several in a minute, the last of them at that time."""

    at: datetime
    number: int = 1


class LimitRepository(Protocol):
    """The shared counts of limits, inside a unit of work."""

    async def put_counts(self, process_id: UUID, counts: Sequence[Count]) -> None:
        """Store a process's counts, replacing earlier ones."""

    async def counts_of_others(self, process_id: UUID, counts: Sequence[Count]) -> dict[tuple[int, UUID], int]:
        """Return the other processes' sums by minute and key, for these counts' minutes and the previous ones."""

    async def forget_counts(self, before: int) -> None:
        """Delete the counts of earlier minutes."""

    async def failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """Return the failed passwords of these subjects that have any."""

    async def lock_failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """Return the failed passwords of all these subjects, locked in order until the unit of work ends."""

    async def save_failures(self, failures: Mapping[UUID, tuple[Failures, ...]]) -> None:
        """Replace locked failures: at most 32 for each subject, in order."""

    async def forget_failures(self, before: datetime) -> None:
        """Delete subjects whose last failure is older."""

    async def lock_mail_times(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[datetime, ...]]:
        """Return the times of the mails counted for these subjects, all locked in order until the unit of work ends.

        Subjects without any are locked too, so this also serializes what concerns one recipient.
        """

    async def save_mail_times(self, times: Mapping[UUID, tuple[datetime, ...]]) -> None:
        """Replace locked times: at least one and at most 32 for each subject, in order."""

    async def forget_mail_times(self, before: datetime) -> None:
        """Delete subjects whose last mail is older."""

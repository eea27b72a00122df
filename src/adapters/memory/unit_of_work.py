"""A transaction in memory, with real locks, a real rollback and simulated failures."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from msgspec.structs import replace

from ...application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, StorageFailure
from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.loading import ClosingQuery, ExpiredHoldsQuery, LoadSpec, OverlongHoldsQuery, WaitingListQuery
from ...application.ports.notifications import MailRepository, WebhookRepository
from ...application.ports.repositories import (
    Count,
    EventRepository,
    Failures,
    LeaseRepository,
    LimitRepository,
    SignIn,
    UserRepository,
    is_lease_active,
)
from ...application.ports.security import RefreshDigests
from ...domain.booking import Booking
from ...domain.event import Event, TicketType
from ...domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ...domain.payment import Payment
from ...domain.user import Session, User
from .notifications import MemoryMailRepository, MemoryWebhookRepository
from .steps import Fault, Step
from .tables import Draft, Tables, live_of

LOCK_WAIT: Final = 3.0
"""Seconds to wait for a lock."""


class Lost(Retryable):
    """The connection was lost before COMMIT. The database notices after `seconds` and only then frees the locks."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the connection was lost")
        self.seconds = seconds
        self.commits = False


class LostInCommit(OutcomeUnknown):
    """The connection was lost during COMMIT.

    The database commits or rolls back after `seconds`, and only then frees the locks.
    """

    def __init__(self, seconds: float, *, commits: bool) -> None:
        super().__init__("the connection was lost during COMMIT")
        self.seconds = seconds
        self.commits = commits


class Claim:
    """A place in the queue for one lock. The first claim in the queue owns the lock."""

    __slots__ = ("granted", "key")

    def __init__(self, key: Hashable) -> None:
        self.key: Hashable = key
        self.granted: asyncio.Future[None] | None = None

    @property
    def is_granted(self) -> bool:
        """Return whether the lock was granted after a wait."""
        return self.granted is not None and self.granted.done() and not self.granted.cancelled()


class Locks:
    """Locks by key, granted in the order of the claims. A lock outlives its owner until it is released."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Claim]] = {}

    @property
    def locked(self) -> list[Hashable]:
        """Return the keys of all locks."""
        return list(self._queues)

    def claim(self, key: Hashable) -> Claim:
        """Join the queue. The lock is owned at once if `granted` is None, otherwise once that future is done."""
        claim = Claim(key)
        queue = self._queues.setdefault(key, deque())
        if queue:
            claim.granted = asyncio.get_running_loop().create_future()
        queue.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """Leave the queue and grant the lock to the next claim."""
        queue = self._queues[claim.key]
        queue.remove(claim)
        if not queue:
            del self._queues[claim.key]
        elif (granted := queue[0].granted) is not None and not granted.done():
            granted.set_result(None)


class MemoryUnitOfWork:
    """One transaction. Leaving its context without `commit` rolls it back."""

    def __init__(
        self, tables: Tables, locks: Locks, fault: Fault | None, open_units: "dict[MemoryUnitOfWork, None]"
    ) -> None:
        self._draft = Draft(tables)
        self._locks = locks
        self._fault = fault
        self._open_units = open_units
        self._claims: dict[Hashable, Claim] = {}
        self._is_cut = False
        self.events: EventRepository = MemoryEventRepository(self)
        self.users: UserRepository = MemoryUserRepository(self)
        self.leases: LeaseRepository = MemoryLeaseRepository(self)
        self.webhooks: WebhookRepository = MemoryWebhookRepository(self)
        self.mails: MailRepository = MemoryMailRepository(self)
        self.limits: LimitRepository = MemoryLimitRepository(self)

    @property
    def draft(self) -> Draft:
        """Return the uncommitted changes."""
        return self._draft

    async def __aenter__(self) -> Self:
        await self.reach(Step.BEGIN)
        self._open_units[self] = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Lost | LostInCommit) and error.seconds > 0:
            # In a context of its own: this stands for the database, which continues when its client ends.
            loop = asyncio.get_running_loop()
            loop.call_later(error.seconds, self._finish_alone, error.commits, context=Context())
        else:
            self._end()

    async def commit(self) -> None:
        """Commit the changes. Raises: Conflict when a schema would refuse them."""
        await self.reach(Step.COMMIT)
        self._draft.check()
        self._draft.apply()
        self._end()
        await self.reach(Step.COMMITTED)

    async def reach(self, step: Step) -> None:
        """Let the simulated fault fail this step."""
        if self._fault is not None:
            await self._fault(step)
        if self._is_cut:
            raise _broken(step)

    async def lock(self, keys: Sequence[UUID]) -> None:
        """Lock in id order, which prevents deadlocks."""
        await self.lock_in_order(sorted(keys))

    async def lock_in_order(self, keys: Sequence[Hashable]) -> None:
        """Lock the keys in the given order, which must be the same in all units of work."""
        for key in keys:
            if key not in self._claims:
                claim = self._claims[key] = self._locks.claim(key)
                if claim.granted is not None:
                    await _until_granted(claim.granted)

    def locked_by_others(self, keys: Iterable[UUID]) -> set[UUID]:
        """Return the keys that other units of work have locked."""
        claims = self._claims.items()
        own = {key for key, claim in claims if claim.granted is None or claim.is_granted}
        return {key for key in keys if key not in own and key in self._locks.locked}

    def cut(self) -> None:
        """Break the connection: roll back at once, and fail every later step."""
        self._is_cut = True
        waiting = [claim.granted for claim in self._claims.values() if claim.granted and not claim.granted.done()]
        self._end()
        for granted in waiting:
            granted.set_exception(_broken(Step.LOCK))
            # The process that waits may be gone: mark the exception as retrieved, or asyncio logs it.
            granted.exception()

    def _finish_alone(self, commits: bool) -> None:
        if commits and not self._is_cut:
            try:
                self._draft.check()
            except Conflict:
                pass
            else:
                self._draft.apply()
        self._end()

    def _end(self) -> None:
        self._open_units.pop(self, None)
        self._draft = Draft(self._draft.tables)
        claims, self._claims = self._claims, {}
        for claim in claims.values():
            self._locks.release(claim)


async def _until_granted(granted: "asyncio.Future[None]") -> None:
    try:
        async with asyncio.timeout(LOCK_WAIT):
            await granted
    except TimeoutError:
        raise Locked from None


def _broken(step: Step) -> StorageFailure:
    if step in (Step.COMMIT, Step.COMMITTED):
        return OutcomeUnknown("the connection was lost during COMMIT")
    return Retryable("the connection was lost")


class MemoryEventRepository:
    """See the port."""

    def __init__(self, unit_of_work: MemoryUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOCK)
        event_ids = {need.event_id: None for need in needs}
        try:
            await self._unit_of_work.lock(list(event_ids))
        except Locked:
            raise Locked(self._unit_of_work.locked_by_others(event_ids)) from None
        draft = self._unit_of_work.draft
        tables = draft.tables
        concerned: dict[UUID, dict[UUID, Booking]] = {event_id: {} for event_id in event_ids}
        live: dict[UUID, dict[UUID, Booking]] = {event_id: {} for event_id in event_ids}
        payments: dict[UUID, list[Payment]] = {event_id: [] for event_id in event_ids}
        for need in needs:
            of_event = concerned[need.event_id]
            if need.customer_id is not None:
                for booking in live_of(tables, need.event_id, need.customer_id):
                    live[need.event_id][booking.id] = booking
                    if need.whole:
                        of_event[booking.id] = booking
            if need.booking_id is not None:
                named = tables.bookings.get(need.booking_id)
                if named is not None and named.event_id == need.event_id:
                    of_event[named.id] = named
                    if need.payments:
                        payments[need.event_id].extend(tables.payments.get(named.id, {}).values())
        return {
            event_id: Inventory(
                event=tables.events[event_id],
                ticket_types=tuple(tables.ticket_types[event_id].values()),
                bookings=tuple(bookings.values()),
                of_customers=tuple(live[event_id].values()),
                payments=tuple(payments[event_id]),
            )
            for event_id, bookings in concerned.items()
            if event_id in tables.events
        }

    async def lines(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        return {query.ticket_type_id: self._unit_of_work.draft.waiting_list(query) for query in queries}

    async def closing(self, queries: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        return {query.event_id: self._unit_of_work.draft.closing(query) for query in queries}

    async def expired_holds(self, queries: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        return {query.event_id: self._unit_of_work.draft.expired_holds(query) for query in queries}

    async def overlong_holds(self, queries: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        return {query.event_id: self._unit_of_work.draft.overlong_holds(query) for query in queries}

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        return {each: self._unit_of_work.draft.live_events(each) for each in organizer_ids}

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        draft = self._unit_of_work.draft
        found: dict[UUID, dict[UUID, WaitingSizes]] = {}
        for event_id in event_ids:
            types = {**draft.tables.ticket_types.get(event_id, {}), **draft.ticket_types.get(event_id, {})}
            for ticket_type_id in types:
                sizes = draft.sizes(ticket_type_id)
                if sizes:
                    found.setdefault(event_id, {})[ticket_type_id] = WaitingSizes(min(sizes), max(sizes))
        return found

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:  # noqa: ARG002 (the port's)
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        bookings, new_bookings, facts = draft.bookings, draft.new_bookings, draft.facts
        # Keyed by integers, which hash faster than UUIDs: most decisions of a batch concern few events.
        events: dict[int, Event] = {}
        types: dict[int, TicketType] = {}
        with_facts: dict[int, Event] = {}
        for decision in decisions:
            event = decision.inventory.event
            events[event.id.int] = event
            if decision.is_new_event:
                draft.new_events.add(event.id)
            for each in (*decision.new_ticket_types, *decision.changed_ticket_types):
                types[each.id.int] = each
            for booking in decision.booked:
                if bookings.setdefault(booking.id, booking) is not booking:
                    raise Conflict("a booking with this id exists")
                new_bookings.add(booking.id)
            for change in decision.changed:
                bookings[change.after.id] = change.after
            if decision.new_payments or decision.changed_payments:
                draft.put_payments(decision.new_payments, decision.changed_payments)
            if decision.facts:
                facts += decision.facts
                with_facts[event.id.int] = event
        draft.events.update({event.id: event for event in events.values()})
        for each in types.values():
            draft.ticket_types.setdefault(each.event_id, {})[each.id] = each
        draft.batch_ids.update((event.id, event.last_seq, batch_id) for event in with_facts.values())

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        stored = self._unit_of_work.draft.tables.responses
        return {key: stored[key][1] for key in keys if key in stored}

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        for each in responses:
            if each.key in self._unit_of_work.draft.responses:
                raise Conflict("the key already has a stored response")
            self._unit_of_work.draft.responses[each.key] = (now, each)

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """See the port."""
        await self._unit_of_work.reach(Step.LOCK)
        await self._unit_of_work.lock(list(last_facts))
        batch_ids = self._unit_of_work.draft.tables.batch_ids
        return any((event_id, seq, batch_id) in batch_ids for event_id, seq in last_facts.items())


class MemoryLeaseRepository:
    """See the port."""

    def __init__(self, unit_of_work: MemoryUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def acquire_lease(self, task: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """See the port."""
        await self._unit_of_work.reach(Step.LOCK)
        await self._unit_of_work.lock_in_order([task])
        draft = self._unit_of_work.draft
        owner, ends = draft.tables.leases.get(task, (process_id, now))
        if owner != process_id and is_lease_active(ends, now, until):
            return False
        draft.leases[task] = (process_id, until)
        return True

    async def delete_stored_responses(self, before: datetime, limit: int) -> int:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        old = [key for key, (stored_at, _) in draft.tables.responses.items() if stored_at < before][:limit]
        draft.deleted_responses.update(old)
        return len(old)


class MemoryLimitRepository:
    """See the port."""

    def __init__(self, unit_of_work: MemoryUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def put_counts(self, process_id: UUID, counts: Sequence[Count]) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        draft.counts.update({(each.minute, each.key, process_id): each.requests for each in counts})

    async def counts_of_others(self, process_id: UUID, counts: Sequence[Count]) -> dict[tuple[int, UUID], int]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        wanted = {(minute, each.key) for each in counts for minute in (each.minute - 1, each.minute)}
        totals = Counter[tuple[int, UUID]]()
        for (minute, key, counted_by), requests in self._unit_of_work.draft.tables.counts.items():
            if counted_by != process_id and (minute, key) in wanted:
                totals[minute, key] += requests
        return dict(totals)

    async def forget_counts(self, before: int) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        self._unit_of_work.draft.deletes_counts_before = before

    async def failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOAD)
        committed = self._unit_of_work.draft.tables.failures
        return {subject: committed[subject] for subject in subjects if subject in committed}

    async def lock_failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port."""
        await self._unit_of_work.reach(Step.LOCK)
        await self._unit_of_work.lock(subjects)
        return await self.failures(subjects)

    async def save_failures(self, failures: Mapping[UUID, tuple[Failures, ...]]) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        self._unit_of_work.draft.failures.update(failures)

    async def forget_failures(self, before: datetime) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        self._unit_of_work.draft.deletes_failures_before = before


class MemoryUserRepository:
    """See the port."""

    def __init__(self, unit_of_work: MemoryUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def add(self, user: User) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        draft.users[user.id] = user
        draft.new_users.add(user.id)

    async def lock(self, user_id: UUID) -> User | None:
        """See the port."""
        await self._unit_of_work.reach(Step.LOCK)
        await self._unit_of_work.lock([user_id])
        draft = self._unit_of_work.draft
        return draft.users.get(user_id) or draft.tables.users.get(user_id)

    async def lock_by_email(self, email: str) -> User | None:
        """See the port."""
        user_id = self._unit_of_work.draft.tables.emails.get(email)
        return None if user_id is None else await self.lock(user_id)

    async def save(self, user: User) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        self._unit_of_work.draft.users[user.id] = user

    async def add_session(self, session: Session, digests: RefreshDigests, now: datetime) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        if session.id in draft.tables.sessions or session.id in draft.sessions:
            raise Conflict("a session with this id exists")
        for other in draft.sessions_of(session.user_id):
            if other.expires_at <= now:
                draft.sessions[other.id] = None
        draft.sessions[session.id] = session
        draft.digests[session.id] = digests

    async def lock_session(self, family: bytes) -> SignIn | None:
        """See the port."""
        found = self._unit_of_work.draft.session(family)
        user = None if found is None else await self.lock(found[0].user_id)
        # Other units of work may have changed or removed the session during the wait for the lock.
        found = self._unit_of_work.draft.session(family)
        return None if user is None or found is None else SignIn(user, *found)

    async def save_session(self, session: Session, token: bytes) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        draft.sessions[session.id] = session
        draft.digests[session.id] = replace(draft.tables.digests[session.id], token=token)

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """See the port."""
        await self._unit_of_work.reach(Step.SAVE)
        draft = self._unit_of_work.draft
        for session in draft.sessions_of(user_id):
            if session.id != but and session.ended_at is None:
                draft.sessions[session.id] = replace(session, ended_at=now)

"""The repositories of a transaction in memory: events, leases, limits, users and erasures."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ...application.ports.check_ins import ScannedTickets
from ...application.ports.errors import Conflict, Locked
from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.loading import (
    ClosingQuery,
    DoorSpec,
    ExpiredHoldsQuery,
    LoadSpec,
    OverlongHoldsQuery,
    WaitingListQuery,
)
from ...application.ports.repositories import (
    AccountReview,
    Count,
    Failures,
    SignIn,
    is_lease_active,
)
from ...application.ports.security import RefreshDigests
from ...domain.booking import Booking, Place
from ...domain.decisions.erase import Erasure
from ...domain.event import Event
from ...domain.facts import Fact
from ...domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ...domain.payment import ChargeStatus, Payment
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import Ticket
from ...domain.tickets.ticket_type import TicketType
from ...domain.user import Session, User
from .check_ins import other_check_in, scanned_tickets
from .steps import Step
from .tables import live_by_type, live_of
from .transaction import MemoryTransaction


class MemoryEventRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        # Keyed by integers, which hash faster than UUIDs: most commands of a batch concern few events.
        event_ids = list({need.event_id.int: need.event_id for need in needs}.values())
        try:
            await self._transaction.lock(event_ids)
        except Locked:
            raise Locked(self._transaction.locked_by_others(event_ids)) from None
        draft = self._transaction.draft
        tables = draft.tables
        concerned: dict[int, dict[UUID, Booking]] = {event_id.int: {} for event_id in event_ids}
        live: dict[int, dict[UUID, Booking]] = {event_id.int: {} for event_id in event_ids}
        live_of_types = {event_id.int: live_by_type(tables, event_id) for event_id in event_ids}
        payments: dict[int, list[Payment]] = {event_id.int: [] for event_id in event_ids}
        tickets: dict[int, list[Ticket]] = {event_id.int: [] for event_id in event_ids}
        for need in needs:
            number = need.event_id.int
            of_event = concerned[number]
            if need.customer_id is not None:
                for booking in live_of(tables, live_of_types[number], need.customer_id):
                    live[number][booking.id] = booking
                    if need.whole:
                        of_event[booking.id] = booking
            if need.booking_id is not None:
                named = tables.bookings.get(need.booking_id)
                if named is not None and named.event_id == need.event_id:
                    of_event[named.id] = named
                    if need.payments:
                        payments[number].extend(tables.payments.get(named.id, {}).values())
                    if need.tickets:
                        tickets[number].extend(tables.tickets.get(named.id, {}).values())
        return {
            event_id: Inventory(
                event=tables.events[event_id],
                ticket_types=tuple(tables.ticket_types[event_id].values()),
                bookings=tuple(concerned[event_id.int].values()),
                of_customers=tuple(live[event_id.int].values()),
                payments=tuple(payments[event_id.int]),
                tickets=tuple(tickets[event_id.int]),
            )
            for event_id in event_ids
            if event_id in tables.events
        }

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return {query.ticket_type_id: self._transaction.draft.waiting_list(query) for query in queries}

    async def closing(self, queries: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return {query.event_id: self._transaction.draft.closing(query) for query in queries}

    async def expired_holds(self, queries: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return {query.event_id: self._transaction.draft.expired_holds(query) for query in queries}

    async def overlong_holds(self, queries: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return {query.event_id: self._transaction.draft.overlong_holds(query) for query in queries}

    async def scanned_tickets(self, needs: Collection[tuple[UUID, DoorSpec]]) -> dict[UUID, ScannedTickets]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return scanned_tickets(self._transaction.draft.tables, needs)

    async def other_check_in(self, check_in: CheckIn) -> CheckIn | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return other_check_in(self._transaction.draft, check_in)

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return [each for each in self._transaction.draft.tables.facts.get(event_id, []) if each.seq > after][:limit]

    async def bookings(self, booking_ids: Collection[UUID]) -> tuple[Booking, ...]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        stored = self._transaction.draft.tables.bookings
        return tuple(stored[each] for each in booking_ids if each in stored)

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return {each: self._transaction.draft.live_events(each) for each in organizer_ids}

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        draft = self._transaction.draft
        found: dict[UUID, dict[UUID, WaitingSizes]] = {}
        for event_id in event_ids:
            types = {**draft.tables.ticket_types.get(event_id, {}), **draft.ticket_types.get(event_id, {})}
            for ticket_type_id in types:
                sizes = draft.sizes(ticket_type_id)
                if sizes:
                    found.setdefault(event_id, {})[ticket_type_id] = WaitingSizes(min(sizes), max(sizes))
        return found

    async def place(self, booking: Booking) -> Place | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return self._transaction.draft.place(booking)

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:  # noqa: ARG002 (the port's)
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
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
                new_bookings.append(booking)
            for change in decision.changed:
                bookings[change.after.id] = change.after
            if decision.new_payments or decision.changed_payments:
                draft.put_payments(decision.new_payments, decision.changed_payments)
            draft.put_tickets(decision.tickets, decision.check_ins)
            if decision.facts:
                facts += decision.facts
                with_facts[event.id.int] = event
        draft.events.update({event.id: event for event in events.values()})
        for each in types.values():
            draft.ticket_types.setdefault(each.event_id, {})[each.id] = each
        draft.batch_ids.update((event.id, event.last_seq, batch_id) for event in with_facts.values())

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        stored = self._transaction.draft.tables.responses
        return {key: stored[key][1] for key in keys if key in stored}

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        for each in responses:
            if each.key in self._transaction.draft.responses:
                raise Conflict("the key already has a stored response")
            self._transaction.draft.responses[each.key] = (now, each)

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock(list(last_facts))
        batch_ids = self._transaction.draft.tables.batch_ids
        return any((event_id, seq, batch_id) in batch_ids for event_id, seq in last_facts.items())


class MemoryLeaseRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def acquire_lease(self, task: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock_in_order([task])
        draft = self._transaction.draft
        owner, ends = draft.tables.leases.get(task, (process_id, now))
        if owner != process_id and is_lease_active(ends, now, until):
            return False
        draft.leases[task] = (process_id, until)
        return True

    async def delete_stored_responses(self, before: datetime, limit: int) -> int:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        old = [key for key, (stored_at, _) in draft.tables.responses.items() if stored_at < before][:limit]
        draft.deleted_responses.update(old)
        return len(old)


class MemoryLimitRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def put_counts(self, process_id: UUID, counts: Sequence[Count]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        draft.counts.update({(each.minute, each.key, process_id): each.requests for each in counts})

    async def counts_of_others(self, process_id: UUID, counts: Sequence[Count]) -> dict[tuple[int, UUID], int]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        wanted = {(minute, each.key) for each in counts for minute in (each.minute - 1, each.minute)}
        totals = Counter[tuple[int, UUID]]()
        for (minute, key, counted_by), requests in self._transaction.draft.tables.counts.items():
            if counted_by != process_id and (minute, key) in wanted:
                totals[minute, key] += requests
        return dict(totals)

    async def forget_counts(self, before: int) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.deletes_counts_before = before

    async def failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        committed = self._transaction.draft.tables.failures
        return {subject: committed[subject] for subject in subjects if subject in committed}

    async def lock_failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock(subjects)
        return await self.failures(subjects)

    async def save_failures(self, failures: Mapping[UUID, tuple[Failures, ...]]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.failures.update(failures)

    async def forget_failures(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.deletes_failures_before = before

    async def lock_mail_times(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[datetime, ...]]:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock(subjects)
        draft = self._transaction.draft
        found = {**draft.tables.notifications.mail_times, **draft.notifications.mail_times}
        return {subject: found[subject] for subject in subjects if subject in found}

    async def save_mail_times(self, times: Mapping[UUID, tuple[datetime, ...]]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.mail_times.update(times)

    async def forget_mail_times(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.deletes_mail_times_before = before


class MemoryUserRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def add(self, user: User) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        draft.users[user.id] = user
        draft.new_users.add(user.id)

    async def lock(self, user_id: UUID) -> User | None:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock([user_id])
        draft = self._transaction.draft
        return draft.users.get(user_id) or draft.tables.users.get(user_id)

    async def lock_by_email(self, email: str) -> User | None:
        """See the port."""
        user_id = self._transaction.draft.tables.emails.get(email)
        if user_id is None:
            # On a database it is a statement too.
            await self._transaction.reach(Step.LOCK)
            return None
        user = await self.lock(user_id)
        # It may have lost the address while the lock was awaited.
        return user if user is not None and user.email == email else None

    async def save(self, user: User) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.users[user.id] = user

    async def add_session(self, session: Session, digests: RefreshDigests, now: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        if session.id in draft.tables.sessions or session.id in draft.sessions:
            raise Conflict("a session with this id exists")
        for other in draft.sessions_of(session.user_id):
            if other.expires_at <= now:
                draft.sessions[other.id] = None
        draft.sessions[session.id] = session
        draft.digests[session.id] = digests

    async def lock_session(self, family: bytes) -> SignIn | None:
        """See the port."""
        found = self._transaction.draft.session(family)
        user = None if found is None else await self.lock(found[0].user_id)
        # Other units of work may have changed or removed the session during the wait for the lock.
        found = self._transaction.draft.session(family)
        return None if user is None or found is None else SignIn(user, *found)

    async def save_session(self, sign_in: SignIn) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft, session_id = self._transaction.draft, sign_in.session.id
        draft.sessions[session_id] = sign_in.session
        draft.digests[session_id] = replace(draft.tables.digests[session_id], token=sign_in.token)
        draft.replaced[session_id] = sign_in.replaced

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        for session in draft.sessions_of(user_id):
            if session.id != but and session.ended_at is None:
                draft.sessions[session.id] = replace(session, ended_at=now)

    async def put_review(self, review: AccountReview) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.reviews[review.user_id] = review

    async def finish_review(self, review: AccountReview, due_at: datetime | None) -> None:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock([review.user_id])
        draft, user_id = self._transaction.draft, review.user_id
        current = draft.reviews.get(user_id, draft.tables.reviews.get(user_id))
        if current is not None and current.until == review.until:
            draft.reviews[user_id] = None if due_at is None else replace(review, due_at=due_at)


class MemoryErasureRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def erase(self, user: User) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft, address = self._transaction.draft, user.email if user.is_verified else None
        draft.sessions.update(dict.fromkeys(each.id for each in draft.sessions_of(user.id)))
        events = [event_id for event_id, members in draft.tables.staff.items() if user.id in members]
        draft.staff.update({(event_id, user.id): None for event_id in events})
        links, claims = draft.tables.notifications.links.values(), draft.tables.notifications.claims.values()
        of_user = [each.id for each in links if each.user_id == user.id or each.email == address]
        draft.logs.removed_keys.add(user.id)
        draft.notifications.links.update(dict.fromkeys(of_user))
        draft.notifications.claims.update(dict.fromkeys(each.id for each in claims if each.email == address))

    async def save(self, erasure: Erasure) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.erasures[erasure.user_id] = erasure

    async def remove(self, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.erasures[user_id] = None

    async def forget_payment_keys(self, booking_ids: Sequence[UUID]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        found = (each for booking_id in booking_ids for each in draft.tables.payments.get(booking_id, {}).values())
        done = [each for each in found if each.key is not None and each.status is not ChargeStatus.PENDING]
        draft.put_payments((), (replace(each, key=None) for each in done))

    async def delete_stored_responses(self, user_id: UUID, limit: int) -> int:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        deleted = [key for key in draft.tables.responses if key.user_id == user_id][:limit]
        draft.deleted_responses.update(deleted)
        return len(deleted)

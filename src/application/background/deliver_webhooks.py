"""Deliver facts to webhooks: at least once, in order within an event, independently for each webhook."""

import asyncio
import logging
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.facts import Fact
from ...domain.webhooks import Cursor, Delivery, DeliveryStatus, Failure, Webhook, has_failed, has_failed_again
from ..ports.errors import StorageFailure
from ..ports.notifications import PendingDelivery, Refused, Resend, Undeliverable, WebhookSender
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

Result = TypeVar("Result")

LEASE = timedelta(seconds=12)
"""The length of the lease: longer than a delivery may take, so two processes send only if one stalls."""

MOST_AT_ONCE = 100
"""Concurrent deliveries. Each event of a webhook takes one place."""

MOST_IN_STORAGE = 4
"""Deliveries that use the storage at the same time, because most connections are for requests."""

EVENTS_OF_WEBHOOK = 4
"""Events of one webhook that are delivered at the same time."""

WINDOW = 2_000
"""Events that one query searches for new facts."""

WINDOWS = 10
"""Windows that one round searches; the next round continues there."""

MOST_FOUND = 4 * MOST_AT_ONCE
"""Most pending deliveries, and most resends, in one query."""

LONGEST_RUN = timedelta(seconds=30)
"""After this an event gives its place to others of the webhook."""

CROWDED_RUN = timedelta(seconds=1)
"""The same while no place is free, for the deliveries of other owners."""

_MOST_OWNERS = 10_000
"""Owners whose last allocation is kept."""

PIECE = 100
"""Facts of an event in one read."""

SAVE_EVERY = timedelta(seconds=1)
"""How often progress is saved; facts sent since then are sent again after a crash."""

CLOSE_TIMEOUT = 2.0
"""Seconds that deliveries in progress have when the process ends; after that another process repeats them."""

_log = logging.getLogger(__name__)


class DeliveryRound(Struct, frozen=True):
    """The result of one round. `is_ours`: this process has the lease. `webhooks`: those with deliveries started."""

    is_ours: bool
    webhooks: int = 0


class _Work(Struct, frozen=True):
    """The work of one place: the facts of an event for a webhook, or the resends of a webhook."""

    webhook: Webhook
    pending: PendingDelivery | None = None
    resends: list[Resend] = []


class DeliverWebhooks:
    """Run one round, if this process gets the lease: start to deliver new facts in the background.

    Every webhook has a task of its own. Facts of an event are delivered one after another: a failed delivery is
    retried, and later facts wait until it succeeds or is given up.

    Owners share the places fairly: they get them in rotation, and an owner uses no more places than are left free, so
    one alone gets half of them. A new owner therefore finds a free place at once while other owners are slow.
    """

    def __init__(
        self,
        storage: Storage,
        sender: WebhookSender,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._sender = sender
        self._clock = clock
        self._ids = ids
        self._jitter = jitter
        self._process_id: UUID = ids.new()
        self._lease_ends_at: datetime | None = None
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._in_use = Counter[UUID]()
        self._free = MOST_AT_ONCE
        self._allocations = count(1)
        self._last_allocations: OrderedDict[UUID, int] = OrderedDict()
        self._after: UUID | None = None
        self._in_storage = asyncio.Semaphore(MOST_IN_STORAGE)
        self._is_closed = False

    async def __call__(self) -> DeliveryRound:
        """Return the result of the round. Raises: Unavailable."""
        reads = self._storage.notification_queries
        if self._is_closed or not await reads.has_webhooks() or not await self._acquire_lease():
            return DeliveryRound(is_ours=False)
        if self._free <= 0:
            return DeliveryRound(is_ours=True)
        started: dict[UUID, list[_Work]] = defaultdict(list)
        for work in self._allocate(await self._find()):
            started[work.webhook.id].append(work)
        for webhook_id, works in started.items():
            self._begin(webhook_id, works)
        return DeliveryRound(is_ours=True, webhooks=len(started))

    async def finish(self) -> None:
        """Wait until everything that was started has ended."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Start nothing more, and wait up to `CLOSE_TIMEOUT` for what is in progress."""
        self._is_closed = True
        tasks = list(self._running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._sender.close()

    async def _acquire_lease(self) -> bool:
        async def acquire(unit_of_work: UnitOfWork) -> datetime | None:
            now = self._clock.now()
            ends_at = now + LEASE
            return (
                ends_at if await unit_of_work.leases.acquire_lease("webhooks", self._process_id, now, ends_at) else None
            )

        self._lease_ends_at = await in_transaction(self._storage, acquire, jitter=self._jitter)
        return self._lease_ends_at is not None

    @property
    def _may_go_on(self) -> bool:
        return not self._is_closed and self._lease_ends_at is not None and self._clock.now() < self._lease_ends_at

    async def _find(self) -> dict[UUID, deque[_Work]]:
        """Return the work for each owner, in the order in which to do it."""
        busy = frozenset(self._running)
        found: dict[UUID, deque[_Work]] = defaultdict(deque)
        resends: dict[UUID, list[Resend]] = defaultdict(list)
        for resend in await self._storage.notification_queries.resends(busy, MOST_FOUND):
            resends[resend.webhook.id].append(resend)
        for of_webhook in resends.values():
            webhook = of_webhook[0].webhook
            found[webhook.organizer_id].append(_Work(webhook, resends=of_webhook))
        for pending in _in_rotation(await self._find_pending(busy)):
            found[pending.webhook.organizer_id].append(_Work(pending.webhook, pending=pending))
        return found

    async def _find_pending(self, busy: frozenset[UUID]) -> list[PendingDelivery]:
        found: list[PendingDelivery] = []
        for _ in range(WINDOWS):
            now, after = self._clock.now(), self._after
            window = await self._storage.notification_queries.pending_deliveries(
                now, busy, EVENTS_OF_WEBHOOK, after, WINDOW, MOST_FOUND
            )
            found += window.items
            self._after = window.next
            if self._after is None:
                break
        return found

    def _allocate(self, found: dict[UUID, deque[_Work]]) -> list[_Work]:
        """Give places to owners in rotation, those with the fewest first, and return the work that got one."""
        waiting = [(self._in_use[owner], self._last_allocations.get(owner, 0), owner) for owner in found]
        heapify(waiting)
        allocated = []
        # The first owner has the fewest places: if it may have no more, no other may.
        while waiting and waiting[0][0] < self._free:
            in_use, _, owner = heappop(waiting)
            work = found[owner].popleft()
            self._free -= 1
            self._in_use[owner] += 1
            number = self._last_allocations[owner] = next(self._allocations)
            self._last_allocations.move_to_end(owner)
            allocated.append(work)
            if found[owner]:
                heappush(waiting, (in_use + 1, number, owner))
        while len(self._last_allocations) > _MOST_OWNERS:
            self._last_allocations.popitem(last=False)
        return allocated

    def _begin(self, webhook_id: UUID, works: list[_Work]) -> None:
        task = asyncio.create_task(self._deliver(works))
        self._running[webhook_id] = task
        task.add_done_callback(lambda _: self._running.pop(webhook_id, None))

    def _release(self, owner: UUID) -> None:
        self._free += 1
        self._in_use[owner] -= 1
        if not self._in_use[owner]:
            del self._in_use[owner]

    async def _deliver(self, works: list[_Work]) -> None:
        """Do all the work of one webhook."""
        await asyncio.gather(*map(self._do, works))

    async def _do(self, work: _Work) -> None:
        try:
            await self._safely(self._deliver_pending(work.pending) if work.pending else self._resend(work.resends))
        finally:
            self._release(work.webhook.organizer_id)

    async def _safely(self, work: Awaitable[None]) -> None:
        """Log a failure instead of raising it: the next round finds the work again."""
        try:
            await work
        except StorageFailure as failure:
            _log.warning("A webhook's progress could not be saved; some facts are sent again: %s", failure)
        except Exception:  # noqa: BLE001 - logged, and the next round finds the work again
            _log.exception("A delivery to a webhook failed")

    async def _deliver_pending(self, pending: PendingDelivery) -> None:
        saved = delivered = pending.last_seq
        saved_at = started = self._clock.now()
        while self._clock.now() - started < LONGEST_RUN:
            facts = await self._facts(pending.event_id, delivered, PIECE)
            # Read after the facts, so none of a time when the webhook is not active is sent.
            webhook = await self._webhook(pending.webhook.id)
            if webhook is None or not webhook.active:
                return
            for fact in facts:
                if not self._may_go_on or self._should_yield(started):
                    break
                failure = await self._send(webhook, fact) if webhook.wants(fact) else None
                if failure is not None:
                    await self._save_failure(webhook, saved, fact, failure)
                    return
                delivered = fact.seq
                if self._clock.now() - saved_at >= SAVE_EVERY:
                    if not await self._save_progress(pending, saved, delivered):
                        return
                    saved, saved_at = delivered, self._clock.now()
            if len(facts) < PIECE or not self._may_go_on or self._should_yield(started):
                break
        if delivered > saved:
            await self._save_progress(pending, saved, delivered)

    async def _facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        async with self._in_storage:
            return await self._storage.event_queries.facts(event_id, after, limit)

    async def _webhook(self, webhook_id: UUID) -> Webhook | None:
        async with self._in_storage:
            return await self._storage.notification_queries.webhook(webhook_id)

    async def _in_transaction(self, save: Callable[[UnitOfWork], Awaitable[Result]]) -> Result:
        async with self._in_storage:
            return await in_transaction(self._storage, save, jitter=self._jitter)

    async def _send(self, webhook: Webhook, fact: Fact) -> Failure | None:
        """Send a fact and return why it failed; None: it was accepted."""
        try:
            await self._sender.deliver(webhook, fact, self._clock.now())
        except Refused as refused:
            return Failure(reason=refused.reason, pause=refused.pause, is_final=isinstance(refused, Undeliverable))
        return None

    async def _save_progress(self, pending: PendingDelivery, saved: int, delivered: int) -> bool:
        """Save progress and return True, unless the webhook has ended or another process has saved more."""

        async def save(unit_of_work: UnitOfWork) -> bool:
            if await _locked(unit_of_work, pending.webhook.id, pending.event_id, saved) is None:
                return False
            cursor = Cursor(
                webhook_id=pending.webhook.id, event_id=pending.event_id, last_seq=delivered, tried_at=self._clock.now()
            )
            await unit_of_work.webhooks.put_cursor(cursor)
            await unit_of_work.webhooks.remove_retried(cursor.webhook_id, cursor.event_id, delivered)
            return True

        return await self._in_transaction(save)

    async def _save_failure(self, webhook: Webhook, saved: int, fact: Fact, failure: Failure) -> None:
        delivery_id, jitter, now = self._ids.new(), self._jitter(), self._clock.now()

        async def save(unit_of_work: UnitOfWork) -> Delivery | None:
            locked = await _locked(unit_of_work, webhook.id, fact.event_id, saved)
            if locked is None:
                return None
            before = await unit_of_work.webhooks.delivery(webhook.id, fact.event_id, fact.seq)
            if before is not None and before.tried_at == now:
                # After an unknown outcome it may have been saved already.
                return before
            failed = has_failed(delivery_id, webhook.id, fact, before, failure, now, jitter)
            # Everything before it was accepted; after a dead delivery the next facts follow.
            last_seq = fact.seq if failed.status is DeliveryStatus.DEAD else fact.seq - 1
            cursor = Cursor(
                webhook_id=webhook.id, event_id=fact.event_id, last_seq=last_seq, due_at=failed.due_at, tried_at=now
            )
            await unit_of_work.webhooks.put_cursor(cursor)
            await unit_of_work.webhooks.remove_retried(webhook.id, fact.event_id, fact.seq - 1)
            await unit_of_work.webhooks.put_delivery(failed)
            if failure.is_final:
                await _end(unit_of_work, locked)
            return failed

        failed = await self._in_transaction(save)
        if failed is not None and failure.is_final:
            _log.warning("Webhook %s wants no facts any more; it is not active from now on", webhook.id)
        elif failed is not None and failed.status is DeliveryStatus.DEAD:
            _log.warning(
                "Webhook %s did not accept fact %s of event %s in %s attempts; it is given up: %s",
                *(webhook.id, fact.seq, fact.event_id, failed.attempts, failure.reason),
            )

    def _should_yield(self, started: datetime) -> bool:
        """Return whether its place is needed for others."""
        return self._free <= 0 and self._clock.now() - started >= CROWDED_RUN

    async def _resend(self, resends: list[Resend]) -> None:
        started = self._clock.now()
        for resend in resends:
            if not self._may_go_on or self._should_yield(started):
                return
            delivery = resend.delivery
            facts = await self._facts(delivery.event_id, delivery.seq - 1, 1)
            gone = Failure(reason="the fact is gone")
            await self._save_resend(delivery, await self._send(resend.webhook, facts[0]) if facts else gone)

    async def _save_resend(self, sent: Delivery, failure: Failure | None) -> None:
        now = self._clock.now()

        async def save(unit_of_work: UnitOfWork) -> None:
            locked = await unit_of_work.webhooks.lock(sent.webhook_id)
            if locked is None:
                return
            delivery = await unit_of_work.webhooks.delivery(sent.webhook_id, sent.event_id, sent.seq)
            if delivery is None:
                return
            if failure is None:
                await unit_of_work.webhooks.remove_delivery(delivery.id)
            elif delivery.tried_at != now:
                # Otherwise it was saved already, after an unknown outcome.
                await unit_of_work.webhooks.put_delivery(has_failed_again(delivery, failure, now))
                if failure.is_final:
                    await _end(unit_of_work, locked)

        await self._in_transaction(save)


def _in_rotation(deliveries: list[PendingDelivery]) -> list[PendingDelivery]:
    """Merge several windows: the least recently tried events of each webhook, webhooks in rotation."""
    longest_ago = datetime.min.replace(tzinfo=UTC)
    deliveries = sorted(deliveries, key=lambda pending: pending.tried_at or longest_ago)
    counts = Counter[UUID]()
    ranked = []
    for pending in deliveries:
        counts[pending.webhook.id] += 1
        if counts[pending.webhook.id] <= EVENTS_OF_WEBHOOK:
            ranked.append((counts[pending.webhook.id], pending))
    return [pending for _, pending in sorted(ranked, key=lambda found: found[0])]


async def _locked(unit_of_work: UnitOfWork, webhook_id: UUID, event_id: UUID, saved: int) -> Webhook | None:
    """Lock the webhook; None unless it is active and its progress in the event is still `saved`."""
    webhook = await unit_of_work.webhooks.lock(webhook_id)
    if webhook is None or not webhook.active:
        return None
    cursor = await unit_of_work.webhooks.cursor(webhook_id, event_id)
    return webhook if (0 if cursor is None else cursor.last_seq) == saved else None


async def _end(unit_of_work: UnitOfWork, webhook: Webhook) -> None:
    """Make a locked webhook inactive."""
    await unit_of_work.webhooks.put(replace(webhook, active=False))
    await unit_of_work.webhooks.give_up_retries(webhook.id)

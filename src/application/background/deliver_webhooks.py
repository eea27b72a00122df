"""Tell webhooks the facts: at least once, in order within an event, each webhook at its own pace."""

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

from ...domain.facts import Fact
from ...domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook, has_failed, has_failed_again
from ..ports.errors import StorageFailure
from ..ports.notifications import PendingDelivery, Refused, Resend, WebhookSender
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

Result = TypeVar("Result")

TURN = timedelta(seconds=12)
"""How long a process keeps its turn: longer than a delivery may take, so that no two send unless one stalls."""

MOST_AT_ONCE = 100
"""Places for deliveries at the same moment. Each event that a webhook is told of takes one."""

MOST_IN_STORAGE = 4
"""Deliveries that read facts, or note how far they came, at the same moment: most connections are for requests."""

STREAMS = 4
"""Events of one webhook of which it is told at the same moment."""

WINDOW = 2_000
"""Events that are looked through for news at once."""

WINDOWS = 10
"""Windows that one look goes through; the next one goes on from there."""

MOST_FOUND = 4 * MOST_AT_ONCE
"""Streams, and deliveries to be sent once more, that are read at once."""

LONGEST_RUN = timedelta(seconds=30)
"""After that a webhook's other events have their turn."""

CROWDED_RUN = timedelta(seconds=1)
"""The same while no place is free, so that other owners have their turns."""

_MOST_OWNERS = 10_000
"""Owners of whom it is remembered when they had their last turn."""

PIECE = 100
"""Facts of an event that are read at once."""

NOTE_EVERY = timedelta(seconds=1)
"""How often it is noted how far a webhook was told: what was sent since is sent again after a crash."""

ENDING = 2.0
"""Seconds that deliveries under way have when the process ends; beyond them they are sent again by another one."""

_log = logging.getLogger(__name__)


class Told(Struct, frozen=True):
    """What one look found: whether it is this process's turn, and how many webhooks have something to be told."""

    is_ours: bool
    webhooks: int = 0


class _Work(Struct, frozen=True):
    """What takes one place: an event that a webhook is told of, or deliveries to it that are sent once more."""

    webhook: Webhook
    stream: PendingDelivery | None = None
    resends: list[Resend] = []


class DeliverWebhooks:
    """Look once for facts to be told, and begin to tell them in the background.

    Every webhook has a task of its own. Facts of an event go one after the other: what cannot be delivered is tried
    again, and what follows waits, until it goes through or is given up.

    Places for deliveries are shared fairly by owners: they have their turns in rotation, and none takes more places
    than it leaves free. One owner alone thus has half of them, ten have a share of nine each, and until there are as
    many slow owners as places, one more finds a free place at once.
    """

    def __init__(
        self,
        storage: Storage,
        courier: WebhookSender,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._courier = courier
        self._clock = clock
        self._ids = ids
        self._jitter = jitter
        self._process_id: UUID = ids.new()
        self._turn_ends: datetime | None = None
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._in_use = Counter[UUID]()
        self._free = MOST_AT_ONCE
        self._turns = count(1)
        self._last_turns: OrderedDict[UUID, int] = OrderedDict()
        self._after: UUID | None = None
        self._in_storage = asyncio.Semaphore(MOST_IN_STORAGE)
        self._is_closed = False

    async def __call__(self) -> Told:
        """Raises: Unavailable."""
        reads = self._storage.notification_queries
        if self._is_closed or not await reads.has_webhooks() or not await self._take_turn():
            return Told(is_ours=False)
        if self._free <= 0:
            return Told(is_ours=True)
        begun: dict[UUID, list[_Work]] = defaultdict(list)
        for work in self._allot(await self._find()):
            begun[work.webhook.id].append(work)
        for webhook_id, works in begun.items():
            self._begin(webhook_id, works)
        return Told(is_ours=True, webhooks=len(begun))

    async def finish(self) -> None:
        """Wait until everything that was begun is done."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Begin nothing more; let what is under way come to its end, for a moment."""
        self._is_closed = True
        tasks = list(self._running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=ENDING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._courier.close()

    async def _take_turn(self) -> bool:
        async def take(unit_of_work: UnitOfWork) -> datetime | None:
            now = self._clock.now()
            ends = now + TURN
            return ends if await unit_of_work.leases.acquire_lease("webhooks", self._process_id, now, ends) else None

        self._turn_ends = await in_transaction(self._storage, take, jitter=self._jitter)
        return self._turn_ends is not None

    @property
    def _may_go_on(self) -> bool:
        return not self._is_closed and self._turn_ends is not None and self._clock.now() < self._turn_ends

    async def _find(self) -> dict[UUID, deque[_Work]]:
        """What is to be done for each owner, in the order in which it should be."""
        busy = frozenset(self._running)
        found: dict[UUID, deque[_Work]] = defaultdict(deque)
        resends: dict[UUID, list[Resend]] = defaultdict(list)
        for resend in await self._storage.notification_queries.resends(busy, MOST_FOUND):
            resends[resend.webhook.id].append(resend)
        for of_webhook in resends.values():
            webhook = of_webhook[0].webhook
            found[webhook.organizer_id].append(_Work(webhook, resends=of_webhook))
        for stream in _in_turn(await self._streams(busy)):
            found[stream.webhook.organizer_id].append(_Work(stream.webhook, stream=stream))
        return found

    async def _streams(self, busy: frozenset[UUID]) -> list[PendingDelivery]:
        found: list[PendingDelivery] = []
        for _ in range(WINDOWS):
            now, after = self._clock.now(), self._after
            window = await self._storage.notification_queries.streams(now, busy, STREAMS, after, WINDOW, MOST_FOUND)
            found += window.items
            self._after = window.next
            if self._after is None:
                break
        return found

    def _allot(self, found: dict[UUID, deque[_Work]]) -> list[_Work]:
        """Give places to owners in rotation, to those with the fewest first, while there are enough."""
        waiting = [(self._in_use[owner], self._last_turns.get(owner, 0), owner) for owner in found]
        heapify(waiting)
        allotted = []
        # Whoever comes first has the fewest: where that one may have no more, no one may.
        while waiting and waiting[0][0] < self._free:
            in_use, _, owner = heappop(waiting)
            work = found[owner].popleft()
            self._free -= 1
            self._in_use[owner] += 1
            turn = self._last_turns[owner] = next(self._turns)
            self._last_turns.move_to_end(owner)
            allotted.append(work)
            if found[owner]:
                heappush(waiting, (in_use + 1, turn, owner))
        while len(self._last_turns) > _MOST_OWNERS:
            self._last_turns.popitem(last=False)
        return allotted

    def _begin(self, webhook_id: UUID, works: list[_Work]) -> None:
        task = asyncio.create_task(self._tell(works))
        self._running[webhook_id] = task
        task.add_done_callback(lambda _: self._running.pop(webhook_id, None))

    def _give_back(self, owner: UUID) -> None:
        self._free += 1
        self._in_use[owner] -= 1
        if not self._in_use[owner]:
            del self._in_use[owner]

    async def _tell(self, works: list[_Work]) -> None:
        """Everything that one webhook is to be told now."""
        await asyncio.gather(*map(self._do, works))

    async def _do(self, work: _Work) -> None:
        try:
            await self._safely(self._tell_stream(work.stream) if work.stream else self._resend(work.resends))
        finally:
            self._give_back(work.webhook.organizer_id)

    async def _safely(self, work: Awaitable[None]) -> None:
        """What fails is found again by the next look; nothing of it is lost."""
        try:
            await work
        except StorageFailure as failure:
            _log.warning("How far a webhook was told could not be noted; some of it is sent again: %s", failure)
        except Exception:  # noqa: BLE001 - logged, and what it was about is found again
            _log.exception("Telling a webhook failed")

    async def _tell_stream(self, stream: PendingDelivery) -> None:
        webhook, noted, told = stream.webhook, stream.last_seq, stream.last_seq
        noted_at = begun = self._clock.now()
        while self._clock.now() - begun < LONGEST_RUN:
            facts = await self._facts(stream.event_id, told, PIECE)
            for fact in facts:
                if not self._may_go_on or self._should_leave(begun):
                    break
                error = await self._send(webhook, fact) if webhook.wants(fact) else None
                if error is not None:
                    await self._note_failure(webhook, noted, fact, error)
                    return
                told = fact.seq
                if self._clock.now() - noted_at >= NOTE_EVERY:
                    if not await self._note(stream, noted, told):
                        return
                    noted, noted_at = told, self._clock.now()
            if len(facts) < PIECE or not self._may_go_on or self._should_leave(begun):
                break
        if told > noted:
            await self._note(stream, noted, told)

    async def _facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        async with self._in_storage:
            return await self._storage.event_queries.facts(event_id, after, limit)

    async def _keep(self, note: Callable[[UnitOfWork], Awaitable[Result]]) -> Result:
        async with self._in_storage:
            return await in_transaction(self._storage, note, jitter=self._jitter)

    async def _send(self, webhook: Webhook, fact: Fact) -> str | None:
        """What went wrong; None: it was taken."""
        try:
            await self._courier.deliver(webhook, fact, self._clock.now())
        except Refused as refused:
            return refused.said
        return None

    async def _note(self, stream: PendingDelivery, noted: int, told: int) -> bool:
        """Note how far the webhook was told; False: it is gone, or somebody else has gone on."""

        async def note(unit_of_work: UnitOfWork) -> bool:
            if not await _is_as_noted(unit_of_work, stream.webhook.id, stream.event_id, noted):
                return False
            cursor = Cursor(
                webhook_id=stream.webhook.id, event_id=stream.event_id, last_seq=told, tried_at=self._clock.now()
            )
            await unit_of_work.webhooks.put_cursor(cursor)
            await unit_of_work.webhooks.remove_retried(cursor.webhook_id, cursor.event_id, told)
            return True

        return await self._keep(note)

    async def _note_failure(self, webhook: Webhook, noted: int, fact: Fact, error: str) -> None:
        delivery_id, jitter, now = self._ids.new(), self._jitter(), self._clock.now()

        async def note(unit_of_work: UnitOfWork) -> Delivery | None:
            if not await _is_as_noted(unit_of_work, webhook.id, fact.event_id, noted):
                return None
            before = await unit_of_work.webhooks.delivery(webhook.id, fact.event_id, fact.seq)
            if before is not None and before.tried_at == now:
                # After an unknown outcome our own note may be there already.
                return before
            failed = has_failed(delivery_id, webhook.id, fact, before, error, now, jitter)
            # What came before it was taken; once it is dead, what follows goes on.
            last_seq = fact.seq if failed.status is DeliveryStatus.DEAD else fact.seq - 1
            cursor = Cursor(
                webhook_id=webhook.id, event_id=fact.event_id, last_seq=last_seq, due_at=failed.due_at, tried_at=now
            )
            await unit_of_work.webhooks.put_cursor(cursor)
            await unit_of_work.webhooks.remove_retried(webhook.id, fact.event_id, fact.seq - 1)
            await unit_of_work.webhooks.put_delivery(failed)
            return failed

        failed = await self._keep(note)
        if failed is not None and failed.status is DeliveryStatus.DEAD:
            _log.warning(
                "Webhook %s was not told fact %s of event %s in %s attempts, and it is given up: %s",
                *(webhook.id, fact.seq, fact.event_id, failed.attempts, error),
            )

    def _should_leave(self, begun: datetime) -> bool:
        """Whether its place is better given to others now."""
        return self._free <= 0 and self._clock.now() - begun >= CROWDED_RUN

    async def _resend(self, resends: list[Resend]) -> None:
        begun = self._clock.now()
        for resend in resends:
            if not self._may_go_on or self._should_leave(begun):
                return
            delivery = resend.delivery
            facts = await self._facts(delivery.event_id, delivery.seq - 1, 1)
            error = await self._send(resend.webhook, facts[0]) if facts else "the fact is gone"
            await self._note_resend(delivery, error)

    async def _note_resend(self, sent: Delivery, error: str | None) -> None:
        now = self._clock.now()

        async def note(unit_of_work: UnitOfWork) -> None:
            if await unit_of_work.webhooks.lock(sent.webhook_id) is None:
                return
            delivery = await unit_of_work.webhooks.delivery(sent.webhook_id, sent.event_id, sent.seq)
            if delivery is None:
                return
            if error is None:
                await unit_of_work.webhooks.remove_delivery(delivery.id)
            elif delivery.tried_at != now:
                # Else it is our own note already, after an unknown outcome.
                await unit_of_work.webhooks.put_delivery(has_failed_again(delivery, error, now))

        await self._keep(note)


def _in_turn(streams: list[PendingDelivery]) -> list[PendingDelivery]:
    """What was found in several windows: of each webhook those that it was told of least lately, in rotation."""
    longest_ago = datetime.min.replace(tzinfo=UTC)
    streams = sorted(streams, key=lambda stream: stream.tried_at or longest_ago)
    places = Counter[UUID]()
    ranked = []
    for stream in streams:
        places[stream.webhook.id] += 1
        if places[stream.webhook.id] <= STREAMS:
            ranked.append((places[stream.webhook.id], stream))
    return [stream for _, stream in sorted(ranked, key=lambda found: found[0])]


async def _is_as_noted(unit_of_work: UnitOfWork, webhook_id: UUID, event_id: UUID, noted: int) -> bool:
    """Lock the webhook; whether it is there and nobody has told it more than that of the event."""
    if await unit_of_work.webhooks.lock(webhook_id) is None:
        return False
    cursor = await unit_of_work.webhooks.cursor(webhook_id, event_id)
    return (0 if cursor is None else cursor.last_seq) == noted

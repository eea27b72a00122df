"""Seal the logs of events: every fact becomes an entry, and a signed checkpoint is stored with it."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from ..log.new_facts import NewFacts
from ..log.seal_log import SealedStep
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

LEASE: Final = timedelta(seconds=4)
"""The length of the lease. It only saves work: a log that two processes seal grows by one of them."""

RENEWED_AFTER: Final = timedelta(seconds=1)

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for events with new facts, while older ones are sealed."""

MOST_NOTED: Final = 500
"""Most noted events that one look finds."""

WINDOW: Final = 500
"""Events that one look goes through for facts that no process has noted."""

REST: Final = timedelta(seconds=5)
"""From the oldest event until this begins again."""


class SealingRound(Struct, frozen=True):
    """The result of one round. `is_ours`: this process has the lease. `facts`: how many it has sealed."""

    is_ours: bool
    facts: int = 0


class SealLogs:
    """Run one round: seal what is not sealed yet if this process gets the lease, else note what it has committed."""

    def __init__(
        self,
        storage: Storage,
        seal_log: Callable[[UUID], Awaitable[SealedStep]],
        new_facts: NewFacts,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._seal_log = seal_log
        self._new_facts = new_facts
        self._clock = clock
        self._jitter = jitter
        self._process_id: UUID = ids.new()
        self._lease_ends_at: datetime | None = None
        self._pending: deque[UUID] = deque()
        self._before: UUID | None = None
        self._rests_until: datetime | None = None

    async def __call__(self) -> SealingRound:
        """Return the result of the round, which lasts until nothing waits to be sealed. Raises: Unavailable."""
        sealed = 0
        time = asyncio.get_running_loop().time
        while await self._look():
            looked_at = time()
            while self._pending:
                sealed += await self._seal_next()
                if time() >= looked_at + LOOK_EVERY:
                    break
            if not self._pending:
                return SealingRound(is_ours=True, facts=sealed)
        return SealingRound(is_ours=False, facts=sealed)

    async def _look(self) -> bool:
        """Find events with facts to seal, and return whether this process may seal them."""
        noted = self._new_facts.take()
        try:
            is_ours = await self._has_lease()
            if not is_ours and noted:
                await in_transaction(self._storage, lambda unit: unit.logs.note(noted), jitter=self._jitter)
            if not is_ours:
                self._pending.clear()
                self._before = self._rests_until = None
                return False
            queries = self._storage.log_queries
            found = [*noted, *await queries.noted(MOST_NOTED), *await self._left_behind()]
        except BaseException:
            self._new_facts.put_back(noted)
            raise
        self._pending = deque(dict.fromkeys([*found, *self._pending]))
        return True

    async def _has_lease(self) -> bool:
        now = self._clock.now()
        if self._lease_ends_at is not None and now < self._lease_ends_at - LEASE + RENEWED_AFTER:
            return True

        async def acquire(unit_of_work: UnitOfWork) -> bool:
            return await unit_of_work.leases.acquire_lease("logs", self._process_id, now, now + LEASE)

        is_ours = await in_transaction(self._storage, acquire, jitter=self._jitter)
        self._lease_ends_at = now + LEASE if is_ours else None
        return is_ours

    async def _left_behind(self) -> list[UUID]:
        """Return events of the next window whose facts nobody has noted, because a process ended or the log was off."""
        now = self._clock.now()
        if self._rests_until is not None and now < self._rests_until:
            return []
        window = await self._storage.log_queries.logs(self._before, WINDOW)
        is_last = len(window) < WINDOW
        self._before = None if is_last else window[-1].event_id
        self._rests_until = now + REST if is_last else None
        return [each.event_id for each in window if each.is_behind]

    async def _seal_next(self) -> int:
        """Seal a step of the next event, and return how many facts. An event that has more of them waits again."""
        event_id = self._pending.popleft()
        # If it fails, others get their turn first.
        self._pending.append(event_id)
        step = await self._seal_log(event_id)
        if step.is_done:
            self._pending.pop()
        return step.facts

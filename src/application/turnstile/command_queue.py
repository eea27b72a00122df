"""A queue of commands and the task that runs them, one transaction after another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.settle import Settle, settle
from ...domain.inventory import Decision, Inventory
from ...domain.refusals import NotFound
from ..ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, StorageFailure, Unavailable
from ..ports.loading import LoadSpec
from ..ports.observability import BatchStats, Observer, Trouble
from ..ports.repositories import EventRepository
from ..ports.storage import Storage
from .batch import Batch
from .pending_command import Outcome, PendingCommand
from .throughput import Throughput

Command = TypeVar("Command")
_log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Most commands in a queue, whatever its throughput."""

LEAST_WAITING = 256
"""Commands that may wait however slow the queue is, so a cold start does not refuse them."""

LONGEST_WAIT = 1.0
"""Seconds that a command may expect to wait; more commands than the queue serves in that time are refused."""

MOST_TOGETHER = 256
"""Most commands in one transaction."""

ATTEMPTS = 30
"""Most attempts at a transaction that the database rolls back.

When several nodes of a cluster write to one event, only one of them commits each time, so many attempts are needed.
"""

LONGEST_PAUSE = 0.1
"""Seconds between two attempts, at most; pauses start short and are random."""

DEADLINE = 4.0
"""Seconds for all attempts at a batch, so an unreachable database is reported within five."""

DELAYED_DEADLINE = 1.0
"""Seconds for a batch with commands that were delayed by another batch's wait for a lock."""


class Bounds(Struct, frozen=True):
    """The bounds of a queue and of its transactions: see the constants."""

    most_waiting: int = MOST_WAITING
    least_waiting: int = LEAST_WAITING
    most_together: int = MOST_TOGETHER


def _decide_if_found(
    decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
    command: Command,
    inventory: Inventory | None,
    now: datetime,
) -> Decision[Outcome]:
    """Decide, or raise NotFound if there is no inventory."""
    if inventory is None:
        raise NotFound
    return decide(inventory, command, now)


class CommandQueue:
    """A queue, and the task that runs its commands while there are any.

    `on_locked` is called with events that another process has locked for too long, `on_unlocked` with events that were
    locked here, `settle_soon` with each event that needs another step.
    """

    def __init__(
        self,
        storage: Storage,
        batch: "Callable[[list[PendingCommand], bool], Batch]",
        *,
        bounds: Bounds,
        jitter: Callable[[], float],
        observer: Observer,
        on_locked: Callable[[Collection[UUID]], None],
        on_unlocked: Callable[[Collection[UUID]], None],
        settle_soon: Callable[[UUID], None],
    ) -> None:
        self._storage = storage
        self._batch = batch
        self._bounds = bounds
        self._jitter = jitter
        self._observer = observer
        self._on_locked = on_locked
        self._on_unlocked = on_unlocked
        self._settle_soon = settle_soon
        self._settling: set[UUID] = set()
        self._throughput = Throughput(bounds.most_together)
        self._served = 0
        self.queue: deque[PendingCommand] = deque()
        self.runner: asyncio.Task[None] | None = None

    def settle_soon(self, event_id: UUID) -> None:
        """Enqueue one step of settling an event, unless one is waiting already."""
        if event_id not in self._settling:
            needs = LoadSpec(event_id=event_id, settles=True)
            self.join(PendingCommand(needs, partial(_decide_if_found, settle, Settle(event_id)), None))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        # The runner's loop is cheaper to get: asyncio makes a system call.
        return asyncio.get_running_loop() if self.runner is None else self.runner.get_loop()

    @property
    def is_overloaded(self) -> bool:
        """Whether one more command would wait longer than `LONGEST_WAIT`, or too many are waiting."""
        waiting = len(self.queue)
        if waiting < self._bounds.least_waiting:
            return False
        if waiting >= min(self._bounds.most_waiting, self._throughput.per_second * LONGEST_WAIT):
            return True
        # The throughput does not include the running transaction, which may take long.
        return self.loop.time() - self.queue[0].joined_at > LONGEST_WAIT

    def join(self, entry: PendingCommand) -> None:
        """Enqueue a command."""
        entry.joined_at = self.loop.time()
        if entry.future is None and entry.needs is not None:
            self._settling.add(entry.needs.event_id)
        self.queue.append(entry)
        if self.runner is None:
            self.runner = self.loop.create_task(self._run())

    def remove(self, event_ids: Collection[UUID]) -> list[PendingCommand]:
        """Remove and return the waiting commands for these events."""
        waiting, self.queue = self.queue, deque()
        removed: list[PendingCommand] = []
        for entry in waiting:
            (removed if entry.concerns(event_ids) else self.queue).append(entry)
        self._settling.difference_update(event_ids)
        return removed

    async def _run(self) -> None:
        try:
            while self.queue:
                entries = self._next()
                if entries:
                    started_at, self._served = self.loop.time(), 0
                    with self._observer.batch([entry.mark for entry in entries]):
                        await self._execute(entries)
                    if self._served:
                        self._throughput.add(self._served, self.loop.time() - started_at)
        finally:
            self.runner = None

    def _next(self) -> list[PendingCommand]:
        entries: list[PendingCommand] = []
        while self.queue and len(entries) < self._bounds.most_together:
            entry = self.queue.popleft()
            if entry.future is None and entry.needs is not None:
                self._settling.discard(entry.needs.event_id)
            if not entry.is_abandoned:
                entries.append(entry)
        return entries

    async def _execute(self, entries: list[PendingCommand]) -> None:
        """Run one transaction for all of them, or answer with the failure."""
        were_delayed = any(entry.was_delayed for entry in entries)
        try:
            async with asyncio.timeout(DELAYED_DEADLINE if were_delayed else DEADLINE):
                try:
                    await self._run_together_or_singly(entries)
                except Locked as failure:
                    entries = self._reject_locked(entries, failure)
                    if entries:
                        await self._run_together_or_singly(entries)
        except (Unavailable, TimeoutError) as failure:
            unavailable = failure if isinstance(failure, Unavailable) else Unavailable("The database does not answer.")
            self._observer.failed(Trouble.AWAY, len(entries))
            self._reject_all(entries, unavailable)
        except asyncio.CancelledError:
            self._reject_all(entries, Unavailable("The service is shutting down; try again in a moment."))
            raise

    def _reject_all(self, entries: list[PendingCommand], why: Unavailable) -> None:
        """Answer them and all waiting commands, which would wait for the same failure."""
        waiting, self.queue = self.queue, deque()
        self._settling.clear()
        for entry in (*entries, *waiting):
            entry.answer(why)

    def _reject_locked(self, entries: list[PendingCommand], failure: Locked) -> list[PendingCommand]:
        """Fail the commands for locked events, also in the queue, and return the others."""
        locked = failure.event_ids
        if not locked:
            raise failure
        self._observer.failed(Trouble.LOCKED, len(entries))
        for entry in (*entries, *self.remove(locked)):
            if entry.concerns(locked):
                entry.answer(failure)
        for entry in self.queue:
            entry.was_delayed = True
        self._on_locked(locked)
        return [entry for entry in entries if not entry.concerns(locked) and not entry.is_abandoned]

    async def _run_together_or_singly(self, entries: list[PendingCommand], *, is_retry: bool = False) -> None:
        """Run a batch; if the database refuses it, run its commands one by one, so the faulty one fails alone."""
        try:
            await self._run_until_committed(entries)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the answer to its command
            self._observer.failed(Trouble.CONFLICT if isinstance(error, Conflict) else Trouble.ERROR, len(entries))
            if len(entries) > 1 or (isinstance(error, Conflict) and not is_retry):
                # A single command too: another process may have been faster, so decide again on what it wrote.
                for entry in entries:
                    await self._run_together_or_singly([entry], is_retry=True)
            else:
                entries[0].answer(error)

    async def _run_until_committed(self, entries: list[PendingCommand]) -> None:
        lost: list[Batch] = []
        for attempt in range(1, ATTEMPTS + 1):
            batch = self._batch(entries, not self.queue)
            try:
                async with self._storage.begin() as unit_of_work:
                    committed = await _find_committed(lost, unit_of_work.events)
                    if committed is not None:
                        return self._finish(committed)
                    await batch.run(unit_of_work)
                    await unit_of_work.commit()
            except Retryable:
                self._observer.failed(Trouble.UNDONE, len(entries))
            except OutcomeUnknown:
                self._observer.failed(Trouble.UNKNOWN, len(entries))
                if await self._was_committed(batch):
                    return self._finish(batch)
                lost.append(batch)
            else:
                return self._finish(batch)
            await asyncio.sleep(min(0.002 * 2**attempt, LONGEST_PAUSE) * self._jitter())
        raise Unavailable("The database rolled the transaction back repeatedly; try again in a moment.")

    async def _was_committed(self, batch: "Batch") -> bool:
        """Return whether a batch with an unknown COMMIT was committed, looked up under the events' locks.

        The locks wait for the lost transaction to end, so the result is final. Nothing is repeated without it.
        """
        while True:
            try:
                async with self._storage.begin() as unit_of_work:
                    return await unit_of_work.events.was_committed(batch.written, batch.batch_id)
            except StorageFailure:
                await asyncio.sleep(0.05 * self._jitter())
            except Exception as error:
                _log.exception("The outcome of a lost commit could not be looked up.")
                raise Unavailable("The database does not answer.") from error

    def _finish(self, batch: "Batch") -> None:
        self.queue.extendleft(reversed(batch.postponed))
        self._served += len(batch.results)
        self._observer.passed(
            BatchStats(
                batch.recorded,
                [result for _, result in batch.results if isinstance(result, Exception)],
                len(batch.results),
                batch.lock_seconds,
                asyncio.get_running_loop().time() - batch.started_at,
            )
        )
        for entry, result in batch.results:
            entry.answer(result)
        self._on_unlocked(batch.locked)
        for event_id in batch.unsettled:
            self._settle_soon(event_id)


async def _find_committed(lost: Sequence[Batch], events: EventRepository) -> "Batch | None":
    """Return the batch with an unknown COMMIT that was committed after all, under the locks of the repetition.

    In a cluster the lost transaction may still arrive from another node, for which no lock waits. It then rolls back
    the repetition, which writes the same events, and the next attempt finds it here.
    """
    for batch in lost:
        if await events.was_committed(batch.written, batch.batch_id):
            return batch
    return None

"""A queue of commands and the task that runs them, one transaction after the other."""

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
"""Commands that may wait in a queue, however many it serves."""


LEAST_WAITING = 256
"""Commands that may wait however slow the queue is, so that a cold start or a lone command is never refused."""


LONGEST_WAIT = 1.0
"""Seconds that a command may expect to wait; more commands than the queue serves in that time are refused."""


MOST_TOGETHER = 256
"""Commands that share one transaction."""


ATTEMPTS = 30
"""How often a transaction that the database undid is run again.

Where three nodes of a cluster write to one event, one of three comes through each time: 8 attempts with short pauses
turned away 127 of 280 commands, 30 with these none.
"""


LONGEST_PAUSE = 0.1
"""Seconds between two attempts, at most; the first pauses are shorter, and all of them a matter of chance."""


DEADLINE = 4.0
"""Seconds that one batch may take with all its attempts, so that an absent database is said within five."""


DEADLINE_OF_BYSTANDERS = 1.0
"""Seconds for a batch with commands that have waited while another one waited for a lock in vain."""


class Bounds(Struct, frozen=True):
    """How many commands may wait in a queue, at most and in any case, and how many share a transaction."""

    most_waiting: int = MOST_WAITING
    least_waiting: int = LEAST_WAITING
    most_together: int = MOST_TOGETHER


def _decide_if_found(
    decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
    command: Command,
    inventory: Inventory | None,
    now: datetime,
) -> Decision[Outcome]:
    """Raises: NotFound, the refusals of `decide`."""
    if inventory is None:
        raise NotFound
    return decide(inventory, command, now)


class CommandQueue:
    """A queue, and the task that lets through who waits in it, for as long as anybody does.

    `found_held` is told of events that somebody else has held for too long, `found_free` of those whose locks were had,
    `settle_soon` of those for which another step is to be done.
    """

    def __init__(
        self,
        storage: Storage,
        batch: "Callable[[list[PendingCommand], bool], Batch]",
        *,
        bounds: Bounds,
        jitter: Callable[[], float],
        observer: Observer,
        found_held: Callable[[Collection[UUID]], None],
        found_free: Callable[[Collection[UUID]], None],
        settle_soon: Callable[[UUID], None],
    ) -> None:
        self._storage = storage
        self._batch = batch
        self._bounds = bounds
        self._jitter = jitter
        self._observer = observer
        self._found_held = found_held
        self._found_free = found_free
        self._settle_soon = settle_soon
        self._settling: set[UUID] = set()
        self._throughput = Throughput(bounds.most_together)
        self._served = 0
        self.queue: deque[PendingCommand] = deque()
        self.runner: asyncio.Task[None] | None = None

    def settle_soon(self, event_id: UUID) -> None:
        """One step of an event, behind whoever waits by now, unless one waits already."""
        if event_id not in self._settling:
            needs = LoadSpec(event_id=event_id, settles=True)
            self.join(PendingCommand(needs, partial(_decide_if_found, settle, Settle(event_id)), None))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of whoever calls. The runner knows it too, and asking asyncio takes a call of the system."""
        return asyncio.get_running_loop() if self.runner is None else self.runner.get_loop()

    @property
    def is_overloaded(self) -> bool:
        """Whether one more command would wait for longer than a second or so, or more wait than may at all."""
        waiting = len(self.queue)
        if waiting < self._bounds.least_waiting:
            return False
        if waiting >= min(self._bounds.most_waiting, self._throughput.per_second * LONGEST_WAIT):
            return True
        # A transaction that takes long has told nothing of it yet.
        return self.loop.time() - self.queue[0].joined_at > LONGEST_WAIT

    def join(self, entry: PendingCommand) -> None:
        """Stand at the end of the queue."""
        entry.joined_at = self.loop.time()
        if entry.future is None and entry.needs is not None:
            self._settling.add(entry.needs.event_id)
        self.queue.append(entry)
        if self.runner is None:
            self.runner = self.loop.create_task(self._run())

    def leave(self, event_ids: Collection[UUID]) -> list[PendingCommand]:
        """Whoever waits for these events, who now does so no more."""
        waiting, self.queue = self.queue, deque()
        leaving: list[PendingCommand] = []
        for entry in waiting:
            (leaving if entry.concerns(event_ids) else self.queue).append(entry)
        self._settling.difference_update(event_ids)
        return leaving

    async def _run(self) -> None:
        try:
            while self.queue:
                entries = self._next()
                if entries:
                    begun, self._served = self.loop.time(), 0
                    with self._observer.batch([entry.mark for entry in entries]):
                        await self._let_through(entries)
                    if self._served:
                        self._throughput.note(self._served, self.loop.time() - begun)
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

    async def _let_through(self, entries: list[PendingCommand]) -> None:
        """Run one transaction for all of them, or answer why not."""
        have_stood_by = any(entry.has_stood_by for entry in entries)
        try:
            async with asyncio.timeout(DEADLINE_OF_BYSTANDERS if have_stood_by else DEADLINE):
                try:
                    await self._together_or_alone(entries)
                except Locked as failure:
                    entries = self._without_held(entries, failure)
                    if entries:
                        await self._together_or_alone(entries)
        except (Unavailable, TimeoutError) as failure:
            away = failure if isinstance(failure, Unavailable) else Unavailable("The database does not answer.")
            self._observer.failed(Trouble.AWAY, len(entries))
            self._turn_away(entries, away)
        except asyncio.CancelledError:
            self._turn_away(entries, Unavailable("The service is shutting down; try again in a moment."))
            raise

    def _turn_away(self, entries: list[PendingCommand], why: Unavailable) -> None:
        """Whoever waits behind them would wait for the same, so it is said to all at once."""
        waiting, self.queue = self.queue, deque()
        self._settling.clear()
        for entry in (*entries, *waiting):
            entry.answer(why)

    def _without_held(self, entries: list[PendingCommand], failure: Locked) -> list[PendingCommand]:
        """Who of these may go on; whoever wants what somebody else holds is told so, in the queue too."""
        held = failure.event_ids
        if not held:
            raise failure
        self._observer.failed(Trouble.LOCKED, len(entries))
        for entry in (*entries, *self.leave(held)):
            if entry.concerns(held):
                entry.answer(failure)
        for entry in self.queue:
            entry.has_stood_by = True
        self._found_held(held)
        return [entry for entry in entries if not entry.concerns(held) and not entry.is_abandoned]

    async def _together_or_alone(self, entries: list[PendingCommand], *, is_repeated: bool = False) -> None:
        """A batch that the database refuses is redone one by one, so that whoever is to blame fails alone."""
        try:
            await self._until_done(entries)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - answered to whom it concerns, never swallowed
            self._observer.failed(Trouble.CONFLICT if isinstance(error, Conflict) else Trouble.ERROR, len(entries))
            if len(entries) > 1 or (isinstance(error, Conflict) and not is_repeated):
                # Alone as well: another process may have been faster, and what it wrote decides now.
                for entry in entries:
                    await self._together_or_alone([entry], is_repeated=True)
            else:
                entries[0].answer(error)

    async def _until_done(self, entries: list[PendingCommand]) -> None:
        lost: list[Batch] = []
        for attempt in range(1, ATTEMPTS + 1):
            batch = self._batch(entries, not self.queue)
            try:
                async with self._storage.begin() as unit_of_work:
                    happened = await _first_that_happened(lost, unit_of_work.events)
                    if happened is not None:
                        return self._finish(happened)
                    await batch.run(unit_of_work.events)
                    await unit_of_work.commit()
            except Retryable:
                self._observer.failed(Trouble.UNDONE, len(entries))
            except OutcomeUnknown:
                self._observer.failed(Trouble.UNKNOWN, len(entries))
                if await self._happened(batch):
                    return self._finish(batch)
                lost.append(batch)
            else:
                return self._finish(batch)
            await asyncio.sleep(min(0.002 * 2**attempt, LONGEST_PAUSE) * self._jitter())
        raise Unavailable("The database undid the transaction again and again; try again in a moment.")

    async def _happened(self, batch: "Batch") -> bool:
        """Whether a batch whose COMMIT was never answered is there, looked up under the events' locks.

        The locks wait for the lost transaction to end, so the answer is final. Without one nothing is done again.
        """
        while True:
            try:
                async with self._storage.begin() as unit_of_work:
                    return await unit_of_work.events.was_committed(batch.written, batch.batch_id)
            except StorageFailure:
                await asyncio.sleep(0.05 * self._jitter())
            except Exception as error:
                _log.exception("Whether a lost commit happened could not be looked up.")
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
                asyncio.get_running_loop().time() - batch.begun,
            )
        )
        for entry, result in batch.results:
            entry.answer(result)
        self._found_free(batch.locked)
        for event_id in batch.unsettled:
            self._settle_soon(event_id)


async def _first_that_happened(lost: Sequence[Batch], events: EventRepository) -> "Batch | None":
    """Which batch whose COMMIT was never answered is there after all, under the locks of whoever does it again.

    In a cluster the lost transaction may still be on its way from another node, where no lock waits for it. Then the
    one that does it again writes the same events and is undone by it; this look, the next time, finds it.
    """
    for batch in lost:
        if await events.was_committed(batch.written, batch.batch_id):
            return batch
    return None

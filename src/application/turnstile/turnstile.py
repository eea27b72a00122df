"""The turnstile: one lock, many commands, one commit.

Commands that arrive while a transaction is running wait in one queue per process, across all events; the next
transaction takes them all. Decisions use only state that was read under the lock, so any number of processes may
run.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from ...domain.inventory import Decision, Inventory
from ..limits.allowances import Allowance
from ..ports.errors import Unavailable
from ..ports.idempotency import BoundRequest
from ..ports.loading import LoadSpec
from ..ports.observability import Observer, Overload, Unobserved
from ..ports.storage import Storage
from ..ports.system import Clock, Ids
from .batch import Batch
from .command_queue import Bounds, CommandQueue, _decide_if_found
from .pending_command import CommandResult, Decide, Outcome, PendingCommand, RecordAlso

Command = TypeVar("Command")


class Turnstile:
    """Runs commands on inventories in batches, in the order of their arrival.

    Promise 2: an outcome is returned only after its transaction is durable. A command that a rule or the database
    refuses fails alone. An event that another process has locked for too long delays only commands for that event,
    which move to a separate queue.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        ids: Ids,
        *,
        bounds: Bounds | None = None,
        jitter: Callable[[], float] = random.random,
        observer: Observer | None = None,
        response_allowance: Allowance | None = None,
    ) -> None:
        self._observer: Observer = observer or Unobserved()
        limits = bounds or Bounds()
        limits = replace(limits, least_waiting=min(limits.least_waiting, limits.most_waiting))

        def batch(entries: list[PendingCommand], is_last: bool) -> Batch:
            saves_in_pieces = is_last and len(entries) >= limits.most_together
            return Batch(entries, clock.now, ids.new(), saves_in_pieces=saves_in_pieces, allowance=response_allowance)

        def queue() -> CommandQueue:
            return CommandQueue(
                storage,
                batch,
                bounds=limits,
                jitter=jitter,
                observer=self._observer,
                on_locked=self._divert,
                on_unlocked=self._rejoin,
                settle_soon=self.settle_soon,
            )

        self._main = queue()
        self._diverted = queue()
        self._locked_events: set[UUID] = set()
        self._is_closed = False

    def admit(
        self,
        command: Command,
        needs: LoadSpec,
        decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
        request: BoundRequest | None = None,
        record_also: RecordAlso | None = None,
    ) -> "asyncio.Future[CommandResult[Outcome]]":
        """Decide under the event's lock and record the decision, together with the response of `request`.

        `record_also` records something else with the decision, or with its refusal nothing. Return a future of the
        result.

        Raises: the refusals of `decide`, NotFound if the event does not exist, Unavailable; with `request` also
        Replayed if its key has a stored response, IdempotencyKeyReused, TooManyRequests if the user has used up
        `response_allowance`; with `record_also` also Conflict.
        """
        return self._wait_for(needs, partial(_decide_if_found, decide, command), request, record_also=record_also)

    def admit_new(
        self,
        command: Command,
        organizer_id: UUID,
        decide: Callable[[Command, int, datetime], Decision[Outcome]],
        request: BoundRequest | None = None,
        record_also: RecordAlso | None = None,
    ) -> "asyncio.Future[CommandResult[Outcome]]":
        """Record the decision to create an event. `record_also` is as for `admit`. Raises: as `admit`.

        `decide` takes the number of the organizer's live events, those of this transaction included. No lock protects
        it against other processes, so each of them may add up to one batch.
        """
        return self._wait_for(
            None, lambda live_events, now: decide(command, live_events, now), request, organizer_id, record_also
        )

    def settle_soon(self, event_id: UUID) -> None:
        """Settle an event step by step, after the commands that are waiting."""
        if not self._is_closed:
            self._queue_for(event_id).settle_soon(event_id)

    @property
    def waiting(self) -> int:
        """The number of waiting commands, without those whose transaction is running."""
        return len(self._main.queue) + len(self._diverted.queue)

    async def close(self) -> None:
        """Run the waiting commands and refuse new ones."""
        self._is_closed = True
        while runners := [each.runner for each in (self._main, self._diverted) if each.runner is not None]:
            await asyncio.wait(runners)

    def _wait_for(
        self,
        needs: LoadSpec | None,
        decide: Decide,
        request: BoundRequest | None,
        organizer_id: UUID | None = None,
        record_also: RecordAlso | None = None,
    ) -> "asyncio.Future[CommandResult[Any]]":
        if self._is_closed:
            raise Unavailable("The service is shutting down; try again in a moment.")
        queue = self._main if needs is None else self._queue_for(needs.event_id)
        if queue.is_overloaded:
            self._observer.overloaded(Overload.COMMANDS)
            raise Unavailable("Too many requests are waiting; try again in a moment.")
        future: asyncio.Future[CommandResult[Any]] = queue.loop.create_future()
        mark = self._observer.arriving()
        queue.join(PendingCommand(needs, decide, future, request, mark, organizer_id, record_also))
        return future

    def _queue_for(self, event_id: UUID) -> "CommandQueue":
        is_locked = self._locked_events and event_id in self._locked_events
        return self._diverted if is_locked else self._main

    def _divert(self, event_ids: Collection[UUID]) -> None:
        self._locked_events.update(event_ids)

    def _rejoin(self, event_ids: Collection[UUID]) -> None:
        """Move the commands for unlocked events back to the main queue, in the same order."""
        unlocked = self._locked_events.intersection(event_ids)
        if unlocked:
            self._locked_events.difference_update(unlocked)
            for entry in self._diverted.remove(unlocked):
                self._main.join(entry)

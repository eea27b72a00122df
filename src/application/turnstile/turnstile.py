"""The turnstile: one lock, many commands, one commit.

Commands that arrive while a transaction is running wait in one queue per process, across all events; the next
transaction takes them all. Nothing is decided from memory: state is read under the lock, so that any number of
processes stay correct.
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
from .pending_command import CommandResult, Decide, Outcome, PendingCommand

Command = TypeVar("Command")


class Turnstile:
    """Lets commands through to inventories, many at a time, in the order in which they arrived.

    Promise 2: an outcome is answered only after its transaction is durable. A refusal fails its own command only, and
    so does a command that the database refuses. An event that somebody else holds for too long holds up nobody but
    those who want it: until it is free again, they pass by a side entrance with a queue of its own.
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
        answers: Allowance | None = None,
    ) -> None:
        self._observer: Observer = observer or Unobserved()
        bounded = bounds or Bounds()
        bounded = replace(bounded, least_waiting=min(bounded.least_waiting, bounded.most_waiting))

        def batch(entries: list[PendingCommand], is_last: bool) -> Batch:
            in_pieces = is_last and len(entries) >= bounded.most_together
            return Batch(entries, clock.now, ids.new(), in_pieces=in_pieces, allowance=answers)

        def entrance() -> CommandQueue:
            return CommandQueue(
                storage,
                batch,
                bounds=bounded,
                jitter=jitter,
                observer=self._observer,
                found_held=self._send_aside,
                found_free=self._take_back,
                settle_soon=self.settle_soon,
            )

        self._front = entrance()
        self._side = entrance()
        self._held_elsewhere: set[UUID] = set()
        self._is_closed = False

    def admit(
        self,
        command: Command,
        needs: LoadSpec,
        decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
        keyed: BoundRequest | None = None,
    ) -> "asyncio.Future[CommandResult[Outcome]]":
        """Take the decision under the event's lock and record it, together with the answer that `keyed` makes of it.

        To be waited for.

        Raises: the refusals of `decide`, NotFound where there is no such event, Unavailable. Replayed where the key has
        its answer, IdempotencyKeyReused where it came with another request, TooManyRequests where the `answers` that
        may be kept for its user are used up.
        """

        return self._wait_for(needs, partial(_decide_if_found, decide, command), keyed)

    def admit_new(
        self,
        command: Command,
        organizer_id: UUID,
        decide: Callable[[Command, int, datetime], Decision[Outcome]],
        keyed: BoundRequest | None = None,
    ) -> "asyncio.Future[CommandResult[Outcome]]":
        """Record the decision about an event that does not exist yet. Raises: as `admit`.

        `decide` is given how many live events the organizer has, those of this transaction included. No lock keeps
        another process from adding to them meanwhile, as many as it takes together.
        """
        return self._wait_for(None, lambda live_events, now: decide(command, live_events, now), keyed, organizer_id)

    def settle_soon(self, event_id: UUID) -> None:
        """Do what is still to be done for an event, step by step, behind the commands that wait by now."""
        if not self._is_closed:
            self._entrance(event_id).settle_soon(event_id)

    @property
    def waiting(self) -> int:
        """How many commands wait by now, those not counted whose transaction is running."""
        return len(self._front.queue) + len(self._side.queue)

    async def close(self) -> None:
        """Let everybody through who waits by now, and nobody after them."""
        self._is_closed = True
        while runners := [each.runner for each in (self._front, self._side) if each.runner is not None]:
            await asyncio.wait(runners)

    def _wait_for(
        self, needs: LoadSpec | None, decide: Decide, keyed: BoundRequest | None, organizer_id: UUID | None = None
    ) -> "asyncio.Future[CommandResult[Any]]":
        if self._is_closed:
            raise Unavailable("The service is shutting down; try again in a moment.")
        entrance = self._front if needs is None else self._entrance(needs.event_id)
        if entrance.is_overloaded:
            self._observer.overloaded(Overload.COMMANDS)
            raise Unavailable("Too many requests wait at the moment; try again in a moment.")
        future: asyncio.Future[CommandResult[Any]] = entrance.loop.create_future()
        entrance.join(PendingCommand(needs, decide, future, keyed, self._observer.arriving(), organizer_id))
        return future

    def _entrance(self, event_id: UUID) -> "CommandQueue":
        is_held = self._held_elsewhere and event_id in self._held_elsewhere
        return self._side if is_held else self._front

    def _send_aside(self, event_ids: Collection[UUID]) -> None:
        self._held_elsewhere.update(event_ids)

    def _take_back(self, event_ids: Collection[UUID]) -> None:
        """Whoever waits at the side for what is free again goes on in front, in the same order."""
        free = self._held_elsewhere.intersection(event_ids)
        if free:
            self._held_elsewhere.difference_update(free)
            for entry in self._side.leave(free):
                self._front.join(entry)

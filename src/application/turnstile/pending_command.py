"""A command that waits in a queue, and its result."""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from ...domain.inventory import Decision, Inventory
from ...domain.refusals import NotFound
from ..ports.errors import StorageFailure
from ..ports.idempotency import BoundRequest
from ..ports.loading import LoadSpec

_log = logging.getLogger(__name__)


Outcome = TypeVar("Outcome")


Decide = Callable[[Any, datetime], Decision[Any]]
"""Is given the inventory, None where there is none; for a new event, how many live ones its organizer has."""


class CommandResult(Struct, Generic[Outcome], frozen=True, gc=False):
    """What came of a command: its outcome, the inventory right after it, how many bookings it changed and promoted."""

    outcome: Outcome
    inventory: Inventory
    moved: int
    promoted: int


def outcome(admitted: CommandResult[Outcome]) -> Outcome:
    """The outcome alone."""
    return admitted.outcome


class PendingCommand:
    """One command in the queue. Without a future nobody waits for it."""

    __slots__ = ("decide", "future", "has_stood_by", "joined_at", "keyed", "mark", "needs", "organizer_id")

    def __init__(
        self,
        needs: LoadSpec | None,
        decide: Decide,
        future: "asyncio.Future[CommandResult[Any]] | None",
        keyed: BoundRequest | None = None,
        mark: object = None,
        organizer_id: UUID | None = None,
    ) -> None:
        self.needs = needs
        self.organizer_id = organizer_id
        self.decide = decide
        self.future = future
        self.keyed = keyed
        self.mark = mark
        self.has_stood_by = False
        self.joined_at = 0.0

    def concerns(self, event_ids: Collection[UUID]) -> bool:
        """Whether the command is about one of these events."""
        return self.needs is not None and self.needs.event_id in event_ids

    @property
    def is_abandoned(self) -> bool:
        return self.future is not None and self.future.done()

    def answer(self, result: "CommandResult[Any] | Exception") -> None:
        if self.future is None:
            if isinstance(result, Exception) and not isinstance(result, StorageFailure | NotFound):
                _log.error("A step of an event failed.", exc_info=result)
        elif not self.future.done():
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)

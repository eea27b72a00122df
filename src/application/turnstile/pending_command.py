"""A command in a queue, and its result."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.inventory import Decision, Inventory
from ...domain.refusals import NotFound
from ..ports.errors import StorageFailure
from ..ports.idempotency import BoundRequest
from ..ports.loading import LoadSpec
from ..ports.storage import UnitOfWork

_log = logging.getLogger(__name__)


Outcome = TypeVar("Outcome")


Decide = Callable[[Any, datetime], Decision[Any]]
"""Takes the inventory, or None if there is no such event; for a new event, its organizer's number of live events."""


class CommandResult(Struct, Generic[Outcome], frozen=True, gc=False):
    """The outcome of a command, the inventory after it, and the numbers of changed and promoted bookings.

    `booking` is the one that the command names, with its place, where the command `shows` it.
    """

    outcome: Outcome
    inventory: Inventory
    moved: int
    promoted: int
    booking: Booking | None = None


def outcome(result: CommandResult[Outcome]) -> Outcome:
    """Return the outcome alone."""
    return result.outcome


RecordAlso = Callable[[UnitOfWork], Awaitable[None]]
"""Records something else in the transaction of a decision, under the event's lock. It may be called several times, for
each attempt at the transaction. Raises: Conflict, which the caller of the command gets.
"""


class PendingCommand:
    """One command in the queue. A step of settling has no future, because no caller waits for it."""

    __slots__ = (
        *("decide", "future", "joined_at", "mark", "needs", "organizer_id"),
        *("record_also", "request", "was_delayed"),
    )

    def __init__(
        self,
        needs: LoadSpec | None,
        decide: Decide,
        future: "asyncio.Future[CommandResult[Any]] | None",
        request: BoundRequest | None = None,
        mark: object = None,
        organizer_id: UUID | None = None,
        record_also: RecordAlso | None = None,
    ) -> None:
        self.needs: LoadSpec | None = needs
        self.organizer_id: UUID | None = organizer_id
        self.decide: Decide = decide
        self.future: asyncio.Future[CommandResult[Any]] | None = future
        self.request: BoundRequest | None = request
        self.record_also: RecordAlso | None = record_also
        self.mark: object = mark
        self.was_delayed: bool = False
        self.joined_at: float = 0.0

    def concerns(self, event_ids: Collection[UUID]) -> bool:
        """Return whether the command is about one of these events."""
        return self.needs is not None and self.needs.event_id in event_ids

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller was cancelled."""
        return self.future is not None and self.future.done()

    def answer(self, result: "CommandResult[Any] | Exception") -> None:
        """Give the result to the caller; log the error of a step that has none."""
        if self.future is None:
            if isinstance(result, Exception) and not isinstance(result, StorageFailure | NotFound):
                _log.error("A step of settling an event failed.", exc_info=result)
        elif not self.future.done():
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)

"""Observation: events of the turnstile, and statistics of a storage."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.explanations.chance_record import Band
from ...domain.inventory import Decision
from ...domain.payment import Need


class Trouble(StrEnum):
    """Why a transaction failed."""

    UNDONE = "undone"
    """It was rolled back, or the connection was lost before COMMIT: it is run again."""
    UNKNOWN = "unknown"
    """The outcome of COMMIT is unknown: its batch id is looked up, and it is run again if it is not found."""
    CONFLICT = "conflict"
    """The schema refused: its commands are run again one by one."""
    ERROR = "error"
    """An unexpected error: its commands are run again one by one, and one that fails alone gets the error."""
    LOCKED = "locked"
    """Another transaction locked an event for too long: its commands fail."""
    AWAY = "away"
    """The database does not answer or rolled it back repeatedly: its commands and all waiting ones fail."""


class Overload(StrEnum):
    """The queue that was full when something was refused."""

    COMMANDS = "commands"
    """The turnstile's: more commands wait than it serves in about a second."""
    PASSWORDS = "passwords"
    """The queue of passwords to hash or verify."""
    SHARE = "share"
    """The share of one user or one address in the queue of passwords."""


class BatchStats(Struct, frozen=True):
    """Statistics of a committed transaction."""

    decisions: Sequence[Decision[Any]]
    """The recorded decisions in order."""
    refused: Sequence[Exception]
    """The other results of its commands: refusals, stored responses, errors."""
    commands: int
    """The number of its commands with a result."""
    lock_seconds: float
    """From requesting the events' locks until they were acquired and read; 0.0: no lock was needed."""
    seconds: float
    """From its start to its end; with an unknown COMMIT, until its outcome was found."""


class Observer(Protocol):
    """Observes a turnstile. Methods never raise and are fast, because commands wait meanwhile."""

    def arriving(self) -> object:
        """Return a mark of an arriving command, for `batch`. Called for each command in its caller's context."""

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:
        """Return a context manager around all attempts at a batch.

        `marks` are those of its commands, None for a step of settling. It runs in the context of the first caller after
        a pause.
        """

    def passed(self, stats: BatchStats) -> None:
        """Observe a committed transaction. Called once for each, before its commands get their results."""

    def failed(self, trouble: Trouble, commands: int) -> None:
        """Observe a failed transaction of so many commands."""

    def overloaded(self, queue: Overload) -> None:
        """Observe a refusal because of a full queue. Called for each."""


class Unobserved:
    """Observes nothing."""

    def arriving(self) -> object:
        """See the port."""
        return None

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:  # noqa: ARG002 - the port's signature
        """See the port."""
        return _NOTHING

    def passed(self, stats: BatchStats) -> None:
        """See the port."""

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See the port."""

    def overloaded(self, queue: Overload) -> None:
        """See the port."""


_NOTHING: Final = nullcontext()


class WaitingListLength(Struct, frozen=True):
    """The number of waiting bookings of an event, of all ticket types."""

    event_id: UUID
    bookings: int


class Verified(Struct, frozen=True):
    """The last verification of a promise: the number of breaches, 0 if it holds."""

    promise: int
    breaches: int
    verified_at: datetime


class ConnectionsInUse(Struct, frozen=True):
    """Database connections: the number in use, and the number kept open; beyond it more are opened."""

    in_use: int
    kept: int


class Backlog(Struct, frozen=True):
    """The number of things that are due, and since when the oldest is due; None: nothing is due."""

    number: int
    since: datetime | None

    def age(self, now: datetime) -> float:
        """Return the seconds for which the oldest has been due."""
        return 0.0 if self.since is None else max(0.0, (now - self.since).total_seconds())


MOST_COUNTED: Final = 10_000
"""A longer backlog is counted up to here."""


class Statistics(Protocol):
    """Statistics for operators."""

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """Return the events with the longest waiting lists, longest first, without empty ones. Raises: Unavailable."""

    async def verified(self) -> list[Verified]:
        """Return the last stored verdict by promise; empty if there is none. Raises: Unavailable."""

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """Return the backlogs of `webhooks` (one for each event of a webhook) and `mails`.

        At most `MOST_COUNTED` are counted, and `since` is that of the counted ones. Raises: Unavailable.
        """

    async def payments_due(self, now: datetime) -> Mapping[Need, Backlog]:
        """Return the payments that need a person, and since when (`needed_since`); bounds as for `backlogs`.

        Raises: Unavailable.
        """

    async def chances(self) -> Sequence[Band]:
        """Return how often chances were right, by the last stored verdict. Raises: Unavailable."""

    async def note_verified(self, verified: Sequence[Verified], bands: Sequence[Band]) -> None:
        """Replace the stored verdict. Raises: the failures of `errors`."""

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """Return this process's connections by purpose; empty for a storage without connections."""

"""What may be seen from outside: of the turnstile as it works, of a storage when somebody looks."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.inventory import Decision


class Trouble(StrEnum):
    """Why a transaction came to nothing."""

    UNDONE = "undone"
    """The database undid it, or the connection was lost before COMMIT: all of it is done again."""
    UNKNOWN = "unknown"
    """COMMIT was not answered: its mark is looked for, and it is done again where there is none."""
    CONFLICT = "conflict"
    """The schema refused: its commands are done again one by one."""
    ERROR = "error"
    """Nobody foresaw it: its commands are done again one by one, and whoever is alone with it gets the error."""
    LOCKED = "locked"
    """Somebody else held an event for too long: whoever wants that one is turned away."""
    AWAY = "away"
    """The database does not answer, or undid it again and again: they and whoever waits behind them are turned away."""


class Overload(StrEnum):
    """Which queue was too long for what was turned away at once."""

    COMMANDS = "commands"
    """That of the turnstile: more wait than it serves in about a second."""
    PASSWORDS = "passwords"
    """That of passwords to be hashed or checked."""
    SHARE = "share"
    """The share that one user, or one address, has of the queue of passwords."""


class BatchStats(Struct, frozen=True):
    """One transaction that is durable."""

    decisions: Sequence[Decision[Any]]
    """What was recorded, in its order."""
    refused: Sequence[Exception]
    """What else its commands were answered: refusals, replayed answers, mistakes."""
    commands: int
    """How many it answered."""
    lock_seconds: float
    """From asking for the events' locks until they were had and read. 0.0: it needed none."""
    seconds: float
    """From its beginning to its end; with an unanswered COMMIT, until it was known that it had happened."""


class Observer(Protocol):
    """Watches a turnstile, never raises, and takes no time: it is called while others wait."""

    def arriving(self) -> object:
        """A command arrives, in its caller's context: a mark of it, for `batch`. Called for each command."""

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:
        """What goes around the transactions of a batch, its repetitions included.

        The marks are those of its commands, None for a step that nobody waits for. It runs in the context of whoever
        came first after a pause.
        """

    def passed(self, passage: BatchStats) -> None:
        """A transaction is durable. Called once for each, before its commands are answered."""

    def failed(self, trouble: Trouble, commands: int) -> None:
        """A transaction of so many commands came to nothing."""

    def overloaded(self, queue: Overload) -> None:
        """Something was turned away at once because of others that wait. Called for each."""


class Unobserved:
    """Nobody watches."""

    def arriving(self) -> object:
        """No mark."""
        return None

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:  # noqa: ARG002 - the port's
        """Nothing."""
        return _NOTHING

    def passed(self, passage: BatchStats) -> None:
        """Let pass."""

    def failed(self, trouble: Trouble, commands: int) -> None:
        """Let fail."""

    def overloaded(self, queue: Overload) -> None:
        """Let be turned away."""


_NOTHING: Final = nullcontext()


class WaitingListLength(Struct, frozen=True):
    """How many bookings wait for tickets of an event, of whatever type."""

    event_id: UUID
    bookings: int


class Verified(Struct, frozen=True):
    """What the last look at a promise found: how many breaches, 0 if it was kept."""

    promise: int
    breaches: int
    verified_at: datetime


class ConnectionsInUse(Struct, frozen=True):
    """Connections to the database by which work is done right now, and how many are kept; beyond them it opens more."""

    in_use: int
    kept: int


class Backlog(Struct, frozen=True):
    """How much is due to be told to others, and since when the oldest of it is; None: nothing is due."""

    number: int
    since: datetime | None

    def age(self, now: datetime) -> float:
        """Seconds for which the oldest has been due."""
        return 0.0 if self.since is None else max(0.0, (now - self.since).total_seconds())


MOST_COUNTED: Final = 10_000
"""Of a longer backlog no more is counted."""


class Statistics(Protocol):
    """What a storage tells whoever looks after it."""

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """The events for which most bookings wait, most first; none for which nobody does. Raises: Unavailable."""

    async def verified(self) -> list[Verified]:
        """What was noted last, by promise; nothing where nobody ever looked. Raises: Unavailable."""

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """What is due to be told: `webhooks`, an event each that a webhook is to be told of, and `mails`.

        Of more than `MOST_COUNTED` the number is that, and `since` of those that were counted. Raises: Unavailable.
        """

    async def note_verified(self, verified: Sequence[Verified]) -> None:
        """Note what a look at the promises found, in place of what was noted before.

        Raises: what a transaction may (`failures`).
        """

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """This process's connections, by what they are for. A storage without any has none."""

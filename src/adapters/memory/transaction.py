"""A transaction in memory, with real locks, a real rollback and simulated failures."""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from contextvars import Context
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from ...application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, StorageFailure
from .commit import apply, check
from .draft import Draft
from .steps import Fault, Step
from .tables import Tables

LOCK_WAIT: Final = 3.0
"""Seconds to wait for a lock."""


class Lost(Retryable):
    """The connection was lost before COMMIT. The database notices after `seconds` and only then frees the locks."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the connection was lost")
        self.seconds = seconds
        self.commits = False


class LostInCommit(OutcomeUnknown):
    """The connection was lost during COMMIT.

    The database commits or rolls back after `seconds`, and only then frees the locks.
    """

    def __init__(self, seconds: float, *, commits: bool) -> None:
        super().__init__("the connection was lost during COMMIT")
        self.seconds = seconds
        self.commits = commits


class Claim:
    """A place in the queue for one lock. The first claim in the queue owns the lock."""

    __slots__ = ("granted", "key")

    def __init__(self, key: Hashable) -> None:
        self.key: Hashable = key
        self.granted: asyncio.Future[None] | None = None

    @property
    def is_granted(self) -> bool:
        """Return whether the lock was granted after a wait."""
        return self.granted is not None and self.granted.done() and not self.granted.cancelled()


class Locks:
    """Locks by key, granted in the order of the claims. A lock outlives its owner until it is released."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Claim]] = {}

    @property
    def locked(self) -> list[Hashable]:
        """Return the keys of all locks."""
        return list(self._queues)

    def claim(self, key: Hashable) -> Claim:
        """Join the queue. The lock is owned at once if `granted` is None, otherwise once that future is done."""
        claim = Claim(key)
        queue = self._queues.setdefault(key, deque())
        if queue:
            claim.granted = asyncio.get_running_loop().create_future()
        queue.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """Leave the queue and grant the lock to the next claim."""
        queue = self._queues[claim.key]
        queue.remove(claim)
        if not queue:
            del self._queues[claim.key]
        elif (granted := queue[0].granted) is not None and not granted.done():
            granted.set_result(None)


class MemoryTransaction:
    """One transaction. Leaving its context without `commit` rolls it back."""

    def __init__(
        self, tables: Tables, locks: Locks, fault: Fault | None, open_units: "dict[MemoryTransaction, None]"
    ) -> None:
        self._draft = Draft(tables)
        self._locks = locks
        self._fault = fault
        self._open_units = open_units
        self._claims: dict[Hashable, Claim] = {}
        self._is_cut = False

    @property
    def draft(self) -> Draft:
        """Return the uncommitted changes."""
        return self._draft

    async def __aenter__(self) -> Self:
        await self.reach(Step.BEGIN)
        self._open_units[self] = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Lost | LostInCommit) and error.seconds > 0:
            # In a context of its own: this stands for the database, which continues when its client ends.
            loop = asyncio.get_running_loop()
            loop.call_later(error.seconds, self._finish_alone, error.commits, context=Context())
        else:
            self._end()

    async def commit(self) -> None:
        """Commit the changes. Raises: Conflict when a schema would refuse them."""
        await self.reach(Step.COMMIT)
        check(self._draft)
        apply(self._draft)
        self._end()
        await self.reach(Step.COMMITTED)

    async def reach(self, step: Step) -> None:
        """Let the simulated fault fail this step."""
        if self._fault is not None:
            await self._fault(step)
        if self._is_cut:
            raise _broken(step)

    async def lock(self, keys: Sequence[UUID]) -> None:
        """Lock in id order, which prevents deadlocks."""
        await self.lock_in_order(sorted(keys))

    async def lock_in_order(self, keys: Sequence[Hashable]) -> None:
        """Lock the keys in the given order, which must be the same in all units of work."""
        for key in keys:
            if key not in self._claims:
                claim = self._claims[key] = self._locks.claim(key)
                if claim.granted is not None:
                    await _until_granted(claim.granted)

    def locked_by_others(self, keys: Iterable[UUID]) -> set[UUID]:
        """Return the keys that other units of work have locked."""
        claims = self._claims.items()
        own = {key for key, claim in claims if claim.granted is None or claim.is_granted}
        return {key for key in keys if key not in own and key in self._locks.locked}

    def cut(self) -> None:
        """Break the connection: roll back at once, and fail every later step."""
        self._is_cut = True
        waiting = [claim.granted for claim in self._claims.values() if claim.granted and not claim.granted.done()]
        self._end()
        for granted in waiting:
            granted.set_exception(_broken(Step.LOCK))
            # The process that waits may be gone: mark the exception as retrieved, or asyncio logs it.
            granted.exception()

    def _finish_alone(self, commits: bool) -> None:
        if commits and not self._is_cut:
            try:
                check(self._draft)
            except Conflict:
                pass
            else:
                apply(self._draft)
        self._end()

    def _end(self) -> None:
        self._open_units.pop(self, None)
        self._draft = Draft(self._draft.tables)
        claims, self._claims = self._claims, {}
        for claim in claims.values():
            self._locks.release(claim)


async def _until_granted(granted: "asyncio.Future[None]") -> None:
    try:
        async with asyncio.timeout(LOCK_WAIT):
            await granted
    except TimeoutError:
        raise Locked from None


def _broken(step: Step) -> StorageFailure:
    if step in (Step.COMMIT, Step.COMMITTED):
        return OutcomeUnknown("the connection was lost during COMMIT")
    return Retryable("the connection was lost")

"""Whether a database takes writes, found out by writing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import uuid4

from sqlalchemy import bindparam, delete, update

from ....application.ports.errors import Locked
from ..bulk.insert import BulkInsert
from ..schema.tables import leases
from .pool import ConnectionPool, NoneFree
from .transaction import Diagnosis, Transaction

SECONDS_BETWEEN: Final = 1.0
"""A database that took a write is not asked again before: anyone may ask for readiness, as often as they like."""

_ADD: Final = BulkInsert(leases)
_OF_PROBE: Final = leases.c.task == bindparam("of_task")
_CHANGE: Final = update(leases).where(_OF_PROBE).values(process_id=bindparam("new_process_id"))
_REMOVE: Final = delete(leases).where(_OF_PROBE)


class WriteProbe:
    """Adds, changes and removes a row in one transaction, and commits it.

    The commit is what a full disk, a read-only server or a cluster without a majority refuses. The row has a name of
    its own, so processes wait for each other nowhere.
    """

    def __init__(
        self,
        connections: ConnectionPool,
        diagnose: Diagnosis,
        *opening: str,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._begin: Callable[[], Transaction] = lambda: Transaction(connections, diagnose, *opening)
        self._seconds = seconds
        self._last = -SECONDS_BETWEEN
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> None:
        """Raises: Unavailable, Retryable, OutcomeUnknown."""
        async with self._one_at_a_time:
            if self._seconds() - self._last < SECONDS_BETWEEN:
                return
            try:
                await self._write()
            except (Locked, NoneFree):
                # Others are writing, so writes are taken.
                return
            self._last = self._seconds()

    async def _write(self) -> None:
        probe, named = uuid4(), f"probe-{uuid4().hex}"
        async with self._begin() as transaction:
            await transaction.insert(_ADD, [{"task": named, "process_id": probe, "ends_at": datetime.now(UTC)}])
            await transaction.change(_CHANGE, {"of_task": named, "new_process_id": uuid4()}, expected=1)
            await transaction.change(_REMOVE, {"of_task": named}, expected=1)
            await transaction.commit()

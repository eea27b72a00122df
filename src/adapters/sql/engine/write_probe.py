"""A check that the database accepts writes, by writing."""

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
from .pool import ConnectionPool, NoFreeConnection
from .transaction import ErrorClassifier, Transaction

SECONDS_BETWEEN: Final = 1.0
"""Minimum time between two probes after a successful one, because any client may request readiness at any rate."""

_ADD: Final = BulkInsert(leases)
_OF_PROBE: Final = leases.c.task == bindparam("of_task")
_CHANGE: Final = update(leases).where(_OF_PROBE).values(process_id=bindparam("new_process_id"))
_REMOVE: Final = delete(leases).where(_OF_PROBE)


class WriteProbe:
    """Adds, changes and removes a row in one transaction, and commits it.

    A full disk, a read-only server or a cluster without a majority refuses the commit. The row's name is random, so
    processes do not wait for each other.
    """

    def __init__(
        self,
        connections: ConnectionPool,
        classify: ErrorClassifier,
        *opening: str,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._begin: Callable[[], Transaction] = lambda: Transaction(connections, classify, *opening)
        self._seconds = seconds
        self._last = -SECONDS_BETWEEN
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> None:
        """Raises: Unavailable, Retryable, OutcomeUnknown if the database does not accept a write."""
        async with self._one_at_a_time:
            if self._seconds() - self._last < SECONDS_BETWEEN:
                return
            try:
                await self._write()
            except (Locked, NoFreeConnection):
                # Other transactions are writing, so the database accepts writes.
                return
            self._last = self._seconds()

    async def _write(self) -> None:
        probe, task = uuid4(), f"probe-{uuid4().hex}"
        async with self._begin() as transaction:
            await transaction.insert(_ADD, [{"task": task, "process_id": probe, "ends_at": datetime.now(UTC)}])
            await transaction.change(_CHANGE, {"of_task": task, "new_process_id": uuid4()}, expected=1)
            await transaction.change(_REMOVE, {"of_task": task}, expected=1)
            await transaction.commit()

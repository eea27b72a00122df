"""The storage that a process carries within itself."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ...application.ports import Reads, Snapshot, UnitOfWork
from .reads import MemoryReads
from .snapshot import MemorySnapshot
from .tables import Tables
from .unit_of_work import Fault, Locks, MemoryUnitOfWork


class MemoryStorage:
    """Everything in memory. It rolls back, it refuses duplicates, and it can be told to fail.

    `fault` is awaited at each step of each transaction and fails it by raising; None never fails.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self._tables = Tables()
        self._locks = Locks()
        self.reads: Reads = MemoryReads(self._tables)

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See the port."""
        return MemoryUnitOfWork(self._tables, self._locks, self.fault)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """See the port."""
        yield MemorySnapshot(self._tables.copy())

    async def check_ready(self) -> None:
        """It always is."""

    async def close(self) -> None:
        """Nothing to let go of."""

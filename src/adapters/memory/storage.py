"""The storage that a process carries within itself."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ...application.ports.notifications import NotificationQueries
from ...application.ports.observability import Statistics
from ...application.ports.queries import AccountQueries, BookingQueries, EventQueries, PaymentQueries, Snapshot
from ...application.ports.storage import UnitOfWork
from .notifications import MemoryNotificationQueries
from .queries import MemoryAccountQueries, MemoryBookingQueries, MemoryEventQueries, MemoryPaymentQueries
from .snapshot import MemorySnapshot
from .statistics import MemoryStatistics
from .steps import Fault, Step
from .tables import Tables
from .unit_of_work import Locks, Lost, LostInCommit, MemoryUnitOfWork


class MemoryStorage:
    """Everything in memory. It rolls back, it refuses duplicates, and it can be told to fail.

    `fault` is awaited at each step of each transaction and before each read, and fails it by raising; None never fails.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self._connect(Tables(), Locks())

    def another(self, fault: Fault | None = None) -> "MemoryStorage":
        """The same rows and locks for another process, whose connections fail by themselves."""
        other = MemoryStorage(fault)
        other._connect(self._tables, self._locks)
        return other

    @property
    def locked(self) -> int:
        """How many locks are held, by whatever process."""
        return len(self._locks.held)

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See the port."""
        return MemoryUnitOfWork(self._tables, self._locks, self.fault, self._open)

    def cut(self) -> None:
        """Break every connection of this process, or of the process that is gone: what was open is undone."""
        for unit_of_work in list(self._open):
            unit_of_work.cut()

    def lost(self, seconds: float) -> Exception:
        """What a fault raises when the connection breaks before COMMIT, and the database notices so much later."""
        return Lost(seconds)

    def lost_in_commit(self, seconds: float, *, commits: bool) -> Exception:
        """What a fault raises at COMMIT when its answer never comes, and so much later it happened or did not."""
        return LostInCommit(seconds, commits=commits)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """See the port."""
        await self._before_read()
        yield MemorySnapshot(self._tables.copy())

    async def check_ready(self) -> None:
        """It always is."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _connect(self, tables: Tables, locks: Locks) -> None:
        self._tables = tables
        self._locks = locks
        self._open: dict[MemoryUnitOfWork, None] = {}
        self.event_queries: EventQueries = MemoryEventQueries(tables, self._before_read)
        self.booking_queries: BookingQueries = MemoryBookingQueries(tables, self._before_read)
        self.payment_queries: PaymentQueries = MemoryPaymentQueries(tables, self._before_read)
        self.account_queries: AccountQueries = MemoryAccountQueries(tables, self._before_read)
        self.notification_queries: NotificationQueries = MemoryNotificationQueries(tables, self._before_read)
        self.statistics: Statistics = MemoryStatistics(tables, self._before_read)

    async def _before_read(self) -> None:
        if self.fault is not None:
            await self.fault(Step.READ)

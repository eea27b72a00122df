"""The storage port in memory."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ...application.ports.accounts.api_keys import ApiKeyQueries
from ...application.ports.accounts.staff import StaffQueries
from ...application.ports.check_ins import CheckInQueries
from ...application.ports.log.storage import LogQueries
from ...application.ports.notifications import NotificationQueries
from ...application.ports.observability import Statistics
from ...application.ports.queries import (
    AccountQueries,
    BookingQueries,
    EventQueries,
    ExplanationQueries,
    PaymentQueries,
    Snapshot,
)
from ...application.ports.storage import UnitOfWork
from ...application.ports.ticket_codes import CodeKeyQueries
from ...application.ports.tickets import TicketQueries
from .accounts.api_keys import MemoryApiKeyQueries
from .accounts.staff import MemoryStaffQueries
from .check_ins import MemoryCheckInQueries
from .code_keys import MemoryCodeKeyQueries
from .log.logs import MemoryLogQueries
from .notifications.repositories import MemoryNotificationQueries
from .queries import (
    MemoryAccountQueries,
    MemoryBookingQueries,
    MemoryEventQueries,
    MemoryExplanationQueries,
    MemoryPaymentQueries,
)
from .snapshot import MemorySnapshot
from .statistics import MemoryStatistics
from .steps import Fault, Step
from .tables import Tables
from .tickets import MemoryTicketQueries
from .transaction import Locks, Lost, LostInCommit, MemoryTransaction
from .unit_of_work import MemoryUnitOfWork


class MemoryStorage:
    """A storage that rolls back, refuses duplicates and can simulate failures.

    `fault` is awaited at each step of each transaction and before each read; an exception that it raises fails them.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self._connect(Tables(), Locks())

    def another(self, fault: Fault | None = None) -> "MemoryStorage":
        """Return a storage on the same rows and locks for another process, with its own connections and faults."""
        other = MemoryStorage(fault)
        other._connect(self._tables, self._locks)
        return other

    @property
    def locked(self) -> int:
        """Return how many locks are held by all processes together."""
        return len(self._locks.locked)

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See the port."""
        return MemoryUnitOfWork(self._tables, self._locks, self.fault, self._open)

    def cut(self) -> None:
        """Break all connections of this process and roll back their transactions."""
        for unit_of_work in list(self._open):
            unit_of_work.cut()

    def lost(self, seconds: float) -> Exception:
        """Return the error of a connection lost before COMMIT. The database rolls back after `seconds`."""
        return Lost(seconds)

    def lost_in_commit(self, seconds: float, *, commits: bool) -> Exception:
        """Return the error of a COMMIT without an answer. The database commits or rolls back after `seconds`."""
        return LostInCommit(seconds, commits=commits)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """See the port."""
        await self._before_read()
        yield MemorySnapshot(self._tables.copy())

    async def check_ready(self) -> None:
        """Do nothing: memory is always ready."""

    async def purge(self) -> None:
        """Do nothing: there are no files."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _connect(self, tables: Tables, locks: Locks) -> None:
        self._tables = tables
        self._locks = locks
        self._open: dict[MemoryTransaction, None] = {}
        self.event_queries: EventQueries = MemoryEventQueries(tables, self._before_read)
        self.booking_queries: BookingQueries = MemoryBookingQueries(tables, self._before_read)
        self.explanation_queries: ExplanationQueries = MemoryExplanationQueries(tables, self._before_read)
        self.payment_queries: PaymentQueries = MemoryPaymentQueries(tables, self._before_read)
        self.account_queries: AccountQueries = MemoryAccountQueries(tables, self._before_read)
        self.api_key_queries: ApiKeyQueries = MemoryApiKeyQueries(tables, self._before_read)
        self.staff_queries: StaffQueries = MemoryStaffQueries(tables, self._before_read)
        self.ticket_queries: TicketQueries = MemoryTicketQueries(tables, self._before_read)
        self.code_key_queries: CodeKeyQueries = MemoryCodeKeyQueries(tables, self._before_read)
        self.check_in_queries: CheckInQueries = MemoryCheckInQueries(tables, self._before_read)
        self.notification_queries: NotificationQueries = MemoryNotificationQueries(tables, self._before_read)
        self.log_queries: LogQueries = MemoryLogQueries(tables, self._before_read)
        self.statistics: Statistics = MemoryStatistics(tables, self._before_read)

    async def _before_read(self) -> None:
        if self.fault is not None:
            await self.fault(Step.READ)

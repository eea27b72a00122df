"""A storage whose commits fail on demand, in the two ways in which those of a correct database may fail."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum

from .....application.ports.accounts.api_keys import ApiKeyQueries, ApiKeyRepository
from .....application.ports.accounts.links import LinkRepository
from .....application.ports.accounts.staff import StaffQueries, StaffRepository
from .....application.ports.check_ins import CheckInQueries
from .....application.ports.errors import OutcomeUnknown, Retryable
from .....application.ports.log.storage import LogQueries, LogRepository
from .....application.ports.notifications import MailRepository, NotificationQueries, WebhookRepository
from .....application.ports.observability import Statistics
from .....application.ports.queries import (
    AccountQueries,
    BookingQueries,
    EventQueries,
    ExplanationQueries,
    PaymentQueries,
    Snapshot,
)
from .....application.ports.repositories import (
    ErasureRepository,
    EventRepository,
    LeaseRepository,
    LimitRepository,
    UserRepository,
)
from .....application.ports.storage import Storage, UnitOfWork
from .....application.ports.ticket_codes import CodeKeyQueries, CodeKeyRepository
from .....application.ports.tickets import TicketQueries


class Trouble(StrEnum):
    """How a commit fails: it is rolled back, or it succeeds and the answer is lost."""

    UNDONE = "undone"
    UNANSWERED = "unanswered"


class InterceptedStorage:
    """Wrap a storage so that every commit passes through `commit`, which a subclass may extend."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.event_queries: EventQueries = storage.event_queries
        self.booking_queries: BookingQueries = storage.booking_queries
        self.explanation_queries: ExplanationQueries = storage.explanation_queries
        self.payment_queries: PaymentQueries = storage.payment_queries
        self.account_queries: AccountQueries = storage.account_queries
        self.api_key_queries: ApiKeyQueries = storage.api_key_queries
        self.staff_queries: StaffQueries = storage.staff_queries
        self.code_key_queries: CodeKeyQueries = storage.code_key_queries
        self.ticket_queries: TicketQueries = storage.ticket_queries
        self.check_in_queries: CheckInQueries = storage.check_in_queries
        self.notification_queries: NotificationQueries = storage.notification_queries
        self.log_queries: LogQueries = storage.log_queries
        self.statistics: Statistics = storage.statistics

    async def commit(self, unit_of_work: UnitOfWork) -> None:
        """Commit a transaction of the wrapped storage."""
        await unit_of_work.commit()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """See `Storage`."""
        async with self._storage.begin() as unit_of_work:
            yield _InterceptedUnitOfWork(unit_of_work, self.commit)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """See `Storage`."""
        return self._storage.snapshot()

    async def check_ready(self) -> None:
        """See `Storage`."""
        await self._storage.check_ready()

    async def purge(self) -> None:
        """See `Storage`."""
        await self._storage.purge()

    async def close(self) -> None:
        """See `Storage`."""
        await self._storage.close()


class _InterceptedUnitOfWork:
    def __init__(self, unit_of_work: UnitOfWork, commit: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        self._unit_of_work = unit_of_work
        self._commit = commit
        self.events: EventRepository = unit_of_work.events
        self.users: UserRepository = unit_of_work.users
        self.api_keys: ApiKeyRepository = unit_of_work.api_keys
        self.links: LinkRepository = unit_of_work.links
        self.staff: StaffRepository = unit_of_work.staff
        self.erasures: ErasureRepository = unit_of_work.erasures
        self.leases: LeaseRepository = unit_of_work.leases
        self.webhooks: WebhookRepository = unit_of_work.webhooks
        self.mails: MailRepository = unit_of_work.mails
        self.limits: LimitRepository = unit_of_work.limits
        self.code_keys: CodeKeyRepository = unit_of_work.code_keys
        self.logs: LogRepository = unit_of_work.logs

    async def commit(self) -> None:
        await self._commit(self._unit_of_work)


class TroubledStorage(InterceptedStorage):
    """Each of `troubles` makes one commit fail.

    No outcome may change: a rolled-back batch is repeated, a committed one is found by its batch id. There are at most
    two, because a database that fails more often may be reported to clients.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.troubles: deque[Trouble] = deque(maxlen=2)

    def untroubled(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Start a transaction that no trouble concerns."""
        return self._storage.begin()

    async def commit(self, unit_of_work: UnitOfWork) -> None:
        """Commit, or fail. Raises: Retryable, OutcomeUnknown."""
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble is Trouble.UNDONE:
            raise Retryable
        await super().commit(unit_of_work)
        if trouble is Trouble.UNANSWERED:
            raise OutcomeUnknown

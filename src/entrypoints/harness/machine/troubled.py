"""A storage whose commits fail on demand, in the two ways in which those of a correct database may fail."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum

from ....application.ports.errors import OutcomeUnknown, Retryable
from ....application.ports.notifications import MailRepository, NotificationQueries, WebhookRepository
from ....application.ports.observability import Statistics
from ....application.ports.queries import AccountQueries, BookingQueries, EventQueries, PaymentQueries, Snapshot
from ....application.ports.repositories import EventRepository, LeaseRepository, LimitRepository, UserRepository
from ....application.ports.storage import Storage, UnitOfWork


class Trouble(StrEnum):
    """How a commit fails: it is rolled back, or it succeeds and the answer is lost."""

    UNDONE = "undone"
    UNANSWERED = "unanswered"


class TroubledStorage:
    """Wrap a storage; each of `troubles` makes one commit fail.

    No outcome may change: a rolled-back batch is repeated, a committed one is found by its batch id. There are at most
    two, because a database that fails more often may be reported to clients.
    """

    def __init__(self, storage: Storage) -> None:
        self.troubles: deque[Trouble] = deque(maxlen=2)
        self._storage = storage

    @property
    def event_queries(self) -> EventQueries:
        """See `Storage`."""
        return self._storage.event_queries

    @property
    def booking_queries(self) -> BookingQueries:
        """See `Storage`."""
        return self._storage.booking_queries

    @property
    def payment_queries(self) -> PaymentQueries:
        """See `Storage`."""
        return self._storage.payment_queries

    @property
    def account_queries(self) -> AccountQueries:
        """See `Storage`."""
        return self._storage.account_queries

    @property
    def notification_queries(self) -> NotificationQueries:
        """See `Storage`."""
        return self._storage.notification_queries

    @property
    def statistics(self) -> Statistics:
        """See `Storage`."""
        return self._storage.statistics

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """See `Storage`."""
        async with self._storage.begin() as unit_of_work:
            yield _TroubledUnitOfWork(unit_of_work, self.troubles)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """See `Storage`."""
        return self._storage.snapshot()

    async def check_ready(self) -> None:
        """See `Storage`."""
        await self._storage.check_ready()

    async def close(self) -> None:
        """See `Storage`."""
        await self._storage.close()


class _TroubledUnitOfWork:
    def __init__(self, unit_of_work: UnitOfWork, troubles: deque[Trouble]) -> None:
        self._unit_of_work = unit_of_work
        self._troubles = troubles

    @property
    def events(self) -> EventRepository:
        return self._unit_of_work.events

    @property
    def users(self) -> UserRepository:
        return self._unit_of_work.users

    @property
    def leases(self) -> LeaseRepository:
        return self._unit_of_work.leases

    @property
    def webhooks(self) -> WebhookRepository:
        return self._unit_of_work.webhooks

    @property
    def mails(self) -> MailRepository:
        return self._unit_of_work.mails

    @property
    def limits(self) -> LimitRepository:
        return self._unit_of_work.limits

    async def commit(self) -> None:
        trouble = self._troubles.popleft() if self._troubles else None
        if trouble is Trouble.UNDONE:
            raise Retryable
        await self._unit_of_work.commit()
        if trouble is Trouble.UNANSWERED:
            raise OutcomeUnknown

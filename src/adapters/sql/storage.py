"""The storage ports on one SQL database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from ...application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from .dialects.dialect import dialect_of
from .engine.pool import ConnectionPool, Send
from .engine.transaction import STATEMENT_SECONDS, Transaction
from .engine.write_probe import WriteProbe
from .migrate import check_version
from .queries.accounts import SqlAccountQueries
from .queries.api_keys import SqlApiKeyQueries
from .queries.bookings import SqlBookingQueries
from .queries.check_ins import SqlCheckInQueries
from .queries.code_keys import SqlCodeKeyQueries
from .queries.events import SqlEventQueries
from .queries.explanations import SqlExplanationQueries
from .queries.log.logs import SqlLogQueries
from .queries.notifications import SqlNotificationQueries
from .queries.payments import SqlPaymentQueries
from .queries.staff import SqlStaffQueries
from .queries.statistics import SqlStatistics
from .queries.tickets import SqlTicketQueries
from .repositories.accounts.api_keys import SqlApiKeyRepository
from .repositories.accounts.links import SqlLinkRepository
from .repositories.accounts.staff import SqlStaffRepository
from .repositories.accounts.users import SqlErasureRepository, SqlUserRepository
from .repositories.code_keys import SqlCodeKeyRepository
from .repositories.events import SqlEventRepository
from .repositories.leases import SqlLeaseRepository
from .repositories.limits import SqlLimitRepository
from .repositories.logs import SqlLogRepository
from .repositories.mails import SqlMailRepository
from .repositories.webhooks import SqlWebhookRepository
from .snapshot import SqlSnapshot

ATTEMPTS = 2
"""Attempts at a readiness check: a pooled connection may have been lost unnoticed."""

LIST_SECONDS = 3.5
"""Time limit for a list or search, including the wait for a connection. The database ends the statement earlier."""

SNAPSHOT_STATEMENT_SECONDS = 600.0
"""Time limit for a statement of a snapshot, which no request waits for."""


class SqlUnitOfWork:
    """See the port. One transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.events: SqlEventRepository = SqlEventRepository(transaction)
        self.users: SqlUserRepository = SqlUserRepository(transaction)
        self.api_keys: SqlApiKeyRepository = SqlApiKeyRepository(transaction)
        self.links: SqlLinkRepository = SqlLinkRepository(transaction)
        self.staff: SqlStaffRepository = SqlStaffRepository(transaction)
        self.erasures: SqlErasureRepository = SqlErasureRepository(transaction)
        self.leases: SqlLeaseRepository = SqlLeaseRepository(transaction)
        self.webhooks: SqlWebhookRepository = SqlWebhookRepository(transaction)
        self.mails: SqlMailRepository = SqlMailRepository(transaction)
        self.limits: SqlLimitRepository = SqlLimitRepository(transaction)
        self.code_keys: SqlCodeKeyRepository = SqlCodeKeyRepository(transaction)
        self.logs: SqlLogRepository = SqlLogRepository(transaction)

    async def __aenter__(self) -> Self:
        await self._transaction.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transaction.__aexit__(*error)

    async def commit(self) -> None:
        """See the port."""
        self.events.enqueue_counters()
        await self._transaction.commit()


class SqlStorage:
    """All storage ports on one migrated database (`migrate.upgrade`). Connections are opened on first use."""

    def __init__(self, url: str) -> None:
        """Raises: ValueError for a URL that is not supported."""
        parsed = make_url(url)
        self._dialect = dialect_of(parsed)
        self._writing = ConnectionPool(self._dialect.writing(parsed), self._dialect.send)
        self._reading = ConnectionPool(self._dialect.reading(parsed), self._dialect.send, autocommit=True)
        self._listing = ConnectionPool(
            self._dialect.listing(parsed),
            self._dialect.send,
            autocommit=True,
            read_seconds=LIST_SECONDS,
        )
        self._long_running = ConnectionPool(self._dialect.long_running(parsed), self._dialect.send)
        self._probe = WriteProbe(self._writing, self._dialect.classify, *self._dialect.opening)
        classify = self._dialect.classify
        self.event_queries: SqlEventQueries = SqlEventQueries(self._reading, self._listing, classify)
        self.booking_queries: SqlBookingQueries = SqlBookingQueries(self._reading, self._listing, classify)
        self.explanation_queries: SqlExplanationQueries = SqlExplanationQueries(self._reading, self._listing, classify)
        self.payment_queries: SqlPaymentQueries = SqlPaymentQueries(self._reading, self._listing, classify)
        self.account_queries: SqlAccountQueries = SqlAccountQueries(self._reading, self._listing, classify)
        self.api_key_queries: SqlApiKeyQueries = SqlApiKeyQueries(self._reading, classify)
        self.staff_queries: SqlStaffQueries = SqlStaffQueries(self._reading, classify)
        self.ticket_queries: SqlTicketQueries = SqlTicketQueries(self._reading, self._listing, classify)
        self.code_key_queries: SqlCodeKeyQueries = SqlCodeKeyQueries(self._reading, classify)
        self.check_in_queries: SqlCheckInQueries = SqlCheckInQueries(self._reading, self._listing, classify)
        self.notification_queries: SqlNotificationQueries = SqlNotificationQueries(self._reading, classify)
        self.log_queries: SqlLogQueries = SqlLogQueries(self._reading, self._listing, classify)
        self.statistics: SqlStatistics = SqlStatistics(self._dialect, self._writing, self._reading, self._listing)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines for transactions, queries and lists, for instrumentation."""
        return tuple(each.engine.sync_engine for each in (self._writing, self._reading, self._listing))

    def wrap_send(self, wrapper: Callable[[Send], Send]) -> None:
        """Wrap the function that sends statements, for instrumentation."""
        for connections in (self._writing, self._reading, self._listing):
            connections.send = wrapper(connections.send)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the storage of a database URL. Raises: ValueError for a URL that is not supported."""
        return cls(url)

    def begin(self) -> SqlUnitOfWork:
        """Return a new transaction, which is rolled back unless it is committed."""
        dialect = self._dialect
        return SqlUnitOfWork(Transaction(self._writing, dialect.classify, *dialect.opening, guard=dialect.guard))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlSnapshot]:
        """See the port. It takes no locks."""
        async with Transaction(
            self._long_running,
            self._dialect.classify,
            *self._dialect.snapshot,
            seconds=SNAPSHOT_STATEMENT_SECONDS,
        ) as transaction:
            yield SqlSnapshot(transaction)

    async def check_ready(self) -> None:
        """Raises: Unavailable, with what to do, if the database cannot serve reads and writes."""
        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                await self._check_ready()
        except TimeoutError as error:
            raise Unavailable("The database does not answer.") from error

    async def _check_ready(self) -> None:
        for _ in range(ATTEMPTS):
            try:
                async with Transaction(self._reading, self._dialect.classify) as transaction:
                    # First, because a server without a majority of its group answers nothing else.
                    await transaction.check(self._dialect.check_writable)
                    await transaction.check(check_version)
                await self._probe()
            except (Retryable, OutcomeUnknown):
                # A pooled connection may have been lost while the database restarted.
                continue
            else:
                return
        raise Unavailable("The database closed the connection repeatedly; try again in a moment.")

    async def purge(self) -> None:
        """See the port."""
        with suppress(SQLAlchemyError):
            async with self._writing.engine.connect() as connection:
                await self._dialect.purge(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._writing.close()
        await self._reading.close()
        await self._listing.close()
        await self._long_running.close()

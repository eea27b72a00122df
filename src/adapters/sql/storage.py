"""The storage: everything that the ports ask for, on one database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from sqlalchemy.engine import Engine, make_url

from ...application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from .dialects.dialect import database_of
from .engine.pool import ConnectionPool, Send
from .engine.transaction import STATEMENT_SECONDS, Transaction
from .engine.write_probe import WriteProbe
from .migrate import check_version
from .queries.accounts import SqlAccountQueries
from .queries.bookings import SqlBookingQueries
from .queries.events import SqlEventQueries
from .queries.notifications import SqlNotificationQueries
from .queries.payments import SqlPaymentQueries
from .queries.statistics import SqlStatistics
from .repositories.events import SqlEventRepository
from .repositories.leases import SqlLeaseRepository
from .repositories.limits import SqlLimitRepository
from .repositories.mails import SqlMailRepository
from .repositories.users import SqlUserRepository
from .repositories.webhooks import SqlWebhookRepository
from .snapshot import SqlSnapshot

ATTEMPTS = 2
"""How often the database is asked whether it is ready: a connection of the pool may have died unnoticed."""

LIST_SECONDS = 3.5
"""The most that a statement of a list or a search may take, with the wait for a connection.

The database itself ends the statement sooner.
"""

SNAPSHOT_STATEMENT_SECONDS = 600.0
"""A look at everything may take its time; nobody waits for it."""


class SqlUnitOfWork:
    """One transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.events = SqlEventRepository(transaction)
        self.users = SqlUserRepository(transaction)
        self.leases = SqlLeaseRepository(transaction)
        self.webhooks = SqlWebhookRepository(transaction)
        self.mails = SqlMailRepository(transaction)
        self.limits = SqlLimitRepository(transaction)

    async def __aenter__(self) -> Self:
        await self._transaction.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transaction.__aexit__(*error)

    async def commit(self) -> None:
        """Make everything durable."""
        self.events.enqueue_counters()
        await self._transaction.commit()


class SqlStorage:
    """Everything on one database, whose schema is there (`migrate.upgrade`). Nothing is opened before it is used."""

    def __init__(self, url: str) -> None:
        """Raises: ValueError for a URL that is not supported."""
        parsed = make_url(url)
        self._database = database_of(parsed)
        self._writing = ConnectionPool(self._database.writing(parsed), self._database.send)
        self._reading = ConnectionPool(self._database.reading(parsed), self._database.send, commits_by_itself=True)
        self._listing = ConnectionPool(
            self._database.listing(parsed),
            self._database.send,
            commits_by_itself=True,
            read_seconds=LIST_SECONDS,
        )
        self._unhurried = ConnectionPool(self._database.unhurried(parsed), self._database.send)
        self._probe = WriteProbe(self._writing, self._database.diagnose, *self._database.opening)
        diagnose = self._database.diagnose
        self.event_queries = SqlEventQueries(self._reading, self._listing, diagnose)
        self.booking_queries = SqlBookingQueries(self._reading, self._listing, diagnose)
        self.payment_queries = SqlPaymentQueries(self._reading, diagnose)
        self.account_queries = SqlAccountQueries(self._reading, self._listing, diagnose)
        self.notification_queries = SqlNotificationQueries(self._reading, diagnose)
        self.statistics = SqlStatistics(self._database, self._writing, self._reading, self._listing)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """What its connections are made by."""
        return tuple(each.engine.sync_engine for each in (self._writing, self._reading, self._listing))

    def send_through(self, around: Callable[[Send], Send]) -> None:
        """From now on let what is sent go through something that watches it."""
        for connections in (self._writing, self._reading, self._listing):
            connections.send = around(connections.send)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The storage on the database that a URL names. Raises: ValueError for a URL that is not supported."""
        return cls(url)

    def begin(self) -> SqlUnitOfWork:
        """A new transaction, rolled back when it was not committed."""
        return SqlUnitOfWork(Transaction(self._writing, self._database.diagnose, *self._database.opening))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlSnapshot]:
        """One consistent look at everything; it holds nobody up."""
        async with Transaction(
            self._unhurried,
            self._database.diagnose,
            *self._database.snapshot,
            seconds=SNAPSHOT_STATEMENT_SECONDS,
        ) as transaction:
            yield SqlSnapshot(transaction)

    async def check_ready(self) -> None:
        """Raises: Unavailable, saying what to do."""
        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                await self._check_ready()
        except TimeoutError as error:
            raise Unavailable("The database does not answer.") from error

    async def _check_ready(self) -> None:
        for _ in range(ATTEMPTS):
            try:
                async with Transaction(self._reading, self._database.diagnose) as transaction:
                    await transaction.check(check_version)
                    await transaction.check(self._database.check_writable)
                await self._probe()
            except (Retryable, OutcomeUnknown):
                # It may have died in the pool, and the database be there again.
                continue
            else:
                return
        raise Unavailable("The database lost the connection again and again; try again in a moment.")

    async def close(self) -> None:
        """Let go of every connection."""
        await self._writing.close()
        await self._reading.close()
        await self._listing.close()
        await self._unhurried.close()

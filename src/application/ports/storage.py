"""The storage: units of work, queries and snapshots of one database."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .notifications import MailRepository, NotificationQueries, WebhookRepository
from .observability import Statistics
from .queries import Reads, Snapshot
from .repositories import EventRepository, LeaseRepository, LimitRepository, UserRepository


class UnitOfWork(Protocol):
    """One transaction. What is not committed is rolled back when its context ends."""

    @property
    def inventories(self) -> EventRepository:
        """Events under their locks."""

    @property
    def users(self) -> UserRepository:
        """Accounts and sessions."""

    @property
    def leases(self) -> LeaseRepository:
        """What the background work keeps."""

    @property
    def webhooks(self) -> WebhookRepository:
        """Webhooks and how far each was told."""

    @property
    def mails(self) -> MailRepository:
        """Mails to be sent."""

    @property
    def limits(self) -> LimitRepository:
        """What limits are held against."""

    async def commit(self) -> None:
        """Make everything durable, then return. Raises: OutcomeUnknown when the connection was lost meanwhile."""


class Storage(Protocol):
    """Where everything is kept."""

    @property
    def reads(self) -> Reads:
        """What is committed."""

    @property
    def telling(self) -> NotificationQueries:
        """What is committed of webhooks and mails."""

    @property
    def figures(self) -> Statistics:
        """What it tells whoever looks after it."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new transaction; several may run side by side. Raises: Unavailable."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """One consistent look at everything, beside live traffic."""

    async def check_ready(self) -> None:
        """Raises Unavailable, saying why, when the database is away, read-only or at another schema version."""

    async def close(self) -> None:
        """Let go of every connection."""

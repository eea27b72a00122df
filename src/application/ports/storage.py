"""The storage: units of work, queries and snapshots of one database."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .notifications import MailRepository, NotificationQueries, WebhookRepository
from .observability import Statistics
from .queries import AccountQueries, BookingQueries, EventQueries, PaymentQueries, Snapshot
from .repositories import EventRepository, LeaseRepository, LimitRepository, UserRepository


class UnitOfWork(Protocol):
    """One transaction. What is not committed is rolled back when its context ends."""

    @property
    def events(self) -> EventRepository:
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
    def event_queries(self) -> EventQueries:
        """Committed events and facts."""

    @property
    def booking_queries(self) -> BookingQueries:
        """Committed bookings."""

    @property
    def payment_queries(self) -> PaymentQueries:
        """Committed charges and refunds."""

    @property
    def account_queries(self) -> AccountQueries:
        """Committed accounts and sessions."""

    @property
    def notification_queries(self) -> NotificationQueries:
        """Committed webhooks, deliveries and mails."""

    @property
    def statistics(self) -> Statistics:
        """What it tells whoever looks after it."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new transaction; several may run side by side. Raises: Unavailable."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """One consistent look at everything, beside live traffic."""

    async def check_ready(self) -> None:
        """Raises Unavailable, saying why, when the database is away, read-only or at another schema version."""

    async def close(self) -> None:
        """Let go of every connection."""

"""The storage: units of work, queries and snapshots of one database."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .accounts.api_keys import ApiKeyQueries, ApiKeyRepository
from .accounts.links import LinkRepository
from .accounts.staff import StaffQueries, StaffRepository
from .check_ins import CheckInQueries
from .log.storage import LogQueries, LogRepository
from .notifications import MailRepository, NotificationQueries, WebhookRepository
from .observability import Statistics
from .queries import AccountQueries, BookingQueries, EventQueries, ExplanationQueries, PaymentQueries, Snapshot
from .repositories import ErasureRepository, EventRepository, LeaseRepository, LimitRepository, UserRepository
from .ticket_codes import CodeKeyQueries, CodeKeyRepository
from .tickets import TicketQueries


class UnitOfWork(Protocol):
    """One transaction. It is rolled back at the end of its context unless it was committed."""

    @property
    def events(self) -> EventRepository:
        """Events under their locks."""

    @property
    def users(self) -> UserRepository:
        """Accounts and sessions."""

    @property
    def api_keys(self) -> ApiKeyRepository:
        """API keys."""

    @property
    def links(self) -> LinkRepository:
        """Links in mails to accounts."""

    @property
    def staff(self) -> StaffRepository:
        """Who works for which event."""

    @property
    def erasures(self) -> ErasureRepository:
        """What is erased with an account."""

    @property
    def leases(self) -> LeaseRepository:
        """Leases of background tasks."""

    @property
    def webhooks(self) -> WebhookRepository:
        """Webhooks and their progress."""

    @property
    def mails(self) -> MailRepository:
        """Mails to send."""

    @property
    def limits(self) -> LimitRepository:
        """The shared counts of limits."""

    @property
    def code_keys(self) -> CodeKeyRepository:
        """The keys that sign the codes of tickets."""

    @property
    def logs(self) -> LogRepository:
        """Events' logs, and the keys of customers in them."""

    async def commit(self) -> None:
        """Make everything durable, then return. Raises: OutcomeUnknown when the connection is lost meanwhile."""


class Storage(Protocol):
    """The database."""

    @property
    def event_queries(self) -> EventQueries:
        """Committed events and facts."""

    @property
    def booking_queries(self) -> BookingQueries:
        """Committed bookings."""

    @property
    def explanation_queries(self) -> ExplanationQueries:
        """What explanations of committed bookings follow from."""

    @property
    def payment_queries(self) -> PaymentQueries:
        """Committed charges and refunds."""

    @property
    def account_queries(self) -> AccountQueries:
        """Committed accounts and sessions."""

    @property
    def api_key_queries(self) -> ApiKeyQueries:
        """Committed API keys."""

    @property
    def staff_queries(self) -> StaffQueries:
        """Committed members of events' staff."""

    @property
    def ticket_queries(self) -> TicketQueries:
        """Committed rows of single tickets."""

    @property
    def code_key_queries(self) -> CodeKeyQueries:
        """Committed keys that sign the codes of tickets."""

    @property
    def check_in_queries(self) -> CheckInQueries:
        """Committed check-ins, and what the door sees of tickets."""

    @property
    def notification_queries(self) -> NotificationQueries:
        """Committed webhooks, deliveries and mails."""

    @property
    def log_queries(self) -> LogQueries:
        """Committed logs of events."""

    @property
    def statistics(self) -> Statistics:
        """Statistics for operators."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Start a transaction; several may run concurrently. Raises: Unavailable."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Open a consistent snapshot of the whole database, beside live traffic."""

    async def check_ready(self) -> None:
        """Raise Unavailable with the reason if the database is unreachable, read-only or at another schema version."""

    async def purge(self) -> None:
        """Remove what was deleted or replaced from the database's files too, as far as that can be asked for now."""

    async def close(self) -> None:
        """Close every connection."""

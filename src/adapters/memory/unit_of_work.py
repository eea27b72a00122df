"""A unit of work in memory: one transaction and its repositories."""

from ...application.ports.accounts.api_keys import ApiKeyRepository
from ...application.ports.accounts.links import LinkRepository
from ...application.ports.accounts.staff import StaffRepository
from ...application.ports.log.storage import LogRepository
from ...application.ports.notifications import MailRepository, WebhookRepository
from ...application.ports.repositories import (
    ErasureRepository,
    EventRepository,
    LeaseRepository,
    LimitRepository,
    UserRepository,
)
from ...application.ports.ticket_codes import CodeKeyRepository
from .accounts.api_keys import MemoryApiKeyRepository
from .accounts.links import MemoryLinkRepository
from .accounts.staff import MemoryStaffRepository
from .code_keys import MemoryCodeKeyRepository
from .log.logs import MemoryLogRepository
from .notifications.repositories import MemoryMailRepository, MemoryWebhookRepository
from .repositories import (
    MemoryErasureRepository,
    MemoryEventRepository,
    MemoryLeaseRepository,
    MemoryLimitRepository,
    MemoryUserRepository,
)
from .steps import Fault
from .tables import Tables
from .transaction import Locks, MemoryTransaction


class MemoryUnitOfWork(MemoryTransaction):
    """See the port. Leaving its context without `commit` rolls it back."""

    def __init__(
        self, tables: Tables, locks: Locks, fault: Fault | None, open_units: "dict[MemoryTransaction, None]"
    ) -> None:
        super().__init__(tables, locks, fault, open_units)
        self.events: EventRepository = MemoryEventRepository(self)
        self.users: UserRepository = MemoryUserRepository(self)
        self.api_keys: ApiKeyRepository = MemoryApiKeyRepository(self)
        self.links: LinkRepository = MemoryLinkRepository(self)
        self.staff: StaffRepository = MemoryStaffRepository(self)
        self.erasures: ErasureRepository = MemoryErasureRepository(self)
        self.leases: LeaseRepository = MemoryLeaseRepository(self)
        self.webhooks: WebhookRepository = MemoryWebhookRepository(self)
        self.mails: MailRepository = MemoryMailRepository(self)
        self.limits: LimitRepository = MemoryLimitRepository(self)
        self.code_keys: CodeKeyRepository = MemoryCodeKeyRepository(self)
        self.logs: LogRepository = MemoryLogRepository(self)

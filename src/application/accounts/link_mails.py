"""Queue the mails with links to accounts."""

from datetime import datetime
from uuid import UUID

from ...domain.verification import Link, LinkPurpose
from ..limits.recipients import count_mail, links_to, lock_recipient
from ..ports.storage import UnitOfWork
from ..ports.system import Ids


class LinkMails:
    """Queues mails with links, in the caller's transaction and within the recipient's limit.

    `are_sent`: whether the service sends mails; otherwise nothing is queued.
    """

    def __init__(self, ids: Ids, *, are_sent: bool) -> None:
        self._ids = ids
        self.are_sent: bool = are_sent

    def link_of(self, user_id: UUID | None, address: str, purpose: LinkPurpose, now: datetime) -> Link:
        """Return a new link, whose mail is due at once. With `user_id` None it leads to no account."""
        link_id = self._ids.new()
        return Link(
            id=link_id,
            purpose=purpose,
            user_id=user_id or link_id,
            email=address,
            created_at=now,
            due_at=now,
        )

    async def lock(self, unit_of_work: UnitOfWork, address: str) -> None:
        """Lock an address until the unit of work ends, before any account.

        Registrations, verifications and resets with an address then continue one by one.
        """
        await lock_recipient(unit_of_work, links_to(address, LinkPurpose.VERIFY))

    async def queue(self, unit_of_work: UnitOfWork, link: Link) -> bool:
        """Queue the mail of a link; drop it and return False beyond the recipient's limit."""
        if not self.are_sent:
            return False
        if await count_mail(unit_of_work, links_to(link.email, link.purpose), link.created_at) is not None:
            return False
        await unit_of_work.links.add(link)
        return True

"""Links in mails to accounts, and the registrations that wait for one."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from ....domain.user import User
from ....domain.verification import Link, LinkPurpose


class LinkRepository(Protocol):
    """Links and claims, inside a unit of work.

    A claim is a registration with an address that another account holds: the account that it becomes once that address
    is verified. A link is changed under the lock of its address only (`LimitRepository.lock_mail_times`).
    """

    async def add(self, link: Link) -> None:
        """Add a link. Raises: Conflict when the id exists (maybe only at commit)."""

    async def link(self, link_id: UUID) -> Link | None:
        """Return the link, as committed or saved so far."""

    async def save(self, link: Link) -> None:
        """Replace a link, if it still exists."""

    async def remove(self, link_id: UUID) -> None:
        """Delete a link, if it exists."""

    async def remove_of(self, user_id: UUID, *, email: str | None = None, purpose: LinkPurpose | None = None) -> None:
        """Delete all links of an account, or those that were sent to this address, or have this purpose."""

    async def add_claim(self, user: User) -> None:
        """Add a claim. Raises: Conflict when the id exists (maybe only at commit)."""

    async def claim(self, user_id: UUID) -> User | None:
        """Return the claim, as committed or saved so far."""

    async def remove_claim(self, user_id: UUID) -> None:
        """Delete a claim, if it exists."""

    async def forget(self, before: datetime) -> None:
        """Delete the links and claims that were made earlier."""

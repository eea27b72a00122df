"""Links in mails to accounts and the claims that wait for them, in memory."""

from datetime import datetime
from uuid import UUID

from ....domain.user import User
from ....domain.verification import Link, LinkPurpose
from ..steps import Step
from ..transaction import MemoryTransaction


class MemoryLinkRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def add(self, link: Link) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft.notifications
        draft.links[link.id] = link
        draft.new_links.add(link.id)

    async def link(self, link_id: UUID) -> Link | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return self._links().get(link_id)

    async def save(self, link: Link) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        if self._links().get(link.id) is not None:
            self._transaction.draft.notifications.links[link.id] = link

    async def remove(self, link_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.links[link_id] = None

    async def remove_of(self, user_id: UUID, *, email: str | None = None, purpose: LinkPurpose | None = None) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        removed = [
            each.id
            for each in self._links().values()
            if each is not None
            and each.user_id == user_id
            and email in (None, each.email)
            and purpose in (None, each.purpose)
        ]
        self._transaction.draft.notifications.links.update(dict.fromkeys(removed))

    async def add_claim(self, user: User) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft.notifications
        draft.claims[user.id] = user
        draft.new_claims.add(user.id)

    async def claim(self, user_id: UUID) -> User | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return self._claims().get(user_id)

    async def remove_claim(self, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.claims[user_id] = None

    async def forget(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft.notifications
        draft.links.update({each.id: None for each in self._links().values() if each and each.created_at < before})
        draft.claims.update({each.id: None for each in self._claims().values() if each and each.created_at < before})

    def _links(self) -> dict[UUID, Link | None]:
        draft = self._transaction.draft
        return {**draft.tables.notifications.links, **draft.notifications.links}

    def _claims(self) -> dict[UUID, User | None]:
        draft = self._transaction.draft
        return {**draft.tables.notifications.claims, **draft.notifications.claims}

"""Queries about webhooks: everybody sees their own (promise 9)."""

from uuid import UUID

from ...domain.refusals import NotFound
from ...domain.user import Actor
from ...domain.webhooks import Delivery, DeliveryStatus, Webhook
from ..pages import Page
from ..ports.notifications import NotificationQueries
from ..ports.storage import Storage


class ListWebhooks:
    """One's own webhooks, oldest first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, actor: Actor) -> list[Webhook]:
        """Raises: Unavailable."""
        return await self._storage.notification_queries.webhooks(actor.user_id)


class ReadWebhook:
    """One of one's own webhooks."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, webhook_id: UUID, actor: Actor) -> Webhook:
        """Raises: NotFound, Unavailable."""
        return await owned(self._storage.notification_queries, webhook_id, actor)


class ListDeliveries:
    """What a webhook did not take at once and does not have yet, newest first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(
        self,
        webhook_id: UUID,
        actor: Actor,
        *,
        status: DeliveryStatus | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> Page[Delivery, UUID]:
        """Raises: NotFound, Unavailable."""
        reads = self._storage.notification_queries
        await owned(reads, webhook_id, actor)
        found = await reads.deliveries(webhook_id, status, before, limit + 1)
        items = found[:limit]
        return Page(items, items[-1].id if len(found) > limit else None)


async def owned(reads: NotificationQueries, webhook_id: UUID, actor: Actor) -> Webhook:
    """The actor's own webhook. Raises: NotFound."""
    found = await reads.webhook(webhook_id)
    if found is None or found.organizer_id != actor.user_id:
        raise NotFound
    return found

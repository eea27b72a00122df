"""Queries about webhooks: users see their own only (promise 9)."""

from uuid import UUID

from ...domain.policy import PersonalRight
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ...domain.webhooks import Delivery, DeliveryStatus, Webhook
from ..pages import Page
from ..ports.notifications import NotificationQueries
from ..ports.storage import Storage


class ListWebhooks:
    """List the actor's webhooks, oldest first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, actor: Actor) -> list[Webhook]:
        """Return the webhooks. Raises: NotAllowed, Unavailable."""
        actor.check_may_personally(PersonalRight.SEE_WEBHOOKS)
        return await self._storage.notification_queries.webhooks(actor.user_id)


class ReadWebhook:
    """Read one of the actor's webhooks."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, webhook_id: UUID, actor: Actor) -> Webhook:
        """Return the webhook. Raises: NotFound, NotAllowed, Unavailable."""
        return await owned(self._storage.notification_queries, webhook_id, actor, PersonalRight.SEE_WEBHOOKS)


class ListDeliveries:
    """List the failed deliveries of a webhook that have not succeeded since, newest first."""

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
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        queries = self._storage.notification_queries
        await owned(queries, webhook_id, actor, PersonalRight.SEE_WEBHOOKS)
        found = await queries.deliveries(webhook_id, status, before, limit + 1)
        items = found[:limit]
        return Page(items, items[-1].id if len(found) > limit else None)


async def owned(queries: NotificationQueries, webhook_id: UUID, actor: Actor, right: PersonalRight) -> Webhook:
    """Return one of the actor's webhooks, for an act that needs this right. Raises: NotFound, NotAllowed."""
    found = await queries.webhook(webhook_id)
    if found is None or found.organizer_id != actor.user_id:
        raise NotFound
    actor.check_may_personally(right)
    return found

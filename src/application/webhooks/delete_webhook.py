"""Delete a webhook."""

from uuid import UUID

from ...domain.policy import PersonalRight
from ...domain.user import Actor
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction
from .read_webhooks import owned


class DeleteWebhook:
    """Delete one of the actor's webhooks. Deliveries in progress may still arrive."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, webhook_id: UUID, actor: Actor) -> None:
        """Delete it. Raises: NotFound, NotAllowed, Unavailable."""
        await owned(self._storage.notification_queries, webhook_id, actor, PersonalRight.CHANGE_WEBHOOKS)

        async def remove(unit_of_work: UnitOfWork) -> None:
            # It may be deleted already, for instance after an unknown outcome.
            if await unit_of_work.webhooks.lock(webhook_id) is not None:
                await unit_of_work.webhooks.remove(webhook_id)

        await in_transaction(self._storage, remove)

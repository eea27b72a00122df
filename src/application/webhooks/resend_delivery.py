"""Send a webhook once more what it did not take."""

from uuid import UUID

from msgspec.structs import replace

from ...domain.refusals import NotFound
from ...domain.user import Actor
from ...domain.webhooks import Delivery, send_again
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .read_webhooks import owned


class ResendDelivery:
    """Send a dead delivery once more, or one that waits for its next attempt at once."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, webhook_id: UUID, delivery_id: UUID, actor: Actor) -> Delivery:
        """The delivery as it is now; it is sent in the background. Raises: NotFound, Unavailable."""
        await owned(self._storage.notification_queries, webhook_id, actor)
        named = await self._storage.notification_queries.delivery(delivery_id)
        if named is None or named.webhook_id != webhook_id:
            raise NotFound

        async def ask(unit_of_work: UnitOfWork) -> Delivery:
            webhooks = unit_of_work.webhooks
            if await webhooks.lock(webhook_id) is None:
                raise NotFound
            delivery = await webhooks.delivery(webhook_id, named.event_id, named.seq)
            if delivery is None:
                raise NotFound
            asked = send_again(delivery, self._clock.now())
            await webhooks.put_delivery(asked)
            cursor = await webhooks.cursor(webhook_id, named.event_id)
            if cursor is not None and cursor.last_seq < asked.seq:
                # What waits for its next attempt keeps its event waiting.
                await webhooks.put_cursor(replace(cursor, due_at=asked.due_at))
            return asked

        return await in_transaction(self._storage, ask)

"""Resend a failed delivery."""

from uuid import UUID

from msgspec.structs import replace

from ...domain.policy import PersonalRight
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ...domain.webhooks import Delivery, send_again
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .read_webhooks import owned


class ResendDelivery:
    """Resend a dead delivery, or retry a waiting one at once."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, webhook_id: UUID, delivery_id: UUID, actor: Actor) -> Delivery:
        """Return the delivery, which is sent in the background. Raises: NotFound, NotAllowed, Unavailable."""
        await owned(self._storage.notification_queries, webhook_id, actor, PersonalRight.CHANGE_WEBHOOKS)
        found = await self._storage.notification_queries.delivery(delivery_id)
        if found is None or found.webhook_id != webhook_id:
            raise NotFound

        async def resend(unit_of_work: UnitOfWork) -> Delivery:
            webhooks = unit_of_work.webhooks
            if await webhooks.lock(webhook_id) is None:
                raise NotFound
            delivery = await webhooks.delivery(webhook_id, found.event_id, found.seq)
            if delivery is None:
                raise NotFound
            resent = send_again(delivery, self._clock.now())
            await webhooks.put_delivery(resent)
            cursor = await webhooks.cursor(webhook_id, found.event_id)
            if cursor is not None and cursor.last_seq < resent.seq:
                # The event waits for the retry of this delivery, so it is due at once too.
                await webhooks.put_cursor(replace(cursor, due_at=resent.due_at))
            return resent

        return await in_transaction(self._storage, resend)

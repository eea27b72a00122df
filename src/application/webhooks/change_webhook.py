"""Change a webhook."""

from uuid import UUID

from ...domain.policy import PersonalRight
from ...domain.refusals import NotFound, invalid
from ...domain.user import Actor
from ...domain.webhooks import Webhook, WebhookChanges
from ..ports.notifications import WebhookSender
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .read_webhooks import owned


class ChangeWebhook:
    """Change one of the actor's webhooks: its URL, its kinds of facts, or whether it is active.

    A webhook that becomes active again receives the facts from then on.
    """

    def __init__(self, storage: Storage, sender: WebhookSender, clock: Clock) -> None:
        self._storage = storage
        self._sender = sender
        self._clock = clock

    async def __call__(self, webhook_id: UUID, actor: Actor, changes: WebhookChanges) -> Webhook:
        """Return the changed webhook. Raises: InvalidRequest, NotFound, Unavailable."""
        changed = changes.applied_to(
            await owned(self._storage.notification_queries, webhook_id, actor, PersonalRight.CHANGE_WEBHOOKS)
        )
        objection = self._sender.objection(changed.url) if changes.url else None
        if objection is not None:
            raise invalid(objection, "url")

        async def change(unit_of_work: UnitOfWork) -> Webhook:
            webhooks = unit_of_work.webhooks
            before = await webhooks.lock(webhook_id)
            if before is None:
                raise NotFound
            after = changes.applied_to(before)
            await webhooks.put(after)
            if before.active and not after.active:
                await webhooks.give_up_retries(webhook_id)
            if after.active and not before.active:
                await webhooks.skip_facts(after, self._clock.now())
            return after

        return await in_transaction(self._storage, change)

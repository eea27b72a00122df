"""Register a webhook."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from ...domain.policy import PersonalRight, Right
from ...domain.refusals import invalid
from ...domain.user import Actor
from ...domain.values.fields import checked
from ...domain.webhooks import WEBHOOK_RULES, Webhook, check_room_for_a_webhook
from ..duties import Duties, event_for
from ..idempotent_transaction import check_is_first, store_response
from ..ports.errors import Conflict
from ..ports.idempotency import IdempotentRequest
from ..ports.notifications import WebhookSender
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction


class NewWebhook(Struct, frozen=True, kw_only=True):
    """The values of a new webhook. `event_id`: only for this event. `kinds`: only for these kinds of facts."""

    actor: Actor
    url: str
    event_id: UUID | None = None
    kinds: Sequence[str] | None = None


class CreateWebhook:
    """Register a webhook for facts from now on."""

    def __init__(self, storage: Storage, sender: WebhookSender, duties: Duties, clock: Clock, ids: Ids) -> None:
        self._storage = storage
        self._duties = duties
        self._sender = sender
        self._clock = clock
        self._ids = ids

    async def __call__(self, command: NewWebhook, idempotent: IdempotentRequest[Webhook] | None = None) -> Webhook:
        """Return the webhook with its secret.

        Raises: InvalidRequest, NotFound, NotAllowed, TooManyWebhooks, Unavailable; with `idempotent` also Replayed,
        IdempotencyKeyReused.
        """
        given = {"url": command.url} | ({} if command.kinds is None else {"kinds": command.kinds})
        checked_values = checked(given, WEBHOOK_RULES)
        objection = self._sender.objection(checked_values["url"])
        if objection is not None:
            raise invalid(objection, "url")
        if command.event_id is not None:
            events, right = self._storage.event_queries, Right.RECEIVE_FACTS
            await event_for(events, self._duties, command.event_id, command.actor, right)
        command.actor.check_may_personally(PersonalRight.CHANGE_WEBHOOKS)
        webhook = Webhook(
            id=self._ids.new(),
            organizer_id=command.actor.user_id,
            url=checked_values["url"],
            secret=self._sender.new_secret(),
            event_id=command.event_id,
            kinds=checked_values.get("kinds", ()),
            created_at=self._clock.now(),
        )

        async def add(unit_of_work: UnitOfWork) -> None:
            # Concurrent requests of one organizer continue one by one.
            await unit_of_work.users.lock(webhook.organizer_id)
            if idempotent is not None:
                await check_is_first(unit_of_work, idempotent)
            elif await unit_of_work.webhooks.lock(webhook.id) is not None:
                # After an unknown outcome the row may exist already.
                return
            check_room_for_a_webhook(await unit_of_work.webhooks.count(webhook.organizer_id))
            await unit_of_work.webhooks.add(webhook, webhook.created_at)
            if idempotent is not None:
                await store_response(unit_of_work, idempotent, webhook, webhook.created_at)

        try:
            await in_transaction(self._storage, add)
        except Conflict:
            # A concurrent request had the same key and has stored its response.
            await in_transaction(self._storage, add)
        return webhook

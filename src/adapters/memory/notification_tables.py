"""The rows of webhooks and mails: what is committed, and what one unit of work has saved of them."""

from collections.abc import Mapping
from typing import TypeVar
from uuid import UUID

from msgspec import Struct, field

from ...application.ports.errors import Conflict
from ...domain.mails import Mail
from ...domain.webhooks import Cursor, Delivery, Webhook

Row = TypeVar("Row")
Place = tuple[UUID, UUID]
"""A webhook and an event."""


class NotificationTables(Struct):
    """The committed rows. `mail_cursors` is None until mails are made of facts."""

    webhooks: dict[UUID, Webhook] = field(default_factory=dict)
    cursors: dict[Place, Cursor] = field(default_factory=dict)
    deliveries: dict[UUID, Delivery] = field(default_factory=dict)
    mails: dict[UUID, Mail] = field(default_factory=dict)
    mail_cursors: dict[UUID, int] | None = None


class NotificationDraft(Struct):
    """What one unit of work has saved of it; None: removed."""

    new_webhooks: dict[UUID, Webhook] = field(default_factory=dict)
    removed_webhooks: set[UUID] = field(default_factory=set)
    cursors: dict[Place, Cursor] = field(default_factory=dict)
    deliveries: dict[UUID, Delivery | None] = field(default_factory=dict)
    mails: dict[UUID, Mail | None] = field(default_factory=dict)
    begun: dict[UUID, int] | None = None
    mail_cursors: dict[UUID, tuple[int, int]] = field(default_factory=dict)

    def check(self, tables: NotificationTables) -> None:
        """What a schema would refuse. Raises: Conflict."""
        if any(each in tables.webhooks for each in self.new_webhooks):
            raise Conflict("a webhook with this id exists")
        there = (tables.webhooks.keys() | self.new_webhooks) - self.removed_webhooks
        kept = [each for each in self.deliveries.values() if each is not None]
        if any(each not in there for each in (*(place[0] for place in self.cursors), *(e.webhook_id for e in kept))):
            raise Conflict("there is no such webhook")
        ids = {(each.webhook_id, each.event_id, each.seq): each.id for each in tables.deliveries.values()}
        if any(ids.get((each.webhook_id, each.event_id, each.seq), each.id) != each.id for each in kept):
            raise Conflict("the webhook has a delivery of this fact")
        if self.begun is not None and tables.mail_cursors is not None:
            raise Conflict("mails were begun")
        for event_id, (after, _) in self.mail_cursors.items():
            if (tables.mail_cursors or {}).get(event_id, 0) != after:
                raise Conflict("the event was looked through meanwhile")

    def apply(self, tables: NotificationTables) -> None:
        """Make it the committed state."""
        tables.webhooks.update(self.new_webhooks)
        tables.cursors.update(self.cursors)
        _put(tables.deliveries, self.deliveries)
        for webhook_id in self.removed_webhooks:
            tables.webhooks.pop(webhook_id, None)
            for place in [each for each in tables.cursors if each[0] == webhook_id]:
                del tables.cursors[place]
            for delivery in [each for each in tables.deliveries.values() if each.webhook_id == webhook_id]:
                del tables.deliveries[delivery.id]
        if self.begun is not None:
            tables.mail_cursors = self.begun
        if self.mail_cursors:
            looked = tables.mail_cursors = tables.mail_cursors or {}
            looked.update({event_id: last_seq for event_id, (_, last_seq) in self.mail_cursors.items()})
        _put(tables.mails, self.mails)


def _put(rows: dict[UUID, Row], changes: Mapping[UUID, Row | None]) -> None:
    for key, value in changes.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value

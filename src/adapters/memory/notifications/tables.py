"""The rows of webhooks, mails and links: the committed ones, and the changes of one unit of work."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from msgspec import Struct, field

from ....application.ports.errors import Conflict
from ....domain.mails import Announcement, Mail
from ....domain.user import User
from ....domain.verification import Link
from ....domain.webhooks import Cursor, Delivery, Webhook

Row = TypeVar("Row")
RowKey = TypeVar("RowKey")
CursorKey = tuple[UUID, UUID]
"""The ids of a webhook and of an event."""
AnnouncementKey = tuple[UUID, int]
"""The event's id and the number of the fact."""


class NotificationTables(Struct):
    """The committed rows. `mail_cursors` is None until mails are enabled for the first time."""

    webhooks: dict[UUID, Webhook] = field(default_factory=dict)
    cursors: dict[CursorKey, Cursor] = field(default_factory=dict)
    deliveries: dict[UUID, Delivery] = field(default_factory=dict)
    mails: dict[UUID, Mail] = field(default_factory=dict)
    mail_cursors: dict[UUID, int] | None = None
    links: dict[UUID, Link] = field(default_factory=dict)
    claims: dict[UUID, User] = field(default_factory=dict)
    mail_times: dict[UUID, tuple[datetime, ...]] = field(default_factory=dict)
    announcements: dict[AnnouncementKey, Announcement] = field(default_factory=dict)


class NotificationDraft(Struct):
    """The rows that one unit of work has saved; None marks a removed row."""

    new_webhooks: dict[UUID, Webhook] = field(default_factory=dict)
    webhooks: dict[UUID, Webhook] = field(default_factory=dict)
    removed_webhooks: set[UUID] = field(default_factory=set)
    cursors: dict[CursorKey, Cursor] = field(default_factory=dict)
    deliveries: dict[UUID, Delivery | None] = field(default_factory=dict)
    mails: dict[UUID, Mail | None] = field(default_factory=dict)
    initial_mail_cursors: dict[UUID, int] | None = None
    mail_cursors: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    links: dict[UUID, Link | None] = field(default_factory=dict)
    new_links: set[UUID] = field(default_factory=set)
    claims: dict[UUID, User | None] = field(default_factory=dict)
    new_claims: set[UUID] = field(default_factory=set)
    mail_times: dict[UUID, tuple[datetime, ...]] = field(default_factory=dict)
    deletes_mail_times_before: datetime | None = None
    announcements: dict[AnnouncementKey, Announcement | None] = field(default_factory=dict)

    def check(self, tables: NotificationTables) -> None:
        """Check what a schema would enforce. Raises: Conflict."""
        if any(each in tables.webhooks for each in self.new_webhooks):
            raise Conflict("a webhook with this id exists")
        existing = (tables.webhooks.keys() | self.new_webhooks) - self.removed_webhooks
        kept = [each for each in self.deliveries.values() if each is not None]
        referenced = (*(key[0] for key in self.cursors), *(each.webhook_id for each in kept))
        if any(webhook_id not in existing for webhook_id in referenced):
            raise Conflict("there is no such webhook")
        ids = {(each.webhook_id, each.event_id, each.seq): each.id for each in tables.deliveries.values()}
        if any(ids.get((each.webhook_id, each.event_id, each.seq), each.id) != each.id for each in kept):
            raise Conflict("the webhook already has a delivery of this fact")
        if not (self.new_links.isdisjoint(tables.links) and self.new_claims.isdisjoint(tables.claims)):
            raise Conflict("a link or a claim with this id exists")
        if self.initial_mail_cursors is not None and tables.mail_cursors is not None:
            raise Conflict("the mail cursors already exist")
        for event_id, (after, _) in self.mail_cursors.items():
            if (tables.mail_cursors or {}).get(event_id, 0) != after:
                raise Conflict("another unit of work has moved the event's mail cursor")

    def apply(self, tables: NotificationTables) -> None:
        """Apply the changes to the committed rows."""
        tables.webhooks.update({**self.new_webhooks, **self.webhooks})
        tables.cursors.update(self.cursors)
        _put(tables.deliveries, self.deliveries)
        for webhook_id in self.removed_webhooks:
            tables.webhooks.pop(webhook_id, None)
            for key in [each for each in tables.cursors if each[0] == webhook_id]:
                del tables.cursors[key]
            for delivery in [each for each in tables.deliveries.values() if each.webhook_id == webhook_id]:
                del tables.deliveries[delivery.id]
        if self.initial_mail_cursors is not None:
            tables.mail_cursors = self.initial_mail_cursors
        if self.mail_cursors:
            cursors = tables.mail_cursors = tables.mail_cursors or {}
            cursors.update({event_id: last_seq for event_id, (_, last_seq) in self.mail_cursors.items()})
        _put(tables.mails, self.mails)
        _put(tables.links, self.links)
        _put(tables.claims, self.claims)
        tables.mail_times.update(self.mail_times)
        if self.deletes_mail_times_before is not None:
            before = self.deletes_mail_times_before
            for subject in [each for each, times in tables.mail_times.items() if times[-1] < before]:
                del tables.mail_times[subject]
        _put(tables.announcements, self.announcements)


def _put(rows: dict[RowKey, Row], changes: Mapping[RowKey, Row | None]) -> None:
    for key, value in changes.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value

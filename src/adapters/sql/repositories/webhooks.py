"""Webhooks, their cursors (how far each event was delivered) and their failed deliveries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import asdict, fields
from sqlalchemy import Column, bindparam, delete, func, insert, literal, null, select, update

from ....domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook
from ..bulk.insert import BulkInsert
from ..engine.transaction import Transaction
from ..schema.tables import events, webhook_cursors, webhook_deliveries, webhooks

_WEBHOOK_FIELDS = tuple(field.name for field in fields(Webhook))
_CURSOR_FIELDS = tuple(field.name for field in fields(Cursor))
_DELIVERY_FIELDS = tuple(field.name for field in fields(Delivery))

WEBHOOK: tuple[Column[Any], ...] = tuple(webhooks.c[name] for name in _WEBHOOK_FIELDS)
DELIVERY: tuple[Column[Any], ...] = tuple(webhook_deliveries.c[name] for name in _DELIVERY_FIELDS)
_CURSOR: tuple[Column[Any], ...] = tuple(webhook_cursors.c[name] for name in _CURSOR_FIELDS)

_ADD = BulkInsert(webhooks)
# It reads committed events without locking them.
_BEGIN = insert(webhook_cursors).from_select(
    list(_CURSOR_FIELDS),
    select(
        bindparam("new_webhook_id", type_=webhook_cursors.c.webhook_id.type),
        events.c.id,
        events.c.last_seq,
        null(),
        bindparam("now", type_=webhook_cursors.c.tried_at.type),
    ).where(events.c.organizer_id == bindparam("of_organizer")),
)
_COUNT = select(func.count()).select_from(webhooks).where(webhooks.c.organizer_id == bindparam("of_organizer"))
_LOCK = select(*WEBHOOK).where(webhooks.c.id == bindparam("webhook_id")).with_for_update()
_PUT = (
    update(webhooks)
    .where(webhooks.c.id == bindparam("of_webhook"))
    .values({name: bindparam(f"new_{name}") for name in ("url", "kinds", "active")})
)
_GIVE_UP = (
    update(webhook_deliveries)
    .where(
        webhook_deliveries.c.webhook_id == bindparam("of_webhook"),
        webhook_deliveries.c.status == literal(DeliveryStatus.RETRYING, webhook_deliveries.c.status.type),
    )
    .values(status=literal(DeliveryStatus.DEAD, webhook_deliveries.c.status.type), due_at=null())
)
_FORGET = delete(webhook_cursors).where(webhook_cursors.c.webhook_id == bindparam("of_webhook"))
_REMOVE = (
    delete(webhook_deliveries).where(webhook_deliveries.c.webhook_id == bindparam("of_webhook")),
    delete(webhook_cursors).where(webhook_cursors.c.webhook_id == bindparam("of_webhook")),
    delete(webhooks).where(webhooks.c.id == bindparam("of_webhook")),
)
_FIND_CURSOR = select(*_CURSOR).where(
    webhook_cursors.c.webhook_id == bindparam("webhook_id"), webhook_cursors.c.event_id == bindparam("event_id")
)
_ADD_CURSOR = BulkInsert(webhook_cursors)
_PUT_CURSOR = (
    update(webhook_cursors)
    .where(webhook_cursors.c.webhook_id == bindparam("of_webhook"), webhook_cursors.c.event_id == bindparam("of_event"))
    .values({name: bindparam(f"new_{name}") for name in ("last_seq", "due_at", "tried_at")})
)
_FIND_DELIVERY = select(*DELIVERY).where(
    webhook_deliveries.c.webhook_id == bindparam("webhook_id"),
    webhook_deliveries.c.event_id == bindparam("event_id"),
    webhook_deliveries.c.seq == bindparam("seq"),
)
_ADD_DELIVERY = BulkInsert(webhook_deliveries)
_CHANGING = ("status", "attempts", "tried_at", "due_at", "error")
_PUT_DELIVERY = (
    update(webhook_deliveries)
    .where(webhook_deliveries.c.id == bindparam("delivery_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_REMOVE_DELIVERY = delete(webhook_deliveries).where(webhook_deliveries.c.id == bindparam("delivery_id"))
_REMOVE_RETRIED = delete(webhook_deliveries).where(
    webhook_deliveries.c.webhook_id == bindparam("of_webhook"),
    webhook_deliveries.c.event_id == bindparam("of_event"),
    webhook_deliveries.c.seq <= bindparam("until"),
    webhook_deliveries.c.status == literal(DeliveryStatus.RETRYING, webhook_deliveries.c.status.type),
)


def webhook(values: Any) -> Webhook:
    """Return a webhook from the columns of `WEBHOOK`."""
    found = dict(zip(_WEBHOOK_FIELDS, values, strict=True))
    return Webhook(**{**found, "kinds": tuple(found["kinds"].split())})


def delivery(values: Any) -> Delivery:
    """Return a delivery from the columns of `DELIVERY`."""
    return Delivery(**dict(zip(_DELIVERY_FIELDS, values, strict=True)))


class SqlWebhookRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, webhook: Webhook, now: datetime) -> None:
        """See the port. Two statements for any number of events."""
        await self._transaction.insert(_ADD, [{**asdict(webhook), "kinds": " ".join(webhook.kinds)}])
        await self._begin(webhook, now)

    async def _begin(self, webhook: Webhook, now: datetime) -> None:
        values = {"new_webhook_id": webhook.id, "of_organizer": webhook.organizer_id, "now": now}
        await self._transaction.change(_BEGIN, values)

    async def count(self, organizer_id: UUID) -> int:
        """See the port."""
        return int((await self._transaction.rows(_COUNT, {"of_organizer": organizer_id}))[0][0])

    async def lock(self, webhook_id: UUID) -> Webhook | None:
        """See the port."""
        rows = await self._transaction.rows(_LOCK, {"webhook_id": webhook_id})
        return webhook(rows[0]) if rows else None

    async def put(self, webhook: Webhook) -> None:
        """See the port."""
        new = {"new_url": webhook.url, "new_kinds": " ".join(webhook.kinds), "new_active": webhook.active}
        await self._transaction.change(_PUT, {"of_webhook": webhook.id, **new})

    async def give_up_retries(self, webhook_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_GIVE_UP, {"of_webhook": webhook_id})

    async def skip_facts(self, webhook: Webhook, now: datetime) -> None:
        """See the port. Two statements for any number of events."""
        await self._transaction.change(_FORGET, {"of_webhook": webhook.id})
        await self._begin(webhook, now)

    async def remove(self, webhook_id: UUID) -> None:
        """See the port."""
        for statement in _REMOVE:
            await self._transaction.change(statement, {"of_webhook": webhook_id})

    async def cursor(self, webhook_id: UUID, event_id: UUID) -> Cursor | None:
        """See the port."""
        rows = await self._transaction.rows(_FIND_CURSOR, {"webhook_id": webhook_id, "event_id": event_id})
        return Cursor(**dict(zip(_CURSOR_FIELDS, rows[0], strict=True))) if rows else None

    async def put_cursor(self, cursor: Cursor) -> None:
        """See the port. One statement, two for a new cursor."""
        values = asdict(cursor)
        where = {"of_webhook": values.pop("webhook_id"), "of_event": values.pop("event_id")}
        new = {f"new_{name}": value for name, value in values.items()}
        if not await self._transaction.change(_PUT_CURSOR, {**where, **new}):
            await self._transaction.insert(_ADD_CURSOR, [asdict(cursor)])

    async def delivery(self, webhook_id: UUID, event_id: UUID, seq: int) -> Delivery | None:
        """See the port."""
        values = {"webhook_id": webhook_id, "event_id": event_id, "seq": seq}
        rows = await self._transaction.rows(_FIND_DELIVERY, values)
        return delivery(rows[0]) if rows else None

    async def put_delivery(self, delivery: Delivery) -> None:
        """See the port. One statement, two for a new delivery."""
        values = {f"new_{name}": getattr(delivery, name) for name in _CHANGING}
        if not await self._transaction.change(_PUT_DELIVERY, {"delivery_id": delivery.id, **values}):
            await self._transaction.insert(_ADD_DELIVERY, [asdict(delivery)])

    async def remove_delivery(self, delivery_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE_DELIVERY, {"delivery_id": delivery_id})

    async def remove_retried(self, webhook_id: UUID, event_id: UUID, last_seq: int) -> None:
        """See the port."""
        values = {"of_webhook": webhook_id, "of_event": event_id, "until": last_seq}
        await self._transaction.change(_REMOVE_RETRIED, values)

"""The repositories and queries of webhooks and mails, in memory."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from ....application.ports.notifications import PendingDeliveries, PendingDelivery, PendingEvents, Resend
from ....domain.event import Event
from ....domain.mails import Announcement, Mail
from ....domain.verification import Link
from ....domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook
from ..steps import Step
from ..tables import Tables
from ..transaction import MemoryTransaction

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class MemoryWebhookRepository:
    """Webhooks, their cursors and their deliveries, inside one transaction."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def add(self, webhook: Webhook, now: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.new_webhooks[webhook.id] = webhook
        self._begin(webhook, now)

    def _begin(self, webhook: Webhook, now: datetime) -> None:
        draft = self._transaction.draft
        for event in draft.tables.events.values():
            if event.organizer_id == webhook.organizer_id:
                draft.notifications.cursors[webhook.id, event.id] = Cursor(
                    webhook_id=webhook.id, event_id=event.id, last_seq=event.last_seq, tried_at=now
                )

    async def count(self, organizer_id: UUID) -> int:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        webhooks = self._transaction.draft.tables.notifications.webhooks
        return sum(each.organizer_id == organizer_id for each in webhooks.values())

    async def lock(self, webhook_id: UUID) -> Webhook | None:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock([webhook_id])
        draft = self._transaction.draft
        return draft.notifications.webhooks.get(webhook_id) or draft.tables.notifications.webhooks.get(webhook_id)

    async def put(self, webhook: Webhook) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.webhooks[webhook.id] = webhook

    async def give_up_retries(self, webhook_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        for each in self._deliveries():
            if each.webhook_id == webhook_id and each.status is DeliveryStatus.RETRYING:
                dead = replace(each, status=DeliveryStatus.DEAD, due_at=None)
                self._transaction.draft.notifications.deliveries[each.id] = dead

    async def skip_facts(self, webhook: Webhook, now: datetime) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._begin(webhook, now)

    async def remove(self, webhook_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.removed_webhooks.add(webhook_id)

    async def cursor(self, webhook_id: UUID, event_id: UUID) -> Cursor | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        draft, key = self._transaction.draft, (webhook_id, event_id)
        return draft.notifications.cursors.get(key) or draft.tables.notifications.cursors.get(key)

    async def put_cursor(self, cursor: Cursor) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.cursors[cursor.webhook_id, cursor.event_id] = cursor

    async def delivery(self, webhook_id: UUID, event_id: UUID, seq: int) -> Delivery | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        for each in self._deliveries():
            if (each.webhook_id, each.event_id, each.seq) == (webhook_id, event_id, seq):
                return each
        return None

    async def put_delivery(self, delivery: Delivery) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.deliveries[delivery.id] = delivery

    async def remove_delivery(self, delivery_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.deliveries[delivery_id] = None

    async def remove_retried(self, webhook_id: UUID, event_id: UUID, last_seq: int) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        for each in self._deliveries():
            is_covered = (each.webhook_id, each.event_id) == (webhook_id, event_id) and each.seq <= last_seq
            if is_covered and each.status is DeliveryStatus.RETRYING:
                self._transaction.draft.notifications.deliveries[each.id] = None

    def _deliveries(self) -> list[Delivery]:
        draft = self._transaction.draft
        found = {**draft.tables.notifications.deliveries, **draft.notifications.deliveries}
        return [each for each in found.values() if each is not None]


class MemoryMailRepository:
    """Queued mails, inside one transaction."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def begin(self, now: datetime) -> None:  # noqa: ARG002 (the port's signature)
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        if draft.tables.notifications.mail_cursors is None:
            draft.notifications.initial_mail_cursors = {
                event.id: event.last_seq for event in draft.tables.events.values()
            }

    async def queue(
        self,
        event_id: UUID,
        after: int,
        last_seq: int,
        mails: Sequence[Mail],
        announcements: Sequence[Announcement] = (),
    ) -> bool:
        """See the port."""
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock_in_order([("mails", event_id)])
        draft = self._transaction.draft
        committed = draft.tables.notifications
        if (committed.mail_cursors or {}).get(event_id, 0) != after:
            return False
        await self._transaction.reach(Step.SAVE)
        draft.notifications.mail_cursors[event_id] = (after, last_seq)
        self._add(mails)
        new = {(each.event_id, each.seq): each for each in announcements}
        draft.notifications.announcements.update(
            {key: each for key, each in new.items() if key not in committed.announcements}
        )
        return True

    async def announce(self, step: Announcement, mails: Sequence[Mail], below: UUID | None) -> None:
        """See the port."""
        key = step.event_id, step.seq
        await self._transaction.reach(Step.LOCK)
        await self._transaction.lock_in_order([("announcement", *key)])
        draft = self._transaction.draft
        if draft.tables.notifications.announcements.get(key) != step:
            return
        await self._transaction.reach(Step.SAVE)
        self._add(mails)
        draft.notifications.announcements[key] = None if below is None else replace(step, below=below)

    def _add(self, mails: Sequence[Mail]) -> None:
        draft = self._transaction.draft
        known = draft.tables.notifications.mails
        draft.notifications.mails.update({mail.id: mail for mail in mails if mail.id not in known})

    async def put(self, mail: Mail) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        draft = self._transaction.draft
        if mail.id in draft.tables.notifications.mails:
            draft.notifications.mails[mail.id] = mail

    async def remove(self, mail_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.notifications.mails[mail_id] = None


class MemoryNotificationQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def has_webhooks(self) -> bool:
        """See the port."""
        await self._before_read()
        return bool(self._tables.notifications.webhooks)

    async def webhooks(self, organizer_id: UUID) -> list[Webhook]:
        """See the port."""
        await self._before_read()
        found = [each for each in self._tables.notifications.webhooks.values() if each.organizer_id == organizer_id]
        return sorted(found, key=lambda each: each.id)

    async def webhook(self, webhook_id: UUID) -> Webhook | None:
        """See the port."""
        await self._before_read()
        return self._tables.notifications.webhooks.get(webhook_id)

    async def deliveries(
        self, webhook_id: UUID, status: DeliveryStatus | None, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """See the port."""
        await self._before_read()
        found = [
            each
            for each in self._tables.notifications.deliveries.values()
            if each.webhook_id == webhook_id and status in (None, each.status) and (before is None or each.id < before)
        ]
        return sorted(found, key=lambda each: each.id, reverse=True)[:limit]

    async def delivery(self, delivery_id: UUID) -> Delivery | None:
        """See the port."""
        await self._before_read()
        return self._tables.notifications.deliveries.get(delivery_id)

    async def pending_deliveries(
        self, now: datetime, but: Collection[UUID], each: int, after: UUID | None, window: int, limit: int
    ) -> PendingDeliveries:
        """See the port."""
        await self._before_read()
        event_ids, until = self._window(after, window)
        of_organizer: dict[UUID, list[Event]] = defaultdict(list)
        for event_id in event_ids:
            event = self._tables.events[event_id]
            of_organizer[event.organizer_id].append(event)
        found: list[tuple[tuple[int, datetime, UUID, UUID], PendingDelivery]] = []
        for webhook in self._tables.notifications.webhooks.values():
            if webhook.active and webhook.id not in but:
                pending = pending_deliveries(self._tables, webhook, of_organizer[webhook.organizer_id], now)
                first = sorted(pending, key=_tried_longest_ago)[:each]
                found += [
                    ((rank, *_tried_longest_ago(delivery), webhook.id), delivery) for rank, delivery in enumerate(first)
                ]
        ranks = Counter[UUID]()
        ranked = []
        for (_, *key), delivery in sorted(found, key=lambda pair: pair[0]):
            ranks[delivery.webhook.organizer_id] += 1
            ranked.append(((ranks[delivery.webhook.organizer_id], *key), delivery))
        return PendingDeliveries([delivery for _, delivery in sorted(ranked, key=lambda pair: pair[0])[:limit]], until)

    def _window(self, after: UUID | None, window: int) -> tuple[list[UUID], UUID | None]:
        """Return the ids of the next events, and the last of them unless there are no more."""
        event_ids = sorted(each for each in self._tables.events if after is None or each > after)[:window]
        return event_ids, event_ids[-1] if len(event_ids) == window else None

    async def resends(self, but: Collection[UUID], limit: int) -> list[Resend]:
        """See the port."""
        await self._before_read()
        tables = self._tables.notifications
        wanted = [
            (each.due_at, each.id, each)
            for each in tables.deliveries.values()
            if each.status is DeliveryStatus.RESENDING
            and each.due_at is not None
            and each.webhook_id not in but
            and tables.webhooks[each.webhook_id].active
        ]
        ranks = Counter[UUID]()
        ranked = []
        for due_at, delivery_id, each in sorted(wanted, key=lambda found: found[:2]):
            resend = Resend(tables.webhooks[each.webhook_id], each)
            ranks[resend.webhook.organizer_id] += 1
            ranked.append((ranks[resend.webhook.organizer_id], due_at, delivery_id, resend))
        return [resend for *_, resend in sorted(ranked, key=lambda found: found[:3])[:limit]]

    async def have_mails_begun(self) -> bool:
        """See the port."""
        await self._before_read()
        return self._tables.notifications.mail_cursors is not None

    async def pending_events(self, after: UUID | None, window: int) -> PendingEvents:
        """See the port."""
        await self._before_read()
        cursors = self._tables.notifications.mail_cursors or {}
        event_ids, until = self._window(after, window)
        events = self._tables.events
        return PendingEvents(
            [(each, cursors.get(each, 0)) for each in event_ids if events[each].last_seq > cursors.get(each, 0)], until
        )

    async def due_mails(self, now: datetime, limit: int) -> list[Mail]:
        """See the port."""
        await self._before_read()
        due = [each for each in self._tables.notifications.mails.values() if each.due_at <= now]
        return sorted(due, key=lambda each: (each.due_at, each.id))[:limit]

    async def link(self, link_id: UUID) -> Link | None:
        """See the port."""
        await self._before_read()
        return self._tables.notifications.links.get(link_id)

    async def links_of(self, user_id: UUID) -> list[Link]:
        """See the port."""
        await self._before_read()
        links = self._tables.notifications.links.values()
        return sorted((each for each in links if each.user_id == user_id), key=lambda each: each.id)

    async def due_links(self, now: datetime, limit: int) -> list[Link]:
        """See the port."""
        await self._before_read()
        links = self._tables.notifications.links.values()
        due = sorted((each.due_at, each.id, each) for each in links if each.due_at is not None and each.due_at <= now)
        return [each for *_, each in due[:limit]]

    async def announcements(self, limit: int) -> list[Announcement]:
        """See the port."""
        await self._before_read()
        found = self._tables.notifications.announcements.values()
        return sorted(found, key=lambda each: (each.created_at, each.event_id, each.seq))[:limit]


def _tried_longest_ago(delivery: PendingDelivery) -> tuple[datetime, UUID]:
    return delivery.tried_at or _LONG_AGO, delivery.event_id


def pending_deliveries(
    tables: Tables, webhook: Webhook, events: Iterable[Event], now: datetime
) -> Iterator[PendingDelivery]:
    """Yield those events whose facts are due for delivery to a webhook."""
    organizer = tables.users.get(webhook.organizer_id)
    if organizer is not None and organizer.disabled_at is not None:
        return
    for event in events:
        cursor = tables.notifications.cursors.get((webhook.id, event.id))
        last_seq = cursor.last_seq if cursor else 0
        is_due = cursor is None or cursor.due_at is None or cursor.due_at <= now
        is_subscribed = event.organizer_id == webhook.organizer_id and webhook.event_id in (None, event.id)
        if is_subscribed and event.last_seq > last_seq and is_due:
            yield PendingDelivery(webhook, event.id, last_seq, cursor.tried_at if cursor else None)

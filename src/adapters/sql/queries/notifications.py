"""Committed webhooks, deliveries and mails. A call is one statement, two for a window; none waits for a lock."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, Integer, Select, and_, bindparam, func, literal, or_, select, true

from ....application.ports.notifications import PendingDeliveries, PendingDelivery, PendingEvents, Resend
from ....domain.mails import Announcement, Mail
from ....domain.verification import Link
from ....domain.webhooks import Delivery, DeliveryStatus, Webhook
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..repositories.accounts.links import LINK, link
from ..repositories.mails import ANNOUNCEMENT, MAIL, NO_EVENT, announcement, mail
from ..repositories.webhooks import DELIVERY, WEBHOOK, delivery, webhook
from ..schema.tables import (
    account_links,
    announcements,
    events,
    mail_cursors,
    mails,
    users,
    webhook_cursors,
    webhook_deliveries,
    webhooks,
)

_limit = bindparam("limit", type_=Integer())
_but: Any = webhooks.c.id.not_in(bindparam("but", expanding=True))

_ANY = select(literal(1)).select_from(webhooks).limit(1)
_OF_ORGANIZER = select(*WEBHOOK).where(webhooks.c.organizer_id == bindparam("organizer_id")).order_by(webhooks.c.id)
_WEBHOOK = select(*WEBHOOK).where(webhooks.c.id == bindparam("webhook_id"))
_DELIVERY = select(*DELIVERY).where(webhook_deliveries.c.id == bindparam("delivery_id"))
delivered_seq: ColumnElement[int] = func.coalesce(webhook_cursors.c.last_seq, 0)
"""How far an event was delivered to a webhook: a fact's number."""


def select_pending(*columns: Any) -> Select[Any]:
    """Select pairs of a webhook and an event with facts that are due; the columns are theirs and their cursor's."""
    return (
        select(*columns)
        .join_from(
            webhooks,
            events,
            and_(
                events.c.organizer_id == webhooks.c.organizer_id,
                or_(webhooks.c.event_id.is_(None), webhooks.c.event_id == events.c.id),
            ),
        )
        .outerjoin(
            webhook_cursors,
            and_(webhook_cursors.c.webhook_id == webhooks.c.id, webhook_cursors.c.event_id == events.c.id),
        )
        # An outer join, because an embedding program may keep accounts elsewhere.
        .outerjoin(users, users.c.id == webhooks.c.organizer_id)
        .where(
            users.c.disabled_at.is_(None),
            webhooks.c.active == true(),
            events.c.last_seq > delivered_seq,
            or_(webhook_cursors.c.due_at.is_(None), webhook_cursors.c.due_at <= bindparam("now")),
        )
    )


def _pending_deliveries(*, goes_on: bool) -> Select[Any]:
    """Select each webhook's events with due facts, least recently tried first.

    Organizers take turns, so that one with many webhooks does not fill the result.
    """
    found = select_pending(
        webhooks.c.id.label("webhook_id"),
        webhooks.c.organizer_id,
        events.c.id.label("event_id"),
        delivered_seq.label("delivered_seq"),
        webhook_cursors.c.tried_at.label("tried_at"),
        func.row_number()
        .over(partition_by=webhooks.c.id, order_by=(webhook_cursors.c.tried_at, events.c.id))
        .label("place"),
    ).where(events.c.id <= bindparam("until", type_=events.c.id.type), _but)
    if goes_on:
        found = found.where(events.c.id > bindparam("after", type_=events.c.id.type))
    ranked = found.subquery()
    order = (ranked.c.place, ranked.c.tried_at, ranked.c.event_id, ranked.c.webhook_id)
    shared = (
        select(
            *(ranked.c[name] for name in ("webhook_id", "event_id", "delivered_seq", "tried_at")),
            func.row_number().over(partition_by=ranked.c.organizer_id, order_by=order).label("turn"),
        )
        .where(ranked.c.place <= bindparam("each", type_=Integer()))
        .subquery()
    )
    return (
        select(*WEBHOOK, shared.c.event_id, shared.c.delivered_seq, shared.c.tried_at)
        .join_from(shared, webhooks, webhooks.c.id == shared.c.webhook_id)
        .order_by(shared.c.turn, shared.c.tried_at, shared.c.event_id, webhooks.c.id)
        .limit(_limit)
    )


_FIRST_DELIVERIES = _pending_deliveries(goes_on=False)
_NEXT_DELIVERIES = _pending_deliveries(goes_on=True)
_resending = (
    select(
        webhook_deliveries.c.id,
        func.row_number()
        .over(
            partition_by=webhooks.c.organizer_id,
            order_by=(webhook_deliveries.c.due_at, webhook_deliveries.c.id),
        )
        .label("turn"),
    )
    .join_from(webhook_deliveries, webhooks)
    .where(
        webhook_deliveries.c.status == literal(DeliveryStatus.RESENDING, webhook_deliveries.c.status.type),
        webhooks.c.active == true(),
        _but,
    )
    .subquery()
)
_RESENDS = (
    select(*WEBHOOK, *DELIVERY)
    .join_from(_resending, webhook_deliveries, webhook_deliveries.c.id == _resending.c.id)
    .join(webhooks, webhooks.c.id == webhook_deliveries.c.webhook_id)
    .order_by(_resending.c.turn, webhook_deliveries.c.due_at, webhook_deliveries.c.id)
    .limit(_limit)
)
_HAVE_MAILS_BEGUN = select(literal(1)).where(mail_cursors.c.event_id == bindparam("no_event"))
_DUE_MAILS = select(*MAIL).where(mails.c.due_at <= bindparam("now")).order_by(mails.c.due_at, mails.c.id).limit(_limit)
_LINK = select(*LINK).where(account_links.c.id == bindparam("link_id"))
_LINKS_OF = select(*LINK).where(account_links.c.user_id == bindparam("of_user")).order_by(account_links.c.id)
_DUE_LINKS = (
    select(*LINK)
    .where(account_links.c.due_at <= bindparam("now"))
    .order_by(account_links.c.due_at, account_links.c.id)
    .limit(_limit)
)
_ANNOUNCEMENTS = (
    select(*ANNOUNCEMENT)
    .order_by(announcements.c.created_at, announcements.c.event_id, announcements.c.seq)
    .limit(_limit)
)
_searched_seq = func.coalesce(mail_cursors.c.last_seq, 0)


def _window_end(*, goes_on: bool) -> Select[Any]:
    """Select the id at which a window of events ends."""
    first = select(events.c.id).order_by(events.c.id)
    if goes_on:
        first = first.where(events.c.id > bindparam("after", type_=events.c.id.type))
    return first.limit(1).offset(bindparam("window", type_=Integer()))


def _pending_events(*, goes_on: bool) -> Select[Any]:
    """Select the events in a window with facts that were not searched for mails."""
    found = (
        select(events.c.id, _searched_seq)
        .outerjoin_from(events, mail_cursors, mail_cursors.c.event_id == events.c.id)
        .where(events.c.last_seq > _searched_seq, events.c.id <= bindparam("until", type_=events.c.id.type))
        .order_by(events.c.id)
    )
    if goes_on:
        found = found.where(events.c.id > bindparam("after", type_=events.c.id.type))
    return found


_FIRST_END = _window_end(goes_on=False)
_NEXT_END = _window_end(goes_on=True)
_FIRST_EVENTS = _pending_events(goes_on=False)
_NEXT_EVENTS = _pending_events(goes_on=True)
_GREATEST = UUID(int=2**128 - 1)


class SqlNotificationQueries:
    """See the port."""

    def __init__(self, connections: ConnectionPool, classify: ErrorClassifier) -> None:
        self._connections = connections
        self._classify = classify

    async def has_webhooks(self) -> bool:
        """See the port."""
        return bool(await self._rows(_ANY))

    async def webhooks(self, organizer_id: UUID) -> list[Webhook]:
        """See the port."""
        return [webhook(row) for row in await self._rows(_OF_ORGANIZER, organizer_id=organizer_id)]

    async def webhook(self, webhook_id: UUID) -> Webhook | None:
        """See the port."""
        rows = await self._rows(_WEBHOOK, webhook_id=webhook_id)
        return webhook(rows[0]) if rows else None

    async def deliveries(
        self, webhook_id: UUID, status: DeliveryStatus | None, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """See the port."""
        wanted = select(*DELIVERY).where(webhook_deliveries.c.webhook_id == bindparam("webhook_id"))
        values: dict[str, Any] = {"webhook_id": webhook_id, "limit": limit}
        if status is not None:
            wanted = wanted.where(webhook_deliveries.c.status == bindparam("wanted_status"))
            values["wanted_status"] = status
        if before is not None:
            wanted = wanted.where(webhook_deliveries.c.id < bindparam("before"))
            values["before"] = before
        wanted = wanted.order_by(webhook_deliveries.c.id.desc()).limit(_limit)
        return [delivery(row) for row in await self._rows(wanted, **values)]

    async def delivery(self, delivery_id: UUID) -> Delivery | None:
        """See the port."""
        rows = await self._rows(_DELIVERY, delivery_id=delivery_id)
        return delivery(rows[0]) if rows else None

    async def pending_deliveries(
        self, now: datetime, but: Collection[UUID], each: int, after: UUID | None, window: int, limit: int
    ) -> PendingDeliveries:
        """See the port. The next call finds events that were added between the two statements."""
        until, values = await self._window(after, window)
        statement = _FIRST_DELIVERIES if after is None else _NEXT_DELIVERIES
        rows = await self._rows(statement, **values, now=now, but=list(but), each=each, limit=limit)
        width = len(WEBHOOK)
        return PendingDeliveries([PendingDelivery(webhook(row[:width]), *row[width:]) for row in rows], until)

    async def resends(self, but: Collection[UUID], limit: int) -> list[Resend]:
        """See the port."""
        rows = await self._rows(_RESENDS, but=list(but), limit=limit)
        width = len(WEBHOOK)
        return [Resend(webhook(row[:width]), delivery(row[width:])) for row in rows]

    async def have_mails_begun(self) -> bool:
        """See the port."""
        return bool(await self._rows(_HAVE_MAILS_BEGUN, no_event=NO_EVENT))

    async def pending_events(self, after: UUID | None, window: int) -> PendingEvents:
        """See the port. Two statements, as above."""
        until, values = await self._window(after, window)
        rows = await self._rows(_FIRST_EVENTS if after is None else _NEXT_EVENTS, **values)
        return PendingEvents([(event_id, last_seq) for event_id, last_seq in rows], until)

    async def due_mails(self, now: datetime, limit: int) -> list[Mail]:
        """See the port."""
        return [mail(row) for row in await self._rows(_DUE_MAILS, now=now, limit=limit)]

    async def link(self, link_id: UUID) -> Link | None:
        """See the port."""
        rows = await self._rows(_LINK, link_id=link_id)
        return link(rows[0]) if rows else None

    async def links_of(self, user_id: UUID) -> list[Link]:
        """See the port."""
        return [link(row) for row in await self._rows(_LINKS_OF, of_user=user_id)]

    async def due_links(self, now: datetime, limit: int) -> list[Link]:
        """See the port."""
        return [link(row) for row in await self._rows(_DUE_LINKS, now=now, limit=limit)]

    async def announcements(self, limit: int) -> list[Announcement]:
        """See the port."""
        return [announcement(row) for row in await self._rows(_ANNOUNCEMENTS, limit=limit)]

    async def _window(self, after: UUID | None, window: int) -> tuple[UUID | None, dict[str, Any]]:
        """Return the id at which the window after `after` ends (None: the last event), and both as parameters."""
        values = {} if after is None else {"after": after}
        ends = await self._rows(_FIRST_END if after is None else _NEXT_END, **values, window=window - 1)
        until: UUID | None = ends[0][0] if ends else None
        return until, {**values, "until": until or _GREATEST}

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._connections, self._classify, statement, values)

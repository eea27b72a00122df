"""Statistics of the database and of this process's connections."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Executable, and_, bindparam, delete, func, select, union_all
from sqlalchemy.pool import QueuePool

from ....application.ports.observability import (
    MOST_COUNTED,
    Backlog,
    ConnectionsInUse,
    Verified,
    WaitingListLength,
)
from ....domain.explanations.chance_record import Band
from ....domain.payment import OVERDUE, Need
from ..bulk.insert import BulkInsert
from ..dialects.dialect import SqlDialect
from ..engine.pool import ConnectionPool
from ..engine.transaction import Transaction, read
from ..schema.tables import (
    account_links,
    chances,
    events,
    facts,
    mails,
    payments,
    ticket_types,
    verifications,
    webhook_cursors,
)
from ..schema.types import Moment
from .notifications import delivered_seq, select_pending
from .payments import select_needing

_WAITING = func.sum(ticket_types.c.waiting).label("waiting_bookings")
# It scans all ticket types, because an index would be written with every waiting booking.
_LONGEST_WAITING_LISTS = (
    select(ticket_types.c.event_id, _WAITING)
    .where(ticket_types.c.waiting > 0)
    .group_by(ticket_types.c.event_id)
    .order_by(_WAITING.desc(), ticket_types.c.event_id)
    .limit(bindparam("most"))
)
_due_deliveries = (
    select_pending(func.coalesce(webhook_cursors.c.due_at, facts.c.occurred_at).label("since"))
    .join(facts, and_(facts.c.event_id == events.c.id, facts.c.seq == delivered_seq + 1))
    .limit(MOST_COUNTED)
    .subquery()
)


def _due(due_at: Any) -> Any:
    """Return the earliest due times of a table."""
    found = select(due_at.label("since")).where(due_at <= bindparam("now")).order_by(due_at).limit(MOST_COUNTED)
    return select(found.subquery().c.since)


_due_mails = union_all(_due(mails.c.due_at), _due(account_links.c.due_at)).limit(MOST_COUNTED).subquery()
_BACKLOGS = {
    "webhooks": select(func.count(), func.min(_due_deliveries.c.since)),
    "mails": select(func.count(), func.min(_due_mails.c.since)),
}


def _count_needing(need: Need) -> Executable:
    """Return the statement that counts the payments with this need; see `needed_since`."""
    since = func.coalesce(
        payments.c.noticed_at if need is Need.DISPUTED else payments.c.settled_at, payments.c.created_at, type_=Moment()
    )
    found = select_needing(need, since.label("since")).limit(MOST_COUNTED).subquery()
    return select(func.count(), func.min(found.c.since)).select_from(found)


_PAYMENTS_DUE = {need: _count_needing(need) for need in Need}
_VERIFIED = select(verifications.c.promise, verifications.c.breaches, verifications.c.verified_at).order_by(
    verifications.c.promise
)
_CHANCES = select(chances.c.percent, chances.c.told, chances.c.served).order_by(chances.c.percent)
_DELETE_CHANCES = delete(chances)
_ADD_CHANCES = BulkInsert(chances)
_DELETE_VERIFIED = delete(verifications)
_ADD_VERIFIED = BulkInsert(verifications)


class SqlStatistics:
    """See the port."""

    def __init__(
        self, dialect: SqlDialect, writing: ConnectionPool, reading: ConnectionPool, listing: ConnectionPool
    ) -> None:
        self._dialect = dialect
        self._writing = writing
        self._reading = reading
        self._listing = listing

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """See the port. One statement."""
        rows = await read(self._listing, self._dialect.classify, _LONGEST_WAITING_LISTS, {"most": limit})
        return [WaitingListLength(event_id, int(bookings)) for event_id, bookings in rows]

    async def verified(self) -> list[Verified]:
        """See the port. One statement."""
        return [Verified(*row) for row in await read(self._reading, self._dialect.classify, _VERIFIED, {})]

    async def chances(self) -> list[Band]:
        """See the port. One statement."""
        return [Band(*row) for row in await read(self._reading, self._dialect.classify, _CHANCES, {})]

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """See the port. A statement each; that of webhooks scans the events of organizers with webhooks."""
        found = {}
        for kind, statement in _BACKLOGS.items():
            ((number, since),) = await read(self._reading, self._dialect.classify, statement, {"now": now})
            found[kind] = Backlog(number, since)
        return found

    async def payments_due(self, now: datetime) -> Mapping[Need, Backlog]:
        """See the port. A statement each, of few rows of an index."""
        found = {}
        for need, statement in _PAYMENTS_DUE.items():
            values = {"overdue": now - OVERDUE} if need is Need.PENDING else {}
            ((number, since),) = await read(self._reading, self._dialect.classify, statement, values)
            found[need] = Backlog(number, since)
        return found

    async def note_verified(self, verified: Sequence[Verified], bands: Sequence[Band]) -> None:
        """See the port."""
        rows: list[dict[str, Any]] = [
            {"promise": each.promise, "breaches": each.breaches, "verified_at": each.verified_at} for each in verified
        ]
        async with Transaction(self._writing, self._dialect.classify, *self._dialect.opening) as transaction:
            await transaction.change(_DELETE_VERIFIED, {})
            await transaction.insert(_ADD_VERIFIED, rows)
            await transaction.change(_DELETE_CHANCES, {})
            await transaction.insert(_ADD_CHANCES, [asdict(each) for each in bands])
            await transaction.commit()

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """See the port. For transactions, for other reads, and for lists and searches."""
        return {
            "writing": _in_use(self._writing),
            "reading": _in_use(self._reading),
            "listing": _in_use(self._listing),
        }


def _in_use(connections: ConnectionPool) -> ConnectionsInUse:
    pool = connections.engine.pool
    if not isinstance(pool, QueuePool):
        return ConnectionsInUse(0, 0)
    return ConnectionsInUse(connections.in_use, pool.size())

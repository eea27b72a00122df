"""What the database, and this process's connections to it, tell whoever looks after them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, select
from sqlalchemy.pool import QueuePool

from ....application.ports.observability import (
    MOST_COUNTED,
    Backlog,
    ConnectionsInUse,
    Verified,
    WaitingListLength,
)
from ..bulk.insert import BulkInsert
from ..dialects.dialect import Database
from ..engine.pool import ConnectionPool
from ..engine.transaction import Transaction, read
from ..schema.tables import events, facts, mails, ticket_types, verifications, webhook_cursors
from .notifications import to_be_told, told

_WAITING = func.sum(ticket_types.c.waiting).label("waiting_bookings")
# It walks over all ticket types. An index would have to be written with every booking that waits.
_LONGEST_LINES = (
    select(ticket_types.c.event_id, _WAITING)
    .where(ticket_types.c.waiting > 0)
    .group_by(ticket_types.c.event_id)
    .order_by(_WAITING.desc(), ticket_types.c.event_id)
    .limit(bindparam("most"))
)
_untold = (
    to_be_told(func.coalesce(webhook_cursors.c.due_at, facts.c.occurred_at).label("since"))
    .join(facts, and_(facts.c.event_id == events.c.id, facts.c.seq == told + 1))
    .limit(MOST_COUNTED)
    .subquery()
)
_due_mails = (
    select(mails.c.due_at.label("since"))
    .where(mails.c.due_at <= bindparam("now"))
    .order_by(mails.c.due_at)
    .limit(MOST_COUNTED)
    .subquery()
)
_BACKLOGS = {
    "webhooks": select(func.count(), func.min(_untold.c.since)),
    "mails": select(func.count(), func.min(_due_mails.c.since)),
}
_VERIFIED = select(verifications.c.promise, verifications.c.breaches, verifications.c.verified_at).order_by(
    verifications.c.promise
)
_FORGET = delete(verifications)
_NOTE = BulkInsert(verifications)


class SqlStatistics:
    """Read without locks; noted in a transaction of its own."""

    def __init__(
        self, database: Database, writing: ConnectionPool, reading: ConnectionPool, listing: ConnectionPool
    ) -> None:
        self._database = database
        self._writing = writing
        self._reading = reading
        self._listing = listing

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """See the port. One statement."""
        rows = await read(self._listing, self._database.diagnose, _LONGEST_LINES, {"most": limit})
        return [WaitingListLength(event_id, int(bookings)) for event_id, bookings in rows]

    async def verified(self) -> list[Verified]:
        """See the port. One statement."""
        return [Verified(*row) for row in await read(self._reading, self._database.diagnose, _VERIFIED, {})]

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """See the port. A statement each; that of webhooks walks over the events of those who have any."""
        found = {}
        for kind, statement in _BACKLOGS.items():
            ((number, since),) = await read(self._reading, self._database.diagnose, statement, {"now": now})
            found[kind] = Backlog(number, since)
        return found

    async def note_verified(self, verified: Sequence[Verified]) -> None:
        """See the port."""
        rows: list[dict[str, Any]] = [
            {"promise": each.promise, "breaches": each.breaches, "verified_at": each.verified_at} for each in verified
        ]
        async with Transaction(self._writing, self._database.diagnose, *self._database.opening) as transaction:
            await transaction.change(_FORGET, {})
            await transaction.insert(_NOTE, rows)
            await transaction.commit()

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """See the port: for transactions, for reads without one, and for lists and searches."""
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

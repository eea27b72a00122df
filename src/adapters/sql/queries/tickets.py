"""The rows of single tickets. No call waits for a lock; each is one statement."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import BigInteger, Integer, bindparam, select

from ....domain.tickets.ticket import Ticket
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, read
from ..schema.mappers import TICKET, ticket
from ..schema.tables import tickets

_OF_BOOKINGS = (
    select(*TICKET)
    .where(tickets.c.booking_id.in_(bindparam("booking_ids", expanding=True)))
    .order_by(tickets.c.booking_id, tickets.c.number)
)
_OF_EVENT = (
    select(*TICKET)
    .where(tickets.c.event_id == bindparam("event_id"), tickets.c.number > bindparam("after", type_=BigInteger()))
    .order_by(tickets.c.number)
    .limit(bindparam("limit", type_=Integer()))
)


class SqlTicketQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def of_bookings(self, booking_ids: Collection[UUID]) -> list[Ticket]:
        """See the port."""
        rows = await read(self._reading, self._classify, _OF_BOOKINGS, {"booking_ids": list(booking_ids)})
        return list(map(ticket, rows))

    async def of_event(self, event_id: UUID, after: int, limit: int) -> list[Ticket]:
        """See the port."""
        values = {"event_id": event_id, "after": after, "limit": limit}
        return list(map(ticket, await read(self._listing, self._classify, _OF_EVENT, values)))

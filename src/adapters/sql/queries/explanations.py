"""What explanations of bookings follow from."""

from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import BigInteger, Select, and_, bindparam, or_, select

from ....domain.booking import Booking
from ....domain.explanations.explanation import Explained
from ....domain.explanations.line_history import MOVING, LineMove, move_of
from ..bulk.select import force_index
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read, read_literal
from ..indexes.places import PlacesQuery
from ..schema.mappers import BOOKING, EVENT, FACT, TICKET_TYPE, booking, event, fact, payload, ticket_type
from ..schema.tables import bookings, events, facts, ticket_types

ATTEMPTS: Final = 3
"""Maximum reads of a booking whose event changes before its place is read."""

_BOOKING: Final[Select[Any]] = (
    select(*EVENT, *TICKET_TYPE, *BOOKING)
    .join_from(bookings, events, bookings.c.event_id == events.c.id)
    .join(ticket_types, ticket_types.c.id == bookings.c.ticket_type_id)
    .where(bookings.c.id == bindparam("booking_id"))
)
_FACTS: Final = (
    select(*FACT)
    .where(facts.c.booking_id == bindparam("booking_id"), facts.c.seq <= bindparam("until", type_=BigInteger()))
    .order_by(facts.c.seq)
)
_AFTER, _UNTIL = (bindparam(name, type_=BigInteger()) for name in ("after", "until"))
# Only cancellations need their bookings, because old ones do not name the queue number. Most bookings of a rush pass
# nobody over, and say so.
_MOVES: Final = (
    force_index(
        force_index(select(facts.c.seq, facts.c.kind, facts.c.data, bookings.c.queue_number), facts, "PRIMARY"),
        bookings,
        "PRIMARY",
    )
    .outerjoin_from(facts, bookings, and_(bookings.c.id == facts.c.booking_id, facts.c.kind == "BookingCancelled"))
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > _AFTER, facts.c.seq <= _UNTIL)
    .where(facts.c.kind.in_(sorted(MOVING)))
    .where(or_(facts.c.kind != "TicketsBooked", facts.c.data.not_like('%"passedOver":0%')))
    .order_by(facts.c.seq)
)


class SqlExplanationQueries:
    """See the port. The moves of a long history have the connections of lists, so that other queries never wait."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def explained(self, booking_id: UUID) -> Explained | None:
        """See the port. Read again if the event has changed before the place was read."""
        found = await self._read(booking_id)
        for _ in range(ATTEMPTS):
            if found is None or not found.booking.is_waiting:
                break
            placed = await self._placed(found.booking)
            again = await self._read(booking_id)
            if again is not None and again.event.last_seq == found.event.last_seq:
                found = replace(found, booking=placed)
                break
            found = None if again is None else replace(again, booking=replace(again.booking, place=placed.place))
        if found is None:
            return None
        values = {"booking_id": booking_id, "until": found.event.last_seq}
        return replace(found, facts=tuple([fact(row) for row in await self._rows(_FACTS, values)]))

    async def line_moves(self, event_id: UUID, after: int, until: int) -> list[LineMove]:
        """See the port. It reads the facts by their key."""
        values = {"event_id": event_id, "after": after, "until": until}
        rows = await read(self._listing, self._classify, _MOVES, values)
        moves = [move_of(seq, payload(kind, data), number) for seq, kind, data, number in rows]
        return [move for move in moves if move is not None]

    async def _read(self, booking_id: UUID) -> Explained | None:
        rows = await self._rows(_BOOKING, {"booking_id": booking_id})
        if not rows:
            return None
        of_event, of_type, of_booking = _split(rows[0])
        return Explained(booking=booking(of_booking), event=event(of_event), ticket_type=ticket_type(of_type), facts=())

    async def _placed(self, waiting: Booking) -> Booking:
        query = PlacesQuery([waiting], self._reading.dialect)
        places = query.places(await read_literal(self._reading, self._classify, query.statement))
        return replace(waiting, place=places.get(waiting.id))

    async def _rows(self, statement: Select[Any], values: dict[str, Any]) -> Rows:
        return await read(self._reading, self._classify, statement, values)


def _split(row: Any) -> tuple[Any, Any, Any]:
    types = len(EVENT) + len(TICKET_TYPE)
    return row[: len(EVENT)], row[len(EVENT) : types], row[types:]

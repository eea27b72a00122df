"""Check-ins, and what the door sees of tickets. No call waits for a lock."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Executable,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
    union_all,
)

from ....application.ports.check_ins import Conflict, ConflictPage, TicketHolder, VoidTickets
from ....domain.booking import BookingStatus
from ....domain.tickets.check_in import CheckIn
from ..bulk.select import force_index
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..schema.mappers import CHECK_IN, check_in
from ..schema.tables import bookings, check_ins, tickets, users

HOLDERS_AT_ONCE: Final = 100
"""Tickets whose holders one statement reads, unless it is a single one. SQLite combines at most 500 SELECTs."""

_limit = bindparam("limit", type_=Integer())
_event_id = bindparam("event_id", type_=bookings.c.event_id.type)
_after = bindparam("after", type_=BigInteger())

_CHECK_INS = select(*CHECK_IN).where(
    check_ins.c.event_id == _event_id, check_ins.c.id.in_(bindparam("ids", expanding=True))
)
_standing = and_(check_ins.c.event_id == _event_id, check_ins.c.stands.is_(True))
_CONFLICTS = (
    force_index(select(check_ins.c.number, func.count()), check_ins, "ix_check_ins_standing")
    .where(_standing, check_ins.c.number > _after)
    .group_by(check_ins.c.number)
    .having(func.count() > 1)
    .order_by(check_ins.c.number)
    .limit(_limit)
)
_ENTRIES = (
    force_index(select(*CHECK_IN), check_ins, "ix_check_ins_standing")
    .where(_standing, check_ins.c.number.in_(bindparam("numbers", expanding=True)))
    .order_by(check_ins.c.number, check_ins.c.at, check_ins.c.id)
)
_VOID = (
    force_index(
        select(bookings.c.id, bookings.c.first_ticket_number, bookings.c.quantity + bookings.c.returned),
        bookings,
        "ix_bookings_event_id_status_id",
    )
    .where(
        bookings.c.event_id == _event_id,
        bookings.c.status == BookingStatus.CANCELLED,
        bookings.c.id > bindparam("after", type_=bookings.c.id.type),
    )
    .order_by(bookings.c.id)
    .limit(_limit)
)


@lru_cache(maxsize=2)
def _holders(numbers: int) -> Select[Any]:
    """Select, for each number, the booking whose first ticket is the last one up to it, with the holder's names."""
    found = []
    for each in range(numbers):
        number = bindparam(f"number_{each}", type_=BigInteger())
        last = (
            force_index(select(bookings.c.id, number.label("number")), bookings, "uq_bookings_first_ticket_number")
            .where(bookings.c.event_id == _event_id, bookings.c.first_ticket_number <= number)
            .order_by(bookings.c.first_ticket_number.desc())
            .limit(1)
        )
        found.append(select(last.subquery(f"last_{each}")))
    together = (union_all(*found) if numbers > 1 else found[0]).subquery("together")
    return (
        force_index(
            select(
                bookings.c.id,
                together.c.number,
                func.coalesce(tickets.c.holder_name, case((users.c.erased_at.is_(None), users.c.name))),
            ),
            users,
            "PRIMARY",
        )
        .join_from(together, bookings, bookings.c.id == together.c.id)
        .outerjoin(tickets, and_(tickets.c.booking_id == bookings.c.id, tickets.c.number == together.c.number))
        .outerjoin(users, users.c.id == bookings.c.customer_id)
        .where(together.c.number < bookings.c.first_ticket_number + bookings.c.quantity + bookings.c.returned)
    )


class SqlCheckInQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def check_ins(self, event_id: UUID, check_in_ids: Collection[UUID]) -> dict[UUID, CheckIn]:
        """See the port. One statement."""
        rows = await self._rows(self._reading, _CHECK_INS, event_id=event_id, ids=list(check_in_ids))
        return {each.id: each for each in map(check_in, rows)}

    async def holders(self, event_id: UUID, numbers: Collection[int]) -> dict[int, TicketHolder]:
        """See the port. One statement for up to 100 tickets."""
        wanted = list(numbers)
        size = 1 if len(wanted) == 1 else HOLDERS_AT_ONCE
        found: dict[int, TicketHolder] = {}
        for start in range(0, len(wanted), size):
            some = wanted[start : start + size]
            # Repeated, so that there are few different statements.
            some += some[-1:] * (size - len(some))
            values = {f"number_{each}": number for each, number in enumerate(some)}
            for booking_id, number, name in await self._rows(
                self._reading, _holders(size), event_id=event_id, **values
            ):
                found[number] = TicketHolder(booking_id=booking_id, number=number, name=name)
        return found

    async def conflicts(self, event_id: UUID, after: int, limit: int, most_entries: int) -> ConflictPage:
        """See the port. Two statements."""
        counts = await self._rows(self._listing, _CONFLICTS, event_id=event_id, after=after, limit=limit + 1)
        wanted: list[int] = []
        total = 0
        for number, count in counts[:limit]:
            total += count
            if wanted and total > most_entries:
                break
            wanted.append(number)
        if not wanted:
            return ConflictPage([], None)
        rows = await self._rows(self._listing, _ENTRIES, event_id=event_id, numbers=wanted)
        entries = groupby(map(check_in, rows), key=lambda each: each.number)
        found = [_conflict(tuple(of_ticket)) for _, of_ticket in entries]
        # An entry may have been undone since it was counted.
        conflicts = [each for each in found if len(each.entries) > 1]
        return ConflictPage(conflicts, wanted[-1] if len(counts) > len(wanted) else None)

    async def void_tickets(self, event_id: UUID, after: UUID | None, limit: int) -> list[VoidTickets]:
        """See the port. One statement."""
        values = {"event_id": event_id, "after": after or UUID(int=0), "limit": limit}
        return [
            VoidTickets(booking_id, range(0) if first is None else range(first, first + count))
            for booking_id, first, count in await self._rows(self._listing, _VOID, **values)
        ]

    async def _rows(self, connections: ConnectionPool, statement: Executable, **values: Any) -> Rows:
        return await read(connections, self._classify, statement, values)


def _conflict(entries: Sequence[CheckIn]) -> Conflict:
    return Conflict(entries[0].booking_id, entries[0].number, tuple(entries))

"""What scans and their undoing need of tickets, under the locks of their events."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from ....application.ports.check_ins import ScannedTickets
from ....application.ports.loading import DoorSpec
from ....domain.tickets.check_in import CheckIn, ScanResult
from ..bulk.insert import BulkInsert
from ..bulk.select import BulkSelect, force_index
from ..bulk.update import chunks
from ..engine.transaction import Transaction
from ..schema.mappers import BOOKING, CHECK_IN, TICKET, booking, check_in, check_in_values, ticket
from ..schema.tables import bookings, check_ins, tickets

_BOOKINGS = BulkSelect(force_index(select(*BOOKING), bookings, "PRIMARY"), bookings.c.id)
_TICKETS = BulkSelect(force_index(select(*TICKET), tickets, "PRIMARY"), tickets.c.booking_id, tickets.c.number)
_CHECK_INS = BulkSelect(force_index(select(*CHECK_IN), check_ins, "PRIMARY"), check_ins.c.event_id, check_ins.c.id)
_OTHER = (
    force_index(select(*CHECK_IN), check_ins, "ix_check_ins_standing")
    .where(
        check_ins.c.event_id == bindparam("event_id"),
        check_ins.c.stands.is_(True),
        check_ins.c.number == bindparam("number"),
        check_ins.c.id != bindparam("id"),
        check_ins.c.result != ScanResult.VOID,
    )
    .order_by(check_ins.c.at, check_ins.c.id)
    .limit(1)
)
PUT_CHECK_INS = BulkInsert(check_ins, check_in_values, on_existing={"is_undone": "{new}", "stands": "{new}"})


async def load_scanned_tickets(
    transaction: Transaction, needs: Collection[tuple[UUID, DoorSpec]]
) -> dict[UUID, ScannedTickets]:
    """See `EventRepository.scanned_tickets`. One statement of each kind for up to 500 scans."""
    keys = {(event_id, key) for event_id, door in needs for key in door.tickets}
    booking_ids = {booking_id for _, (booking_id, _) in keys}
    entry_keys = {(event_id, each) for event_id, door in needs for each in door.check_in_ids}
    found_bookings = [booking(row) for row in await _found(transaction, _BOOKINGS, booking_ids)]
    found_tickets = [ticket(row) for row in await _found(transaction, _TICKETS, {key for _, key in keys})]
    entries = [check_in(row) for row in await _found(transaction, _CHECK_INS, entry_keys)]
    return {
        event_id: ScannedTickets(
            bookings=tuple([each for each in found_bookings if each.event_id == event_id]),
            tickets=tuple([each for each in found_tickets if each.event_id == event_id]),
            check_ins=tuple([each for each in entries if each.event_id == event_id]),
        )
        for event_id in {event_id for event_id, _ in needs}
    }


async def load_other_check_in(transaction: Transaction, entry: CheckIn) -> CheckIn | None:
    """See `EventRepository.other_check_in`."""
    values = {"event_id": entry.event_id, "number": entry.number, "id": entry.id}
    rows = await transaction.rows(_OTHER, values)
    return check_in(rows[0]) if rows else None


async def _found(transaction: Transaction, statement: BulkSelect, values: Iterable[Any]) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = []
    for some in chunks(list(values)):
        rows += await transaction.find(statement, some)
    return rows

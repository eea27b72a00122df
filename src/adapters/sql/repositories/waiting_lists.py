"""The heads of waiting lists, for the turnstile and for a snapshot alike."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, func, select, union_all

from ....application.ports.loading import WaitingListQuery
from ....domain.booking import Booking
from ....domain.inventory import WaitingList
from ..engine.transaction import Transaction
from ..schema.mappers import BOOKING, booking
from ..schema.tables import bookings, waiting_list

MOST_ASKS = 100
"""Lines asked for with one statement; SQLite knows 500 at most."""


async def load_lines(transaction: Transaction, asks: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
    """The head of each line asked for, by ticket type."""
    lines: dict[UUID, WaitingList] = {}
    for start in range(0, len(asks), MOST_ASKS):
        lines.update(await _load_some(transaction, asks[start : start + MOST_ASKS]))
    return lines


async def _load_some(transaction: Transaction, asks: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
    # Which of the two kinds an ask is decides the statement's text, so they are put in order: fewer texts.
    asks = sorted(asks, key=lambda ask: ask.fitting is not None)
    values: dict[str, Any] = {}
    for number, ask in enumerate(asks):
        values[f"line_{number}"] = ask.ticket_type_id
        values[f"most_{number}"] = ask.limit
        if ask.fitting is not None:
            values[f"fitting_{number}"] = ask.fitting
    found: dict[UUID, list[Booking]] = {ask.ticket_type_id: [] for ask in asks}
    of_any_size = sum(ask.fitting is None for ask in asks)
    for row in await transaction.rows(_heads(of_any_size, len(asks)), values):
        waiting = booking(row)
        found[waiting.ticket_type_id].append(waiting)
    for heads in found.values():
        heads.sort(key=lambda waiting: waiting.queue_number or 0)
    return {
        ask.ticket_type_id: WaitingList(
            head=tuple(found[ask.ticket_type_id]),
            fitting=ask.fitting,
            is_whole=len(found[ask.ticket_type_id]) < ask.limit,
        )
        for ask in asks
    }


@lru_cache(maxsize=128)
def _heads(of_any_size: int, asks: int) -> Any:
    parts = [_head(number, fits=number >= of_any_size) for number in range(asks)]
    return parts[0] if asks == 1 else union_all(*parts)


def _head(number: int, *, fits: bool) -> Select[Any]:
    ticket_type_id = bindparam(f"line_{number}", type_=waiting_list.c.ticket_type_id.type)
    first = select(waiting_list.c.booking_id).where(waiting_list.c.ticket_type_id == ticket_type_id)
    if fits:
        fitting = bindparam(f"fitting_{number}", type_=Integer())
        of_type = waiting_list.alias()
        # The fewest tickets anybody waits for is one look into the index: most often nobody fits, and the line is long.
        smallest = (
            select(func.min(of_type.c.quantity)).where(of_type.c.ticket_type_id == ticket_type_id).scalar_subquery()
        )
        first = first.where(waiting_list.c.quantity <= fitting, smallest <= fitting)
    head = (
        first.order_by(waiting_list.c.queue_number)
        .limit(bindparam(f"most_{number}", type_=Integer(), literal_execute=False))
        .subquery(f"head_{number}")
    )
    return select(*BOOKING).select_from(head.join(bookings, bookings.c.id == head.c.booking_id))

"""Holds that have lapsed, in the order in which they did, and those that last too long."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, select, union_all

from ....application.ports.loading import ExpiredHoldsQuery, OverlongHoldsQuery
from ....domain.booking import Booking, BookingStatus
from ....domain.inventory import ExpiredHolds, OverlongHolds
from ..engine.transaction import Transaction
from ..schema.mappers import BOOKING, booking
from ..schema.tables import bookings

MOST_ASKS = 100
"""Events asked for with one statement, as for lines."""


async def load_due_holds(transaction: Transaction, asks: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
    """The holds of each event that lapse first, by event."""
    due: dict[UUID, ExpiredHolds] = {}
    for start in range(0, len(asks), MOST_ASKS):
        due.update(await _load_some(transaction, asks[start : start + MOST_ASKS]))
    return due


async def _load_some(transaction: Transaction, asks: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
    values: dict[str, Any] = {}
    for number, ask in enumerate(asks):
        # One more than may be settled tells when the next one lapses.
        values |= {f"event_{number}": ask.event_id, f"most_{number}": ask.limit + 1}
    held: dict[UUID, list[Booking]] = {ask.event_id: [] for ask in asks}
    for row in await transaction.rows(_first_to_lapse(len(asks)), values):
        found = booking(row)
        held[found.event_id].append(found)
    return {ask.event_id: _due(held[ask.event_id], ask) for ask in asks}


async def load_overlong_holds(
    transaction: Transaction, asks: Sequence[OverlongHoldsQuery]
) -> dict[UUID, OverlongHolds]:
    """The holds of each event that outlive its start."""
    found = {}
    for ask in asks:
        values = {"event_id": ask.event_id, "starts_at": ask.starts_at, "limit": ask.limit}
        rows = await transaction.rows(_OVERLONG, values)
        found[ask.event_id] = OverlongHolds(ask.starts_at, tuple(map(booking, rows)))
    return found


_OVERLONG = (
    select(*BOOKING)
    .where(
        bookings.c.event_id == bindparam("event_id"),
        bookings.c.status == BookingStatus.HELD,
        bookings.c.expires_at > bindparam("starts_at"),
    )
    .limit(bindparam("limit", type_=Integer()))
)


def _due(held: list[Booking], ask: ExpiredHoldsQuery) -> ExpiredHolds:
    ordered = sorted(((each.expires_at, each.id, each) for each in held if each.expires_at), key=lambda each: each[:2])
    due = tuple(each for expires_at, _, each in ordered if expires_at <= ask.until)[: ask.limit]
    after = ordered[len(due) :]
    return ExpiredHolds(due, after[0][0] if after else None)


@lru_cache(maxsize=128)
def _first_to_lapse(asks: int) -> Any:
    parts = [_first_of_event(number) for number in range(asks)]
    return parts[0] if asks == 1 else union_all(*parts)


def _first_of_event(number: int) -> Select[Any]:
    first = (
        select(bookings.c.id)
        .where(
            bookings.c.event_id == bindparam(f"event_{number}", type_=bookings.c.event_id.type),
            bookings.c.status == BookingStatus.HELD,
            bookings.c.expires_at.is_not(None),
        )
        .order_by(bookings.c.expires_at, bookings.c.id)
        .limit(bindparam(f"most_{number}", type_=Integer(), literal_execute=False))
        .subquery(f"first_{number}")
    )
    return select(*BOOKING).select_from(first.join(bookings, bookings.c.id == first.c.id))

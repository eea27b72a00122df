"""Holds that have expired, earliest first, and holds that end after the start of their event."""

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

MAX_QUERIES = 100
"""Maximum queries that one statement combines."""


async def load_expired_holds(
    transaction: Transaction, queries: Sequence[ExpiredHoldsQuery]
) -> dict[UUID, ExpiredHolds]:
    """See `EventRepository.expired_holds`."""
    expired: dict[UUID, ExpiredHolds] = {}
    for start in range(0, len(queries), MAX_QUERIES):
        expired.update(await _load_some(transaction, queries[start : start + MAX_QUERIES]))
    return expired


async def _load_some(transaction: Transaction, queries: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
    values: dict[str, Any] = {}
    for number, query in enumerate(queries):
        # One more than the limit shows when the next hold expires.
        values |= {f"event_{number}": query.event_id, f"most_{number}": query.limit + 1}
    held: dict[UUID, list[Booking]] = {query.event_id: [] for query in queries}
    for row in await transaction.rows(_first_to_expire(len(queries)), values):
        found = booking(row)
        held[found.event_id].append(found)
    return {query.event_id: _expired(held[query.event_id], query) for query in queries}


async def load_overlong_holds(
    transaction: Transaction, queries: Sequence[OverlongHoldsQuery]
) -> dict[UUID, OverlongHolds]:
    """See `EventRepository.overlong_holds`."""
    found = {}
    for query in queries:
        values = {"event_id": query.event_id, "starts_at": query.starts_at, "limit": query.limit}
        rows = await transaction.rows(_OVERLONG, values)
        found[query.event_id] = OverlongHolds(query.starts_at, tuple(map(booking, rows)))
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


def _expired(held: list[Booking], query: ExpiredHoldsQuery) -> ExpiredHolds:
    ordered = sorted(((each.expires_at, each.id, each) for each in held if each.expires_at), key=lambda each: each[:2])
    expired = tuple(each for expires_at, _, each in ordered if expires_at <= query.until)[: query.limit]
    after = ordered[len(expired) :]
    return ExpiredHolds(expired, after[0][0] if after else None)


@lru_cache(maxsize=128)
def _first_to_expire(queries: int) -> Any:
    parts = [_first_of_event(number) for number in range(queries)]
    return parts[0] if queries == 1 else union_all(*parts)


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

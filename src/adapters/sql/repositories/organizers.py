"""Counts of organizers' events."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, literal, select, union_all

from ....domain.event import MOST_LIVE_EVENTS, EventStatus
from ..engine.transaction import Transaction
from ..schema.tables import events

MAX_ORGANIZERS = 100
"""Maximum organizers in one statement."""

_LIVE = [status for status in EventStatus if not status.is_closed]


async def count_live_events(transaction: Transaction, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
    """See `EventRepository.live_events`. At most `MOST_LIVE_EVENTS` of each organizer are read."""
    ordered = sorted(organizer_ids)
    counts: dict[UUID, int] = {}
    for start in range(0, len(ordered), MAX_ORGANIZERS):
        some = ordered[start : start + MAX_ORGANIZERS]
        values: dict[str, Any] = {f"organizer_{number}": organizer_id for number, organizer_id in enumerate(some)}
        for number, count in await transaction.rows(_counts(len(some)), values):
            counts[some[number]] = count
    return counts


@lru_cache(maxsize=128)
def _counts(organizers: int) -> Any:
    parts = [_count(number) for number in range(organizers)]
    return parts[0] if organizers == 1 else union_all(*parts)


def _count(number: int) -> Any:
    live = (
        select(events.c.id)
        .where(
            events.c.organizer_id == bindparam(f"organizer_{number}", type_=events.c.organizer_id.type),
            events.c.status.in_(_LIVE),
        )
        .limit(MOST_LIVE_EVENTS)
        .subquery(f"live_{number}")
    )
    return select(literal(number, literal_execute=True), func.count()).select_from(live)

"""Events and their facts. No call waits for a lock; each is one statement unless `EventLists` says otherwise."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Executable,
    Integer,
    bindparam,
    select,
    true,
)

from ....application.ports.queries import (
    EventFilter,
    EventKey,
    EventPage,
)
from ....domain.facts import Fact
from ....domain.tickets.ticket_type import EventState
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..schema.mappers import FACT, event_states, fact
from ..schema.tables import events, facts, ticket_types
from .event_lists import STATES, EventLists

_limit = bindparam("limit", type_=Integer())
_EVENTS_BY_ID = STATES.where(events.c.id.in_(bindparam("ids", expanding=True))).order_by(
    events.c.id, ticket_types.c.ordinal
)
_FACTS = (
    select(*FACT)
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(_limit)
)
_LAPSING = (
    select(events.c.id)
    .where(events.c.earliest_expiry <= bindparam("now"))
    .order_by(events.c.earliest_expiry, events.c.id)
    .limit(_limit)
)
_UNSETTLED = select(events.c.id).where(events.c.is_unsettled == true()).order_by(events.c.id).limit(_limit)
_UNNUMBERED = (
    select(events.c.id)
    .where(events.c.numbered_to.is_not(None))
    .order_by(events.c.numbered_to, events.c.id)
    .limit(_limit)
)
_UNSETTLED_AFTER = _UNSETTLED.where(events.c.id > bindparam("after"))


class SqlEventQueries:
    """See the port. Lists and searches have their own connections, so that other queries never wait for them."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify
        self._lists = EventLists(listing, classify)

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """See the port."""
        states = event_states(await self._rows(_EVENTS_BY_ID, ids=list(event_ids)))
        return {state.event.id: state for state in states}

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """See the port."""
        return await self._lists.page(wanted, after, limit)

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        return [fact(row) for row in await self._listed(_FACTS, event_id=event_id, after=after, limit=limit)]

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """See the port."""
        return [row[0] for row in await self._rows(_LAPSING, now=now, limit=limit)]

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """See the port."""
        if after is None:
            rows = await self._rows(_UNSETTLED, limit=limit)
        else:
            rows = await self._rows(_UNSETTLED_AFTER, after=after, limit=limit)
        return [row[0] for row in rows]

    async def unnumbered_events(self, limit: int) -> list[UUID]:
        """See the port."""
        return [row[0] for row in await self._rows(_UNNUMBERED, limit=limit)]

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)

    async def _listed(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._classify, statement, values)

"""Events' logs. No call waits for a lock; each is one statement."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Integer, Select, bindparam, func, select, tuple_

from .....application.ports.log.formats import LoggedFact
from .....application.ports.log.storage import EventLog
from .....domain.log.merkle import HASH_BYTES
from .....domain.log.tiles import Tile
from ...engine.pool import ConnectionPool
from ...engine.transaction import ErrorClassifier, Rows, read
from ...repositories.logs import HOST_ID
from ...schema.tables import (
    bookings,
    customer_log_keys,
    event_logs,
    events,
    facts,
    log_bundles,
    log_hosts,
    log_tiles,
    unsealed_events,
)

_limit = bindparam("limit", type_=Integer())
_NOTED = select(unsealed_events.c.event_id).order_by(unsealed_events.c.event_id).limit(_limit)
_LOGS: Select[Any] = select(
    events.c.id, events.c.organizer_id, events.c.log, events.c.last_seq, func.coalesce(event_logs.c.size, 0)
).join_from(events, event_logs, event_logs.c.event_id == events.c.id, isouter=True)
_NEWEST_LOGS = _LOGS.order_by(events.c.id.desc()).limit(_limit)
_OLDER_LOGS = _NEWEST_LOGS.where(events.c.id < bindparam("before"))
_LOG = _LOGS.where(events.c.id == bindparam("event_id"))
_LOGGED: Select[Any] = (
    select(
        facts.c.seq,
        facts.c.kind,
        facts.c.occurred_at,
        facts.c.data,
        facts.c.booking_id,
        bookings.c.customer_id,
        customer_log_keys.c.key,
    )
    .join_from(facts, bookings, bookings.c.id == facts.c.booking_id, isouter=True)
    .join(customer_log_keys, customer_log_keys.c.customer_id == bookings.c.customer_id, isouter=True)
)
_FACTS = (
    _LOGGED.where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(_limit)
)
_LATEST_FACT = _LOGGED.where(facts.c.booking_id == bindparam("booking_id")).order_by(facts.c.seq.desc()).limit(1)
_KEYS = select(customer_log_keys.c.customer_id, customer_log_keys.c.key).where(
    customer_log_keys.c.customer_id.in_(bindparam("ids", expanding=True))
)
_CHECKPOINT = select(event_logs.c.checkpoint).where(event_logs.c.event_id == bindparam("event_id"))
_TILES = select(log_tiles.c.level, log_tiles.c.number, log_tiles.c.hashes).where(
    log_tiles.c.event_id == bindparam("event_id"),
    tuple_(log_tiles.c.level, log_tiles.c.number).in_(bindparam("places", expanding=True)),
)
_BUNDLE = select(log_bundles.c.entries).where(
    log_bundles.c.event_id == bindparam("event_id"), log_bundles.c.number == bindparam("number")
)
_HOST = select(log_hosts.c.host).where(log_hosts.c.id == HOST_ID)


class SqlLogQueries:
    """See the port. The facts to seal have the connections of lists, so that other queries never wait for them."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def noted(self, limit: int) -> list[UUID]:
        """See the port."""
        return [row[0] for row in await self._rows(_NOTED, limit=limit)]

    async def logs(self, before: UUID | None, limit: int) -> list[EventLog]:
        """See the port."""
        if before is None:
            rows = await self._listed(_NEWEST_LOGS, limit=limit)
        else:
            rows = await self._listed(_OLDER_LOGS, before=before, limit=limit)
        return [EventLog(*row) for row in rows]

    async def log(self, event_id: UUID) -> EventLog | None:
        """See the port."""
        rows = await self._rows(_LOG, event_id=event_id)
        return EventLog(*rows[0]) if rows else None

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[LoggedFact]:
        """See the port."""
        rows = await self._listed(_FACTS, event_id=event_id, after=after, limit=limit)
        return [LoggedFact(*row) for row in rows]

    async def latest_fact(self, booking_id: UUID) -> LoggedFact | None:
        """See the port."""
        rows = await self._rows(_LATEST_FACT, booking_id=booking_id)
        return LoggedFact(*rows[0]) if rows else None

    async def keys(self, customer_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """See the port."""
        rows = await self._rows(_KEYS, ids=list(customer_ids))
        return {customer_id: bytes(key) for customer_id, key in rows}

    async def checkpoint(self, event_id: UUID) -> str | None:
        """See the port."""
        rows = await self._rows(_CHECKPOINT, event_id=event_id)
        return rows[0][0] if rows else None

    async def tiles(self, event_id: UUID, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        """See the port."""
        places = [(tile.level, tile.index) for tile in tiles]
        rows = await self._rows(_TILES, event_id=event_id, places=places)
        stored = {(level, number): bytes(hashes) for level, number, hashes in rows}
        found = {tile: stored.get((tile.level, tile.index), b"")[: tile.width * HASH_BYTES] for tile in tiles}
        return {tile: hashes for tile, hashes in found.items() if len(hashes) == tile.width * HASH_BYTES}

    async def bundle(self, event_id: UUID, index: int) -> bytes:
        """See the port."""
        rows = await self._rows(_BUNDLE, event_id=event_id, number=index)
        return bytes(rows[0][0]) if rows else b""

    async def host(self) -> str | None:
        """See the port."""
        rows = await self._rows(_HOST)
        return rows[0][0] if rows else None

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)

    async def _listed(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._classify, statement, values)

"""Events' logs and the keys of customers in them, in memory."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

import msgspec

from ....application.ports.log.formats import LoggedFact
from ....application.ports.log.storage import EventLog, SealedPart
from ....domain.facts import Fact
from ....domain.log.merkle import HASH_BYTES
from ....domain.log.tiles import Tile
from ..steps import Step
from ..tables import Tables
from ..transaction import MemoryTransaction


class MemoryLogRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def note(self, last_seqs: Mapping[UUID, int]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.logs.notes.update(last_seqs)

    async def forget_note(self, event_id: UUID, last_seq: int) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.logs.forgotten[event_id] = last_seq

    async def save(self, part: SealedPart) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.logs.parts.append(part)

    async def add_keys(self, keys: Mapping[UUID, bytes]) -> None:
        """See the port. It locks the accounts."""
        await self._transaction.lock(list(keys))
        await self._transaction.reach(Step.SAVE)
        users = self._transaction.draft.tables.users
        self._transaction.draft.logs.keys.update(
            {each: key for each, key in keys.items() if each not in users or users[each].erased_at is None}
        )

    async def add_host(self, host: str) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.logs.host = host


class MemoryLogQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def noted(self, limit: int) -> list[UUID]:
        """See the port."""
        await self._before_read()
        return sorted(self._tables.logs.notes)[:limit]

    async def logs(self, before: UUID | None, limit: int) -> list[EventLog]:
        """See the port."""
        await self._before_read()
        ids = sorted((each for each in self._tables.events if before is None or each < before), reverse=True)
        return [self._log(each) for each in ids[:limit]]

    async def log(self, event_id: UUID) -> EventLog | None:
        """See the port."""
        await self._before_read()
        return self._log(event_id) if event_id in self._tables.events else None

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[LoggedFact]:
        """See the port."""
        await self._before_read()
        return [self._logged(fact) for fact in self._tables.facts.get(event_id, [])[after : after + limit]]

    async def latest_fact(self, booking_id: UUID) -> LoggedFact | None:
        """See the port."""
        await self._before_read()
        booking = self._tables.bookings.get(booking_id)
        facts = [] if booking is None else reversed(self._tables.facts[booking.event_id])
        return next((self._logged(fact) for fact in facts if fact.booking_id == booking_id), None)

    async def keys(self, customer_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """See the port."""
        await self._before_read()
        keys = self._tables.logs.keys
        return {each: keys[each] for each in customer_ids if each in keys}

    async def checkpoint(self, event_id: UUID) -> str | None:
        """See the port."""
        await self._before_read()
        return self._tables.logs.checkpoints.get(event_id)

    async def tiles(self, event_id: UUID, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        """See the port."""
        await self._before_read()
        stored = self._tables.logs.tiles
        found = {each: stored.get((event_id, each.level, each.index), b"")[: each.width * HASH_BYTES] for each in tiles}
        return {tile: hashes for tile, hashes in found.items() if len(hashes) == tile.width * HASH_BYTES}

    async def bundle(self, event_id: UUID, index: int) -> bytes:
        """See the port."""
        await self._before_read()
        return self._tables.logs.bundles.get((event_id, index), b"")

    async def host(self) -> str | None:
        """See the port."""
        await self._before_read()
        return self._tables.logs.host

    def _log(self, event_id: UUID) -> EventLog:
        event = self._tables.events[event_id]
        return EventLog(
            event_id, event.organizer_id, event.log, event.last_seq, self._tables.logs.sizes.get(event_id, 0)
        )

    def _logged(self, fact: Fact) -> LoggedFact:
        booking = None if fact.booking_id is None else self._tables.bookings[fact.booking_id]
        customer_id = None if booking is None else booking.customer_id
        return LoggedFact(
            fact.seq,
            fact.kind,
            fact.occurred_at,
            msgspec.json.encode(fact.what).decode(),
            fact.booking_id,
            customer_id,
            None if customer_id is None else self._tables.logs.keys.get(customer_id),
        )

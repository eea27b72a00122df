"""Events' logs inside one transaction."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update

from ....application.ports.log.storage import SealedPart
from ..bulk.insert import BulkInsert
from ..engine.transaction import Transaction
from ..schema.tables import (
    customer_log_keys,
    event_logs,
    log_bundles,
    log_hosts,
    log_tiles,
    unsealed_events,
    users,
)

HOST_ID: Final = 1

_NOTE = BulkInsert(unsealed_events, on_existing={"last_seq": "CASE WHEN {new} > {old} THEN {new} ELSE {old} END"})
_FORGET_NOTE = delete(unsealed_events).where(
    unsealed_events.c.event_id == bindparam("of_event"), unsealed_events.c.last_seq <= bindparam("up_to")
)
_BEGIN = insert(event_logs)
_GROW = (
    update(event_logs)
    .where(event_logs.c.event_id == bindparam("of_event"), event_logs.c.size == bindparam("old_size"))
    .values(size=bindparam("new_size"), root=bindparam("new_root"), checkpoint=bindparam("new_checkpoint"))
)
_PUT_TILES = BulkInsert(log_tiles, on_existing={"hashes": "{new}"})
_PUT_BUNDLES = BulkInsert(log_bundles, on_existing={"entries": "{new}"})
# An account that is being erased is waited for, and none is erased until the keys are committed.
_ERASED = (
    select(users.c.id, users.c.erased_at)
    .where(users.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(users.c.id)
    .with_for_update(read=True)
)
# Of two processes that add a key at once the second one waits here, and keeps the first one's.
_ADD_KEYS = BulkInsert(customer_log_keys, on_existing={"key": "{old}"})
_ADD_HOST = BulkInsert(log_hosts, on_existing={"host": "{old}"})


class SqlLogRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def note(self, last_seqs: Mapping[UUID, int]) -> None:
        """See the port."""
        rows = [{"event_id": event_id, "last_seq": last_seqs[event_id]} for event_id in sorted(last_seqs)]
        await self._transaction.insert(_NOTE, rows)

    async def forget_note(self, event_id: UUID, last_seq: int) -> None:
        """See the port."""
        await self._transaction.change(_FORGET_NOTE, {"of_event": event_id, "up_to": last_seq})

    async def save(self, part: SealedPart) -> None:
        """See the port. The log's row is written first, so a second process stops there."""
        transaction, event_id = self._transaction, part.event_id
        values = {"size": part.size, "root": part.root, "checkpoint": part.checkpoint}
        if part.old_size:
            grown = {"of_event": event_id, "old_size": part.old_size}
            await transaction.change(
                _GROW, {**grown, **{f"new_{name}": each for name, each in values.items()}}, expected=1
            )
        else:
            await transaction.change(_BEGIN, {"event_id": event_id, **values}, expected=1)
        tiles = [
            {"event_id": event_id, "level": tile.level, "number": tile.index, "hashes": hashes}
            for tile, hashes in sorted(part.tiles.items())
        ]
        bundles = [
            {"event_id": event_id, "number": number, "entries": entries} for number, entries in part.bundles.items()
        ]
        await transaction.insert(_PUT_TILES, tiles)
        await transaction.insert(_PUT_BUNDLES, bundles)

    async def add_keys(self, keys: Mapping[UUID, bytes]) -> None:
        """See the port."""
        rows = await self._transaction.rows(_ERASED, {"ids": list(keys)})
        erased = {customer_id for customer_id, erased_at in rows if erased_at is not None}
        added = [
            {"customer_id": customer_id, "key": keys[customer_id]}
            for customer_id in sorted(keys)
            if customer_id not in erased
        ]
        await self._transaction.insert(_ADD_KEYS, added)

    async def add_host(self, host: str) -> None:
        """See the port."""
        await self._transaction.insert(_ADD_HOST, [{"id": HOST_ID, "host": host}])

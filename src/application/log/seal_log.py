"""Seal a step of an event's log: facts become entries, and a signed checkpoint is stored with them."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.log.merkle import leaf_hash
from ...domain.log.tiles import TILE_WIDTH
from ...domain.log.tree_builder import TreeBuilder, open_tiles
from ..ports.errors import Conflict
from ..ports.log.formats import LogFormats, LoggedFact
from ..ports.log.storage import EventLog, SealedPart
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction
from .log_key import LogKey

STEP: Final = 4 * TILE_WIDTH
"""Most facts that one transaction seals."""


class SealedStep(Struct, frozen=True):
    """What a step has sealed: how many facts, and whether none is left."""

    facts: int
    is_done: bool


class SealLog:
    """Seal the next facts of an event.

    A log only grows: what is sealed stays, byte for byte. Entries, hashes and the signed checkpoint of a step are
    stored in one transaction, which fails if the log has grown meanwhile, and only what is committed is ever shown. So
    a process that crashes leaves nothing half done, and two processes at once make no second history.
    """

    def __init__(
        self,
        storage: Storage,
        formats: LogFormats,
        log_key: LogKey,
        *,
        step: int = STEP,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._formats = formats
        self._log_key = log_key
        self._step = step
        self._jitter = jitter

    async def __call__(self, event_id: UUID) -> SealedStep:
        """Return what was sealed. Raises: SecretMissing, Unavailable."""
        log = await self._storage.log_queries.log(event_id)
        facts: list[LoggedFact] = []
        if log is not None and log.is_behind:
            facts = await self._storage.log_queries.facts(event_id, log.size, self._step)
        if log is not None and facts:
            is_saved = await self._seal(log, facts)
            return SealedStep(len(facts) * is_saved, is_saved and log.size + len(facts) >= log.last_seq)
        seq = 0 if log is None else log.last_seq
        await in_transaction(self._storage, lambda unit: unit.logs.forget_note(event_id, seq), jitter=self._jitter)
        return SealedStep(0, is_done=True)

    async def _seal(self, log: EventLog, facts: Sequence[LoggedFact]) -> bool:
        """Let the log grow by these facts. Return whether it did."""
        part = await self._part(log, await self._with_keys(log, facts))

        async def save(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.logs.save(part)
            await unit_of_work.logs.forget_note(log.event_id, part.size)

        try:
            await in_transaction(self._storage, save, jitter=self._jitter)
        except Conflict:
            # Another process has sealed it, or this one did and its commit had no answer.
            return False
        return True

    async def _with_keys(self, log: EventLog, facts: Sequence[LoggedFact]) -> list[LoggedFact]:
        """Return the facts with the keys of their customers, or of the organizer. Who has none, gets one."""
        owners = [fact.customer_id or log.organizer_id for fact in facts]
        lacking = {owner for owner, fact in zip(owners, facts, strict=True) if fact.key is None}
        queries = self._storage.log_queries
        keys = await queries.keys(lacking) if lacking else {}
        if new := {owner: self._formats.new_key() for owner in lacking if owner not in keys}:
            await in_transaction(self._storage, lambda unit: unit.logs.add_keys(new), jitter=self._jitter)
            # Another process may have been faster, and who is erased has none.
            keys |= await queries.keys(new)
        return [
            fact if fact.key is not None else replace(fact, key=keys.get(owner))
            for owner, fact in zip(owners, facts, strict=True)
        ]

    async def _part(self, log: EventLog, facts: Sequence[LoggedFact]) -> SealedPart:
        queries, formats, event_id = self._storage.log_queries, self._formats, log.event_id
        tree = TreeBuilder(log.size, await queries.tiles(event_id, open_tiles(log.size)))
        first, number = log.size % TILE_WIDTH, log.size // TILE_WIDTH
        entries = list(formats.entries(await queries.bundle(event_id, number))) if first else []
        bundles: dict[int, bytes] = {}
        expected = log.size
        for fact in facts:
            expected += 1
            if fact.seq != expected:
                raise RuntimeError(f"fact {fact.seq} of event {event_id} stands where {expected} should")
            entries.append(formats.entry(event_id, fact))
            if len(entries) == TILE_WIDTH or fact is facts[-1]:
                tree.add([leaf_hash(entry) for entry in entries[tree.size % TILE_WIDTH :]])
                bundles[number] = formats.bundle(entries)
                if len(entries) == TILE_WIDTH:
                    entries, number = [], number + 1
                # Requests get their turn after 2 ms.
                await asyncio.sleep(0)
        root, signer = tree.root, await self._log_key()
        return SealedPart(
            event_id=event_id,
            old_size=log.size,
            size=tree.size,
            root=root,
            checkpoint=signer.checkpoint(event_id, tree.size, root),
            tiles=tree.grown,
            bundles=bundles,
        )

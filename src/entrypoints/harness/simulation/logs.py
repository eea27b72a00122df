"""Watch the logs of events while processes crash: none forks, none shrinks, and in the end each has every fact."""

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from json import loads
from uuid import UUID

from ....application.ports.log.formats import LogFormats
from ....application.ports.storage import Storage
from ....domain.log.merkle import Edge, leaf_hash
from ....domain.log.tiles import TILE_WIDTH


class LogWatch:
    """A stranger who keeps what was once seen of logs, and looks again."""

    def __init__(self, storage: Storage, formats: LogFormats) -> None:
        self._storage = storage
        self._formats = formats
        self._seen: dict[UUID, list[bytes]] = {}
        self.problems: list[str] = []

    async def watch(self, event_ids: Sequence[UUID], every: float) -> None:
        """Look again and again, until cancelled."""
        while True:
            for event_id in event_ids:
                await self.look(event_id)
            await asyncio.sleep(every)

    async def look(self, event_id: UUID) -> None:
        """Compare an event's log with what was seen before, and with its newest checkpoint."""
        checkpoint = await self._storage.log_queries.checkpoint(event_id)
        before = self._seen.get(event_id, [])
        if checkpoint is None:
            if before:
                self.problems.append(f"the log of event {event_id} is gone")
            return
        _, size, root, *_ = checkpoint.split("\n")
        entries: list[bytes] = []
        for index in range(-(-int(size) // TILE_WIDTH)):
            entries += self._formats.entries(await self._storage.log_queries.bundle(event_id, index))
        # The log may have grown since its checkpoint was read.
        entries = entries[: int(size)]
        if len(entries) < int(size):
            self.problems.append(f"the log of event {event_id} has {len(entries)} of {size} entries")
        if Edge().extended(map(leaf_hash, entries)).root != b64decode(root):
            self.problems.append(f"the checkpoint of event {event_id} is not of its entries")
        if entries[: len(before)] != before:
            self.problems.append(f"the log of event {event_id} has another history than before")
        self._seen[event_id] = entries

    async def check_complete(self, event_id: UUID) -> None:
        """Compare the whole log with the facts."""
        await self.look(event_id)
        facts = await self._storage.event_queries.facts(event_id, 0, 1_000_000)
        told = [(each["seq"], each["kind"]) for each in map(loads, self._seen.get(event_id, []))]
        if told != [(fact.seq, fact.kind) for fact in facts]:
            self.problems.append(f"the log of event {event_id} has {len(told)} entries for {len(facts)} facts")

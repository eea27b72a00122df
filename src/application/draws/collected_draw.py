"""The entries of a draw with their hashes, from an event's facts and its log."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.draws.ranking import places, rank, root_of
from ...domain.event import Event
from ...domain.facts import DrawHeld
from ...domain.log.merkle import HASH_BYTES
from ...domain.log.tiles import TILE_WIDTH, Tile
from ...domain.refusals import NotFound
from ...domain.replay.draw_entries import DrawEntries, DrawEntry
from ..ports.errors import Unavailable
from ..ports.storage import Storage

AT_ONCE: Final = 1_000
"""Facts, or tiles, that are read at once."""


class NotSealed(Unavailable):
    """The event's log does not have all entries of the draw yet."""

    def __init__(self) -> None:
        super().__init__("The event's log does not have all entries yet; try again in a moment.")


class CollectedDraw(Struct, frozen=True):
    """All entries in the order of their queue numbers, their hashes, and the root over these."""

    entries: tuple[DrawEntry, ...]
    leaves: tuple[bytes, ...]
    root: bytes

    def ranks(self, randomness: bytes) -> list[bytes]:
        """Return the rank of each entry."""
        return [rank(randomness, self.root, leaf) for leaf in self.leaves]

    def places(self, randomness: bytes) -> list[int]:
        """Return the place of each entry, from 1."""
        return places(self.ranks(randomness))


class LogLeaves:
    """Read the hashes of entries of an event's log."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, event_id: UUID, indexes: Sequence[int]) -> list[bytes]:
        """Return the hashes of these entries, which are in order. Raises: NotSealed, Unavailable."""
        log = await self._storage.log_queries.log(event_id)
        size = 0 if log is None else log.size
        if indexes and indexes[-1] >= size:
            raise NotSealed
        numbers = sorted({index // TILE_WIDTH for index in indexes})
        wanted = [Tile(0, number, min(TILE_WIDTH, size - number * TILE_WIDTH)) for number in numbers]
        tiles: dict[int, bytes] = {}
        for start in range(0, len(wanted), AT_ONCE):
            found = await self._storage.log_queries.tiles(event_id, wanted[start : start + AT_ONCE])
            tiles |= {tile.index: hashes for tile, hashes in found.items()}
        return [_hash_of(tiles, index) for index in indexes]


class CollectDraw:
    """Collect the entries of a draw that takes no more. They never change, so every call gives the same."""

    def __init__(self, storage: Storage, leaves: LogLeaves) -> None:
        self._storage = storage
        self._leaves = leaves

    async def __call__(self, event: Event, last_entry: int) -> tuple[CollectedDraw, DrawHeld | None]:
        """Return the entries up to this queue number, and the fact of the draw.

        Raises: NotFound without a draw; NotSealed, Unavailable.
        """
        if event.draw_closes_at is None:
            raise NotFound
        collected = DrawEntries(event.draw_closes_at)
        last = 0
        while collected.held is None and (facts := await self._storage.event_queries.facts(event.id, last, AT_ONCE)):
            for fact in facts:
                collected.apply(fact)
            last = facts[-1].seq
        entries = tuple(collected.until(last_entry))
        leaves = tuple(await self._leaves(event.id, [each.seq - 1 for each in entries]))
        return CollectedDraw(entries, leaves, root_of(leaves)), collected.held


def _hash_of(tiles: dict[int, bytes], index: int) -> bytes:
    number, place = divmod(index, TILE_WIDTH)
    leaf = tiles.get(number, b"")[place * HASH_BYTES : (place + 1) * HASH_BYTES]
    if len(leaf) != HASH_BYTES:
        raise NotSealed
    return leaf

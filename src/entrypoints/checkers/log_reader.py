"""Read a whole log, and check that its entries and tiles are those of its signed checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import Final

from msgspec import Struct

from ...adapters.log import Checkpoint, Malformed, VerifierKey, bundle_path, entries_in, tile_path
from ...domain.log.merkle import HASH_BYTES, Edge, leaf_hash
from ...domain.log.tiles import TILE_WIDTH, Tile, tile_root, tiles_of
from .entry import read_entry
from .receipt import CheckedReceipt, event_of
from .refused import Refused
from .replay import Replay, Report
from .sources import Source

MOST_ENTRIES: Final = 10_000_000
MOST_CHECKPOINT_BYTES: Final = 65_536
MOST_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + 65_535)


class ReplayedLog(Struct, frozen=True):
    """A log whose entries are those of its checkpoint, and what they say of the line."""

    event_id: str
    checkpoint: Checkpoint
    report: Report


def replay_log(source: Source, key: VerifierKey, receipts: Sequence[CheckedReceipt] = ()) -> ReplayedLog:
    """Read a log and replay its line. Receipts of it must be true of this log too, so that none of it was taken back.

    Raises: Refused: unreachable, altered, or not what a receipt says.
    """
    note = source.get("checkpoint", MOST_CHECKPOINT_BYTES)
    if note is None:
        raise Refused("there is no log, or it is not public")
    try:
        checkpoint = Checkpoint.opened(note.decode(), [key])
    except (Malformed, UnicodeError) as error:
        raise Refused(f"the checkpoint does not hold: {error}") from None
    event_id = event_of(checkpoint.origin)
    if checkpoint.size > MOST_ENTRIES:
        raise Refused(f"the log has more than {MOST_ENTRIES} entries")
    for each in receipts:
        if each.checkpoint.origin != checkpoint.origin:
            raise Refused("a receipt is of another event's log")
        if each.checkpoint.size > checkpoint.size:
            raise Refused(f"the log was shrunk: it has {checkpoint.size} entries, and had {each.checkpoint.size}")
    replay = Replay()
    for entry in _Reader(source, checkpoint, receipts).entries():
        if not replay.is_over:
            replay.add(read_entry(entry))
    return ReplayedLog(event_id, checkpoint, replay.report())


class _Reader:
    """Reads the entries in order, compares their hashes with the tiles, and their root with what was signed."""

    def __init__(self, source: Source, checkpoint: Checkpoint, receipts: Sequence[CheckedReceipt]) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._receipts = receipts
        self._edge = Edge()
        self._upper: dict[int, list[bytes]] = {}

    def entries(self) -> Iterator[bytes]:
        """Yield the entries. The root was compared once all are read.

        Raises: Refused.
        """
        size = self._checkpoint.size
        for tile in takewhile(lambda each: each.level == 0, tiles_of(size)):
            entries = self._bundle(tile)
            leaves = [leaf_hash(each) for each in entries]
            self._check_tile(tile, b"".join(leaves))
            self._add(leaves)
            yield from entries
        for tile in tiles_of(size, level=1):
            first = tile.index * TILE_WIDTH
            self._check_tile(tile, b"".join(self._upper[tile.level][first : first + tile.width]))
        if self._edge.root != self._checkpoint.root:
            raise Refused("the log was altered: its entries do not have the root that was signed")

    def _bundle(self, tile: Tile) -> list[bytes]:
        try:
            entries = entries_in(self._file(bundle_path, tile, MOST_BUNDLE_BYTES))
        except Malformed as error:
            raise Refused(f"{bundle_path(tile)} is broken: {error}") from None
        if len(entries) < tile.width:
            raise Refused(f"{bundle_path(tile)} has {len(entries)} entries instead of {tile.width}")
        return entries[: tile.width]

    def _check_tile(self, tile: Tile, hashes: bytes) -> None:
        if self._file(tile_path, tile, TILE_WIDTH * HASH_BYTES)[: len(hashes)] != hashes:
            raise Refused(f"the log was altered: {tile_path(tile)} does not belong to its entries")
        if tile.is_full:
            self._upper.setdefault(tile.level + 1, []).append(tile_root(hashes))

    def _file(self, path_of: Callable[[Tile], str], tile: Tile, most_bytes: int) -> bytes:
        content = self._source.get(path_of(tile), most_bytes)
        if content is None and not tile.is_full:
            # The log may have grown meanwhile: the full one begins with what the partial one had.
            content = self._source.get(path_of(Tile(tile.level, tile.index)), most_bytes)
        if content is None:
            raise Refused(f"{path_of(tile)} is missing")
        return content

    def _add(self, leaves: list[bytes]) -> None:
        """Add a bundle's hashes, and stop where a receipt says what the root was."""
        start = self._edge.size
        end = start + len(leaves)
        for each in self._receipts:
            if start < each.entry.seq <= end and each.leaf != leaves[each.entry.seq - 1 - start]:
                raise Refused(f"the log was altered: a receipt has another entry {each.entry.seq}")
        stops = {each.checkpoint.size for each in self._receipts if start < each.checkpoint.size < end}
        for first, last in pairwise([start, *sorted(stops), end]):
            self._edge = self._edge.extended(leaves[first - start : last - start])
            for each in self._receipts:
                if each.checkpoint.size == last and each.checkpoint.root != self._edge.root:
                    raise Refused(f"the log was altered: a receipt has another root of its first {last} entries")

"""Tiles: the hashes of a tree in portions that never change once they are full (C2SP's tlog-tiles).

A tile of level 0 has up to 256 hashes of leaves, one of the next level the roots of full tiles, and so on.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from .merkle import HASH_BYTES, Edge, consistency_ranges, inclusion_ranges, joined, perfect_root, subtrees

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT


class Tile(Struct, frozen=True, order=True):
    """Where a tile is, and how many hashes it has: 256, or fewer at the right end of a tree."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        """Whether it never changes."""
        return self.width == TILE_WIDTH


def tiles_of(size: int, level: int = 0) -> Iterator[Tile]:
    """Yield the tiles of a tree, from this level up, each level from the left."""
    return new_tiles(0, size, level)


def new_tiles(old_size: int, size: int, level: int = 0) -> Iterator[Tile]:
    """Yield the tiles of a tree that it had not, or not with this width, when it was smaller."""
    while (end := size >> TILE_HEIGHT * level) > 0:
        start = old_size >> TILE_HEIGHT * level
        if start < end:
            for index in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
                yield Tile(level, index, min(TILE_WIDTH, end - index * TILE_WIDTH))
        level += 1


def tile_root(hashes: bytes) -> bytes:
    """Return the root of a full tile."""
    return perfect_root(split_hashes(hashes))


def split_hashes(hashes: bytes) -> list[bytes]:
    """Return the single hashes of a tile."""
    return [hashes[each : each + HASH_BYTES] for each in range(0, len(hashes), HASH_BYTES)]


def inclusion_tiles(index: int, size: int) -> frozenset[Tile]:
    """Return the tiles of a tree that prove the inclusion of a leaf.

    Raises: InvalidProof: the tree has no such leaf.
    """
    return _tiles_with(inclusion_ranges(index, size), size)


def inclusion_proof(index: int, size: int, tiles: Mapping[Tile, bytes]) -> list[bytes]:
    """Return the proof that a leaf is in a tree, from the tiles for it.

    Raises: InvalidProof: the tree has no such leaf.
    """
    return [_range_root(*each, size, tiles) for each in inclusion_ranges(index, size)]


def consistency_tiles(old_size: int, size: int) -> frozenset[Tile]:
    """Return the tiles of a tree that prove that it begins with an older one.

    Raises: InvalidProof: the older tree is empty, or larger.
    """
    return _tiles_with(consistency_ranges(old_size, size), size)


def consistency_proof(old_size: int, size: int, tiles: Mapping[Tile, bytes]) -> list[bytes]:
    """Return the proof that a tree begins with an older one, from the tiles for it.

    Raises: InvalidProof: the older tree is empty, or larger.
    """
    return [_range_root(*each, size, tiles) for each in consistency_ranges(old_size, size)]


def edge_tiles(size: int) -> frozenset[Tile]:
    """Return the tiles that a tree's edge follows from."""
    return _tiles_with([(0, size)], size)


def edge_of(size: int, tiles: Mapping[Tile, bytes]) -> Edge:
    """Return a tree's edge, from the tiles for it."""
    return Edge(size, tuple(_node(*each, size, tiles) for each in subtrees(0, size)))


def _tiles_with(ranges: Iterable[tuple[int, int]], size: int) -> frozenset[Tile]:
    return frozenset(_place(height, index, size)[0] for each in ranges for height, index in subtrees(*each))


def _range_root(first: int, end: int, size: int, tiles: Mapping[Tile, bytes]) -> bytes:
    return joined([_node(*each, size, tiles) for each in subtrees(first, end)])


def _node(height: int, index: int, size: int, tiles: Mapping[Tile, bytes]) -> bytes:
    tile, first, count = _place(height, index, size)
    hashes = tiles[tile][first * HASH_BYTES : (first + count) * HASH_BYTES]
    return perfect_root(split_hashes(hashes))


def _place(height: int, index: int, size: int) -> tuple[Tile, int, int]:
    """Return the tile with a perfect subtree's hashes, the first of them in it, and how many there are."""
    level, rest = divmod(height, TILE_HEIGHT)
    number, first = divmod(index << rest, TILE_WIDTH)
    width = min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - number * TILE_WIDTH)
    return Tile(level, number, width), first, 1 << rest

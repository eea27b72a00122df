"""How a tree grows, tile by tile."""

from collections.abc import Mapping, Sequence

from .merkle import HASH_BYTES
from .tiles import TILE_HEIGHT, TILE_WIDTH, Tile, edge_of, tile_root

_TILE_BYTES = TILE_WIDTH * HASH_BYTES


def open_tiles(size: int) -> list[Tile]:
    """Return the tiles of a tree that are not full: all that is needed to add leaves to it."""
    tiles = []
    level = 0
    while count := size >> TILE_HEIGHT * level:
        if width := count % TILE_WIDTH:
            tiles.append(Tile(level, count // TILE_WIDTH, width))
        level += 1
    return tiles


class TreeBuilder:
    """Adds leaves to a tree. Each full tile is hashed once."""

    def __init__(self, size: int, tiles: Mapping[Tile, bytes]) -> None:
        """`tiles` are the `open_tiles` of the tree. Raises: KeyError if one is missing."""
        self.size: int = size
        self._hashes: dict[int, bytes] = {tile.level: tiles[tile] for tile in open_tiles(size)}
        self._grown: dict[tuple[int, int], bytes] = {}

    def add(self, leaves: Sequence[bytes]) -> None:
        """Add leaves by their hashes; it takes about 1 µs for each."""
        level, new = 0, b"".join(leaves)
        while new:
            hashes = self._hashes.pop(level, b"") + new
            index = (self.size >> TILE_HEIGHT * level) // TILE_WIDTH
            roots = []
            for start in range(0, len(hashes), _TILE_BYTES):
                tile = hashes[start : start + _TILE_BYTES]
                self._grown[level, index] = tile
                index += 1
                if len(tile) == _TILE_BYTES:
                    roots.append(tile_root(tile))
                else:
                    self._hashes[level] = tile
            level, new = level + 1, b"".join(roots)
        self.size += len(leaves)

    @property
    def grown(self) -> dict[Tile, bytes]:
        """The tiles that are new, or wider than before."""
        return {Tile(*place, len(hashes) // HASH_BYTES): hashes for place, hashes in self._grown.items()}

    @property
    def root(self) -> bytes:
        """The root of the whole tree."""
        return edge_of(self.size, {tile: self._hashes[tile.level] for tile in open_tiles(self.size)}).root

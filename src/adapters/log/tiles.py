"""C2SP's tlog-tiles: the paths of tiles and bundles, and bundles of entries."""

import re
from collections.abc import Iterable
from typing import Final

from ...domain.log.tiles import TILE_WIDTH, Tile
from .canonical import Malformed

MOST_ENTRY_BYTES: Final = 2**16 - 1
MOST_LEVEL: Final = 63

ENTRIES: Final = "entries"

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


def tile_path(tile: Tile) -> str:
    """Return where a tile is below its log."""
    return _path(str(tile.level), tile)


def bundle_path(tile: Tile) -> str:
    """Return where the entries of a tile of level 0 are below their log."""
    return _path(ENTRIES, tile)


def parse_path(path: str) -> tuple[Tile, bool]:
    """Return the tile that a path below a log names, and whether its entries are meant.

    Raises: Malformed: no such path, or not the one way to write it.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise Malformed("no path of a tile")
    is_bundle = found["level"] == ENTRIES
    level = 0 if is_bundle else int(found["level"])
    digits = found["index"].replace("/", "").replace("x", "")
    width = int(found["width"] or TILE_WIDTH)
    if level > MOST_LEVEL or (found["width"] and width >= TILE_WIDTH) or (len(digits) > 3 and digits[:3] == "000"):
        raise Malformed("no path of a tile")
    return Tile(level, int(digits), width), is_bundle


def to_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as one bundle, each after its length in two bytes.

    Raises: Malformed: an entry is longer than 65,535 bytes.
    """
    parts = []
    for entry in entries:
        if len(entry) > MOST_ENTRY_BYTES:
            raise Malformed("an entry is too long")
        parts += [len(entry).to_bytes(2), entry]
    return b"".join(parts)


def entries_in(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises: Malformed: it ends within an entry.
    """
    entries, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2])
        if at + 2 > len(bundle) or end > len(bundle):
            raise Malformed("a bundle ends within an entry")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def _path(level: str, tile: Tile) -> str:
    digits = f"{tile.index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[each : each + 3] for each in range(0, len(digits), 3)]
    index = "/".join([*(f"x{each}" for each in parts[:-1]), parts[-1]])
    return f"tile/{level}/{index}" + ("" if tile.is_full else f".p/{tile.width}")

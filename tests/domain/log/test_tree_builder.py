"""Trees that grow tile by tile."""

import pytest

from boxoffice.domain.log.merkle import EMPTY_ROOT, Edge, leaf_hash
from boxoffice.domain.log.tiles import tile_root, tiles_of
from boxoffice.domain.log.tree_builder import TreeBuilder, open_tiles

LEAVES = [leaf_hash(b"%d" % number) for number in range(66_100)]


@pytest.mark.parametrize(
    "steps", [[1], [1, 1, 1], [255, 1, 1], [256], [300, 211, 1], [513, 512], [65_535, 1, 1], [65_800, 300]]
)
def test_a_tree_that_grows_has_the_tiles_and_the_root_of_one_made_at_once(steps: list[int]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    size = 0
    for step in steps:
        builder = TreeBuilder(size, {tile: stored[tile.level, tile.index] for tile in open_tiles(size)})
        builder.add(LEAVES[size : size + step])
        size += step
        stored |= {(tile.level, tile.index): hashes for tile, hashes in builder.grown.items()}
        assert builder.size == size
        assert builder.root == Edge().extended(LEAVES[:size]).root
    expected = list(tiles_of(size))
    assert set(stored) == {(tile.level, tile.index) for tile in expected}
    for tile in expected:
        hashes = stored[tile.level, tile.index]
        assert len(hashes) == tile.width * 32
        first = tile.index * 256
        if tile.level == 0:
            assert hashes == b"".join(LEAVES[first : first + tile.width])
        else:
            below = range(first, first + tile.width)
            assert hashes == b"".join(tile_root(stored[tile.level - 1, each]) for each in below)


def test_a_tree_may_grow_in_several_steps_at_once() -> None:
    builder = TreeBuilder(0, {})
    assert builder.root == EMPTY_ROOT
    for start in range(0, 600, 100):
        builder.add(LEAVES[start : start + 100])
    assert builder.root == Edge().extended(LEAVES[:600]).root
    assert sorted((tile.level, tile.index, tile.width) for tile in builder.grown) == [
        (0, 0, 256),
        (0, 1, 256),
        (0, 2, 88),
        (1, 0, 2),
    ]


def test_a_tree_grows_only_from_all_its_open_tiles() -> None:
    with pytest.raises(KeyError):
        TreeBuilder(3, {})

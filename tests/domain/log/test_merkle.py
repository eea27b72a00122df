"""Trees, tiles and proofs against RFC 6962's own recursive definition, and against another implementation's figures."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxoffice.domain.log.merkle import (
    EMPTY_ROOT,
    Edge,
    InvalidProof,
    check_consistency,
    included_root,
    leaf_hash,
    node_hash,
)
from boxoffice.domain.log.tiles import (
    TILE_WIDTH,
    Tile,
    consistency_proof,
    consistency_tiles,
    edge_of,
    edge_tiles,
    inclusion_proof,
    inclusion_tiles,
    new_tiles,
    tile_root,
    tiles_of,
)

LEAVES: Final = [leaf_hash(b"entry %d" % each) for each in range(700)]
_SIZES: Final = st.one_of(st.integers(1, 40), st.sampled_from([255, 256, 257, 300, 511, 512, 513, 700]))


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(size: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if size == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if size <= k:
        return [*naive_subproof(size, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_subproof(size - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def split(count: int) -> int:
    k = 1
    while 2 * k < count:
        k *= 2
    return k


@cache
def tiles(size: int) -> dict[Tile, bytes]:
    """The tiles of a tree, each made of the definition."""
    return {
        tile: b"".join(
            naive_root(LEAVES[each * TILE_WIDTH**tile.level : (each + 1) * TILE_WIDTH**tile.level])
            for each in range(tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width)
        )
        for tile in tiles_of(size)
    }


def test_the_empty_tree_and_the_first_ones_have_the_reference_roots() -> None:
    """The vectors of Certificate Transparency's own reference implementation."""
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    edge = Edge()
    assert edge.root == EMPTY_ROOT
    roots = []
    for entry in entries:
        edge = edge.extended([leaf_hash(bytes.fromhex(entry))])
        roots.append(edge.root.hex())
    assert roots[0] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[7] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_roots_are_those_of_another_implementation() -> None:
    """The digest of the roots of all sizes to 600 as pymerkle 7.0.0 computes them."""
    edge, roots = Edge(), []
    for leaf in LEAVES[:600]:
        edge = edge.extended([leaf])
        roots.append(edge.root)
    assert sha256(b"".join(roots)).hexdigest() == "7f0f647eacfe35a235d10e19f3c0cdef0412fc9d0f9d50f58ea1e99d35acfc37"


@settings(max_examples=40)
@given(_SIZES, st.data())
def test_an_edge_grows_in_any_steps_to_the_same_root(size: int, data: st.DataObject) -> None:
    middle = data.draw(st.integers(0, size))
    edge = Edge().extended(LEAVES[:middle]).extended(LEAVES[middle:size])
    assert edge.root == naive_root(LEAVES[:size])
    assert edge == edge_of(size, {tile: tiles(size)[tile] for tile in edge_tiles(size)})


def test_an_edge_has_the_roots_of_its_size() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2"):
        Edge(3, (LEAVES[0],))


@settings(max_examples=40)
@given(_SIZES, st.data())
def test_inclusion_is_proved_from_few_tiles_and_for_one_leaf_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    all_tiles = tiles(size)
    proof = inclusion_proof(index, size, {tile: all_tiles[tile] for tile in inclusion_tiles(index, size)})
    assert proof == naive_path(index, LEAVES[:size])
    root = naive_root(LEAVES[:size])
    assert included_root(index, size, LEAVES[index], proof) == root
    assert included_root(index, size, leaf_hash(b"another"), proof) != root
    other = data.draw(st.integers(0, size - 1))
    if other != index and len(naive_path(other, LEAVES[:size])) == len(proof):
        assert included_root(other, size, LEAVES[index], proof) != root


@settings(max_examples=40)
@given(_SIZES, st.data())
def test_consistency_is_proved_and_a_rewritten_log_is_not(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    all_tiles = tiles(size)
    proof = consistency_proof(old, size, {tile: all_tiles[tile] for tile in consistency_tiles(old, size)})
    assert proof == naive_subproof(old, LEAVES[:size])
    old_root, root = naive_root(LEAVES[:old]), naive_root(LEAVES[:size])
    check_consistency(old, old_root, size, root, proof)
    if old < size:
        with pytest.raises(InvalidProof):
            check_consistency(old, EMPTY_ROOT, size, root, proof)
        with pytest.raises(InvalidProof, match="larger"):
            check_consistency(old, old_root, size, EMPTY_ROOT, proof)
    with pytest.raises(InvalidProof):
        check_consistency(size, root, size, EMPTY_ROOT, [])
    rewritten = [leaf_hash(b"another"), *LEAVES[1:size]]
    with pytest.raises(InvalidProof):
        check_consistency(old, old_root, size, naive_root(rewritten), naive_subproof(old, rewritten))


@pytest.mark.parametrize("index", [-1, 5])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    with pytest.raises(InvalidProof, match="no leaf"):
        inclusion_tiles(index, 5)


@pytest.mark.parametrize("old", [0, 6])
def test_an_empty_and_a_larger_tree_cannot_be_compared(old: int) -> None:
    with pytest.raises(InvalidProof, match="cannot be compared"):
        consistency_tiles(old, 5)


def test_a_proof_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidProof, match="2 hashes instead of 3"):
        included_root(1, 5, LEAVES[1], [LEAVES[0], LEAVES[2]])
    with pytest.raises(InvalidProof, match="0 hashes instead of 4"):
        check_consistency(3, EMPTY_ROOT, 5, EMPTY_ROOT, [])
    proof, root = naive_subproof(3, LEAVES[:5]), naive_root(LEAVES[:5])
    with pytest.raises(InvalidProof, match="smaller"):
        check_consistency(3, EMPTY_ROOT, 5, root, proof)
    with pytest.raises(InvalidProof, match="larger"):
        check_consistency(3, naive_root(LEAVES[:3]), 5, EMPTY_ROOT, proof)


def test_tiles_are_those_of_the_specification() -> None:
    """The two examples of tlog-tiles."""
    large = list(tiles_of(70_000))
    assert [tile for tile in large if not tile.is_full] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert [sum(tile.level == level and tile.is_full for tile in large) for level in range(3)] == [273, 1, 0]
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(256, level=1)) == [Tile(1, 0, 1)]


@given(st.integers(0, 140_000), st.integers(0, 140_000))
def test_new_tiles_are_the_difference(one: int, other: int) -> None:
    old, new = sorted((one, other))
    assert list(new_tiles(old, new)) == sorted(set(tiles_of(new)) - set(tiles_of(old)))


def test_the_root_of_a_full_tile_is_a_hash_of_the_next_level() -> None:
    full = tiles(512)
    assert tile_root(full[Tile(0, 0)]) + tile_root(full[Tile(0, 1)]) == full[Tile(1, 0, 2)]

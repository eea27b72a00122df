"""Merkle trees as in RFC 6962, section 2.1: hashes, roots, and the checks of proofs."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

HASH_BYTES: Final = 32

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


class InvalidProof(ValueError):
    """A proof does not show what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees."""
    return sha256(b"\1" + left + right).digest()


class Edge(Struct, frozen=True):
    """All that is needed to add leaves to a tree: its size, and the roots of its perfect subtrees, largest first."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raises: ValueError."""
        if len(self.roots) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves has {self.size.bit_count()} perfect subtrees")

    def extended(self, leaves: Iterable[bytes]) -> "Edge":
        """Return the edge after these leaves' hashes were added."""
        size, roots = self.size, list(self.roots)
        for leaf in leaves:
            root, before = leaf, size
            while before & 1:
                root = node_hash(roots.pop(), root)
                before >>= 1
            roots.append(root)
            size += 1
        return Edge(size, tuple(roots))

    @property
    def root(self) -> bytes:
        """The root of the whole tree."""
        return joined(self.roots)


def joined(roots: Sequence[bytes]) -> bytes:
    """Return the root of neighbouring perfect subtrees, the largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of equally large neighbouring subtrees, as many as a power of two."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[each : each + 2]) for each in range(0, len(hashes), 2)]
    return hashes[0]


def subtrees(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the perfect subtrees of the leaves from `first` to before `end`, largest first: (height, index).

    `first` has to be a multiple of the largest one's size, as it is for each subtree of RFC 6962.
    """
    while first < end:
        height = (end - first).bit_length() - 1
        yield height, first >> height
        first += 1 << height


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the leaves of the subtrees that prove the inclusion of a leaf, from its sibling up: (first, end).

    Raises: InvalidProof: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise InvalidProof(f"there is no leaf {index} among {size}")
    first, end, ranges = 0, size, []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[tuple[int, int]]:
    """Return the leaves of the subtrees that prove that a tree begins with an older one: (first, end).

    Raises: InvalidProof: the older tree is empty, or larger.
    """
    if not 0 < old_size <= size:
        raise InvalidProof(f"a tree of {size} leaves cannot be compared with one of {old_size}")
    first, end, ranges = 0, size, []
    while end != old_size:
        middle = first + _split(end - first)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    if first:
        ranges.append((first, end))
    return ranges[::-1]


def included_root(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root that follows from a leaf's hash, its index and its proof.

    Raises: InvalidProof: the proof cannot be of this leaf.
    """
    ranges = inclusion_ranges(index, size)
    if len(proof) != len(ranges):
        raise InvalidProof(f"the proof has {len(proof)} hashes instead of {len(ranges)}")
    root = leaf
    for sibling, (first, _) in zip(proof, ranges, strict=True):
        root = node_hash(root, sibling) if first > index else node_hash(sibling, root)
    return root


def check_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the larger tree begins with the smaller one (RFC 9162, section 2.1.4.2).

    Raises: InvalidProof.
    """
    ranges = consistency_ranges(old_size, size)
    if len(proof) != len(ranges):
        raise InvalidProof(f"the proof has {len(proof)} hashes instead of {len(ranges)}")
    hashes = list(proof)
    if not ranges or ranges[0][0] >= old_size:
        # The smaller tree is itself a subtree of the larger one, which the proof leaves out.
        ranges, hashes = [(0, old_size), *ranges], [old_root, *hashes]
    old = new = hashes[0]
    for sibling, (first, _) in zip(hashes[1:], ranges[1:], strict=True):
        if first >= old_size:
            new = node_hash(new, sibling)
        else:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
    if old != old_root:
        raise InvalidProof("the proof does not lead to the smaller tree's root")
    if new != root:
        raise InvalidProof("the proof does not lead to the larger tree's root")


def _split(leaves: int) -> int:
    """Return the largest power of two below a number of leaves, two or more."""
    return 1 << (leaves - 1).bit_length() - 1

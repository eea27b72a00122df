"""The ranks of a draw: hashes of its randomness and of all entries, so that nobody can choose them."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from ..log.merkle import Edge

_DOMAIN: Final = b"boxoffice/draw/1"
"""Begins what is hashed, so that no other hash is a rank."""


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of all entries, in the order of their queue numbers (RFC 6962, section 2.1)."""
    return Edge().extended(leaves).root


def rank(randomness: bytes, root: bytes, leaf: bytes) -> bytes:
    """Return the rank of an entry. The lowest comes first; a group is one entry."""
    return sha256(_DOMAIN + randomness + root + leaf).digest()


def places(ranks: Sequence[bytes]) -> list[int]:
    """Return the place of each entry, from 1, by the ranks in the order of the entries.

    Equal ranks, which no two entries have, would keep the order of the entries.
    """
    found = [0] * len(ranks)
    for place, index in enumerate(sorted(range(len(ranks)), key=ranks.__getitem__), 1):
        found[index] = place
    return found

"""Chains of drand: public randomness that nobody knows before its time, and which round a draw takes."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

MARGIN = timedelta(seconds=60)
"""The least time from the closing of a draw to its round, so that no slow clock lets its randomness be known."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Chain(Struct, frozen=True):
    """A chain of drand: a new round every `period` seconds since `genesis_time`, in seconds since 1970."""

    hash: bytes
    scheme: str
    period: int
    genesis_time: int
    public_key: bytes

    def round_after(self, closes_at: datetime) -> int:
        """Return the first round at least `MARGIN` after the closing. The first of all is round 1."""
        since = closes_at + MARGIN - (_EPOCH + timedelta(seconds=self.genesis_time))
        return max(-(-since // timedelta(seconds=self.period)), 0) + 1

    def time_of(self, number: int) -> datetime:
        """Return when a round is published."""
        return _EPOCH + timedelta(seconds=self.genesis_time + (number - 1) * self.period)


QUICKNET: Final = Chain(
    hash=bytes.fromhex("52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"),
    scheme="bls-unchained-g1-rfc9380",
    period=3,
    genesis_time=1_692_803_367,
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921"
        "cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
)
"""The chain of the League of Entropy for unchained randomness."""


class Beacon(Struct, frozen=True):
    """What a chain published for a round: its signature, and the SHA-256 of that."""

    round: int
    signature: bytes
    randomness: bytes

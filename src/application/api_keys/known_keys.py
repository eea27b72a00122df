"""API keys as they were read a moment ago, in bounded memory."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from ..ports.accounts.api_keys import ApiKeyQueries, OwnedKey
from ..turnstile.coalesced_reads import CoalescedReads

READ_EVERY: Final = 3.0
"""Seconds for which a read counts, so a revocation or a change of the owner's role takes effect within five."""

MOST_KEYS: Final = 10_000
"""Keys that exist, and as many that do not, whose last read a process remembers."""

AT_ONCE: Final = 500
"""Keys that one query looks up."""


class KnownKeys:
    """Looks keys up by their digests: a key in use costs one read every few seconds.

    Concurrent calls share a read and there is one read at a time, so made-up keys cannot load the database. Nor can
    they displace keys that exist, which have room of their own. That a key does not exist is remembered as long: keys
    are random, so none is asked for before it exists.
    """

    def __init__(self, api_keys: ApiKeyQueries, *, seconds: Callable[[], float] = monotonic) -> None:
        self._api_keys = api_keys
        self._seconds = seconds
        self._read = CoalescedReads(self._load)
        # Each with the time, in `seconds`, until which the read counts; the oldest read first.
        self._known: dict[bytes, tuple[float, OwnedKey]] = {}
        self._unknown: dict[bytes, float] = {}

    async def __call__(self, digest: bytes) -> OwnedKey | None:
        """Return the key with its owner's role, a few seconds old; None: there is no such key. Raises: Unavailable."""
        now = self._seconds()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        if now < self._unknown.get(digest, now):
            return None
        return await self._read(digest)

    async def _load(self, digests: Sequence[bytes]) -> dict[bytes, OwnedKey]:
        found: dict[bytes, OwnedKey] = {}
        for first in range(0, len(digests), AT_ONCE):
            some = digests[first : first + AT_ONCE]
            until = self._seconds() + READ_EVERY
            read = await self._api_keys.by_digest(some)
            for digest in some:
                # Removed first, so that it becomes the newest.
                self._known.pop(digest, None)
                self._unknown.pop(digest, None)
                if digest in read:
                    self._known[digest] = (until, read[digest])
                else:
                    self._unknown[digest] = until
            found |= read
        for remembered in (self._known, self._unknown):
            while len(remembered) > MOST_KEYS:
                del remembered[next(iter(remembered))]
        return found

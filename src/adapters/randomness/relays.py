"""Beacons from drand's relays, any of which will do, since a beacon proves itself."""

import asyncio
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import httpcore
from msgspec import DecodeError, Struct, json

from ...application.ports.draws.beacons import BeaconMissing
from ...domain.draws.beacons import QUICKNET, Beacon
from .signatures import is_authentic

SECONDS: Final = 5.0
"""Timeout of a relay's answer."""

MOST_BYTES: Final = 4 * 1024
"""Maximum bytes of an answer, which has about 300."""

_log = logging.getLogger(__name__)


class _Answer(Struct):
    round: int
    signature: str
    randomness: str | None = None


class DrandBeacons:
    """See the port. Relays are asked in their order, with `public/{round}` of drand's HTTP API."""

    def __init__(self, relays: Sequence[str], *, seconds: float = SECONDS) -> None:
        self._relays = relays
        self._seconds = seconds

    async def fetch(self, number: int) -> Beacon:
        """See the port. An answer that is not authentic, or of another round, counts as none."""
        for relay in self._relays:
            try:
                async with asyncio.timeout(self._seconds):
                    beacon = self.read(await _get(f"{relay}/{QUICKNET.hash.hex()}/public/{number}"))
            except (BeaconMissing, TimeoutError, OSError, httpcore.NetworkError, httpcore.ProtocolError) as failure:
                _log.warning(
                    "The relay %s has no beacon of round %d: %s", relay, number, str(failure) or type(failure).__name__
                )
                continue
            if beacon.round == number and self.is_authentic(beacon):
                return beacon
            _log.warning("The relay %s answers with a forged beacon, or with one of another round", relay)
        raise BeaconMissing(
            f"No relay of drand has round {number}, due at {QUICKNET.time_of(number):%Y-%m-%dT%H:%M:%SZ}."
        )

    def read(self, text: bytes) -> Beacon:
        """See the port. Randomness is derived from the signature, and must agree with it where it is given."""
        try:
            answer = json.decode(text, type=_Answer)
            signature = bytes.fromhex(answer.signature)
            randomness = sha256(signature).digest() if answer.randomness is None else bytes.fromhex(answer.randomness)
        except (DecodeError, ValueError) as error:
            raise BeaconMissing(f"This is no beacon as the relays of drand answer it: {error}.") from None
        return Beacon(answer.round, signature, randomness)

    def is_authentic(self, beacon: Beacon) -> bool:
        """See the port."""
        return is_authentic(beacon, QUICKNET)


async def _get(url: str) -> bytes:
    """Return the body of a successful answer. Raises: BeaconMissing, OSError, those of httpcore."""
    async with httpcore.AsyncConnectionPool() as pool, pool.stream("GET", url) as response:
        if response.status != 200:
            raise BeaconMissing(f"it answered {response.status}")
        body = bytearray()
        async for part in response.aiter_stream():
            body += part
            if len(body) > MOST_BYTES:
                raise BeaconMissing("the answer is too long")
        return bytes(body)

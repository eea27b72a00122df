"""Beacons of drand, the public source of randomness."""

from typing import Protocol

from ....domain.draws.beacons import Beacon
from ..errors import Unavailable


class BeaconMissing(Unavailable):
    """No beacon of the round can be had: no relay answers, or none that can be read."""


class Beacons(Protocol):
    """Beacons of drand's chain `quicknet`. What is read or fetched counts for nothing unless it is authentic."""

    async def fetch(self, number: int) -> Beacon:
        """Return what a relay answers for a round. Raises: BeaconMissing."""

    def read(self, text: bytes) -> Beacon:
        """Return the beacon in a relay's answer. Raises: BeaconMissing."""

    def is_authentic(self, beacon: Beacon) -> bool:
        """Return whether the chain made it for its round. It takes about 10 ms."""

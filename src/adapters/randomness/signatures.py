"""The signatures of drand's beacons: BLS12-381 with signatures on G1 (RFC 9380), as the chain `quicknet` makes them."""

from hashlib import sha256
from typing import Final

from py_arkworks_bls12381 import GT, G1Point, G2Point

from ...domain.draws.beacons import Beacon, Chain

SCHEME: Final = "bls-unchained-g1-rfc9380"

_DOMAIN: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_G1_BYTES: Final = 48


def is_authentic(beacon: Beacon, chain: Chain) -> bool:
    """Return whether the chain published this beacon for its round. It takes about 3 ms."""
    if chain.scheme != SCHEME or not 0 < beacon.round < 1 << 64 or len(beacon.signature) != _G1_BYTES:
        return False
    if sha256(beacon.signature).digest() != beacon.randomness:
        return False
    try:
        # Both points are checked to be on the curve and in its subgroup.
        signature = G1Point.from_compressed_bytes(beacon.signature)
        public_key = G2Point.from_compressed_bytes(chain.public_key)
    except ValueError:
        return False
    message = G1Point.hash_to_curve(sha256(beacon.round.to_bytes(8)).digest(), _DOMAIN)
    return signature != G1Point.identity() and GT.pairing(message, public_key) == GT.pairing(signature, G2Point())

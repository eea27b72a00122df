"""Documents of draws, made without the program's own code."""

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any, Final

from tests.adapters.randomness.recorded_beacons import ROUND_657413

SECRET: Final = bytes(range(32))
EVENT_ID: Final = "01960000-0000-7000-8000-000000000001"
TYPE_ID: Final = "01960000-0000-7000-8000-000000000002"
CHAIN: Final = {
    "hash": "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    "scheme": "bls-unchained-g1-rfc9380",
    "period": 3,
    "genesisTime": 1692803367,
    "publicKey": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
}


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962 defines it, recursively."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def with_entries(document: dict[str, Any], leaves: list[bytes]) -> dict[str, Any]:
    """Return the document with these entries, drawn with its randomness."""
    root, randomness = root_of(leaves), bytes.fromhex(document["randomness"])
    ranks = [sha256(b"boxoffice/draw/1" + randomness + root + leaf).hexdigest() for leaf in leaves]
    entries = [
        {
            "index": index,
            "queueNumber": index + 1 + index // 3,
            "ticketTypeId": TYPE_ID,
            "quantity": 1 + index % 2,
            "leaf": b64encode(leaf).decode(),
            "rank": each,
            "place": 1 + sorted(ranks).index(each),
        }
        for index, (leaf, each) in enumerate(zip(leaves, ranks, strict=True))
    ]
    return document | {"root": b64encode(root).decode(), "entries": entries}


def leaves_of(number: int) -> list[bytes]:
    """Return hashes of this many entries."""
    return [sha256(each.to_bytes(2)).digest() for each in range(number)]


def by_operator(number: int = 7) -> dict[str, Any]:
    """Return a right document of a draw with an operator's secret."""
    document = {
        "eventId": EVENT_ID,
        "state": "drawn",
        "source": "operator",
        "closesAt": "2026-12-01T20:00:00Z",
        "commitment": sha256(SECRET).hexdigest(),
        "secret": SECRET.hex(),
        "chain": None,
        "round": None,
        "beacon": None,
        "randomness": SECRET.hex(),
        "caveats": ["The operator could have known the order before the closing."],
    }
    return with_entries(document, leaves_of(number))


def by_drand(number: int = 7) -> dict[str, Any]:
    """Return a right document of a draw with a recorded beacon."""
    document = {
        "eventId": EVENT_ID,
        "state": "drawn",
        "source": "drand",
        "closesAt": "2023-09-15T10:59:03Z",
        "commitment": None,
        "secret": None,
        "chain": CHAIN,
        "round": ROUND_657413["round"],
        "beacon": dict(ROUND_657413),
        "randomness": ROUND_657413["randomness"],
        "caveats": [],
    }
    return with_entries(document, leaves_of(number))


def as_file(document: dict[str, Any]) -> bytes:
    """Return the document as the service answers it."""
    return json.dumps(document).encode()

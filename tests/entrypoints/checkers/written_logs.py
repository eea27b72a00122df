"""Logs as files, written from entries without the service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import json

from boxoffice.adapters.log import Checkpoint, LogProof, NoteSigner, bundle_path, tile_path, to_bundle
from boxoffice.domain.log.merkle import Edge, leaf_hash
from boxoffice.domain.log.tiles import TILE_WIDTH, Tile, inclusion_proof, tile_root, tiles_of

EVENT_ID: Final = "0197f3a0-0000-7000-8000-000000000001"
ORIGIN: Final = f"box.example/events/{EVENT_ID}/log"
SIGNER: Final = NoteSigner("box.example/log", bytes(range(32)))
KEY: Final = SIGNER.key.text
TYPE: Final = "0197f3a0-0000-7000-8000-00000000000a"


def said(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries with what all have: a number, a time and a commitment."""
    common = {"at": "2027-01-01T10:00:00Z", "commitment": "AAAA"}
    return [{"seq": seq, **common, **entry} for seq, entry in enumerate(entries, 1)]


def begun(total: int = 1, policy: str = "strict", **values: object) -> dict[str, Any]:
    """Return the entry of a new event with one ticket type."""
    types = [{"ticketTypeId": TYPE, "totalTickets": total}]
    return {
        "kind": "EventInitialized",
        "waitingListPolicy": policy,
        "status": "on_sale",
        "admission": "line",
        "ticketTypes": types,
        **values,
    }


def of_type(kind: str, quantity: int = 1, **values: object) -> dict[str, Any]:
    """Return the entry of a booking."""
    return {"kind": kind, "ticketTypeId": TYPE, "quantity": quantity, **values}


def booked(quantity: int = 1, **values: object) -> dict[str, Any]:
    """Return the entry of tickets that somebody got at once."""
    return of_type("TicketsBooked", quantity, **{"status": "confirmed", **values})


def waits(number: int, quantity: int = 1) -> dict[str, Any]:
    """Return the entry of somebody who joined the line."""
    return of_type("CustomerWaitlisted", quantity, queueNumber=number)


def promoted(number: int, quantity: int = 1, **values: object) -> dict[str, Any]:
    """Return the entry of somebody who was promoted."""
    return of_type("BookingPromoted", quantity, **{"queueNumber": number, "status": "confirmed", **values})


def cancelled(quantity: int = 1, **values: object) -> dict[str, Any]:
    """Return the entry of a cancelled booking."""
    return of_type("BookingCancelled", quantity, **{"was": "confirmed", "by": "customer", **values})


def tiles(entries: Sequence[bytes]) -> dict[Tile, bytes]:
    """Return the tiles of a log with these entries."""
    hashes = {0: [leaf_hash(each) for each in entries]}
    found = {}
    for tile in tiles_of(len(entries)):
        first = tile.index * TILE_WIDTH
        found[tile] = b"".join(hashes[tile.level][first : first + tile.width])
        if tile.is_full:
            hashes.setdefault(tile.level + 1, []).append(tile_root(found[tile]))
    return found


def texts(entries: Sequence[dict[str, Any]]) -> list[bytes]:
    """Return the exact texts of entries."""
    return [json.encode(each) for each in entries]


def checkpoint(entries: Sequence[bytes], *, origin: str = ORIGIN, signer: NoteSigner = SIGNER) -> str:
    """Return the signed checkpoint of a log with these entries."""
    root = Edge().extended(map(leaf_hash, entries)).root
    return signer.signed(Checkpoint(origin, len(entries), root).text)


def files(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Return the files of a log with these entries, by their paths."""
    found = {"checkpoint": checkpoint(entries).encode()}
    for tile, hashes in tiles(entries).items():
        found[tile_path(tile)] = hashes
        if tile.level == 0:
            first = tile.index * TILE_WIDTH
            found[bundle_path(tile)] = to_bundle(entries[first : first + tile.width])
    return found


def write(folder: Path, written: dict[str, bytes]) -> None:
    """Write files into a folder."""
    for path, content in written.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def receipt(entries: Sequence[bytes], seq: int, opening: str | None = None) -> str:
    """Return the receipt of one entry."""
    extra = {"entry": entries[seq - 1].decode(), **({"opening": opening} if opening else {})}
    hashes = inclusion_proof(seq - 1, len(entries), tiles(entries))
    return LogProof(seq - 1, tuple(hashes), checkpoint(entries), json.encode(extra)).text

"""Check a receipt: that a signed log has an entry at its place, and what is under the entry's commitment."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any, Final

from msgspec import MsgspecError, Struct, json

from ...adapters.log import Checkpoint, LogProof, Malformed, VerifierKey
from ...adapters.log.canonical import from_base64
from ...domain.log.merkle import leaf_hash
from .entry import Entry, read_entry
from .refused import Refused

_ORIGIN: Final = re.compile(r".+/events/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/log", re.ASCII)


class CheckedReceipt(Struct, frozen=True):
    """What a receipt proves. `private` is what the log's commitment hides, if the receipt opens it."""

    event_id: str
    entry: Entry
    leaf: bytes
    checkpoint: Checkpoint
    private: dict[str, Any] | None


class _Extra(Struct, frozen=True):
    entry: str
    opening: str | None = None


def read_key(text: str) -> VerifierKey:
    """Return the log key with this text.

    Raises: Refused.
    """
    try:
        return VerifierKey.parse(text.strip())
    except Malformed as error:
        raise Refused(f"the key is none: {error}") from None


def event_of(origin: str) -> str:
    """Return the id of the event whose log has this origin.

    Raises: Refused: it is no event's.
    """
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise Refused("the checkpoint is not of an event's log")
    return found[1]


def check_receipt(text: str, key: VerifierKey) -> CheckedReceipt:
    """Return what a receipt proves to those who trust the key.

    Raises: Refused.
    """
    try:
        proof = LogProof.parse(text)
        # Without `extra` there is no entry.
        extra = json.decode(proof.extra or b"", type=_Extra)
        leaf = leaf_hash(extra.entry.encode())
        checkpoint = proof.check(leaf, [key])
    except (Malformed, MsgspecError, UnicodeError) as error:
        raise Refused(f"the receipt does not hold: {error}") from None
    entry = read_entry(extra.entry.encode())
    if entry.seq != proof.index + 1:
        raise Refused("the receipt does not hold: the entry names another place")
    private = None if extra.opening is None else _opened(extra.opening, entry.commitment)
    return CheckedReceipt(event_of(checkpoint.origin), entry, leaf, checkpoint, private)


def _opened(opening: str, commitment: str) -> dict[str, Any]:
    """Return the private part if it is what was committed to."""
    try:
        salt, private = map(from_base64, opening.split("."))
        said = json.decode(private, type=dict[str, Any])
    except (ValueError, MsgspecError):
        raise Refused("the receipt does not hold: its opening is broken") from None
    if b64encode(sha256(salt + private).digest()).decode() != commitment:
        raise Refused("the receipt does not hold: its opening is not what the log committed to")
    return said

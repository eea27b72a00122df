"""Recompute a draw from the document that the service publishes of it. It asks nobody, the service least of all."""

from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Literal

from msgspec import DecodeError, Meta, Struct, json

from ...adapters.log.canonical import Malformed, from_base64
from ...adapters.randomness.signatures import is_authentic
from ...domain.draws.beacons import QUICKNET, Beacon, Chain
from ...domain.draws.ranking import places, rank, root_of


class DrawRefused(Exception):
    """The document shows no draw, or one that was not held as it says. Its text is a sentence."""


class _Wire(Struct, rename="camel", frozen=True):
    """A part of the document. Fields that are not known are ignored."""


class _Chain(_Wire, frozen=True):
    hash: str
    scheme: str
    period: int
    genesis_time: int
    public_key: str


class _Beacon(_Wire, frozen=True):
    round: int
    signature: str
    randomness: str


class _Entry(_Wire, frozen=True):
    index: int
    queue_number: int
    ticket_type_id: str
    quantity: int
    leaf: str
    rank: str | None
    place: int | None


class _Document(_Wire, frozen=True):
    event_id: str
    state: Literal["open", "closed", "drawn"]
    source: Literal["operator", "drand"]
    closes_at: Annotated[datetime, Meta(tz=True)]
    commitment: str | None
    secret: str | None
    chain: _Chain | None
    round: int | None
    beacon: _Beacon | None
    randomness: str | None
    root: str | None
    entries: tuple[_Entry, ...] | None


class CheckedDraw(Struct, frozen=True):
    """What a document shows."""

    event_id: str
    source: str
    entries: int
    round: int | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was shown, and what was not."""
        if self.round is None:
            source = "the operator's secret, which was fixed by its commitment"
        else:
            source = f"round {self.round} of drand, which nobody could know at the closing"
        shown = (
            f"The draw of event {self.event_id} is right: {self.entries} entries, each at the place that follows from"
        )
        return (
            f"{shown} {source}.",
            "Not shown by this document: that no entry is missing, and that nobody entered more than once.",
        )


def check_draw(document: bytes) -> CheckedDraw:
    """Return what the document shows. Raises: DrawRefused."""
    try:
        drawn = json.decode(document, type=_Document)
    except (DecodeError, UnicodeDecodeError) as error:
        raise DrawRefused(f"This is not the document of a draw: {error}.") from None
    try:
        _check_state(drawn)
        randomness = _randomness_of(drawn)
        _check(_hex(drawn.randomness, "randomness") == randomness, "The randomness is not that of the source.")
        _check_entries(drawn, randomness)
    except Malformed as error:
        raise DrawRefused(f"The document is broken: {error}.") from None
    return CheckedDraw(drawn.event_id, drawn.source, len(drawn.entries or ()), drawn.round)


def _check_state(drawn: _Document) -> None:
    if drawn.source == "operator" and drawn.secret is None:
        raise DrawRefused("The operator has not published the secret, so nothing can be recomputed.")
    _check(drawn.state == "drawn" and drawn.entries is not None, f"The draw was not held: it is {drawn.state}.")


def _randomness_of(drawn: _Document) -> bytes:
    """Return the randomness that the source gives. Raises: DrawRefused, Malformed."""
    if drawn.source == "operator":
        secret = _hex(drawn.secret, "secret")
        is_committed = compare_digest(sha256(secret).digest(), _hex(drawn.commitment, "commitment"))
        _check(is_committed, "The secret is not the one that was committed to.")
        _check(drawn.round is None and drawn.beacon is None, "A draw has one source, and this document names two.")
        return secret
    _check(drawn.secret is None and drawn.commitment is None, "A draw has one source, and this document names two.")
    _check(_chain(drawn.chain) == QUICKNET, "The chain is not drand's quicknet.")
    number = QUICKNET.round_after(drawn.closes_at)
    _check(drawn.round == number, f"The round is not the one of the closing time, which is {number}.")
    if drawn.beacon is None:
        raise DrawRefused("The document has no beacon.")
    beacon = Beacon(
        drawn.beacon.round,
        _hex(drawn.beacon.signature, "signature", None),
        _hex(drawn.beacon.randomness, "randomness"),
    )
    _check(beacon.round == number, "The beacon is of another round.")
    _check(is_authentic(beacon, QUICKNET), "The beacon was not made by drand: its signature does not hold.")
    return beacon.randomness


def _check_entries(drawn: _Document, randomness: bytes) -> None:
    entries = drawn.entries or ()
    before = 0
    for index, entry in enumerate(entries):
        _check(entry.index == index, f"Entry {index} has the index {entry.index}.")
        _check(entry.queue_number > before, f"Entry {index} is not in the order of the queue numbers.")
        _check(entry.quantity > 0, f"Entry {index} asks for {entry.quantity} tickets.")
        before = entry.queue_number
    leaves = [_leaf(entry) for entry in entries]
    _check(len(set(leaves)) == len(leaves), "Two entries have the same hash.")
    root = root_of(leaves)
    _check(_base64(drawn.root) == root, "The root is not that of the entries.")
    ranks = [rank(randomness, root, leaf) for leaf in leaves]
    for entry, right_rank, place in zip(entries, ranks, places(ranks), strict=True):
        _check(_hex(entry.rank, "rank") == right_rank, f"Entry {entry.index} has another rank than follows.")
        _check(entry.place == place, f"Entry {entry.index} has place {entry.place} instead of {place}.")


def _leaf(entry: _Entry) -> bytes:
    leaf = from_base64(entry.leaf)
    if len(leaf) != 32:
        raise Malformed(f"the hash of entry {entry.index} has not 32 bytes")
    return leaf


def _chain(chain: _Chain | None) -> Chain | None:
    if chain is None:
        return None
    return Chain(
        hash=_hex(chain.hash, "hash"),
        scheme=chain.scheme,
        period=chain.period,
        genesis_time=chain.genesis_time,
        public_key=_hex(chain.public_key, "public key", None),
    )


def _base64(text: str | None) -> bytes:
    if text is None:
        raise Malformed("the root is missing")
    return from_base64(text)


def _hex(text: str | None, name: str, length: int | None = 32) -> bytes:
    """Return the bytes of lower-case hexadecimal digits. Raises: Malformed."""
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if value.hex() != text or (length is not None and len(value) != length):
        raise Malformed(f"the {name} is not in hexadecimal digits, or has another length")
    return value


def _check(is_right: bool, sentence: str) -> None:
    if not is_right:
        raise DrawRefused(sentence)

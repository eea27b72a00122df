"""Receipts: what they prove, and that nothing in them can be altered unseen."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from msgspec import json

from boxoffice.adapters.log import LogProof, NoteSigner
from boxoffice.entrypoints.checkers.receipt import check_receipt, event_of, read_key
from boxoffice.entrypoints.checkers.refused import Refused

from .written_logs import (
    EVENT_ID,
    KEY,
    SIGNER,
    begun,
    booked,
    cancelled,
    checkpoint,
    promoted,
    receipt,
    said,
    texts,
    waits,
)

SALT, PRIVATE = bytes(range(16)), json.encode({"bookingId": "b", "customerId": "c"})
OPENING = f"{b64encode(SALT).decode()}.{b64encode(PRIVATE).decode()}"
COMMITMENT = b64encode(sha256(SALT + PRIVATE).digest()).decode()

ENTRIES = texts(said(begun(), booked(), waits(1), cancelled(), {**promoted(1), "commitment": COMMITMENT}))
RECEIPT = receipt(ENTRIES, 5, OPENING)


def changed_extra(**changes: Any) -> str:
    proof = LogProof.parse(RECEIPT)
    extra = {**json.decode(proof.extra or b""), **changes}
    return LogProof(proof.index, proof.hashes, proof.checkpoint, json.encode(extra)).text


def test_a_receipt_proves_its_entry_and_opens_it() -> None:
    checked = check_receipt(RECEIPT, SIGNER.key)
    assert checked.event_id == EVENT_ID
    assert (checked.entry.seq, checked.entry.kind, checked.checkpoint.size) == (5, "BookingPromoted", 5)
    assert checked.private == {"bookingId": "b", "customerId": "c"}


def test_a_receipt_need_not_open_its_entry() -> None:
    assert check_receipt(receipt(ENTRIES, 2), SIGNER.key).private is None


@pytest.mark.parametrize("seq", range(1, 6))
def test_every_entry_can_be_proved(seq: int) -> None:
    assert check_receipt(receipt(ENTRIES, seq), SIGNER.key).entry.seq == seq


@pytest.mark.parametrize(
    "text",
    [
        "",
        RECEIPT.replace("index 4", "index 3"),
        RECEIPT[:-20],
        changed_extra(entry=ENTRIES[3].decode()),
        changed_extra(entry=ENTRIES[4].decode().replace('"quantity":1', '"quantity":2')),
        changed_extra(entry=ENTRIES[4].decode() + " "),
        changed_extra(entry=5),
        changed_extra(entry=None),
        changed_extra(opening="x"),
        changed_extra(opening=OPENING + ".x"),
        changed_extra(opening=OPENING.replace("AAEC", "AAED")),
        changed_extra(opening=f"{b64encode(SALT).decode()}.{b64encode(b'[]').decode()}"),
        changed_extra(opening=f"{b64encode(SALT).decode()}.{b64encode(PRIVATE + b' ').decode()}"),
        LogProof.parse(RECEIPT).text.replace("extra ", "extra x"),
        "\n".join(each for each in RECEIPT.split("\n") if not each.startswith("extra")),
    ],
)
def test_an_altered_receipt_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        check_receipt(text, SIGNER.key)


def test_a_receipt_of_another_key_is_refused() -> None:
    with pytest.raises(Refused, match="no known key"):
        check_receipt(RECEIPT, NoteSigner("box.example/log", bytes(32)).key)


def test_an_entry_that_names_another_place_is_refused() -> None:
    entries = [*ENTRIES[:4], ENTRIES[4].replace(b'"seq":5', b'"seq":4')]
    with pytest.raises(Refused, match="another place"):
        check_receipt(receipt(entries, 5), SIGNER.key)


def test_an_entry_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be read"):
        check_receipt(receipt([b"[]"], 1), SIGNER.key)


def test_a_checkpoint_of_no_event_is_refused() -> None:
    proof = LogProof.parse(RECEIPT)
    other = LogProof(proof.index, proof.hashes, checkpoint(ENTRIES, origin="box.example/log"), proof.extra)
    with pytest.raises(Refused, match="not of an event's log"):
        check_receipt(other.text, SIGNER.key)
    assert event_of(f"h/x/events/{EVENT_ID}/log") == EVENT_ID


def test_keys_are_read() -> None:
    assert read_key(f" {KEY}\n") == SIGNER.key
    with pytest.raises(Refused, match="the key is none"):
        read_key("nonsense")

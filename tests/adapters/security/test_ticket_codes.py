"""Codes of tickets: the documented format, signatures that hold for one ticket only, and keys that stay closed."""

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.ports.ticket_codes import ReadCode, SecretMissing, TicketRef

SECRET, OLDER, OTHER = (f"{name} secret of the tests " * 2 for name in ("a", "an older", "another"))
SIGNER = Ed25519CodeSigner(SECRET, OLDER)
EVENT, TICKET = UUID(int=1), UUID(int=2**127 + 7)

_PAGE = Path(__file__).parents[3] / "docs" / "tickets.md"
VECTORS: dict[str, Any] = json.loads(_PAGE.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0])
PUBLIC_KEY = urlsafe_b64decode(VECTORS["publicKey"] + "=")


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: f"serial {vector['serial']}")
def test_the_valid_vectors_are_read_and_hold(vector: dict[str, Any]) -> None:
    found = SIGNER.read(vector["code"])
    assert found is not None
    assert (str(found.event_id), str(found.ticket_id)) == (vector["eventId"], vector["ticketId"])
    assert found.serial == vector["serial"]
    assert SIGNER.holds(found, PUBLIC_KEY)


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: str(vector["why"]))
def test_the_invalid_vectors_are_refused(vector: dict[str, Any]) -> None:
    found = SIGNER.read(vector["code"])
    assert found is None or not SIGNER.holds(found, PUBLIC_KEY)


def test_signing_gives_the_codes_of_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["privateKey"]))
    monkeypatch.setattr(Ed25519PrivateKey, "generate", staticmethod(lambda: private))
    valid = VECTORS["valid"]
    tickets = [TicketRef(UUID(each["eventId"]), UUID(each["ticketId"]), each["serial"]) for each in valid]
    key = SIGNER.new_key(tickets[0].event_id)
    assert key.public == PUBLIC_KEY
    assert SIGNER.codes(key, tickets) == [each["code"] for each in valid]


def test_a_code_holds_for_its_own_key_only_and_fits_the_alphanumeric_set() -> None:
    key, other = SIGNER.new_key(EVENT), SIGNER.new_key(EVENT)
    tickets = [TicketRef(EVENT, TICKET, serial) for serial in (1, 2, 2**32 - 1)]
    codes = SIGNER.codes(key, tickets)
    for ticket, code in zip(tickets, codes, strict=True):
        assert re.fullmatch(r"BX1[A-Z2-7]{160}", code)
        found = SIGNER.read(code)
        assert found is not None
        assert found == ReadCode(ticket.event_id, ticket.ticket_id, ticket.serial, found.signature)
        assert SIGNER.holds(found, key.public)
        assert not SIGNER.holds(found, other.public)


@pytest.mark.parametrize("text", ["", "BX1", "é" * 163, "BX1" + "A" * 157 + "\n", "BX1" + "🎟" * 160])
def test_other_text_is_no_code(text: str) -> None:
    assert SIGNER.read(text) is None


def test_a_key_is_opened_with_its_secret_for_its_event_only() -> None:
    key = SIGNER.new_key(EVENT)
    ticket = [TicketRef(EVENT, TICKET, 1)]
    codes = SIGNER.codes(key, ticket)
    assert Ed25519CodeSigner(OTHER, SECRET).codes(key, ticket) == codes
    with pytest.raises(SecretMissing, match=f"{EVENT}.*add the secret"):
        Ed25519CodeSigner(OTHER, OLDER).codes(key, ticket)
    for altered in (
        replace(key, event_id=TICKET),
        replace(key, public=SIGNER.new_key(EVENT).public),
        replace(key, sealed=key.sealed[:-1] + bytes([key.sealed[-1] ^ 1])),
        replace(key, sealed_by=SIGNER.older_secrets[0]),
    ):
        with pytest.raises(ValueError, match="was altered"):
            SIGNER.codes(altered, ticket)


def test_a_key_of_an_older_secret_is_encrypted_anew_and_stays_the_same() -> None:
    older = Ed25519CodeSigner(OLDER)
    key = older.new_key(EVENT)
    assert key.sealed_by == older.newest_secret
    assert SIGNER.older_secrets == (older.newest_secret,)
    anew = SIGNER.sealed_anew(key)
    assert anew == replace(key, sealed=anew.sealed, sealed_by=SIGNER.newest_secret)
    assert anew.sealed != key.sealed
    ticket = [TicketRef(EVENT, TICKET, 1)]
    assert Ed25519CodeSigner(SECRET).codes(anew, ticket) == older.codes(key, ticket)
    with pytest.raises(SecretMissing):
        older.sealed_anew(anew)
    # Naming the newest secret among the older ones changes nothing.
    assert Ed25519CodeSigner(SECRET, SECRET).older_secrets == ()


def test_nothing_that_is_stored_or_shown_tells_a_key_or_a_secret() -> None:
    key = SIGNER.new_key(EVENT)
    private = SIGNER._opened(key).private_bytes_raw()  # noqa: SLF001 - to look for it
    shown = f"{key!r} {SIGNER!r} {vars(SIGNER).keys()}".encode()
    for hidden in (private, SECRET.encode()):
        assert hidden not in key.sealed + key.sealed_by.encode()
        assert hidden not in shown
    assert private.hex().encode() not in shown
    assert repr(private)[2:-1].encode() not in shown

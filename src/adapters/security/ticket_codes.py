"""Codes of tickets: signed with Ed25519 (RFC 8032), in the format of docs/tickets.md; and their keys, encrypted."""

import re
import secrets
from base64 import b32decode, b32encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ...application.ports.ticket_codes import CodeKey, ReadCode, SecretMissing, TicketRef

FORMAT: Final = "BX1"

_CONTEXT: Final = b"boxoffice-ticket-v1\0"
"""Begins what is signed, so that no other signature with the same key is a code's."""

_TICKET_BYTES: Final = 36
_TEXT: Final = re.compile(rf"{FORMAT}[A-Z2-7]{{160}}")
"""The 100 bytes fill the 160 characters exactly, so each code has one text."""

_NONCE_BYTES: Final = 12


class Ed25519CodeSigner:
    """See the port. Keys are encrypted with the newest secret, and opened with any.

    They are encrypted by AES-256-GCM. Its key is derived from the secret by HKDF (RFC 5869) for one event alone, and
    the public key is authenticated with it, so what is stored of an event opens for no other one.
    """

    def __init__(self, newest_secret: str, *older_secrets: str) -> None:
        self._secrets = {_name(secret): secret.encode() for secret in (newest_secret, *older_secrets)}
        self.newest_secret: str = _name(newest_secret)
        self.older_secrets: tuple[str, ...] = tuple(name for name in self._secrets if name != self.newest_secret)

    def new_key(self, event_id: UUID) -> CodeKey:
        """See the port."""
        return self._sealed(event_id, Ed25519PrivateKey.generate())

    def sealed_anew(self, key: CodeKey) -> CodeKey:
        """See the port."""
        return self._sealed(key.event_id, self._opened(key))

    def private_key(self, key: CodeKey) -> bytes:
        """See the port."""
        return self._opened(key).private_bytes_raw()

    def codes(self, key: CodeKey, tickets: Sequence[TicketRef]) -> list[str]:
        """See the port. The private key is in memory only meanwhile."""
        private = self._opened(key)
        return [_code(private, each) for each in tickets]

    def draw_secret(self, key: CodeKey) -> bytes:
        """See the port. HKDF makes it from the private key, for draws alone."""
        derived = HKDF(SHA256(), length=32, salt=None, info=b"boxoffice/draw-secrets/1" + key.event_id.bytes)
        return derived.derive(self._opened(key).private_bytes_raw())

    def read(self, code: str) -> ReadCode | None:
        """See the port."""
        if not _TEXT.fullmatch(code):
            return None
        raw = b32decode(code[len(FORMAT) :])
        serial = int.from_bytes(raw[32:_TICKET_BYTES])
        if not serial:
            return None
        return ReadCode(UUID(bytes=raw[:16]), UUID(bytes=raw[16:32]), serial, raw[_TICKET_BYTES:])

    def holds(self, code: ReadCode, public_key: bytes) -> bool:
        """See the port."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(code.signature, _CONTEXT + _bytes_of(code))
        except InvalidSignature:
            return False
        return True

    def _sealed(self, event_id: UUID, private: Ed25519PrivateKey) -> CodeKey:
        public = private.public_key().public_bytes_raw()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = _cipher(self._secrets[self.newest_secret], event_id)
        sealed = nonce + cipher.encrypt(nonce, private.private_bytes_raw(), public)
        return CodeKey(event_id, public, sealed, self.newest_secret)

    def _opened(self, key: CodeKey) -> Ed25519PrivateKey:
        secret = self._secrets.get(key.sealed_by)
        if secret is None:
            raise SecretMissing(key.event_id)
        nonce, sealed = key.sealed[:_NONCE_BYTES], key.sealed[_NONCE_BYTES:]
        try:
            raw = _cipher(secret, key.event_id).decrypt(nonce, sealed, key.public)
        except InvalidTag:
            raise ValueError(f"what is stored of the key of event {key.event_id} was altered") from None
        return Ed25519PrivateKey.from_private_bytes(raw)


def _code(private: Ed25519PrivateKey, ticket: TicketRef) -> str:
    signed = _bytes_of(ticket)
    return FORMAT + b32encode(signed + private.sign(_CONTEXT + signed)).decode()


def _bytes_of(ticket: TicketRef) -> bytes:
    return ticket.event_id.bytes + ticket.ticket_id.bytes + ticket.serial.to_bytes(4)


def _name(secret: str) -> str:
    """Return a name for a secret that reveals nothing about it."""
    return sha256(b"boxoffice code keys\0" + secret.encode()).hexdigest()[:16]


def _cipher(secret: bytes, event_id: UUID) -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"boxoffice/code-keys/1" + event_id.bytes)
    return AESGCM(derived.derive(secret))

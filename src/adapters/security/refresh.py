"""Refresh tokens: random, with a part that all tokens of a session share."""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from ...application.ports.security import RefreshDigests, RefreshToken

_BYTES: Final = 32
"""256 bits cannot be guessed, so a plain SHA-256 is a sufficient hash."""

_CHECK_BYTES: Final = 8
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{96}")


class RandomRefreshTokens:
    """Tokens of three parts: 32 random bytes for the session, 32 for the token, and a checksum of 8 bytes.

    The second part of a following token is derived from the token before it and from random bytes that are stored, so
    that both together give it again.

    The first part identifies a used token of a session without storing used tokens. The checksum detects a corrupted
    token, which would otherwise count as a used one and end the session; it is not a secret.
    """

    def first(self) -> RefreshToken:
        """Return the first token of a new session."""
        return _token(secrets.token_bytes(_BYTES), secrets.token_bytes(_BYTES))

    def new_salt(self) -> bytes:
        """See the port."""
        return secrets.token_bytes(_BYTES)

    def after(self, token: RefreshToken, salt: bytes) -> RefreshToken:
        """Return the next token, whose own part is an HMAC of the salt under the whole token before it."""
        raw = urlsafe_b64decode(token.text)[: 2 * _BYTES]
        return _token(raw[:_BYTES], hmac.digest(raw, salt, "sha256"))

    def read(self, text: str) -> RefreshToken | None:
        """Return the token, or None if it is malformed."""
        if not _TEXT.fullmatch(text):
            return None
        raw = urlsafe_b64decode(text)
        token = _token(raw[:_BYTES], raw[_BYTES : 2 * _BYTES])
        return token if secrets.compare_digest(token.text, text) else None


def _token(family: bytes, own: bytes) -> RefreshToken:
    both = family + own
    check = sha256(b"boxoffice refresh token\0" + both).digest()[:_CHECK_BYTES]
    digests = RefreshDigests(family=sha256(family).digest(), token=sha256(both).digest())
    return RefreshToken(urlsafe_b64encode(both + check).decode(), digests)

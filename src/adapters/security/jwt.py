"""Access tokens as JSON Web Tokens (RFC 7519, in the profile of RFC 9068)."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Literal, TypeVar
from uuid import UUID

import jwt
import msgspec
from msgspec import UNSET, Struct, UnsetType

from ...application.ports import Claims, Token
from ...domain.refusals import InvalidToken
from ...domain.user import Role

LIFETIME = 900
"""Seconds."""

LEEWAY = 5
"""Seconds by which the clock of the machine that issued a token may be ahead of ours."""

LONGEST = 2_048
"""Characters. Ours have some 400, so that nothing bigger is even looked at."""

MOST_REMEMBERED = 1_000
"""Tokens whose signature was found good and need not be verified again: some 1 MB.

No more of them, because what has to be forgotten has left the processor's caches by then: with 20,000 of these, and
50,000 callers, remembering and forgetting took longer than verifying.
"""

_NAME: Final = "boxoffice"
_TYPE: Final = "at+jwt"
_ALGORITHM: Final = "HS256"
_LENGTH_OF_ID: Final = 36
_HEADER: Final = frozenset({"alg", "kid", "typ"})

Said = TypeVar("Said")


class _Payload(Struct):
    """The claims as they are written: a text is no number, and `true` and 1.0 are no times."""

    iss: Literal["boxoffice"]
    aud: Literal["boxoffice"]
    sub: str
    sid: str
    jti: str
    role: Role
    iat: int
    exp: int
    nbf: int | UnsetType = UNSET


_payload_of: Final = msgspec.json.Decoder(_Payload).decode


class _Good(Struct, frozen=True):
    """What a token with a good signature says; in Unix seconds from when until when it says so."""

    claims: Claims
    not_before: int
    expires_at: int

    def at(self, now: float) -> Claims:
        """Raises: InvalidToken outside its time."""
        if self.not_before > now + LEEWAY or self.expires_at <= now:
            raise InvalidToken
        return self.claims


class JwtTokens:
    """Issues tokens with the first secret and reads those of any; each secret has at least 32 bytes."""

    def __init__(self, newest_secret: str, *older_secrets: str, lifetime: int = LIFETIME) -> None:
        self.lifetime = lifetime
        self._kid = _kid(newest_secret)
        self._keys = {_kid(secret): secret.encode() for secret in (newest_secret, *older_secrets)}
        self._remembered: OrderedDict[str, _Good] = OrderedDict()

    def issue(self, claims: Claims, now: datetime) -> Token:
        """A token for one session, good from now on for `lifetime` seconds."""
        issued_at = int(now.timestamp())
        payload = {
            "iss": _NAME,
            "aud": _NAME,
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "role": claims.role.value,
            "jti": secrets.token_urlsafe(16),
            "iat": issued_at,
            "exp": issued_at + self.lifetime,
        }
        text = jwt.encode(payload, self._keys[self._kid], _ALGORITHM, headers={"typ": _TYPE, "kid": self._kid})
        return Token(text, self.lifetime)

    def read(self, text: str, now: datetime) -> Claims:
        """Whom the token speaks for. Raises: InvalidToken, whatever is wrong with it, and nothing else."""
        good = self._remembered.get(text)
        if good is None:
            good = self._remembered[text] = self._verified(text)
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return good.at(now.timestamp())

    def _verified(self, text: str) -> _Good:
        said, _, signature = text.rpartition(".")
        header, _, payload = said.partition(".")
        if len(text) > LONGEST or not text.isascii() or not self._is_signed(said, signature, _kid_in(header)):
            raise InvalidToken
        return _good(_decoded(payload, _payload_of))

    def _is_signed(self, said: str, signature: str, kid: str | None) -> bool:
        """Compared as it is written, and a signature is written in one way only: no bits that say nothing."""
        signed, written = said.encode(), signature.encode()
        if kid is None:
            return any(compare_digest(_signature(key, signed), written) for key in self._keys.values())
        key = self._keys.get(kid)
        return key is not None and compare_digest(_signature(key, signed), written)


def _signature(key: bytes, signed: bytes) -> bytes:
    """HS256 (RFC 7518, 3.2), in one call; without the equals sign at its end."""
    return urlsafe_b64encode(hmac.digest(key, signed, "sha256"))[:-1]


@lru_cache(maxsize=256)
def _kid_in(header: str) -> str | None:
    """Which key a header names, if it names one. One that is ours is the same for every token of a key.

    RFC 8725, 3.11: one type, so that no other token of the same key passes for ours; and nothing that is foreign.
    Raises: InvalidToken.
    """
    said = _decoded(header, msgspec.json.decode)
    if not isinstance(said, dict) or not said.keys() <= _HEADER:
        raise InvalidToken
    if said.get("typ") != _TYPE or said.get("alg") != _ALGORITHM:
        raise InvalidToken
    kid: str | None = said.get("kid")
    if "kid" in said and type(kid) is not str:
        raise InvalidToken
    return kid


def _decoded(segment: str, decode: Callable[[bytes], Said]) -> Said:
    """Raises: InvalidToken."""
    try:
        return decode(urlsafe_b64decode(segment + "=="))
    except (ValueError, RecursionError):
        raise InvalidToken from None


def _good(payload: _Payload) -> _Good:
    """What the claims say. Checked here: PyJWT asks a clock of its own and takes "1", 1.0 and true for times."""
    not_before = payload.iat if payload.nbf is UNSET else max(payload.iat, payload.nbf)
    if payload.exp <= payload.iat or not payload.jti:
        raise InvalidToken
    return _Good(Claims(_id(payload.sub), _id(payload.sid), payload.role), not_before, payload.exp)


def _id(text: str) -> UUID:
    """Raises: InvalidToken."""
    # It would be read in capitals and without hyphens too.
    if len(text) != _LENGTH_OF_ID or text != text.lower():
        raise InvalidToken
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise InvalidToken from None


def _kid(secret: str) -> str:
    """A name for a secret that tells nothing about it."""
    return sha256(b"boxoffice kid\0" + secret.encode()).hexdigest()[:12]

"""Access tokens as JSON Web Tokens (RFC 7519, in the profile of RFC 9068)."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
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


class JwtTokens:
    """Issues tokens with the first secret and reads those of any; each secret has at least 32 bytes.

    No token is remembered. In a rush each is another customer's, and to remember it and to forget the oldest, which has
    left the processor's caches by then, took as long as to verify it.
    """

    def __init__(self, newest_secret: str, *older_secrets: str, lifetime: int = LIFETIME) -> None:
        self.lifetime = lifetime
        self._kid = _kid(newest_secret)
        self._secret = newest_secret.encode()
        # With nothing said yet: a copy of one takes half the time of a new one.
        self._signers = {
            _kid(secret): hmac.new(secret.encode(), digestmod="sha256") for secret in (newest_secret, *older_secrets)
        }

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
        text = jwt.encode(payload, self._secret, _ALGORITHM, headers={"typ": _TYPE, "kid": self._kid})
        return Token(text, self.lifetime)

    def read(self, text: str, now: datetime) -> Claims:
        """Whom the token speaks for. Raises: InvalidToken, whatever is wrong with it, and nothing else."""
        said, _, signature = text.rpartition(".")
        header, _, payload = said.partition(".")
        if len(text) > LONGEST or not text.isascii() or not self._is_signed(said, signature, _kid_in(header)):
            raise InvalidToken
        return _claims(_decoded(payload, _payload_of), now.timestamp())

    def _is_signed(self, said: str, signature: str, kid: str | None) -> bool:
        """Compared as it is written, and a signature is written in one way only: no bits that say nothing."""
        signed, written = said.encode(), signature.encode()
        if kid is None:
            return any(compare_digest(_signature(each, signed), written) for each in self._signers.values())
        signer = self._signers.get(kid)
        return signer is not None and compare_digest(_signature(signer, signed), written)


def _signature(signer: hmac.HMAC, signed: bytes) -> bytes:
    """HS256 (RFC 7518, 3.2), without the equals sign at its end."""
    mac = signer.copy()
    mac.update(signed)
    return urlsafe_b64encode(mac.digest())[:-1]


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


def _claims(payload: _Payload, now: float) -> Claims:
    """What the claims say. Checked here: PyJWT asks a clock of its own and takes "1", 1.0 and true for times.

    Raises: InvalidToken, outside its time too.
    """
    not_before = payload.iat if payload.nbf is UNSET else max(payload.iat, payload.nbf)
    if payload.exp <= payload.iat or not payload.jti:
        raise InvalidToken
    if not_before > now + LEEWAY or payload.exp <= now:
        raise InvalidToken
    return Claims(_id(payload.sub), _id(payload.sid), payload.role)


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

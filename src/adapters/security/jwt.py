"""Access tokens as JSON Web Tokens (RFC 7519, in the profile of RFC 9068)."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Literal
from uuid import UUID

import jwt
import msgspec
from jwt import InvalidSignatureError, PyJWK, PyJWS, PyJWTError
from msgspec import UNSET, Struct, UnsetType

from ...application.ports.security import Claims, Token
from ...domain.refusals import InvalidToken
from ...domain.user import Role

LIFETIME: Final = 900
"""Seconds."""

LEEWAY: Final = 5
"""Seconds by which the clock of the issuing machine may be ahead."""

LONGEST: Final = 2_048
"""Maximum characters of a token to read. Issued tokens are much shorter."""

_NAME: Final = "boxoffice"
_TYPE: Final = "at+jwt"
_ALGORITHM: Final = "HS256"
_LENGTH_OF_ID: Final = 36
_HEADER: Final = frozenset({"alg", "kid", "typ"})


class _Payload(Struct):
    """The claims as encoded, with strict types: "1", 1.0 and true are not times."""

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
    """Sign tokens with the newest secret and verify them with any; each secret has at least 32 bytes.

    Tokens are not cached: in a rush nearly every token is another customer's.
    """

    def __init__(self, newest_secret: str, *older_secrets: str, lifetime: int = LIFETIME) -> None:
        self.lifetime: int = lifetime
        self._kid = _kid(newest_secret)
        self._secret = newest_secret.encode()
        all_secrets = (newest_secret, *older_secrets)
        # Created once, because PyJWT prepares a key of plain bytes again for each token.
        self._keys = {_kid(secret): _key(secret) for secret in all_secrets}
        self._by_header = {_header(secret): self._keys[_kid(secret)] for secret in all_secrets}
        self._jws = PyJWS(algorithms=[_ALGORITHM])

    def issue(self, claims: Claims, now: datetime) -> Token:
        """Return a token for one session, valid for `lifetime` seconds from now."""
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
        headers = {"typ": _TYPE, "kid": self._kid}
        return Token(jwt.encode(payload, self._secret, _ALGORITHM, headers=headers), self.lifetime)

    def read(self, text: str, now: datetime) -> Claims:
        """Return the claims of a valid token. Raises: InvalidToken."""
        # PyJWT accepts padding, which RFC 7515 forbids.
        if len(text) > LONGEST or not text.isascii() or "=" in text:
            raise InvalidToken
        try:
            payload = _payload_of(self._verified(text))
        except (PyJWTError, ValueError, RecursionError):
            raise InvalidToken from None
        return _claims(payload, now.timestamp())

    def _verified(self, text: str) -> bytes:
        """Return the payload if the signature is valid. Raises: InvalidToken, PyJWTError, ValueError, RecursionError.

        All tokens issued with a key have the same encoded header, so the header identifies the key and only the
        signature must be checked. PyJWT's decoder, which is much slower, is used for any other header.
        """
        signed, _, signature = text.rpartition(".")
        header, _, payload = signed.partition(".")
        key = self._by_header.get(header)
        if key is None:
            return self._verified_by_any(text)
        expected = urlsafe_b64encode(key.Algorithm.sign(signed.encode(), key.key)).rstrip(b"=")
        if not compare_digest(expected, signature.encode()):
            raise InvalidToken
        return urlsafe_b64decode(f"{payload}==")

    def _verified_by_any(self, text: str) -> bytes:
        for kid, key in self._keys.items():
            try:
                found = self._jws.decode_complete(text, key, algorithms=[_ALGORITHM])
            except InvalidSignatureError:
                continue
            _check_header(found["header"], kid)
            payload: bytes = found["payload"]
            return payload
        raise InvalidToken


def _check_header(header: dict[str, Any], kid: str) -> None:
    """Check the header of a token signed by the key `kid`: explicit typing (RFC 8725, 3.11), no unknown parameters.

    Raises: InvalidToken.
    """
    if not header.keys() <= _HEADER or header.get("typ") != _TYPE or header.get("kid", kid) != kid:
        raise InvalidToken


def _claims(payload: _Payload, now: float) -> Claims:
    """Return the claims after checking the times. PyJWT would use its own clock and accept "1", 1.0 and true as times.

    Raises: InvalidToken.
    """
    not_before = payload.iat if payload.nbf is UNSET else max(payload.iat, payload.nbf)
    if payload.exp <= payload.iat or not payload.jti:
        raise InvalidToken
    if not_before > now + LEEWAY or payload.exp <= now:
        raise InvalidToken
    return Claims(_id(payload.sub), _id(payload.sid), payload.role)


def _id(text: str) -> UUID:
    """Return the UUID in its canonical form. Raises: InvalidToken."""
    # The decoder accepts upper case and missing hyphens too.
    if len(text) != _LENGTH_OF_ID or text != text.lower():
        raise InvalidToken
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise InvalidToken from None


def _kid(secret: str) -> str:
    """Return an id for a secret that reveals nothing about it."""
    return sha256(b"boxoffice kid\0" + secret.encode()).hexdigest()[:12]


def _key(secret: str) -> PyJWK:
    return PyJWK({"kty": "oct", "k": urlsafe_b64encode(secret.encode()).decode().rstrip("="), "alg": _ALGORITHM})


def _header(secret: str) -> str:
    """Return the encoded header of all tokens that this secret signs."""
    headers = {"typ": _TYPE, "kid": _kid(secret)}
    return jwt.encode({}, secret.encode(), _ALGORITHM, headers=headers).partition(".")[0]

"""API keys: random texts behind a prefix, and their encryption in stored answers."""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ...application.ports.accounts.api_keys import KeyText

PREFIX: Final = "bxo_"
"""By this, scanners of repositories and logs recognize a key."""

_BYTES: Final = 32
"""256 random bits cannot be guessed, so a plain SHA-256 is a sufficient hash: a slow one protects guessable secrets."""

_TEXT: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


class RandomApiKeyTexts:
    """Keys of 47 characters: the prefix, and 32 random bytes in base64url. They do not depend on any secret.

    Only the sealed text of a stored answer does. It is sealed with the newest secret, and opened with any.
    """

    def __init__(self, newest_secret: str, *older_secrets: str) -> None:
        self._seal = MultiFernet([_fernet(secret) for secret in (newest_secret, *older_secrets)])

    def new(self) -> KeyText:
        """See the port."""
        text = PREFIX + secrets.token_urlsafe(_BYTES)
        return KeyText(text, _digest(text))

    def is_one(self, text: str) -> bool:
        """See the port."""
        return text.startswith(PREFIX)

    def digest_of(self, text: str) -> bytes | None:
        """See the port."""
        return _digest(text) if _TEXT.fullmatch(text) else None

    def sealed(self, text: str) -> str:
        """See the port."""
        return self._seal.encrypt(text.encode()).decode()

    def opened(self, sealed: str) -> str | None:
        """See the port."""
        try:
            return self._seal.decrypt(sealed).decode()
        except InvalidToken:
            return None


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _fernet(secret: str) -> Fernet:
    """Return an encryption with a key of its own, derived from a secret that signs other things too."""
    return Fernet(urlsafe_b64encode(hmac.digest(secret.encode(), b"boxoffice/api-keys/1", "sha256")))

"""Tokens of links in mails: the link's id and a message authentication code."""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

_CODE_BYTES: Final = 32
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{64}")


class HmacLinkTokens:
    """Tokens of 64 characters: the 16 bytes of the id and an HMAC-SHA256 of them, in base64url.

    They are made with a key derived from the newest secret, and accepted if made with any.
    """

    def __init__(self, newest_secret: str, *older_secrets: str) -> None:
        self._keys = [_key(secret) for secret in (newest_secret, *older_secrets)]

    def text(self, link_id: UUID) -> str:
        """See the port."""
        return _text(self._keys[0], link_id)

    def read(self, text: str) -> UUID | None:
        """See the port."""
        if not _TEXT.fullmatch(text):
            return None
        link_id = UUID(bytes=urlsafe_b64decode(text)[:-_CODE_BYTES])
        return link_id if any(hmac.compare_digest(_text(key, link_id), text) for key in self._keys) else None


def _key(secret: str) -> bytes:
    """Return a key of its own, so that no access token is a link's token and the reverse."""
    return hmac.digest(secret.encode(), b"boxoffice/links/1", "sha256")


def _text(key: bytes, link_id: UUID) -> str:
    return urlsafe_b64encode(link_id.bytes + hmac.digest(key, link_id.bytes, "sha256")).decode()

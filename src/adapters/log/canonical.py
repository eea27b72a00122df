"""Values that have exactly one text."""

import re
from base64 import b64decode, b64encode
from typing import Final

MOST_SIZE: Final = 2**63 - 1

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Malformed(ValueError):
    """A text or a file does not have its format."""


def to_base64(value: bytes) -> str:
    """Return the standard base64 of bytes."""
    return b64encode(value).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes of a standard base64 text, with padding and without any other bit set.

    Raises: Malformed.
    """
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise Malformed("base64 is broken") from None
    if to_base64(value) != text:
        raise Malformed("base64 is not canonical")
    return value


def from_decimal(text: str) -> int:
    """Return a whole number without a sign and leading zeros.

    Raises: Malformed.
    """
    if not _NUMBER.fullmatch(text) or (number := int(text)) > MOST_SIZE:
        raise Malformed("a number is broken")
    return number

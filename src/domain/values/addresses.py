"""E-mail addresses: one spelling for each mailbox, and only domains that mail can reach."""

import unicodedata
from typing import Final

import idna

from .characters import is_invisible, trimmed
from .fields import check_characters, check_direction

LONGEST: Final = 254
LONGEST_LOCAL_PART: Final = 64
"""Bytes of UTF-8 (RFC 5321, 4.5.3.1.1 and RFC 6531)."""

_MALFORMED: Final = "must be an e-mail address: one @ with something on both sides, and no spaces"
_LENGTH: Final = f"must have 3 to {LONGEST} characters"
_UNREACHABLE: Final = "must have a domain that mail can reach (IDNA 2008) after the @"


def email(value: str) -> str:
    """Return the address in the spelling of an account: lower case, the domain by IDNA 2008 in Unicode.

    Raises: ValueError, also for a domain that mail cannot reach and for characters that are mapped to others.
    """
    check_characters(value)
    check_direction(value)
    typed = trimmed(value)
    local, at, domain = typed.partition("@")
    if not (local and at and domain) or "@" in domain or any(character.isspace() for character in typed):
        raise ValueError(_MALFORMED)
    if any(is_invisible(character) for character in typed):
        raise ValueError("must not contain invisible characters")
    for character in typed:
        # A full-width letter, a ligature, the Kelvin sign: each looks like another character and is mapped to it.
        if unicodedata.normalize("NFKC", character) != character or len(character.lower()) != 1:
            raise ValueError(f"must not contain U+{ord(character):04X}, which stands for another character")
    if len(typed) > LONGEST:
        raise ValueError(_LENGTH)
    return f"{_local_part(_lower(local))}@{_normalized_domain(_lower(domain))}"


def tried_email(value: str) -> str:
    """Return the stored address that this one signs in to.

    An account older than today's rules may have an address that they refuse. It keeps that one in the spelling of
    earlier rules, trimmed and in lower case, and no mail is sent to it.

    Raises: ValueError for addresses that earlier rules refused too.
    """
    try:
        return email(value)
    except ValueError:
        return _earlier_spelling(value)


def is_reachable(stored: str) -> bool:
    """Return whether a mail can reach a stored address."""
    try:
        return email(stored) == stored
    except ValueError:
        return False


def _earlier_spelling(value: str) -> str:
    check_characters(value)
    check_direction(value)
    earlier = _lower(value.strip())
    local, at, domain = earlier.partition("@")
    if not (local and at and domain) or "@" in domain or any(character.isspace() for character in earlier):
        raise ValueError(_MALFORMED)
    if len(earlier) > LONGEST:
        raise ValueError(_LENGTH)
    return earlier


def _lower(part: str) -> str:
    return unicodedata.normalize("NFC", part.lower())


def _local_part(local: str) -> str:
    if len(local.encode()) > LONGEST_LOCAL_PART:
        raise ValueError(f"must have at most {LONGEST_LOCAL_PART} bytes before the @")
    return local


def _normalized_domain(domain: str) -> str:
    """Return the domain in Unicode, without the dot of the root."""
    rooted = domain.removesuffix(".")
    try:
        # Both forms, Unicode and ASCII, give the same result.
        kept = idna.decode(idna.encode(rooted, strict=True), strict=True)
    except idna.IDNAError as error:
        raise ValueError(_UNREACHABLE) from error
    if kept.endswith("."):
        raise ValueError(_UNREACHABLE)
    return kept

"""Detection of secrets that are easy to guess."""

import re
import secrets
from collections.abc import Callable
from itertools import pairwise
from typing import Final

RANDOM_BYTES: Final = 32
"""The least size of a key for HS256 (RFC 7518, 3.2)."""

HEX_LENGTH: Final = RANDOM_BYTES * 2
BASE64_LENGTH: Final = 43
"""Characters of `RANDOM_BYTES` in base64, without padding."""

MADE_BY: Final = "boxoffice secret"
"""The command that makes a secret."""

LEAST_DISTINCT: Final = 11
"""The least number of distinct characters: more than the ten decimal digits. Random secrets practically never fail."""

MOST_ALIKE: Final = 0.9
"""The largest share of separators and letters of one case. Random base64 is far below it."""

LEAST_UNEXPLAINED: Final = 0.7
"""The smallest share of characters outside words and patterns. Random characters form short words by chance."""

_MAX_SEARCHED: Final = 72
"""Characters that zxcvbn reads at most."""

_SEPARATORS: Final = frozenset(" -_.,;:!?'\"/")

_PLACEHOLDERS: Final = (
    *("changeme", "changethis", "changeit", "replaceme", "replacethis", "replacewith", "placeholder", "donotuse"),
    *("yoursecret", "yourjwtsecret", "yourownsecret", "your256bit", "secrethere", "keyhere", "insertyour", "notsecret"),
    # The defaults of jwt.io and Supabase.
    *("astringsecretatleast256bitslong", "supersecretjwttokenwithatleast32characterslong"),
)
"""Placeholders of examples, reduced to lower-case letters and digits."""


def new_secret() -> str:
    """Return 32 random bytes in base64url in which `weakness_of` finds nothing."""
    while True:
        secret = secrets.token_urlsafe(RANDOM_BYTES)
        if weakness_of(secret) is None:
            return secret


def weakness_of(secret: str) -> str | None:
    """Return what makes the secret easy to guess, without quoting it; None if nothing was found.

    Randomness cannot be tested; only short texts and known patterns can be refused.
    """
    return next((weakness for is_weak, weakness in _WEAKNESSES if is_weak(secret)), None)


def _is_short(secret: str) -> bool:
    is_hex = re.fullmatch(r"[0-9a-fA-F]+", secret) is not None
    return len(secret) < (HEX_LENGTH if is_hex else BASE64_LENGTH)


def _repeats_itself(secret: str) -> bool:
    return any(secret == (secret[:size] * len(secret))[: len(secret)] for size in range(1, len(secret) // 2 + 1))


def _has_few_characters(secret: str) -> bool:
    return len(set(secret)) < LEAST_DISTINCT


def _counts_up_or_down(secret: str) -> bool:
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(secret)]
    return sum(step <= 1 for step in steps) * 2 > len(steps)


def _is_a_placeholder(secret: str) -> bool:
    plain = re.sub(r"[\W_]", "", secret.casefold())
    return any(placeholder in plain for placeholder in _PLACEHOLDERS)


def _is_a_sentence(secret: str) -> bool:
    """Return whether nearly all of it is letters of one case, in any language, and separators."""
    separators = sum(character in _SEPARATORS for character in secret)
    for is_case in (str.islower, str.isupper):
        if separators + sum(map(is_case, secret)) >= MOST_ALIKE * len(secret):
            return True
    return False


def _is_made_of_words(secret: str) -> bool:
    if re.fullmatch(r"[0-9a-fA-F]+", secret):
        return False
    from zxcvbn import zxcvbn  # noqa: PLC0415 - loading its word lists is slow

    read = secret[:_MAX_SEARCHED]
    unexplained = sum(len(match["token"]) for match in zxcvbn(read)["sequence"] if match["pattern"] == "bruteforce")
    return unexplained < LEAST_UNEXPLAINED * len(read)


_WEAKNESSES: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (_repeats_itself, "repeats itself"),
    (_has_few_characters, f"has fewer than {LEAST_DISTINCT} different characters"),
    (_counts_up_or_down, "mostly counts up or down"),
    (_is_a_placeholder, "contains a placeholder of an example"),
    (_is_short, f"is shorter than {RANDOM_BYTES} bytes in base64 or hexadecimal"),
    (_is_a_sentence, "reads like a sentence"),
    (_is_made_of_words, "is made of words and patterns"),
)

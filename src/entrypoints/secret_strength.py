"""What makes a secret one that others can guess, although it is long enough."""

import re
import secrets
from collections.abc import Callable
from itertools import pairwise
from typing import Final

RANDOM_BYTES: Final = 32
"""Bytes of a secret for HS256 (RFC 7518, 3.2)."""

HEX_LENGTH: Final = RANDOM_BYTES * 2
BASE64_LENGTH: Final = 43
"""Characters that say so many bytes, without padding."""

MADE_BY: Final = "boxoffice secret"
"""The command that makes a secret."""

LEAST_DISTINCT: Final = 11
"""Characters. Digits alone have ten; 64 random hexadecimal digits have fewer than eleven once in a billion secrets."""

MOST_ALIKE: Final = 0.9
"""The largest share of letters of one case and separators. Of 43 random characters in base64 some 19 are such."""

LEAST_UNEXPLAINED: Final = 0.7
"""The smallest share of characters that belong to no word or pattern. Random ones spell short words by chance."""

_MOST_READ: Final = 72
"""Characters that are searched for words: the library reads no more."""

_SEPARATORS: Final = frozenset(" -_.,;:!?'\"/")

_PLACEHOLDERS: Final = (
    *("changeme", "changethis", "changeit", "replaceme", "replacethis", "replacewith", "placeholder", "donotuse"),
    *("yoursecret", "yourjwtsecret", "yourownsecret", "your256bit", "secrethere", "keyhere", "insertyour", "notsecret"),
    # What jwt.io and Supabase sign with until somebody changes it.
    *("astringsecretatleast256bitslong", "supersecretjwttokenwithatleast32characterslong"),
)
"""What stands in examples to be replaced, as small letters and digits alone."""


def new_secret() -> str:
    """Return 32 random bytes in base64url that `weakness_of` finds nothing in."""
    while True:
        secret = secrets.token_urlsafe(RANDOM_BYTES)
        if weakness_of(secret) is None:
            return secret


def weakness_of(secret: str) -> str | None:
    """Return what makes the secret easy to guess, in words that do not show it; None where nothing is found.

    A program cannot see that a text is random. It can see that a text is shorter than 32 bytes in hexadecimal or base64
    are, and that it looks like nothing that a random generator writes.
    """
    return next((words for is_weak, words in _WEAKNESSES if is_weak(secret)), None)


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
    """Whether nearly all of it is letters of one case, in any language, and what stands between words."""
    separators = sum(character in _SEPARATORS for character in secret)
    for is_case in (str.islower, str.isupper):
        if separators + sum(map(is_case, secret)) >= MOST_ALIKE * len(secret):
            return True
    return False


def _is_made_of_words(secret: str) -> bool:
    if re.fullmatch(r"[0-9a-fA-F]+", secret):
        return False
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists take a while to load

    read = secret[:_MOST_READ]
    unexplained = sum(len(match["token"]) for match in zxcvbn(read)["sequence"] if match["pattern"] == "bruteforce")
    return unexplained < LEAST_UNEXPLAINED * len(read)


_WEAKNESSES: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (_repeats_itself, "repeats itself"),
    (_has_few_characters, f"has fewer than {LEAST_DISTINCT} different characters"),
    (_counts_up_or_down, "mostly counts up or down"),
    (_is_a_placeholder, "is what an example says"),
    (_is_short, f"is shorter than {RANDOM_BYTES} bytes in base64 or hexadecimal"),
    (_is_a_sentence, "reads like a sentence"),
    (_is_made_of_words, "is made of words and patterns"),
)

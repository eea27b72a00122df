"""What makes a secret one that others guess, although it is long enough."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

LEAST_DISTINCT: Final = 8
"""Characters. Even 32 random hexadecimal digits have fewer in one of some ten million secrets only."""

_PLACEHOLDERS: Final = (
    *("changeme", "changethis", "changeit", "replaceme", "replacethis", "replacewith", "placeholder", "donotuse"),
    *("yoursecret", "yourjwtsecret", "yourownsecret", "your256bit", "secrethere", "keyhere", "insertyour", "notsecret"),
    # What jwt.io and Supabase sign with until somebody changes it.
    *("astringsecretatleast256bitslong", "supersecretjwttokenwithatleast32characterslong"),
)
"""What stands in examples to be replaced, as small letters and digits alone."""


def weakness_of(secret: str) -> str | None:
    """What makes the secret easy to guess, in words that do not show it; None: nothing that can be seen.

    A program cannot see that a secret is random. It can see what random ones never are.
    """
    return next((words for is_weak, words in _WEAKNESSES if is_weak(secret)), None)


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


_WEAKNESSES: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (_repeats_itself, "repeats itself"),
    (_has_few_characters, f"has fewer than {LEAST_DISTINCT} different characters"),
    (_counts_up_or_down, "mostly counts up or down"),
    (_is_a_placeholder, "is what an example says"),
)

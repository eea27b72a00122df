"""The search index of events: the rows of an event, and the grams that a search looks up."""

from collections.abc import Iterator
from typing import Final

from ....domain.event import Event
from ..schema.mappers import searchable, start_order
from ..schema.types import Row

MAX_LENGTH: Final = 3
"""Characters of the longest gram. A text of at most this length is a gram."""

MAX_LOOKUPS: Final = 8
"""Maximum grams of a longer text from which the rarest one is chosen."""


def gram_rows(event: Event) -> set[Row]:
    """Return the event's rows in the search index, with values in the order of the table's columns."""
    order = start_order(event.starts_at)
    return {(event.status, gram, order, event.id) for gram in grams_of(searchable(event))}


def grams_of(text: str) -> set[bytes]:
    """Return all substrings of one to three characters of the lines of a text."""
    return {
        line[start : start + length].encode()
        for line in text.split("\n")
        for length in range(1, MAX_LENGTH + 1)
        for start in range(len(line) - length + 1)
    }


def lookup_grams(text: str) -> list[bytes]:
    """Return grams that every event with this text has, spread over the text; for a short text, the text itself."""
    if len(text) <= MAX_LENGTH:
        return [text.encode()]
    return list(
        dict.fromkeys(text[start : start + MAX_LENGTH].encode() for start in _spread(len(text) - MAX_LENGTH + 1))
    )


def _spread(length: int) -> Iterator[int]:
    """Return up to `MAX_LOOKUPS` indexes below `length`, which is at least 2, including the first and the last."""
    number = min(length, MAX_LOOKUPS)
    return (index * (length - 1) // (number - 1) for index in range(number))

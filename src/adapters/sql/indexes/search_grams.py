"""The search index of events: which rows an event has in it, and which of them a search looks up."""

from collections.abc import Iterator
from typing import Final

from ....domain.event import Event
from ..schema.mappers import searchable, start_order
from ..schema.types import Row

LONGEST: Final = 3
"""Characters of the longest gram. A text of up to so many is looked up exactly."""

MOST_LOOKED_UP: Final = 8
"""Grams of a longer text of which the rarest is looked for."""


def rows_of(event: Event) -> set[Row]:
    """The event's rows in the search index, in the order of the table's columns."""
    order = start_order(event.starts_at)
    return {(event.status, gram, order, event.id) for gram in grams_of(searchable(event))}


def grams_of(text: str) -> set[bytes]:
    """Every run of one to three characters within a line of the text."""
    return {
        line[start : start + length].encode()
        for line in text.split("\n")
        for length in range(1, LONGEST + 1)
        for start in range(len(line) - length + 1)
    }


def looked_up(text: str) -> list[bytes]:
    """The grams that every event with this text has, spread over the text; the text itself where it is one."""
    if len(text) <= LONGEST:
        return [text.encode()]
    return list(dict.fromkeys(text[start : start + LONGEST].encode() for start in _spread(len(text) - LONGEST + 1)))


def _spread(places: int) -> Iterator[int]:
    """Up to `MOST_LOOKED_UP` of two or more places, the first and the last among them."""
    wanted = min(places, MOST_LOOKED_UP)
    return (place * (places - 1) // (wanted - 1) for place in range(wanted))

"""The values of one subject over the facts of an event."""

from bisect import bisect_left
from collections.abc import Hashable
from typing import Final

NEVER: Final = 1 << 62
"""Greater than the number of any fact and than any place in a history."""


class Timeline:
    """The values that a subject had, each with its first and last fact."""

    def __init__(self) -> None:
        self._value: Hashable = None
        self._since = 0
        self._spans: dict[Hashable, tuple[list[int], list[int]]] = {}

    def set(self, seq: int, value: Hashable) -> None:
        """Set the value from this fact on."""
        if value != self._value:
            self._close(seq - 1)
            self._value, self._since = value, seq

    def finish(self) -> None:
        """Close the last span after the last fact."""
        self._close(NEVER)

    def spans(self, value: Hashable, floor: int) -> list[tuple[int, int]]:
        """Return the first and last fact of each span with this value that ends at `floor` or later."""
        first, last = self._spans.get(value, ([], []))
        begin = bisect_left(last, floor)
        return list(zip(first[begin:], last[begin:], strict=True))

    def _close(self, seq: int) -> None:
        first, last = self._spans.setdefault(self._value, ([], []))
        first.append(self._since)
        last.append(seq)

"""How many commands a queue of the turnstile serves in a second, estimated from its own transactions."""

from operator import add
from typing import Final

ASSUMED_PER_SECOND: Final = 2_000
"""Commands that full transactions are taken to serve in a second until some were seen."""

ASSUMED_FIXED_SECONDS: Final = 0.005
"""Seconds that a transaction is taken to need whatever it holds, until some were seen."""

_ASSUMED_WEIGHT: Final = 0.2
"""What an assumed transaction weighs beside one that was seen."""

_KEPT: Final = 0.8
"""What one more transaction leaves of the weight of those before it, so that some ten count."""


class Throughput:
    """What full transactions serve in a second.

    A transaction takes a time of its own and a time for each command: a line, fitted by least squares to the last
    transactions. Small transactions therefore tell how long a full one takes, and a quiet service does not look slow.
    Two assumed observations, an empty and a full transaction, keep the line defined and fade as others come.
    """

    def __init__(self, most_together: int) -> None:
        self._most_together = most_together
        full = most_together / ASSUMED_PER_SECOND + ASSUMED_FIXED_SECONDS
        assumed = map(add, _sums(0, ASSUMED_FIXED_SECONDS), _sums(most_together, full))
        self._assumed = [each * _ASSUMED_WEIGHT for each in assumed]
        self._seen = [0.0] * len(self._assumed)
        self.per_second = self._estimate()
        """Commands a second."""

    def note(self, commands: int, seconds: float) -> None:
        """A transaction served so many commands in that time, its repetitions included."""
        new = _sums(commands, seconds)
        self._seen = [before * _KEPT + each for before, each in zip(self._seen, new, strict=True)]
        self.per_second = self._estimate()

    def _estimate(self) -> float:
        weight, n, nn, t, nt = map(add, self._seen, self._assumed)
        of_each = (weight * nt - n * t) / (weight * nn - n * n)
        fixed = (t - of_each * n) / weight
        # A full one takes no less than the average one, however the line falls.
        seconds: float = max(fixed + of_each * self._most_together, t / weight)
        return self._most_together / seconds


def _sums(commands: int, seconds: float) -> tuple[float, float, float, float, float]:
    """What one transaction adds to the sums that the line is fitted to."""
    return 1.0, float(commands), float(commands**2), seconds, commands * seconds

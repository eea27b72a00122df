"""The throughput of a queue of the turnstile, estimated from its own transactions."""

from operator import add
from typing import Final

ASSUMED_PER_SECOND: Final = 2_000
"""Commands a second, assumed until transactions were measured."""

ASSUMED_FIXED_SECONDS: Final = 0.005
"""Seconds of an empty transaction, assumed until transactions were measured."""

_ASSUMED_WEIGHT: Final = 0.2
"""The weight of an assumed transaction; a measured one has 1."""

_KEPT: Final = 0.8
"""The factor on older weights for each new transaction, so that about ten count."""


class Throughput:
    """Estimates how many commands full transactions serve in a second.

    A transaction takes a fixed time and a time for each command, fitted by least squares to recent transactions. Small
    transactions therefore predict a full one, and a quiet service does not look slow. Two assumed observations, an
    empty and a full transaction, keep the fit defined and lose their weight over time.
    """

    def __init__(self, most_together: int) -> None:
        self._most_together = most_together
        full = most_together / ASSUMED_PER_SECOND + ASSUMED_FIXED_SECONDS
        assumed = map(add, _sums(0, ASSUMED_FIXED_SECONDS), _sums(most_together, full))
        self._assumed = [each * _ASSUMED_WEIGHT for each in assumed]
        self._measured = [0.0] * len(self._assumed)
        self.per_second: float = self._estimate()
        """Commands a second."""

    def add(self, commands: int, seconds: float) -> None:
        """Add a transaction: its commands, and its seconds with all repetitions."""
        new = _sums(commands, seconds)
        self._measured = [before * _KEPT + each for before, each in zip(self._measured, new, strict=True)]
        self.per_second = self._estimate()

    def _estimate(self) -> float:
        weight, n, nn, t, nt = map(add, self._measured, self._assumed)
        of_each = (weight * nt - n * t) / (weight * nn - n * n)
        fixed = (t - of_each * n) / weight
        # A full transaction takes at least as long as the average one, whatever the fit says.
        seconds: float = max(fixed + of_each * self._most_together, t / weight)
        return self._most_together / seconds


def _sums(commands: int, seconds: float) -> tuple[float, float, float, float, float]:
    """Return what one transaction adds to the sums of the fit."""
    return 1.0, float(commands), float(commands**2), seconds, commands * seconds

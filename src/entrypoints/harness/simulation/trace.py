"""The trace of a simulation, by which two runs of one seed are compared."""

import hashlib
from collections import Counter
from collections.abc import Callable


class Trace:
    """Lines with their virtual time in microseconds, and the numbers of faults and outcomes."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.lines: list[str] = []
        self.faults: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def fault(self, kind: str, where: str = "") -> None:
        """Record an injected fault."""
        self.faults[kind] += 1
        self.note(f"{kind} {where}" if where else kind)

    def note(self, what: str) -> None:
        """Record a line."""
        self.lines.append(f"{self._now()} {what}")

    def digest(self, choices: bytes, history: bytes) -> str:
        """Return a hash of the loop's choices, the faults and the history."""
        digest = hashlib.sha256(choices)
        digest.update(b"\n")
        digest.update("\n".join(self.lines).encode())
        digest.update(b"\n")
        digest.update(history)
        return digest.hexdigest()

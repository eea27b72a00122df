"""What happened in a simulation, so that two runs of one seed can be held against each other byte for byte."""

import hashlib
from collections import Counter
from collections.abc import Callable


class Trace:
    """Lines with their virtual time, and how often each kind of thing happened."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.lines: list[str] = []
        self.faults: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def fault(self, kind: str, where: str = "") -> None:
        """Something was made to go wrong."""
        self.faults[kind] += 1
        self.note(f"{kind} {where}" if where else kind)

    def note(self, what: str) -> None:
        """Something happened."""
        self.lines.append(f"{self._now()} {what}")

    def digest(self, choices: bytes, history: bytes) -> str:
        """One number for every choice that the loop took, all that went wrong, and all that clients saw."""
        whole = hashlib.sha256(choices)
        whole.update(b"\n")
        whole.update("\n".join(self.lines).encode())
        whole.update(b"\n")
        whole.update(history)
        return whole.hexdigest()

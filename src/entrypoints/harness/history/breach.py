"""The result of a check: a broken promise."""

from msgspec import Struct


class Breach(Struct, frozen=True):
    """A broken promise: its number, the broken rule as a short code, and a description."""

    promise: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"promise {self.promise} ({self.rule}): {self.what}"

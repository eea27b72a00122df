"""The clock and the ids."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time in UTC, to the microsecond."""


class Ids(Protocol):
    """Makes new ids."""

    def new(self) -> UUID:
        """An id that nobody has (UUID version 7, so that ids of one process sort by their age)."""

"""The clock and new ids."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """The current time."""

    def now(self) -> datetime:
        """Return the time in UTC, to the microsecond."""


class Ids(Protocol):
    """Makes new ids."""

    def new(self) -> UUID:
        """Return a unique id (UUID version 7, so ids of one process sort by age)."""

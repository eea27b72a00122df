"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the machine's time. Nothing that must be in order is ordered by it."""

    def now(self) -> datetime:
        """The time in UTC, to the microsecond."""
        return datetime.now(UTC)

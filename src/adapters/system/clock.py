"""The system's clock."""

from datetime import UTC, datetime


class SystemClock:
    """See the port. No order that matters depends on this clock."""

    def now(self) -> datetime:
        """Return the time in UTC, in microseconds."""
        return datetime.now(UTC)

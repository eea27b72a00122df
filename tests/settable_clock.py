"""The clock of the tests: it shows the time that a test sets."""

from datetime import datetime, timedelta


class SettableClock:
    """Shows the time that it was set to. With a `step`, each reading moves it on by that much first."""

    def __init__(self, time: datetime, *, step: timedelta = timedelta(0)) -> None:
        self.time = time
        self._step = step

    def now(self) -> datetime:
        """The time in UTC."""
        self.time += self._step
        return self.time

    def seconds(self) -> float:
        """The time in seconds since 1970."""
        return self.now().timestamp()

    def travel(self, **timespan: float) -> None:
        """Move the clock on, or back for negative numbers."""
        self.time += timedelta(**timespan)

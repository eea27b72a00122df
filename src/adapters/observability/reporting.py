"""Errors that nobody foresaw: counted always, reported to Sentry where its library (extra `sentry`) is installed."""

import logging
from collections.abc import Callable

Told = Callable[[BaseException], None]


class UnhandledErrors(logging.Handler):
    """Tells of each exception that is logged as an error: what may go wrong in a foreseen way is logged below that."""

    def __init__(self, *told: Told) -> None:
        super().__init__(logging.ERROR)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            try:
                for tell in self._told:
                    tell(error)
            except Exception:  # noqa: BLE001 - whoever logs must not fail for it
                self.handleError(record)

"""Pass unhandled errors from the log to the metrics and, if configured, to Sentry."""

import logging
from collections.abc import Callable

Reporter = Callable[[BaseException], None]


class UnhandledErrors(logging.Handler):
    """Report each exception that is logged as an error. Expected failures are logged at lower levels."""

    def __init__(self, *reporters: Reporter) -> None:
        super().__init__(logging.ERROR)
        self._reporters = reporters

    def emit(self, record: logging.LogRecord) -> None:
        """Report the record's exception, if it has one."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            try:
                for report in self._reporters:
                    report(error)
            except Exception:  # noqa: BLE001 - logging must not fail its caller
                self.handleError(record)

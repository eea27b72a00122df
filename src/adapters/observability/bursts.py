"""Log frequent occurrences as counts, at most one line a second."""

import asyncio
import logging
from typing import Final

SECONDS_BETWEEN_LINES: Final = 1.0


class Bursts:
    """Count occurrences and log their number: the first at once, later ones once a second.

    The last ones are logged within a second or by `close`. Needs a running event loop.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        """`message` has one `%d`, for the number of occurrences."""
        self._logger = logger
        self._message = message
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def count(self) -> None:
        """Count one occurrence."""
        self._count += 1
        if self._timer is None:
            self._flush()

    def close(self) -> None:
        """Log the occurrences that are not yet logged."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._count:
            self._log()

    def _flush(self) -> None:
        self._timer = None
        if self._count:
            self._log()
            self._timer = asyncio.get_running_loop().call_later(SECONDS_BETWEEN_LINES, self._flush)

    def _log(self) -> None:
        self._logger.warning(self._message, self._count)
        self._count = 0

"""What happens very often is counted in the log, a line a second at most."""

import asyncio
import logging
from typing import Final

SECONDS_BETWEEN_LINES: Final = 1.0


class Bursts:
    """Counts occurrences of one kind and logs their number: the first at once, the others once a second.

    The last ones are logged as well, a second later or when the process ends. To be used within a running event loop.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        """`message` has one `%d`, for how many they were."""
        self._logger = logger
        self._message = message
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def count(self) -> None:
        """One more."""
        self._number += 1
        if self._timer is None:
            self._tell()

    def close(self) -> None:
        """Log what was not logged yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._number:
            self._log()

    def _tell(self) -> None:
        self._timer = None
        if self._number:
            self._log()
            self._timer = asyncio.get_running_loop().call_later(SECONDS_BETWEEN_LINES, self._tell)

    def _log(self) -> None:
        self._logger.warning(self._message, self._number)
        self._number = 0

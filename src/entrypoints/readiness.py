"""Whether a process should get requests, with one line of the log for each change."""

import logging
from collections.abc import Callable
from typing import Final

from ..application.ports.errors import Unavailable
from ..application.ports.storage import Storage

_ENDING: Final = "This process is about to end."

_log = logging.getLogger(__name__)


class Draining:
    """Whether this process takes no more work, because it is about to end."""

    def __init__(self) -> None:
        self.has_begun = False

    def begin(self) -> None:
        """From now on this process is no longer ready."""
        self.has_begun = True


class Readiness:
    """Asks the storage, and tells the log what changed since the last time."""

    def __init__(self, storage: Callable[[], Storage], draining: Draining) -> None:
        self._storage = storage
        self._draining = draining
        self._reason: str | None = None

    async def __call__(self) -> None:
        """Raises: Unavailable, saying why, where no requests should be sent here."""
        if self._draining.has_begun:
            self._note(_ENDING)
            raise Unavailable(_ENDING)
        try:
            await self._storage().check_ready()
        except Unavailable as failure:
            self._note(str(failure))
            raise
        self._note(None)

    def _note(self, reason: str | None) -> None:
        before, self._reason = self._reason, reason
        if reason is not None and reason != before:
            _log.warning("Not ready: %s", reason)
        elif reason is None and before is not None:
            _log.info("Ready again")

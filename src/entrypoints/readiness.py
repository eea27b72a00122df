"""Whether a process should receive requests."""

import logging
from collections.abc import Callable
from typing import Final

from ..application.ports.errors import Unavailable
from ..application.ports.storage import Storage

_SHUTTING_DOWN: Final = "This process is about to end."

_log = logging.getLogger(__name__)


class Draining:
    """Whether this process is shutting down."""

    def __init__(self) -> None:
        self.has_begun: bool = False

    def begin(self) -> None:
        """Make this process no longer ready."""
        self.has_begun = True


class Readiness:
    """Check whether the storage is ready, and log each change."""

    def __init__(self, storage: Callable[[], Storage], draining: Draining) -> None:
        self._storage = storage
        self._draining = draining
        self._reason: str | None = None

    async def __call__(self) -> None:
        """Raises: Unavailable, with the reason, when this process should receive no requests."""
        if self._draining.has_begun:
            self._log_change(_SHUTTING_DOWN)
            raise Unavailable(_SHUTTING_DOWN)
        try:
            await self._storage().check_ready()
        except Unavailable as failure:
            self._log_change(str(failure))
            raise
        self._log_change(None)

    def _log_change(self, reason: str | None) -> None:
        before, self._reason = self._reason, reason
        if reason is not None and reason != before:
            _log.warning("Not ready: %s", reason)
        elif reason is None and before is not None:
            _log.info("Ready again")

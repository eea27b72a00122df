"""When API keys were last used."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ...domain.user import ApiKey
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction

EVERY: Final = timedelta(minutes=1)
"""A key's last use is stored at most once in this time, whatever the number of processes."""

MOST_NOTED: Final = 1_000
"""Uses that a process notes between two rounds."""


class KeyUses:
    """Notes uses of keys in memory, and stores them in the background: no request waits for it.

    What a process notes within a round is lost when it crashes, until the key's next use.
    """

    def __init__(self, storage: Storage, *, jitter: Callable[[], float] = random.random) -> None:
        self._storage = storage
        self._jitter = jitter
        self._noted: dict[UUID, datetime] = {}

    def note(self, key: ApiKey, now: datetime) -> None:
        """Note that a key is used, unless a use within the last minute is stored."""
        if key.last_used_at is not None and now - key.last_used_at < EVERY:
            return
        if key.id in self._noted or len(self._noted) < MOST_NOTED:
            self._noted[key.id] = now

    async def store(self) -> None:
        """Store what was noted since the last round. Raises: Unavailable."""
        noted, self._noted = self._noted, {}
        if not noted:
            return

        async def record(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.api_keys.record_uses(noted, EVERY)

        await in_transaction(self._storage, record, jitter=self._jitter)

"""The key that signs the checkpoints of all logs of this installation."""

import random
from collections.abc import Callable
from typing import Final
from uuid import UUID

from ..ports.errors import Unavailable
from ..ports.log.formats import CheckpointSigner, LogFormats
from ..ports.storage import Storage, UnitOfWork
from ..ports.ticket_codes import CodeKey, CodeSigner
from ..retrying_transaction import in_transaction

LOG_KEY_ID: Final = UUID(int=0)
"""Where the key is stored among those of events, so that it is encrypted anew with them."""


class LogKey:
    """Open the key of the logs. It is made when it is first needed; processes that need it at once agree.

    The name of the installation is kept with it: another name would begin other logs. Neither changes, so what a
    process remembers stays right.
    """

    def __init__(
        self,
        storage: Storage,
        vault: CodeSigner,
        formats: LogFormats,
        host: str,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._vault = vault
        self._formats = formats
        self._host = host
        self._jitter = jitter
        self._signer: CheckpointSigner | None = None

    async def __call__(self) -> CheckpointSigner:
        """Return what signs with it. Raises: SecretMissing, Unavailable."""
        if self._signer is None:
            key, host = await self._stored()
            if key is None or host is None:
                new = self._vault.new_key(LOG_KEY_ID)

                async def add(unit_of_work: UnitOfWork) -> None:
                    await unit_of_work.code_keys.add(new)
                    await unit_of_work.logs.add_host(self._host)

                await in_transaction(self._storage, add, jitter=self._jitter)
                # Another process may have been faster.
                key, host = await self._stored()
            if key is None or host is None:
                raise Unavailable("The key that was just stored was not found.")
            self._signer = self._formats.signer(host, self._vault.private_key(key))
        return self._signer

    async def _stored(self) -> tuple[CodeKey | None, str | None]:
        keys = await self._storage.code_key_queries.keys([LOG_KEY_ID])
        return keys.get(LOG_KEY_ID), await self._storage.log_queries.host()

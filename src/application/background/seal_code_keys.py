"""Encrypt the keys of tickets' codes with the newest secret, so that older secrets may go."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ..ports.storage import Storage, UnitOfWork
from ..ports.ticket_codes import CodeKey, CodeSigner
from ..retrying_transaction import in_transaction

AT_ONCE: Final = 100
"""Most keys of one round. Each takes about 0.2 ms."""


class SealCodeKeys:
    """Encrypt keys that older secrets encrypt with the newest one, in bounded steps.

    A key is opened and encrypted again, and nothing else of it changes, so it does not matter who does it last.
    """

    def __init__(
        self,
        storage: Storage,
        signer: CodeSigner,
        *,
        at_once: int = AT_ONCE,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._signer = signer
        self._at_once = at_once
        self._jitter = jitter

    async def __call__(self) -> int:
        """Return how many keys were encrypted anew, `AT_ONCE` at most. Raises: Unavailable."""
        older = self._signer.older_secrets
        keys = await self._storage.code_key_queries.sealed_by(older, self._at_once) if older else []
        if keys:
            sealed = [self._signer.sealed_anew(key) for key in sorted(keys, key=lambda key: key.event_id)]
            await in_transaction(self._storage, partial(_save, sealed), jitter=self._jitter)
        return len(keys)


async def _save(keys: Sequence[CodeKey], unit_of_work: UnitOfWork) -> None:
    for key in keys:
        await unit_of_work.code_keys.seal(key)

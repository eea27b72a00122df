"""Transactions that need no event lock."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .ports.errors import OutcomeUnknown, Retryable, Unavailable
from .ports.storage import Storage, UnitOfWork

Result = TypeVar("Result")

ATTEMPTS = 5
DEADLINE = 4.0
"""Seconds for all attempts together."""


async def in_transaction(
    storage: Storage,
    work: Callable[[UnitOfWork], Awaitable[Result]],
    *,
    jitter: Callable[[], float] = random.random,
) -> Result:
    """Run `work` and commit; run all of it again when the database rolled it back.

    `work` must be safe to repeat after an unknown outcome: put a value, or recognise its own row.

    Raises: what `work` raises, Conflict, Unavailable.
    """
    try:
        async with asyncio.timeout(DEADLINE):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    async with storage.begin() as unit_of_work:
                        result = await work(unit_of_work)
                        await unit_of_work.commit()
                        return result
                except (Retryable, OutcomeUnknown):
                    await asyncio.sleep(0.005 * attempt * jitter())
    except TimeoutError:
        pass
    raise Unavailable("The database does not answer; try again in a moment.")

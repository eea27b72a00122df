"""Reads shared by those who ask at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from .failures import StorageFailure, Unavailable

Key = TypeVar("Key")
Value = TypeVar("Value")


class Shared(Generic[Key, Value]):
    """One query for all who asked while the last one ran, as the turnstile does it for commands.

    A query begins after everybody who gets its answer has asked, so what they get is what is committed, never older.
    """

    def __init__(self, load: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._load = load
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Value | None:
        """What there is by that key; None: nothing. Raises: what loading raises."""
        future = self._asked.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[key] = loop.create_future()
            if self._runner is None:
                self._runner = loop.create_task(self._run())
        # Shielded, because others may wait for it as well.
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await self._load(list(asked))
                except StorageFailure as failure:
                    # Whoever asked meanwhile would wait for the same.
                    later, self._asked = self._asked, {}
                    _fail([*asked.values(), *later.values()], failure)
                except BaseException as error:
                    is_ending = not isinstance(error, Exception)
                    _fail(list(asked.values()), Unavailable("The service is shutting down.") if is_ending else error)
                    if is_ending:
                        raise
                else:
                    for key, future in asked.items():
                        future.set_result(found.get(key))
        finally:
            self._runner = None


def _fail(futures: "Sequence[asyncio.Future[Value | None]]", error: BaseException) -> None:
    for future in futures:
        future.set_exception(error)
        # Those who asked may have gone; then nobody has to hear of it.
        future.exception()

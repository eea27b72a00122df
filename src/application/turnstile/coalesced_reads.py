"""Reads shared by those who ask at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Generic, TypeVar

from ..ports.errors import StorageFailure, Unavailable

Key = TypeVar("Key")
Value = TypeVar("Value")


class CoalescedReads(Generic[Key, Value]):
    """One query for all who asked while the last one ran, as the turnstile does it for commands.

    A query begins after everybody who gets its answer has asked, so what they get is what is committed, never older.
    """

    def __init__(self, load: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._load = load
        self._asked: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._runner: asyncio.Task[None] | None = None

    def __call__(self, key: Key) -> "asyncio.Future[Value | None]":
        """What there is by that key; None: nothing. To be waited for. Raises: what loading raises."""
        # The runner knows the loop too, and asking asyncio for it takes a call of the system.
        loop = asyncio.get_running_loop() if self._runner is None else self._runner.get_loop()
        # One for each, because whoever is cancelled must not take the others along.
        future: asyncio.Future[Value | None] = loop.create_future()
        asked = self._asked.get(key)
        if asked is None:
            self._asked[key] = [future]
        else:
            asked.append(future)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await self._load(list(asked))
                except StorageFailure as failure:
                    # Whoever asked meanwhile would wait for the same.
                    later, self._asked = self._asked, {}
                    _fail(chain(*asked.values(), *later.values()), failure)
                except BaseException as error:
                    is_ending = not isinstance(error, Exception)
                    _fail(chain(*asked.values()), Unavailable("The service is shutting down.") if is_ending else error)
                    if is_ending:
                        raise
                else:
                    for key, futures in asked.items():
                        value = found.get(key)
                        for future in futures:
                            if not future.done():
                                future.set_result(value)
        finally:
            self._runner = None


def _fail(futures: "Iterable[asyncio.Future[Value | None]]", error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)

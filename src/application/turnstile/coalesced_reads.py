"""Concurrent reads that share a query."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Generic, TypeVar

from ..ports.errors import StorageFailure, Unavailable

Key = TypeVar("Key")
Value = TypeVar("Value")


class CoalescedReads(Generic[Key, Value]):
    """Runs one query for all calls that arrived while the previous one ran, as the turnstile does for commands.

    A query starts after all of its calls, so each gets state that was committed when it called, or newer.
    """

    def __init__(self, load: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._load = load
        self._calls: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._runner: asyncio.Task[None] | None = None

    def __call__(self, key: Key) -> "asyncio.Future[Value | None]":
        """Return a future of the key's value; None: there is none. Raises: what loading raises."""
        # The runner's loop is cheaper to get: asyncio makes a system call.
        loop = asyncio.get_running_loop() if self._runner is None else self._runner.get_loop()
        # One future for each call, so cancelling one does not affect the others.
        future: asyncio.Future[Value | None] = loop.create_future()
        futures = self._calls.get(key)
        if futures is None:
            self._calls[key] = [future]
        else:
            futures.append(future)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._calls:
                calls, self._calls = self._calls, {}
                try:
                    found = await self._load(list(calls))
                except StorageFailure as failure:
                    # Calls that arrived meanwhile would wait for the same failure.
                    later, self._calls = self._calls, {}
                    _fail(chain(*calls.values(), *later.values()), failure)
                except BaseException as error:
                    is_ending = not isinstance(error, Exception)
                    _fail(chain(*calls.values()), Unavailable("The service is shutting down.") if is_ending else error)
                    if is_ending:
                        raise
                else:
                    for key, futures in calls.items():
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

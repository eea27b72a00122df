"""What there is once for each server of a process."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

Thing = TypeVar("Thing")


class PerServer(Generic[Thing]):
    """Makes it when it is asked for first, and lets go of it with its server."""

    def __init__(self, make: Callable[[ServerState, asyncio.AbstractEventLoop], Thing]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[object, Thing] = WeakKeyDictionary()

    def __call__(self, server: ServerState, loop: asyncio.AbstractEventLoop) -> Thing:
        """The one of this server, which runs on this loop."""
        made = self._made.get(server)
        if made is None:
            made = self._made[server] = self._make(server, loop)
        return made

"""Answers that go out together: each write wakes whoever waits for it, and who is woken takes turns with the others.

A batch of bookings is answered within milliseconds. Written one by one, each answer woke its client, on a processor
that the database needed, only to sleep again until the next one.
"""

import asyncio
from typing import Any, Final

from .per_server import PerServer

MOST_TOGETHER: Final = 16
"""Answers that wait for each other, at most, and no longer than what is ready to run takes.

With 8 and with 32 as many bookings came through. With whole batches it were fewer: their clients slept meanwhile.
"""


class Outbox:
    """What is to be written to connections, in the order in which it was put there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write it after what was put here before."""
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._loop.call_soon(self.empty)
        elif len(waiting) == MOST_TOGETHER:
            self.empty()

    def empty(self) -> None:
        """Write all of it now; what was for a connection that has ended meanwhile is dropped."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)


class ByOutbox:
    """A transport whose writes go through an outbox, and which closes after them."""

    __slots__ = ("_outbox", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send it soon."""
        self._outbox.put(self._transport, data)

    def close(self) -> None:
        """Send what was written, then end the connection."""
        self._outbox.empty()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


outbox_of: Final = PerServer(lambda _, loop: Outbox(loop))
"""The outbox of a server."""

"""Attacks of one anonymous client: many connections, or few connections that send a lot."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

SPARE_FILES: Final = 500
"""File descriptors reserved for the test itself."""

STUCK_SECONDS: Final = 1.0
"""Seconds that the attacker waits for a server that does not read; the connection then stays open."""

AT_ONCE: Final = 200
"""Connections to open at the same time."""


class Attack(Struct, frozen=True, kw_only=True):
    """Connections that each send `first`, then `then` repeatedly (`times`), and stay open until the attack ends."""

    name: str
    connections: int
    first: bytes = b""
    then: bytes = b""
    times: int = 0
    pause: float = 0.0
    """Seconds between two repetitions."""
    reads: bool = False
    """Whether it reads the responses while it sends."""
    receive_buffer: int | None = None
    ends: bool = False
    """Whether it half-closes the connection after `first`."""


class Attacker:
    """The connections of one attack."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack = attack
        self._port = port
        self._sockets: list[socket.socket] = []

    @property
    def connections(self) -> int:
        """Return the number of opened connections."""
        return len(self._sockets)

    async def begin(self) -> None:
        """Open all connections and send the first part on each."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with limit:
                with suppress(OSError, TimeoutError):
                    await self._open()

        await asyncio.gather(*(one() for _ in range(_at_most(self._attack.connections))))

    async def go_on(self) -> None:
        """Send the repetitions, as far as the server reads them."""
        if self._attack.times:
            await asyncio.gather(*map(self._send_rest, self._sockets))

    def end(self) -> None:
        """Close all connections."""
        for each in self._sockets:
            each.close()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        opened = socket.socket()
        opened.setblocking(False)
        if self._attack.receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._attack.receive_buffer)
        self._sockets.append(opened)
        async with asyncio.timeout(30):
            await loop.sock_connect(opened, ("127.0.0.1", self._port))
        async with asyncio.timeout(STUCK_SECONDS):
            await loop.sock_sendall(opened, self._attack.first)
        if self._attack.ends:
            opened.shutdown(socket.SHUT_WR)

    async def _send_rest(self, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reading = asyncio.create_task(_read_all(opened)) if self._attack.reads else None
        try:
            for _ in range(self._attack.times):
                async with asyncio.timeout(STUCK_SECONDS):
                    await loop.sock_sendall(opened, self._attack.then)
                await asyncio.sleep(self._attack.pause)
        except (OSError, TimeoutError):
            pass
        finally:
            if reading is not None:
                reading.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await reading


@asynccontextmanager
async def under(attack: Attack, port: int) -> AsyncIterator[Attacker]:
    """Run an attack for the duration of the context."""
    attacker = Attacker(attack, port)
    try:
        await attacker.begin()
        yield attacker
    finally:
        attacker.end()


async def _read_all(opened: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(opened, 65_536):
        pass


def _at_most(connections: int) -> int:
    """Raise the soft limit of file descriptors, and return how many of the connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(connections, hard - SPARE_FILES)

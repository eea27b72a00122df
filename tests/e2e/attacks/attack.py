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
    """Connections that each send `first`, then `then` repeatedly (`times`), and stay open until the attack ends.

    `pause`: seconds between two repetitions. `reads`: it reads the responses while it sends. `ends`: it half-closes the
    connection after `first`.
    """

    name: str
    connections: int
    first: bytes = b""
    then: bytes = b""
    times: int = 0
    pause: float = 0.0
    reads: bool = False
    receive_buffer: int | None = None
    ends: bool = False


@asynccontextmanager
async def under(attack: Attack, port: int) -> AsyncIterator[asyncio.Task[int]]:
    """Run an attack for the duration of the context, and yield its sending, which returns the number of connections."""
    opened: list[socket.socket] = []

    async def send() -> int:
        limit = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_open(attack, port, opened, limit) for _ in range(_at_most(attack.connections))))
        await asyncio.gather(*(_send_rest(attack, each) for each in opened))
        return len(opened)

    sending = asyncio.create_task(send())
    try:
        yield sending
    finally:
        sending.cancel()
        for each in opened:
            each.close()


async def _send_rest(attack: Attack, connection: socket.socket) -> None:
    """Send the repetitions on a connection, as far as the server reads them."""
    loop = asyncio.get_running_loop()
    reading = asyncio.create_task(_read_all(connection)) if attack.reads and attack.times else None
    try:
        for _ in range(attack.times):
            async with asyncio.timeout(STUCK_SECONDS):
                await loop.sock_sendall(connection, attack.then)
            await asyncio.sleep(attack.pause)
    except (OSError, TimeoutError):
        pass
    finally:
        if reading is not None:
            reading.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await reading


async def _open(attack: Attack, port: int, opened: list[socket.socket], limit: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    async with limit:
        with suppress(OSError, TimeoutError):
            connection = socket.socket()
            connection.setblocking(False)
            if attack.receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, attack.receive_buffer)
            opened.append(connection)
            async with asyncio.timeout(30):
                await loop.sock_connect(connection, ("127.0.0.1", port))
            async with asyncio.timeout(STUCK_SECONDS):
                await loop.sock_sendall(connection, attack.first)
            if attack.ends:
                connection.shutdown(socket.SHUT_WR)


async def _read_all(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, 65_536):
        pass


def _at_most(connections: int) -> int:
    """Raise the soft limit of file descriptors, and return how many of the connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(connections, hard - SPARE_FILES)

"""A receiver of webhooks: an HTTP server on loopback that keeps what it gets and answers what a test wants."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Received(Struct, frozen=True):
    """A request that came in whole."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def seq(self) -> int:
        """The number of the fact."""
        return int(self.content["data"]["seq"])


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes) -> Answer:
    """Always the same."""

    async def say(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return say


class Receiver:
    """The server; `answer` is what it answers each request with."""

    def __init__(self, host: str, port: int, *, is_tls: bool) -> None:
        self.host = host
        self.port = port
        self.is_tls = is_tls
        self.received: list[Received] = []
        self.connections = 0
        self.has_received = asyncio.Event()
        self.answer: Answer = says(OK)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http{'s' if self.is_tls else ''}://{self.host}:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")[:-2]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Received(first.split(" ")[1], headers, body)
                self.received.append(request)
                self.has_received.set()
                await self.answer(request, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver, ended afterwards with all its connections."""
    receiver = Receiver(host, 0, is_tls=tls is not None)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(receiver.serve(reader, writer)))

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

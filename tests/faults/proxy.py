"""A proxy in front of a MariaDB server that cuts connections, swallows what is sent, or switches to another server.

It reads the packets of the protocol, which have three bytes of length and one of sequence number before their content
(https://mariadb.com/docs/server/reference/clientserver-protocol/0-packet), and the statements that write, commit or
change the schema.
"""

import asyncio
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from random import Random
from typing import Any

from sqlalchemy.engine import make_url

_QUERY = 3
_LIMIT = 2**20


class Cut(StrEnum):
    """Where a connection is cut."""

    BEFORE_COMMIT = "before_commit"
    """The COMMIT of a write does not reach the server."""
    AT_COMMIT = "at_commit"
    """The COMMIT of a write reaches the server, whose connection stays open, but the client's is cut at once."""
    AFTER_COMMIT = "after_commit"
    """The response to the COMMIT of a write does not reach the client."""
    BEFORE_CHANGE = "before_change"
    """A change of the schema does not reach the server."""
    AFTER_CHANGE = "after_change"
    """The response to a change of the schema does not reach the client."""
    IN_A_REQUEST = "in_a_request"
    """The server gets a part of a packet."""
    IN_A_RESPONSE = "in_a_response"
    """The client gets a part of a packet."""


class After(StrEnum):
    """What happens at the end of a black hole to the connections that met it."""

    LATE = "late"
    """What was sent meanwhile arrives late."""
    CUT = "cut"
    """What was sent is lost, and both ends are closed."""
    SILENT = "silent"
    """What was sent is lost, and only the server's end is closed."""


class _Link:
    """Both ends of a connection, and what the client has sent last."""

    def __init__(self, client: StreamWriter, server: StreamWriter) -> None:
        self.client = client
        self.server = server
        self.has_written = False
        self.is_committing = False
        self.is_changing = False
        self.is_silent = False

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()

    def see(self, packet: bytes) -> None:
        """Note what a request does."""
        text = packet[5:].strip().upper() if packet[4:5] == bytes([_QUERY]) else b""
        self.has_written |= text.startswith((b"INSERT", b"UPDATE", b"DELETE"))
        # It may follow other statements in its packet.
        self.is_committing = self.has_written and text.endswith(b"COMMIT")
        self.is_changing = text.startswith((b"CREATE", b"ALTER", b"DROP"))
        self.has_written &= not text.endswith((b"COMMIT", b"ROLLBACK"))


class Proxy:
    """Forwards packets between clients and a server. `accept` serves a connection."""

    def __init__(self, url: str, random: Random) -> None:
        self.url = ""
        self.cuts: Counter[Cut] = Counter()
        self.committed = asyncio.Event()
        """Set at each COMMIT of a write that is forwarded."""
        self._target = make_url(url)
        self._random = random
        self._next_cut: Cut | None = None
        self._packets_before = 0
        self._was_cut = asyncio.Event()
        self._passes = asyncio.Event()
        self._passes.set()
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._unconnected: set[asyncio.Task[None]] = set()
        self._keeps_silent = False
        self._is_closed = False

    async def cut(self, cut: Cut, *, packets_before: int = 0) -> None:
        """Cut a connection at the first packet of this kind after so many others, and return afterwards."""
        self._next_cut, self._packets_before = cut, packets_before
        self._was_cut.clear()
        await self._was_cut.wait()

    def switch_to(self, url: str) -> None:
        """Lead new connections to another server."""
        self._target = make_url(url)

    @property
    def open_links(self) -> int:
        """Return the number of open connections."""
        return len(self._links)

    def swallow(self) -> None:
        """Forward nothing, but keep connections open and accept new ones."""
        self._passes.clear()

    def recover(self, after: After) -> None:
        """Forward again."""
        if after is not After.LATE:
            for link in self._links:
                link.is_silent = after is After.SILENT
                link.server.transport.abort()
                if after is After.CUT:
                    link.client.transport.abort()
            for task in self._unconnected:
                task.cancel()
            self._keeps_silent = after is After.SILENT
        self._passes.set()

    async def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection of a client."""
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            if await self._may_connect(task):
                await self._link(reader, writer)
            elif self._keeps_silent:
                await reader.read()
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _may_connect(self, task: "asyncio.Task[None]") -> bool:
        """Wait for the end of a black hole; return whether to connect to the server."""
        self._unconnected.add(task)
        try:
            await self._passes.wait()
        except asyncio.CancelledError:
            if self._is_closed:
                raise
            return False
        finally:
            self._unconnected.discard(task)
        return True

    async def _link(self, reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._target.host, self._target.port, limit=_LIMIT)
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            pumps = [self._requests(reader, link), self._responses(server_reader, link)]
            await asyncio.gather(*(self._until_closed(pump, link) for pump in pumps))
            if link.is_silent:
                await reader.read()
        finally:
            self._links.discard(link)
            link.cut()

    async def _until_closed(self, pump: Coroutine[Any, Any, None], link: _Link) -> None:
        try:
            await pump
        except (IncompleteReadError, OSError):
            # One end is closed: close the other, after what was sent before.
            await self._passes.wait()
            if not link.is_silent:
                for writer in (link.server, link.client):
                    writer.close()

    async def _requests(self, reader: StreamReader, link: _Link) -> None:
        while packet := await self._next(reader, link):
            link.see(packet)
            if (link.is_committing and self._is_due(Cut.BEFORE_COMMIT)) or (
                link.is_changing and self._is_due(Cut.BEFORE_CHANGE)
            ):
                return link.cut()
            if self._is_due(Cut.IN_A_REQUEST):
                link.client.transport.abort()
                return await self._send_a_part(packet, link.server)
            await _send(packet, link.server)
            if link.is_committing:
                if self._is_due(Cut.AT_COMMIT):
                    return link.client.transport.abort()
                self.committed.set()
        return None

    async def _responses(self, reader: StreamReader, link: _Link) -> None:
        while packet := await self._next(reader, link):
            if (link.is_committing and self._is_due(Cut.AFTER_COMMIT)) or (
                link.is_changing and self._is_due(Cut.AFTER_CHANGE)
            ):
                return link.cut()
            if self._is_due(Cut.IN_A_RESPONSE):
                link.server.transport.abort()
                return await self._send_a_part(packet, link.client)
            await _send(packet, link.client)
        return None

    async def _next(self, reader: StreamReader, link: _Link) -> bytes:
        """Return the next packet; b"" if the link ends in silence."""
        header = await reader.readexactly(4)
        packet = header + await reader.readexactly(int.from_bytes(header[:3], "little"))
        await self._passes.wait()
        return b"" if link.is_silent else packet

    def _is_due(self, cut: Cut) -> bool:
        if self._next_cut is not cut:
            return False
        self._packets_before -= 1
        if self._packets_before >= 0:
            return False
        self._next_cut = None
        self.cuts[cut] += 1
        self._was_cut.set()
        return True

    async def _send_a_part(self, packet: bytes, sink: StreamWriter) -> None:
        await _send(packet[: self._random.randrange(1, len(packet))], sink)
        sink.close()

    async def close(self) -> None:
        """Abort all connections."""
        self._is_closed = True
        for link in self._links:
            link.cut()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str, random: Random) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the server of this URL; `Proxy.url` leads through it."""
    proxy = Proxy(url, random)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0, limit=_LIMIT)
    port: int = server.sockets[0].getsockname()[1]
    proxy.url = make_url(url).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


async def _send(data: bytes, sink: StreamWriter) -> None:
    sink.write(data)
    with suppress(ConnectionError):
        await sink.drain()

"""A way to a MariaDB server that fails where it is told to.

It understands as much of the protocol as it needs: packets of a length in three bytes, a number in one and so many
bytes (https://mariadb.com/docs/server/reference/clientserver-protocol/0-packet), and which of them are questions that
write, commit or change the schema.
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
    """The COMMIT of something written was sent and never reaches the server."""
    AFTER_COMMIT = "after_commit"
    """The server has committed something written, and its answer never comes back."""
    BEFORE_CHANGE = "before_change"
    """A change of the schema was sent and never reaches the server."""
    AFTER_CHANGE = "after_change"
    """The server has changed the schema, and its answer never comes back."""
    IN_A_QUESTION = "in_a_question"
    """The server gets a part of a packet."""
    IN_AN_ANSWER = "in_an_answer"
    """The client gets a part of a packet."""


class After(StrEnum):
    """What becomes of connections that met a black hole, when it ends."""

    LATE = "late"
    """What was sent meanwhile arrives, late."""
    CUT = "cut"
    """What was sent is lost, and both ends are told."""
    SILENT = "silent"
    """What was sent is lost; the server has given up, and the client is never told anything."""


class _Order:
    """The next cut: of the first packet of its kind after so many others."""

    def __init__(self, cut: Cut, packets_before: int) -> None:
        self.cut = cut
        self.packets_before = packets_before
        self.hit = asyncio.Event()

    def is_due(self, cut: Cut) -> bool:
        if self.cut is not cut or self.hit.is_set():
            return False
        self.packets_before -= 1
        return self.packets_before < 0


class _Link:
    """One connection, seen from both ends."""

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


class Proxy:
    """Passes on what comes, packet by packet, until it is told otherwise."""

    def __init__(self, url: str, random: Random) -> None:
        self._target = make_url(url)
        self._random = random
        self._order: _Order | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._unserved: set[asyncio.Task[None]] = set()
        self._keeps_silent = False
        self._is_closed = False
        self.url = ""
        self.cuts: Counter[Cut] = Counter()
        self.bytes_of_parts: list[int] = []
        self.accepted = 0

    async def cut(self, cut: Cut, *, packets_before: int = 0) -> None:
        """Cut one connection there, and return when that has happened."""
        self._order = _Order(cut, packets_before)
        await self._order.hit.wait()

    @property
    def open_links(self) -> int:
        """Connections that have not ended."""
        return len(self._links)

    def swallow(self) -> None:
        """From now on nothing passes, and nobody is told: connections stay open, and new ones are accepted."""
        self._passes.clear()

    def recover(self, after: After) -> None:
        """Pass things on again."""
        if after is not After.LATE:
            for link in self._links:
                link.is_silent = after is After.SILENT
                link.server.transport.abort()
                if after is After.CUT:
                    link.client.transport.abort()
            for task in self._unserved:
                task.cancel()
            self._keeps_silent = after is After.SILENT
        self._passes.set()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            if await self._reach(task):
                await self._link(reader, writer)
            elif self._keeps_silent:
                await reader.read()
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _reach(self, task: "asyncio.Task[None]") -> bool:
        """Whether the server is to be reached, now or once the hole has ended."""
        self._unserved.add(task)
        try:
            await self._passes.wait()
        except asyncio.CancelledError:
            if self._is_closed:
                raise
            return False
        finally:
            self._unserved.discard(task)
        return True

    async def _link(self, reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._target.host, self._target.port, limit=_LIMIT)
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            pumps = [self._questions(reader, link), self._answers(server_reader, link)]
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
            # One end has hung up: the other is told, once what was said before has been passed on.
            await self._passes.wait()
            if not link.is_silent:
                for writer in (link.server, link.client):
                    writer.close()

    async def _questions(self, reader: StreamReader, link: _Link) -> None:
        while True:
            packet = await _packet(reader)
            await self._passes.wait()
            if link.is_silent:
                return None
            said = packet[5:].strip().upper() if packet[4:5] == bytes([_QUERY]) else b""
            link.has_written |= said.startswith((b"INSERT", b"UPDATE", b"DELETE"))
            # It may stand behind what it is for.
            commits = link.has_written and said.endswith(b"COMMIT")
            if commits and self._is_due(Cut.BEFORE_COMMIT):
                return link.cut()
            changes = said.startswith((b"CREATE", b"ALTER", b"DROP"))
            if changes and self._is_due(Cut.BEFORE_CHANGE):
                return link.cut()
            if self._is_due(Cut.IN_A_QUESTION):
                link.client.transport.abort()
                return await self._send_a_part(packet, link.server)
            link.is_committing, link.is_changing = commits, changes
            if said.endswith((b"COMMIT", b"ROLLBACK")):
                link.has_written = False
            await _send(packet, link.server)

    async def _answers(self, reader: StreamReader, link: _Link) -> None:
        while True:
            packet = await _packet(reader)
            await self._passes.wait()
            if link.is_silent:
                return None
            if link.is_committing and self._is_due(Cut.AFTER_COMMIT):
                return link.cut()
            if link.is_changing and self._is_due(Cut.AFTER_CHANGE):
                return link.cut()
            if self._is_due(Cut.IN_AN_ANSWER):
                link.server.transport.abort()
                return await self._send_a_part(packet, link.client)
            await _send(packet, link.client)

    def _is_due(self, cut: Cut) -> bool:
        if self._order is None or not self._order.is_due(cut):
            return False
        self.cuts[cut] += 1
        self._order.hit.set()
        return True

    async def _send_a_part(self, packet: bytes, sink: StreamWriter) -> None:
        part = packet[: self._random.randrange(1, len(packet))]
        self.bytes_of_parts.append(len(part))
        await _send(part, sink)
        sink.close()

    async def close(self) -> None:
        """Hang up on everybody."""
        self._is_closed = True
        for link in self._links:
            link.cut()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str, random: Random) -> AsyncIterator[Proxy]:
    """A proxy on a free port of loopback, in front of the server of this URL; `Proxy.url` leads through it."""
    proxy = Proxy(url, random)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0, limit=_LIMIT)
    port: int = server.sockets[0].getsockname()[1]
    proxy.url = make_url(url).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


async def _packet(reader: StreamReader) -> bytes:
    header = await reader.readexactly(4)
    return header + await reader.readexactly(int.from_bytes(header[:3], "little"))


async def _send(data: bytes, sink: StreamWriter) -> None:
    sink.write(data)
    with suppress(ConnectionError):
        await sink.drain()

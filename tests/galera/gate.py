"""A proxy in front of a cluster that can switch to another node, as a load balancer does when a node fails."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.engine import make_url


class Gate:
    """A proxy to one node that switches to another node at a COMMIT."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._next: str | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._ends: list[StreamWriter] = []
        self.url = ""
        self.has_moved = asyncio.Event()
        self.committed_again = asyncio.Event()

    def move_at_commit(self, url: str) -> None:
        """Forward the next COMMIT of a write, abort the client's connection, and lead later clients to another node."""
        self._next = url

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        node_reader, node_writer = await asyncio.open_connection(self._target.host, self._target.port)
        self._ends += [writer, node_writer]
        for pump in (self._questions(reader, node_writer, writer), self._pass_on(node_reader, writer)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _questions(self, reader: StreamReader, node: StreamWriter, client: StreamWriter) -> None:
        has_written = False
        while data := await _read(reader):
            # The writes may be in the same packet as their COMMIT.
            has_written |= data[5:11] in (b"INSERT", b"UPDATE", b"DELETE")
            commits = has_written and data.endswith(b"COMMIT")
            has_written &= not commits
            node.write(data)
            if commits and self._next is not None:
                await node.drain()
                self._target, self._next = make_url(self._next), None
                client.transport.abort()
                self.has_moved.set()
                # The node's connection stays open, so its COMMIT continues.
                return
            if commits and self.has_moved.is_set():
                self.committed_again.set()
        node.close()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await _read(reader):
            writer.write(data)
        writer.close()

    async def close(self) -> None:
        """Abort all connections."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)


async def _read(reader: StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[Gate]:
    """Open a gate on a free port of loopback; `Gate.url` connects through it."""
    gate = Gate(url)
    server = await asyncio.start_server(gate._serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    gate.url = make_url(url).set(port=port).render_as_string(hide_password=False)
    try:
        yield gate
    finally:
        server.close()
        await gate.close()

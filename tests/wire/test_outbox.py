"""Answers go out several at a time, in their order, and none is lost or kept back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from boxoffice.entrypoints.http.outbox import MOST_TOGETHER, ByOutbox, Outbox


class Client:
    """One end of a connection; what is written to the other one arrives at once."""

    def __init__(self, transport: asyncio.Transport, outbox: Outbox, far: socket.socket) -> None:
        self.raw = transport
        self.transport = ByOutbox(transport, outbox)
        self._far = far

    def received(self) -> bytes | None:
        """What has arrived since the last look; None: nothing. Empty: the connection ended."""
        try:
            return self._far.recv(1_000)
        except BlockingIOError:
            return None


@asynccontextmanager
async def connected() -> AsyncIterator[list[Client]]:
    loop = asyncio.get_running_loop()
    outbox = Outbox(loop)
    made: list[Client] = []
    far_ends: list[socket.socket] = []
    for _ in range(MOST_TOGETHER + 2):
        near, far = socket.socketpair()
        far.setblocking(False)
        far_ends.append(far)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        made.append(Client(transport, outbox, far))
    try:
        yield made
    finally:
        for client in made:
            client.raw.abort()
        for far in far_ends:
            far.close()


@pytest.fixture
async def clients() -> AsyncIterator[list[Client]]:
    async with connected() as made:
        yield made


async def _a_turn() -> None:
    await asyncio.sleep(0)


async def test_a_few_wait_for_what_is_ready_to_run(clients: list[Client]) -> None:
    for client in clients[:3]:
        client.transport.write(b"an answer")
    assert [client.received() for client in clients[:3]] == [None] * 3
    await _a_turn()
    assert [client.received() for client in clients[:3]] == [b"an answer"] * 3


async def test_many_do_not_wait_for_more(clients: list[Client]) -> None:
    for client in clients:
        client.transport.write(b"an answer")
    assert [client.received() for client in clients] == [b"an answer"] * MOST_TOGETHER + [None] * 2
    await _a_turn()
    assert [client.received() for client in clients[MOST_TOGETHER:]] == [b"an answer"] * 2


async def test_what_is_for_one_connection_keeps_its_order(clients: list[Client]) -> None:
    clients[0].transport.write(b"one, ")
    clients[1].transport.write(b"another, ")
    clients[0].transport.write(b"two")
    await _a_turn()
    assert (clients[0].received(), clients[1].received()) == (b"one, two", b"another, ")


async def test_a_connection_ends_after_its_answer(clients: list[Client]) -> None:
    clients[0].transport.write(b"the last answer")
    clients[0].transport.close()
    assert clients[0].received() == b"the last answer"
    await _a_turn()
    assert clients[0].received() == b""


def test_who_has_gone_takes_no_others_along() -> None:
    async def write_to_three_of_whom_one_has_gone() -> None:
        async with connected() as clients:
            clients[1].raw.abort()
            while clients[1].received() is None:
                await _a_turn()
            for client in clients[:3]:
                client.transport.write(b"an answer")
            await _a_turn()
            assert [client.received() for client in clients[:3]] == [b"an answer", b"", b"an answer"]

    # On the service's own loop, where writing to what is closed is an error.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write_to_three_of_whom_one_has_gone())


async def test_all_else_is_as_the_transport_says(clients: list[Client]) -> None:
    by_outbox, raw = clients[0].transport, clients[0].raw
    assert by_outbox.get_extra_info("socket") is raw.get_extra_info("socket")
    assert not by_outbox.is_closing()
    raw.abort()
    assert by_outbox.is_closing()

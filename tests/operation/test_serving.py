"""The settings of the ASGI server: one service per port, timeouts, sizes, HTTP/1.1 only."""

import asyncio
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from boxoffice.application.ports.errors import Unavailable
from boxoffice.entrypoints.cli import serve, worker
from boxoffice.entrypoints.cli.worker import CHUNK_BYTES, DrainingApp
from boxoffice.entrypoints.readiness import Draining
from tests.faults.service import SERVE, Server, environment_for
from tests.wire.raw import request

IMPATIENT = (
    "import sys; from boxoffice.entrypoints.cli import main, serve; serve.KEEP_ALIVE_SECONDS = 1; sys.exit(main())"
)


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(sqlite_url, tmp_path, command=(sys.executable, "-c", IMPATIENT, "serve")).start()
    yield server
    server.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_service_does_not_get_its_port(server: Server, sqlite_url: str, tmp_path: Path, workers: str) -> None:
    """Several workers share a port, and the system would let any process of the same user share it."""
    for host in ("127.0.0.1", "0.0.0.0"):
        result = subprocess.run(
            [*SERVE, "--host", host, "--port", str(server.port), "--workers", workers],
            cwd=tmp_path,
            env=environment_for(sqlite_url),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (result.returncode, result.stdout) == (1, "")
        assert f"port {server.port}" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("port", [0, 15_000])
def test_a_port_is_kept_before_any_worker_listens(port: int) -> None:
    with serve._reserved("127.0.0.1", port) as (address, reserved), socket.socket() as other:
        assert (address, reserved == port) == ("127.0.0.1", port != 0)
        with pytest.raises(Unavailable, match=str(reserved)), serve._reserved("127.0.0.1", reserved):
            pass
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((address, reserved))


@pytest.mark.parametrize("sent", [b"", request(), request()[:-2]], ids=["silent", "kept alive", "half a head"])
def test_a_connection_without_a_request_is_closed_after_a_while(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(sent)
        while connection.recv(65_536):
            pass


def test_a_head_that_is_too_long_is_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request("GET /health/live HTTP/1.1", f"X-Long: {'a' * serve.BUFFER_BYTES}"))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_http_2_is_left_to_a_proxy(server: Server) -> None:
    """An HTTP/2 connection could carry many requests, but the server's limit counts connections."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        answer = connection.recv(65_536)
        assert not answer or answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1_024, 1_000_000, 10_512, 10_000),
        (1_024, 4_096, 4_096, 3_584),
        (1_024, resource.RLIM_INFINITY, 10_512, 10_000),
        (20_000, 20_000, 20_000, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY, 10_000),
        (256, 256, 256, 1),
    ],
)
def test_there_are_no_more_connections_than_file_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, connections: int
) -> None:
    limits = (soft, hard)

    def set_limits(_: int, changed: tuple[int, int]) -> None:
        nonlocal limits
        limits = changed

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    assert serve._most_connections() == connections
    assert limits == (raised, hard)


def test_a_limit_that_may_not_be_raised_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 65_536))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert serve._most_connections() == 512


class Client:
    """A client that receives a limited number of messages."""

    def __init__(self, takes: int = 1_000) -> None:
        self.messages: list[Message] = []
        self._takes = takes

    async def send(self, message: Message) -> None:
        if len(self.messages) == self._takes:
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages if message["type"] == "http.response.body")


def application(*bodies: bytes, draining: Draining | None = None) -> DrainingApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        for index, body in enumerate(bodies, 1):
            await send({"type": "http.response.body", "body": body, "more_body": index < len(bodies)})

    return DrainingApp(app, draining or Draining())


async def nothing() -> Any:
    raise AssertionError


SCOPE: Any = {"type": "http"}


async def test_a_small_answer_is_passed_on_as_it_is() -> None:
    client = Client()
    await application(b"a" * CHUNK_BYTES)(SCOPE, nothing, client.send)
    assert client.messages == [
        {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]},
        {"type": "http.response.body", "body": b"a" * CHUNK_BYTES, "more_body": False},
    ]


async def test_a_large_answer_comes_in_pieces() -> None:
    bodies = [bytes([letter]) * size for letter, size in ((1, 3 * CHUNK_BYTES), (2, 5), (3, CHUNK_BYTES + 1))]
    client = Client()
    await application(*bodies)(SCOPE, nothing, client.send)
    assert client.body == b"".join(bodies)
    sizes = [(len(each["body"]), each["more_body"]) for each in client.messages if each["type"] == "http.response.body"]
    assert sizes == [(CHUNK_BYTES, True)] * 3 + [(5, True), (CHUNK_BYTES, True), (1, False)]


async def test_a_client_that_does_not_take_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SEND_SECONDS", 0.01)
    client = Client(takes=4)
    async with asyncio.timeout(60):
        await application(bytes(10 * CHUNK_BYTES))(SCOPE, nothing, client.send)
    assert len(client.messages) == 4
    assert client.messages[-1].get("more_body") is True, "the response must not look complete"


async def test_an_answer_of_a_worker_that_is_to_end_closes_its_connection() -> None:
    draining = Draining()
    app = application(b"{}", draining=draining)
    for is_draining in (False, True):
        if is_draining:
            draining.begin()
        client = Client()
        await app(SCOPE, nothing, client.send)
        start = client.messages[0]
        assert start["type"] == "http.response.start"
        assert ((b"connection", b"close") in start["headers"]) == is_draining
        assert (b"x", b"y") in start["headers"]

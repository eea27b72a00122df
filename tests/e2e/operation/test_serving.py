"""The settings of the ASGI server: one service per port, timeouts, sizes, HTTP/1.1 only."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from boxoffice.entrypoints.cli import serve, worker
from boxoffice.entrypoints.cli.worker import CHUNK_BYTES, DrainingApp
from boxoffice.entrypoints.readiness import Draining
from tests.e2e.wire.raw import request
from tests.faults.service import SERVE, Server, environment_for, free_port, servers

IMPATIENT = (
    "import sys; from boxoffice.entrypoints.cli import main, serve; serve.KEEP_ALIVE_SECONDS = 1; sys.exit(main())"
)


@pytest.fixture
def server(migrated_sqlite_url: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(migrated_sqlite_url, tmp_path, command=(sys.executable, "-c", IMPATIENT, "serve")).start()
    yield server
    server.kill()


def serve_command(port: int, *arguments: str) -> list[str]:
    return [*SERVE, "--port", str(port), *arguments]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_service_does_not_get_its_port(
    server: Server, migrated_sqlite_url: str, tmp_path: Path, workers: str
) -> None:
    """Several workers share a port, and the system would let any process of the same user share it."""
    for host in ("127.0.0.1", "0.0.0.0"):
        result = subprocess.run(
            serve_command(server.port, "--host", host, "--workers", workers),
            cwd=tmp_path, env=environment_for(migrated_sqlite_url),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (result.returncode, result.stdout) == (1, "")
        assert f"port {server.port}" in result.stderr.splitlines()[-1]


def test_of_two_services_that_start_at_once_one_gets_the_port(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """The port is reserved before a worker listens."""
    with ExitStack() as stack:
        both = [
            stack.enter_context(
                subprocess.Popen(
                    serve_command(port),
                    cwd=tmp_path,
                    env=environment_for(migrated_sqlite_url),
                    stderr=subprocess.DEVNULL,
                )
            )
            for port in [free_port()]
            for _ in range(2)
        ]
        for each in both:
            stack.callback(each.kill)
        while [each.poll() for each in both] == [None, None]:
            pass
        assert sorted(str(each.poll()) for each in both) == ["1", "None"]


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


def test_http_2_is_not_served(server: Server) -> None:
    """An HTTP/2 connection could carry many requests, but the server's limit counts connections."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        answer = connection.recv(65_536)
        assert not answer or answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("limit", ["-Sn 256", "-n 700"])
def test_there_are_no_more_connections_than_file_descriptors(
    migrated_sqlite_url: str, tmp_path: Path, limit: str
) -> None:
    """A worker raises its soft limit, and reserves 512 descriptors for everything but connections."""
    command = ("/bin/sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *SERVE)
    with servers(migrated_sqlite_url, tmp_path, 1, command=command) as (server,), ExitStack() as stack:
        (worker,) = server.workers()
        (row,) = re.findall(r"^Max open files +(\d+) +(\d+)", Path(f"/proc/{worker}/limits").read_text(), re.MULTILINE)
        soft, hard = map(int, row)
        assert soft >= min(hard, serve.MOST_CONNECTIONS + serve.SPARE_FILES)
        for _ in range(800):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        expected = min(800, soft - serve.SPARE_FILES)
        while (opened := len(list(Path(f"/proc/{worker}/fd").iterdir()))) < expected:
            assert server.is_running
        assert opened < max(soft - serve.SPARE_FILES, expected) + 100
        stack.close()
        server.wait_until_ready()
        assert not server.complaints()


class Client:
    """A client that receives a limited number of messages."""

    def __init__(self, takes: int = 1_000) -> None:
        self.messages: list[Any] = []
        self._takes = takes

    async def send(self, message: Message) -> None:
        if len(self.messages) == self._takes:
            await asyncio.Event().wait()
        self.messages.append(message)


def application(*bodies: bytes, draining: Draining | None = None) -> DrainingApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        for index, body in enumerate(bodies, 1):
            await send({"type": "http.response.body", "body": body, "more_body": index < len(bodies)})

    return DrainingApp(app, draining or Draining())


async def nothing() -> Any:
    raise AssertionError


SCOPE: Any = {"type": "http"}


@pytest.mark.parametrize(
    ("bodies", "sizes"),
    [
        ([CHUNK_BYTES], [(CHUNK_BYTES, False)]),
        (
            [3 * CHUNK_BYTES, 5, CHUNK_BYTES + 1],
            [(CHUNK_BYTES, True)] * 3 + [(5, True), (CHUNK_BYTES, True), (1, False)],
        ),
    ],
    ids=["small", "large"],
)
async def test_an_answer_is_sent_in_chunks(bodies: list[int], sizes: list[tuple[int, bool]]) -> None:
    parts = [bytes([letter]) * size for letter, size in enumerate(bodies)]
    client = Client()
    await application(*parts)(SCOPE, nothing, client.send)
    start, *chunks = client.messages
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}
    assert b"".join(each["body"] for each in chunks) == b"".join(parts)
    assert [(len(each["body"]), each["more_body"]) for each in chunks] == sizes


async def test_a_client_that_does_not_receive_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SEND_SECONDS", 0.01)
    client = Client(takes=4)
    async with asyncio.timeout(60):
        await application(bytes(10 * CHUNK_BYTES))(SCOPE, nothing, client.send)
    assert len(client.messages) == 4
    assert client.messages[-1].get("more_body") is True, "the response must not look complete"


@pytest.mark.parametrize("is_draining", [False, True])
async def test_an_answer_of_a_draining_worker_closes_its_connection(is_draining: bool) -> None:
    draining, client = Draining(), Client()
    if is_draining:
        draining.begin()
    await application(b"{}", draining=draining)(SCOPE, nothing, client.send)
    closing = [(b"connection", b"close")] if is_draining else []
    assert client.messages[0]["headers"] == [(b"x", b"y"), *closing]

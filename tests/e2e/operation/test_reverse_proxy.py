"""The reverse proxy of deploy/Caddyfile in front of a real service."""

import json
import os
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from boxoffice.entrypoints.http.problems.catalog import CATALOG
from tests.e2e.operation.caddy import REQUIRED_VARIABLE, Answer, Caddy, ask, program
from tests.e2e.wire.people import Person, sign_up
from tests.faults.service import Server

pytestmark = pytest.mark.slow

CaddyFor = Callable[[str], Caddy]


@pytest.fixture
def caddy_for(tmp_path: Path) -> CaddyFor:
    """Return what makes a proxy in front of an address, not started yet."""
    caddy = program()
    if caddy is not None:
        return lambda upstream: Caddy(caddy, tmp_path, upstream)
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail("needs Caddy: tools/caddy.sh", pytrace=False)
    pytest.skip("needs Caddy: tools/caddy.sh")


@pytest.fixture(scope="module")
def service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a service that trusts a proxy on this machine, as compose.yaml's trusts its own."""
    directory = tmp_path_factory.mktemp("service")
    shutil.copy(sqlite_template, directory / "boxoffice.db")
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMITS": "on"}
    server = Server(f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}", directory, settings=settings)
    yield server.start()
    server.kill()


@pytest.fixture
def proxy(service: Server, caddy_for: CaddyFor) -> Iterator[Caddy]:
    with caddy_for(f"127.0.0.1:{service.port}") as caddy:
        yield caddy


def check_problem(answer: Answer, code: str) -> None:
    """Check that an answer is a problem as the service's own are."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    problem = json.loads(answer.body)
    assert problem["requestId"] == answer.headers["x-request-id"]
    expected = {"type": f"/problems/{code}", "title": CATALOG[code].title, "status": CATALOG[code].status, "code": code}
    assert problem | expected == problem
    assert answer.status == problem["status"]
    assert set(problem) == {*expected, "detail", "requestId"}
    assert (answer.headers.get("retry-after") == "1") is (code == "try-again")


def test_the_service_is_reached_by_https_only_and_not_its_metrics(proxy: Caddy, service: Server) -> None:
    answer = proxy.ask("GET", "/events")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["x-request-id"]

    redirected = httpx.get(f"http://127.0.0.1:{proxy.http_port}/events?limit=2", headers={"Host": "localhost"})
    assert (redirected.status_code, redirected.headers["location"]) == (308, "https://localhost/events?limit=2")

    assert httpx.get(f"{service.url}/metrics", timeout=60).status_code == 200
    assert httpx.get(f"{service.url}/health/ready", timeout=60).status_code == 200
    for path in ("/metrics", "/health", "/health/live", "/health/ready"):
        for spelling in (path, f"{path}/", f"{path}?x", f"/{path}", f"/.{path}", f"/%{ord(path[1]):x}{path[2:]}"):
            answer = proxy.ask("GET", spelling)
            assert answer.status == 404, spelling
            check_problem(answer, "not-found")


def test_it_speaks_http_2(proxy: Caddy) -> None:
    tls = proxy.tls
    tls.set_alpn_protocols(["h2", "http/1.1"])
    # HPACK (RFC 7541): GET, https, and literals for the path and the authority.
    fields = b"\x82\x87\x04\x07/events\x01\x09localhost"
    with (
        socket.create_connection(("127.0.0.1", proxy.https_port), timeout=60) as raw,
        tls.wrap_socket(raw, server_hostname="localhost") as connection,
        connection.makefile("rb") as received,
    ):
        assert connection.selected_alpn_protocol() == "h2"
        settings, headers = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, len(fields), 1, 5, 0, 0, 0, 1])
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers + fields)
        kind, payload = None, b""
        while kind != 1:  # HEADERS
            head = received.read(9)
            kind, payload = head[3], received.read(int.from_bytes(head[:3]))
        assert payload[0] == 0x88, "the status must be 200"


def test_the_service_knows_its_clients_and_believes_none_of_them(proxy: Caddy) -> None:
    """Failed sign-ins count per address: ten exhaust one client's, whatever it claims, and no other client's."""

    def sign_in(number: int, source: str) -> int:
        claimed = f"198.51.100.{number}"
        headers = {"X_Forwarded_For": claimed, "Forwarded": f"for={claimed}", "X_Real_IP": claimed}
        body = {"email": "ada@example.org", "password": "not the password"}
        return proxy.ask("POST", "/login", body, source=source, **headers).status

    assert [sign_in(number, "127.0.0.2") for number in range(12)] == [401] * 10 + [429] * 2
    assert sign_in(1, "127.0.0.3") == 401


def test_a_restart_of_the_service_is_hidden_or_a_503(proxy: Caddy, service: Server) -> None:
    first, second = sign_up(service.url), sign_up(service.url, "ben", "cleo")
    event = first.organizer.initialize()
    has_restarted, statuses = threading.Event(), Counter[int]()

    def book_and_cancel(person: Person) -> None:
        successes = 0
        with closing(proxy.connect()) as connection:
            while successes < 10:
                for path in ("/book", "/cancel"):
                    headers = {"Authorization": f"Bearer {person.token}"}
                    answer = ask(connection, "POST", path, {"eventId": event["id"]}, **headers)
                    statuses[answer.status] += 1
                    if answer.status >= 500:
                        check_problem(answer, "try-again")
                    successes += has_restarted.is_set() and answer.status in (200, 201)

    with ThreadPoolExecutor() as threads:
        clients = [
            threads.submit(book_and_cancel, person) for person in (first.customer, second.organizer, second.customer)
        ]
        assert service.terminate() == 0
        service.start()
        has_restarted.set()
        for client in clients:
            client.result()
    assert statuses[200] > 0 < statuses[201], statuses


@contextmanager
def listening(port: int = 0) -> Iterator[socket.socket]:
    """Return a socket that stands for the service, on a port or a free one."""
    with socket.socket() as listener:
        listener.settimeout(60)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield listener


def serve_once(listener: socket.socket, response: bytes) -> None:
    """Accept a connection, read the head of its request, and close it after a response."""
    connection, _ = listener.accept()
    with connection:
        with connection.makefile("rb") as request:
            while request.readline().strip():
                pass
        connection.sendall(response)


def test_a_connection_without_an_answer_is_tried_again_for_reads_only(caddy_for: CaddyFor) -> None:
    with (
        listening() as listener,
        caddy_for(f"127.0.0.1:{listener.getsockname()[1]}") as caddy,
        ThreadPoolExecutor() as threads,
    ):
        read = threads.submit(caddy.ask, "GET", "/events")
        serve_once(listener, b"")
        serve_once(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        assert read.result().body == b"[]"

        write = threads.submit(caddy.ask, "POST", "/book", {})
        serve_once(listener, b"")
        check_problem(write.result(), "try-again")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_answer_that_closes_its_connection_is_passed_on_without_that(caddy_for: CaddyFor) -> None:
    with (
        listening() as listener,
        caddy_for(f"127.0.0.1:{listener.getsockname()[1]}") as caddy,
        ThreadPoolExecutor() as threads,
        closing(caddy.connect()) as connection,
    ):
        for status in (503, 200):
            head = f"HTTP/1.1 {status} x\r\nConnection: close\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n"
            answer = threads.submit(ask, connection, "POST", "/book", {})
            serve_once(listener, head.encode() + b"{}")
            assert (answer.result().status, answer.result().headers["retry-after"]) == (status, "7")
            assert "connection" not in answer.result().headers


def test_requests_wait_for_a_service_that_is_starting(caddy_for: CaddyFor) -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
    with caddy_for(f"127.0.0.1:{port}") as caddy, ThreadPoolExecutor() as threads:
        write = threads.submit(caddy.ask, "POST", "/book", {})
        read = threads.submit(caddy.ask, "GET", "/events")
        caddy.wait_until_logged("connection refused", 2)
        with listening(port) as listener:
            for _ in range(2):
                serve_once(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert read.result().status == 200
        if write.result().status != 200:
            check_problem(write.result(), "try-again")  # Caddy 2.6 cannot repeat a request with a body.

"""Raw bytes against a real server: what no client library would send."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import uvicorn

from boxoffice.domain.user import Role
from boxoffice.entrypoints.http.connection import Connection
from tests.http.service import Client, Service

ID = "019a0000-0000-7000-8000-000000000001"
BODY = json.dumps({"eventId": ID}).encode()


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        told = json.loads(self.body)
        assert told["requestId"] == self.headers["x-request-id"]
        assert told["status"] == self.status
        return str(told["code"])


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def ask(self, raw: bytes) -> Answer:
        await self.send(raw)
        return await self.answer()

    async def ends(self) -> bool:
        return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def port(service: Service) -> AsyncIterator[int]:
    config = uvicorn.Config(
        service.app,
        port=0,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()  # Whoever connects before the server is ready waits for it.
    serving = asyncio.create_task(server._serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving
    listener.close()


@pytest.fixture
async def wire(port: int) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    yield wire
    wire.close()


def head(client: Client, *lines: str, first: str = "POST /book HTTP/1.1") -> bytes:
    told = (first, "Host: boxoffice", f"Authorization: Bearer {client.token}", "Content-Type: application/json", *lines)
    return "\r\n".join(told).encode("latin-1") + b"\r\n\r\n"


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


async def test_chunks_are_put_together(wire: Wire, customer: Client) -> None:
    raw = head(customer, "Transfer-Encoding: chunked") + chunked(*(BODY[at : at + 1] for at in range(len(BODY))))
    assert (await wire.ask(raw)).code == "not-found"


@pytest.mark.parametrize("size", [1, 100, 16_384])
async def test_chunks_beyond_the_limit(wire: Wire, customer: Client, size: int) -> None:
    count = 16_384 // size
    begun = head(customer, "Transfer-Encoding: chunked")
    fits = begun + chunked(*[b" " * size] * (count - (len(BODY) // size + 1)), BODY)
    if size < 16_384:
        assert (await wire.ask(fits)).code == "not-found"
    # The answer comes before the body has ended.
    await wire.send(begun + chunked(*[b" " * size] * (count + 1))[: -len(b"0\r\n\r\n")])
    assert (await wire.answer()).code == "body-too-large"


async def test_an_announced_length_is_refused_unseen(wire: Wire, customer: Client) -> None:
    assert (await wire.ask(head(customer, "Content-Length: 16385"))).code == "body-too-large"


async def test_a_length_that_no_machine_can_hold(wire: Wire, customer: Client) -> None:
    answer = await wire.ask(head(customer, "Content-Length: 999999999999999"))
    assert answer.code == "body-too-large"


async def test_a_refused_body_leaves_the_connection_in_order(wire: Wire, customer: Client) -> None:
    raw = head(customer, "Content-Length: 20000") + b" " * 20_000
    assert (await wire.ask(raw)).code == "body-too-large"
    raw = head(customer, f"Content-Length: {len(BODY)}") + BODY
    assert (await wire.ask(raw)).code == "not-found"


@pytest.mark.parametrize(
    "content",
    [b'{"eventId": "\xff"}', b'{"eventId": "\xed\xa0\x80"}', b"\xef\xbb\xbf" + BODY, b"\xff\xfe{\x00}\x00", b"\x00"],
)
async def test_broken_utf_8(wire: Wire, customer: Client, content: bytes) -> None:
    assert (await wire.ask(head(customer, f"Content-Length: {len(content)}") + content)).code == "invalid-request"


async def test_no_body_at_all(wire: Wire, customer: Client) -> None:
    assert (await wire.ask(head(customer))).code == "invalid-request"
    assert (await wire.ask(head(customer, "Content-Length: 0"))).code == "invalid-request"


async def test_headers_given_twice(wire: Wire, customer: Client) -> None:
    length = f"Content-Length: {len(BODY)}"
    assert (await wire.ask(head(customer, length, "Authorization: Bearer x") + BODY)).code == "invalid-request"
    assert (await wire.ask(head(customer, length, "Content-Type: text/plain") + BODY)).code == "unsupported-media-type"


async def test_a_client_that_waits_to_be_asked_for_its_body(wire: Wire, customer: Client) -> None:
    await wire.send(head(customer, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    assert (await wire.answer()).status == 100
    assert (await wire.ask(BODY)).code == "not-found"


async def test_head_and_304_have_no_body(wire: Wire, customer: Client) -> None:
    await wire.send(head(customer, first="HEAD /events HTTP/1.1"))
    answer = await wire.answer(has_body=False)
    assert answer.status == 200
    assert int(answer.headers["content-length"]) > 0
    assert "server" not in answer.headers
    await wire.send(head(customer, f"If-None-Match: {answer.headers['etag']}", first="GET /events HTTP/1.1"))
    answer = await wire.answer()
    assert answer.status == 304
    assert "x-request-id" in answer.headers
    assert (await wire.ask(head(customer, first="GET /me HTTP/1.1"))).status == 200


async def test_a_client_that_goes_away_in_the_middle(port: int, service: Service, customer: Client) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(customer, "Content-Length: 100") + b"{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await Wire(reader, writer).ask(head(customer, first="GET /me HTTP/1.1"))).status == 200
    writer.close()


async def test_odd_paths(wire: Wire, customer: Client) -> None:
    for path in ("/events/%ff", "/events/%00", "/%2e%2e/events", "/events/..", "/events%2F", "/events/%2F", "*", "/?/"):
        assert (await wire.ask(head(customer, first=f"GET {path} HTTP/1.1"))).code == "not-found", path
    assert (await wire.ask(head(customer, first="GET /events?limit=%zz HTTP/1.1"))).code == "invalid-request"


async def test_a_role_is_no_header(wire: Wire, service: Service, customer: Client) -> None:
    await service.container.grant_role()(customer.email, Role.CUSTOMER)
    raw = head(customer, "X-Role: admin", "X-Forwarded-User: admin", first="GET /me HTTP/1.1")
    assert json.loads((await wire.ask(raw)).body)["role"] == "customer"

"""Requests byte by byte: bodies in chunks and at their limits, broken UTF-8, headers given twice, odd paths."""

import json
from collections.abc import AsyncIterator

import pytest

from boxoffice.entrypoints.http.request import MOST_BYTES
from tests.e2e.wire.people import People
from tests.e2e.wire.raw import Answer, Raw, request
from tests.faults.service import Server

pytestmark = pytest.mark.slow

BODY = json.dumps({"eventId": "019a0000-0000-7000-8000-000000000001"}).encode()
"""An event that does not exist: a body that is taken is a 404."""

BOOK = "POST /book HTTP/1.1"
JSON = "Content-Type: application/json"


@pytest.fixture
async def raw(server: Server) -> AsyncIterator[Raw]:
    async with await Raw.connect(server.port) as raw:
        yield raw


@pytest.fixture
def token(people: People) -> str:
    return people.customer.signed_in_again().token


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def in_chunks(token: str, *parts: bytes) -> bytes:
    return request(BOOK, JSON, "Transfer-Encoding: chunked", token=token) + chunked(*parts)


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("size", [7, 1_000, MOST_BYTES])
async def test_64_kib_are_taken_in_chunks_of_any_size_and_no_byte_more(raw: Raw, token: str, size: int) -> None:
    assert (await raw.ask(in_chunks(token, *pieces(BODY.ljust(MOST_BYTES), size)))).code == "not-found"
    # What follows the last chunk is the next request. A body that is too large is refused before it ends.
    sent = in_chunks(token, *pieces(BODY.ljust(MOST_BYTES + 1), size))
    assert (await raw.ask(sent.removesuffix(b"0\r\n\r\n"))).code == "body-too-large"


@pytest.mark.parametrize("length", [MOST_BYTES + 1, 999_999_999_999_999])
async def test_64_kib_may_be_announced_and_no_byte_more(raw: Raw, token: str, length: int) -> None:
    assert (await raw.ask(request(BOOK, body=BODY.ljust(MOST_BYTES), token=token))).code == "not-found"
    assert (await raw.ask(request(BOOK, JSON, f"Content-Length: {length}", token=token))).code == "body-too-large"


@pytest.mark.parametrize("body", [BODY.ljust(MOST_BYTES + 1), BODY.ljust(1_000_000)])
async def test_the_rest_of_a_refused_body_is_no_request(raw: Raw, token: str, body: bytes) -> None:
    """The server reads it, or ends the connection."""
    assert (await raw.ask(request(BOOK, body=body, token=token))).code == "body-too-large"
    answer: Answer | None
    try:
        await raw.send(request("GET /health/live HTTP/1.1", "X-Request-Id: next"))
        answer = await raw.answer()
    except ConnectionError:
        answer = None
    assert answer is None or (answer.status, answer.request_id) == (200, "next")


async def test_a_client_that_waits_with_too_large_a_body_is_refused_at_once(raw: Raw, token: str) -> None:
    sent = request(BOOK, JSON, f"Content-Length: {MOST_BYTES + 1}", "Expect: 100-continue", token=token)
    assert (await raw.ask(sent)).code == "body-too-large"


async def test_a_body_that_ends_early_is_refused(raw: Raw, token: str) -> None:
    await raw.send(request(BOOK, JSON, "Content-Length: 100", token=token) + b"{")
    raw.send_no_more()
    answer = await raw.answer()
    assert answer is None or answer.code == "invalid-request"


@pytest.mark.parametrize(
    "path",
    [
        "/events/%ff", "/events/%00", "/%2e%2e/events", "/events/..", "/events%2F", "/events/%2F", "*", "/?/",
        "//events", "/events/", "/%65vents", "/events;a", "/events/%zz", "/metrics/", "//metrics", "/%6detrics",
        "/openapi.json/", "//openapi.json", "/%6fpenapi.json", "/docs//",
    ],
)  # fmt: skip
async def test_odd_paths_lead_nowhere(raw: Raw, path: str) -> None:
    assert (await raw.ask(request(f"GET {path} HTTP/1.1"))).code == "not-found"


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        request("GET /health/live HTTP/2.0"),
        request("GET /\x00 HTTP/1.1"),
        request("GET /health/live HTTP/1.1", "no colon"),
        request("POST /login HTTP/1.1", "Content-Length: 1", "Content-Length: 2") + b"{}",
        request("POST /login HTTP/1.1", "Transfer-Encoding: gzip"),
    ],
)
async def test_what_is_not_valid_http_is_refused_by_the_server(raw: Raw, sent: bytes) -> None:
    """In its own words, and the connection ends."""
    answer = await raw.ask(sent)
    assert answer.is_of_the_server
    answer.check(may_be_of_the_server=True)
    assert await raw.answer() is None

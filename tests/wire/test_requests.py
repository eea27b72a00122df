"""Requests byte by byte: bodies in chunks and at their limits, broken UTF-8, headers given twice, odd paths."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from boxoffice.entrypoints.http.request import MOST_BYTES
from tests.faults.service import Server
from tests.wire.people import People
from tests.wire.raw import Answer, Raw, request

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


async def test_chunks_are_put_together(raw: Raw, token: str) -> None:
    assert (await raw.ask(in_chunks(token, *pieces(BODY, 1)))).code == "not-found"
    # What follows the last chunk is the next request.
    assert (await raw.ask(request())).status == 200


@pytest.mark.parametrize("size", [7, 1_000, MOST_BYTES])
async def test_a_body_of_64_kib_is_taken_in_chunks_of_any_size(raw: Raw, token: str, size: int) -> None:
    assert (await raw.ask(in_chunks(token, *pieces(BODY.ljust(MOST_BYTES), size)))).code == "not-found"


@pytest.mark.parametrize("size", [7, 1_000, MOST_BYTES + 1])
async def test_one_byte_more_is_refused_before_the_body_ends(raw: Raw, token: str, size: int) -> None:
    sent = in_chunks(token, *pieces(BODY.ljust(MOST_BYTES + 1), size))
    assert (await raw.ask(sent.removesuffix(b"0\r\n\r\n"))).code == "body-too-large"


@pytest.mark.parametrize("length", [MOST_BYTES + 1, 999_999_999_999_999])
async def test_an_announced_length_is_refused_unseen(raw: Raw, token: str, length: int) -> None:
    assert (await raw.ask(request(BOOK, JSON, f"Content-Length: {length}", token=token))).code == "body-too-large"


async def test_an_announced_length_of_64_kib_is_taken(raw: Raw, token: str) -> None:
    assert (await raw.ask(request(BOOK, body=BODY.ljust(MOST_BYTES), token=token))).code == "not-found"


async def test_a_length_that_no_machine_can_hold_is_refused(raw: Raw, token: str) -> None:
    answer = await raw.ask(request(BOOK, JSON, f"Content-Length: {'9' * 40}", token=token))
    answer.check(may_be_of_the_server=True)
    assert answer.status in {400, 413}


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


@pytest.mark.parametrize(
    "content",
    [b'{"eventId": "\xff"}', b'{"eventId": "\xed\xa0\x80"}', b"\xef\xbb\xbf" + BODY, b"\xff\xfe{\x00}\x00", b"\x00"],
)
async def test_broken_utf_8_is_refused(raw: Raw, token: str, content: bytes) -> None:
    assert (await raw.ask(request(BOOK, body=content, token=token))).code == "invalid-request"
    assert (await raw.ask(request(BOOK, body=BODY, token=token))).code == "not-found"


async def test_a_body_is_needed(raw: Raw, token: str) -> None:
    assert (await raw.ask(request(BOOK, JSON, token=token))).code == "invalid-request"
    assert (await raw.ask(request(BOOK, body=b"", token=token))).code == "invalid-request"
    assert (await raw.ask(in_chunks(token))).code == "invalid-request"


async def test_headers_given_twice_are_refused(server: Server, token: str) -> None:
    for line, code in (
        ("Authorization: Bearer x", "invalid-request"),
        (f"Authorization: Bearer {token}", "invalid-request"),
        ("Content-Type: text/plain", "unsupported-media-type"),
        (JSON, "unsupported-media-type"),
    ):
        # A connection of its own, because the body is not read.
        async with await Raw.connect(server.port) as raw:
            assert (await raw.ask(request(BOOK, line, body=BODY, token=token))).code == code, line


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(raw: Raw, token: str) -> None:
    await raw.send(request(BOOK, JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue", token=token))
    interim = await raw.answer()
    assert interim is not None
    assert interim.status == 100
    assert (await raw.ask(BODY)).code == "not-found"


async def test_a_client_that_waits_with_too_large_a_body_is_refused_at_once(raw: Raw, token: str) -> None:
    sent = request(BOOK, JSON, f"Content-Length: {MOST_BYTES + 1}", "Expect: 100-continue", token=token)
    assert (await raw.ask(sent)).code == "body-too-large"


async def test_head_and_304_have_no_body(raw: Raw, token: str) -> None:
    answer = await raw.ask(request("HEAD /events HTTP/1.1"), is_head=True)
    assert answer.status == 200
    assert int(answer.headers["content-length"]) > 0
    tag = answer.headers["etag"]
    for method in ("GET", "HEAD"):
        answer = await raw.ask(request(f"{method} /events HTTP/1.1", f"If-None-Match: {tag}"))
        assert (answer.status, answer.headers["etag"]) == (304, tag)
        assert "x-request-id" in answer.headers
    # A body there would be taken for the beginning of the next answer.
    assert (await raw.ask(request("GET /me HTTP/1.1", token=token))).status == 200


@pytest.mark.parametrize("path", ["/nowhere", "/events/nothing", "/me", "/book"])
async def test_a_problem_has_no_body_for_head(raw: Raw, path: str) -> None:
    answer = await raw.ask(request(f"HEAD {path} HTTP/1.1"), is_head=True)
    assert answer.status in {401, 404, 405}
    assert (await raw.ask(request())).status == 200


async def test_a_client_that_goes_away_in_the_middle_disturbs_no_other(server: Server, token: str) -> None:
    async with await Raw.connect(server.port) as raw:
        await raw.send(request(BOOK, JSON, "Content-Length: 100", token=token) + b"{")
    async with await Raw.connect(server.port) as raw:
        assert (await raw.ask(request("GET /me HTTP/1.1", token=token))).status == 200


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


async def test_an_odd_query_is_a_problem_of_its_parameter(raw: Raw) -> None:
    assert (await raw.ask(request("GET /events?limit=%zz HTTP/1.1"))).code == "invalid-request"


async def test_pipelined_requests_are_answered_in_order(raw: Raw) -> None:
    await raw.send(b"".join(request("GET /health/live HTTP/1.1", f"X-Request-Id: {n}") for n in range(20)))
    for number in range(20):
        answer = await raw.answer()
        assert answer is not None
        assert answer.request_id == str(number)


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


async def test_a_role_is_no_header(raw: Raw, token: str) -> None:
    sent = request("GET /me HTTP/1.1", "X-Role: admin", "X-Forwarded-User: admin", token=token)
    assert json.loads((await raw.ask(sent)).body)["role"] == "customer"


async def test_many_requests_on_many_connections_keep_their_ids(server: Server) -> None:
    async def ask(number: int) -> None:
        async with await Raw.connect(server.port) as raw:
            for each in range(5):
                answer = await raw.ask(request("GET /events HTTP/1.1", f"X-Request-Id: {number}.{each}"))
                assert answer.request_id == f"{number}.{each}"

    await asyncio.gather(*map(ask, range(30)))

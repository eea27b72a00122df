"""What the service's connections do better than uvicorn's own, case by case."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from unittest.mock import Mock

import pytest

from boxoffice.entrypoints.cli.serve import KEEP_ALIVE_SECONDS
from boxoffice.entrypoints.http import connection
from boxoffice.entrypoints.http.connection import (
    ANSWER_SECONDS,
    ARRIVAL_SECONDS,
    LARGEST_HEAD,
    Connection,
)
from boxoffice.entrypoints.http.exchange import Response
from tests.faults.service import Server
from tests.wire.people import People
from tests.wire.raw import Raw, request

ID = "019a0000-0000-7000-8000-000000000001"
BODY = json.dumps({"eventId": ID}).encode()
LIVE = request()
GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"  # How TLS begins.


@pytest.fixture
async def raw(server: Server) -> AsyncIterator[Raw]:
    async with await Raw.connect(server.port) as raw:
        yield raw


def chunked(*parts: bytes, trailers: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return chunks + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GARBAGE, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(LIVE.replace(b"1.1", b"3.0"), id="version"),
        pytest.param(LIVE.replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(request("FOO / HTTP/1.1"), id="unknown method"),
        pytest.param(request("GET events HTTP/1.1"), id="no path"),
        pytest.param(request("GET http://boxoffice HTTP/1.1"), id="absolute without a path"),
        pytest.param(request("GET /\xff HTTP/1.1"), id="path beyond ASCII"),
        pytest.param(request("CONNECT boxoffice:80 HTTP/1.1"), id="proxy"),
        pytest.param(request("CONNECT /events HTTP/1.1"), id="proxy to a path"),
        pytest.param(request("GET /events HTTP/1.1", "X: a\x00b"), id="NUL in a header"),
        pytest.param(request("GET /events HTTP/1.1", "X : a"), id="space before the colon"),
        pytest.param(request("GET /events HTTP/1.1", "X: a", " b"), id="folded header"),
        pytest.param(request("POST /book HTTP/1.1", "Content-Length: -1"), id="negative length"),
        pytest.param(request("POST /book HTTP/1.1", "Content-Length: " + "9" * 40), id="endless length"),
        pytest.param(request("POST /book HTTP/1.1", f"Content-Length: {len(BODY)}", body=BODY), id="two lengths"),
        pytest.param(request("POST /book HTTP/1.1", "Transfer-Encoding: chunked", body=BODY), id="length and chunks"),
        pytest.param(request("POST /book HTTP/1.1", "Transfer-Encoding: chunked") + b"zz\r\n", id="no chunk"),
        pytest.param(
            request("POST /book HTTP/1.1", "Transfer-Encoding: chunked") + b"1\r\n{\r\nzz\r\n", id="2nd chunk"
        ),
        pytest.param(
            request("POST /book HTTP/1.1", "Transfer-Encoding: chunked") + b"f" * 20 + b"\r\n", id="huge chunk"
        ),
        pytest.param(request("GET /events HTTP/1.1", "X: " + "a" * LARGEST_HEAD), id="large header"),
        pytest.param(request("GET /events HTTP/1.1", *["X: a"] * 20_000), id="many headers"),
        pytest.param(request(f"GET /{'a' * LARGEST_HEAD} HTTP/1.1"), id="long path"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_like_any_other(raw: Raw, people: People, data: bytes) -> None:
    token = b"Authorization: Bearer %b\r\n" % people.customer.token.encode()
    answer = await raw.ask(data.replace(b"Host:", token + b"Host:"))
    assert answer.code == "invalid-request"
    assert answer.headers["connection"] == "close"
    assert await raw.answer() is None


async def test_the_answers_ahead_of_it_come_first(raw: Raw) -> None:
    ahead = b"".join(request("GET /events HTTP/1.1", f"X-Request-Id: {number}") for number in range(5))
    await raw.send(ahead + GARBAGE)
    for number in range(5):
        answer = await raw.answer()
        assert answer
        assert (answer.status, answer.request_id) == (200, str(number))
    answer = await raw.answer()
    assert answer
    assert answer.code == "invalid-request"
    assert await raw.answer() is None


async def test_the_answers_ahead_of_a_broken_body_come_first(raw: Raw, people: People) -> None:
    broken = request("POST /book HTTP/1.1", "Transfer-Encoding: chunked", token=people.customer.token) + b"zz\r\n"
    await raw.send(request("GET /events HTTP/1.1", "X-Request-Id: first") + broken)
    first, second = await raw.answer(), await raw.answer()
    assert first
    assert second
    assert (first.status, first.request_id, second.code) == (200, "first", "invalid-request")
    assert await raw.answer() is None


async def test_a_body_that_breaks_after_its_answer_gets_no_second_one(raw: Raw) -> None:
    answer = await raw.ask(request("POST /book HTTP/1.1", "Transfer-Encoding: chunked") + b"1\r\n{\r\n")
    assert answer.code == "not-signed-in"
    await raw.send(b"zz\r\n")
    assert await raw.answer() is None


async def test_a_body_that_breaks_later_is_answered_once(raw: Raw, people: People) -> None:
    head = request(
        "POST /book HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json", "Expect: 100-continue",
        token=people.customer.token,
    )  # fmt: skip
    # The service asks for the body, so it waits for it.
    assert (await raw.ask(head)).status == 100
    assert (await raw.ask(b"1\r\n{\r\nzz\r\n")).code == "invalid-request"
    assert await raw.answer() is None


async def test_a_trailer_is_no_header(raw: Raw, people: People) -> None:
    head = request("POST /book HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json")
    trailers = f"Authorization: Bearer {people.customer.token}\r\n".encode()
    assert (await raw.ask(head + chunked(BODY, trailers=trailers))).code == "not-signed-in"
    signed_in = request(
        "POST /book HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json",
        token=people.customer.token,
    )  # fmt: skip
    for trailer in (b"Content-Type: text/plain\r\n", b"Authorization: Bearer x\r\n", b"Idempotency-Key: \xff\r\n"):
        assert (await raw.ask(signed_in + chunked(BODY, trailers=trailer))).code == "not-found"


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
async def test_an_offered_upgrade_is_declined_and_loses_no_body(raw: Raw, people: People, protocol: str) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    token = people.customer.token
    with_length = request("POST /book HTTP/1.1", *offer, body=BODY, token=token)
    in_chunks = request(
        "POST /book HTTP/1.1", *offer, "Transfer-Encoding: chunked", "Content-Type: application/json", token=token
    ) + chunked(BODY[:5], BODY[5:])
    without = request("GET /me HTTP/1.1", *offer, token=token)
    await raw.send(with_length + without + in_chunks + LIVE)
    answers = [await raw.answer() for _ in range(4)]
    assert [answer and answer.status for answer in answers] == [404, 200, 404, 200]
    for piece in (with_length[:20], with_length[20:-10], with_length[-10:]):
        await raw.send(piece)
        await asyncio.sleep(0)
    answer = await raw.answer()
    assert answer
    assert answer.code == "not-found"


async def test_who_says_no_more_is_answered_still(raw: Raw, people: People) -> None:
    asked = b"".join(request("GET /me HTTP/1.1", f"X-Request-Id: {n}", token=people.customer.token) for n in range(5))
    await raw.send(asked)
    raw.send_no_more()
    for number in range(5):
        answer = await raw.answer()
        assert answer
        assert (answer.status, answer.request_id) == (200, str(number))
    assert await raw.answer() is None


@pytest.mark.parametrize("cut", [1, 30, len(BODY) + 5])
async def test_half_a_request_is_no_request(raw: Raw, people: People, cut: int) -> None:
    await raw.send(request("POST /book HTTP/1.1", body=BODY, token=people.customer.token)[:-cut])
    raw.send_no_more()
    assert await raw.answer() is None


async def test_what_follows_a_broken_request_is_not_looked_at(raw: Raw, people: People) -> None:
    await raw.send(GARBAGE + request("GET /me HTTP/1.1", token=people.customer.token))
    answer = await raw.answer()
    assert answer
    assert answer.code == "invalid-request"
    assert await raw.answer() is None


class Timers:
    """Stands for a loop whose time passes when a test says so."""

    def __init__(self) -> None:
        self._timers: list[tuple[float, Mock]] = []
        self._now = 0.0
        self.asked = 0
        self.task = Mock()

    def call_later(self, seconds: float, call: Callable[[], None]) -> Mock:
        self.asked += 1
        timer = Mock(call=call, is_over=False)
        timer.cancel = lambda: setattr(timer, "is_over", True)
        self._timers.append((self._now + seconds, timer))
        return timer

    def time(self) -> float:
        return self._now

    def create_task(self, answering: Coroutine[Any, Any, None]) -> Mock:
        answering.close()  # The application never comes to answer.
        return self.task

    def pass_by(self, seconds: float) -> None:
        until = self._now + seconds
        while due := sorted(((at, timer) for at, timer in self._timers if at <= until), key=lambda each: each[0]):
            self._now, timer = due[0]
            self._timers.remove(due[0])
            if not timer.is_over:
                timer.call()
        self._now = until

    @property
    def waiting(self) -> int:
        return sum(not timer.is_over for _, timer in self._timers)


class TestWaiting:
    """Nobody keeps a connection by saying nothing, or little."""

    @pytest.fixture
    def timers(self) -> Timers:
        return Timers()

    @pytest.fixture
    def transport(self) -> Mock:
        return Mock(get_extra_info=lambda name: None, is_closing=lambda: False)

    @pytest.fixture
    def connected(self, timers: Timers, transport: Mock) -> Connection:
        config = Mock(loaded=True, ws_protocol_class=None, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        state = Mock(connections=set(), tasks=set(), default_headers=[], total_requests=0)
        made = Connection(config, state, {}, timers)  # type: ignore[arg-type]
        made.connection_made(transport)
        return made

    def test_a_request_has_its_time_to_arrive(self, connected: Connection, timers: Timers, transport: Mock) -> None:
        for byte in LIVE[:-1]:
            connected.data_received(bytes([byte]))
        timers.pass_by(ARRIVAL_SECONDS - 0.1)
        connected.data_received(LIVE[-1:])
        timers.pass_by(0.2)
        assert not transport.close.called

    def test_its_time_is_not_that_of_the_one_before(
        self, connected: Connection, timers: Timers, transport: Mock
    ) -> None:
        timers.pass_by(ARRIVAL_SECONDS - 0.1)
        connected.data_received(LIVE)
        connected.cycle.response_complete = True
        timers.pass_by(0.2)
        connected.data_received(LIVE[:-1])
        timers.pass_by(ARRIVAL_SECONDS - 0.1)
        assert not transport.close.called
        timers.pass_by(0.2)
        assert transport.close.called

    def test_an_answer_has_its_time_too(self, connected: Connection, timers: Timers) -> None:
        connected.data_received(LIVE)
        timers.pass_by(ANSWER_SECONDS - 0.1)
        assert not timers.task.cancel.called
        timers.pass_by(0.2)
        assert timers.task.cancel.called

    def test_a_thousand_requests_ask_for_few_timers(self, connected: Connection, timers: Timers) -> None:
        for _ in range(1_000):
            connected.data_received(LIVE)
            connected.cycle.response_complete = True
            connected.on_response_complete()
        assert timers.asked == 3

    def test_between_requests_a_connection_stays_as_long_as_uvicorn_is_told(
        self, connected: Connection, timers: Timers, transport: Mock
    ) -> None:
        connected.data_received(LIVE)
        connected.cycle.response_complete = True
        connected.on_response_complete()
        timers.pass_by(KEEP_ALIVE_SECONDS - 0.1)
        assert not transport.close.called
        timers.pass_by(0.2)
        assert transport.close.called

    @pytest.mark.parametrize("data", [b"", b"\r\n", b"GET /ev", LIVE[:-2], request(body=b"{}")[:-1]])
    def test_then_the_connection_ends(
        self, connected: Connection, timers: Timers, data: bytes, transport: Mock
    ) -> None:
        if data:
            connected.data_received(data)
        timers.pass_by(ARRIVAL_SECONDS)
        assert transport.close.called

    def test_not_while_something_is_being_answered(
        self, connected: Connection, timers: Timers, transport: Mock
    ) -> None:
        connected.data_received(LIVE + LIVE[:10])
        timers.pass_by(2 * ARRIVAL_SECONDS)
        assert not transport.close.called

    def test_one_that_ended_waits_for_nothing(self, connected: Connection, timers: Timers) -> None:
        connected.data_received(LIVE)
        connected.connection_lost(None)
        assert timers.waiting == 0

    def test_whoever_is_being_answered_hears_that_the_client_has_gone(self, connected: Connection) -> None:
        """Though more requests came behind, of which uvicorn tells the last alone."""
        connected.data_received(LIVE)
        first = connected.cycle
        connected.data_received(LIVE)
        assert connected.cycle is not first
        connected.connection_lost(None)
        assert first.disconnected
        with pytest.raises(StopIteration) as told:
            first.receive().send(None)
        assert told.value.value == {"type": "http.disconnect"}

    def test_what_never_ends_is_cut_off(self, connected: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "LARGEST_REQUEST", 1_000)
        connected.data_received(request("POST /book HTTP/1.1", "Transfer-Encoding: chunked"))
        for _ in range(50):
            assert connected.cycle is not None
            connected.data_received(b"1\r\n \r\n")
        first = connected.cycle
        for _ in range(150):
            connected.data_received(b"1\r\n \r\n")
        assert connected.cycle is not first
        assert first.disconnected


@pytest.mark.parametrize("value", ["/a\r\nset-cookie: b", "/a\nb", "/a\rb"])
def test_no_header_ends_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="Location"):
        Response(b"", headers={"Location": value}).head(0, 200)

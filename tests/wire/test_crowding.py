"""Too many requests at once: whoever is turned away is told so in one piece, and everybody else goes on."""

import json
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from boxoffice.entrypoints.cli.serve import KEEP_ALIVE_SECONDS
from boxoffice.entrypoints.http.connection import Connection
from boxoffice.entrypoints.http.crowding import MOST_UNDER_WAY, TOLD_AT_ONCE
from boxoffice.entrypoints.http.envelope import BROKEN
from tests.wire.raw import Answer, request

BODY = json.dumps({"eventId": "019a0000-0000-7000-8000-000000000001"}).encode()
BOOKING = request("POST /book HTTP/1.1", body=BODY)
CHUNKS = request("POST /book HTTP/1.1", "Transfer-Encoding: chunked")


class Loop:
    """Stands for a loop in which nothing that was begun ever ends; what is to be called later waits in `due`."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []
        self.next_turn: list[Callable[[], None]] | None = None

    def call_later(self, seconds: float, call: Callable[[], None]) -> Mock:
        self.due.append(call)
        return Mock()

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        if self.next_turn is None:
            call(*args)
        else:
            self.next_turn.append(partial(call, *args))

    def turn(self) -> None:
        calls, self.next_turn = self.next_turn or [], []
        for each in calls:
            each()

    def time(self) -> float:
        return 0.0

    def create_task(self, answering: Coroutine[Any, Any, None]) -> Mock:
        answering.close()
        return Mock()


class Crowded:
    """A connection to a process that has as many requests under way as it may have."""

    def __init__(self, loop: Loop | None = None) -> None:
        config = Mock(loaded=True, ws_protocol_class=None, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        self.under_way: set[object] = {object() for _ in range(MOST_UNDER_WAY)}
        state = Mock(connections=set(), tasks=self.under_way, default_headers=[(b"date", b"today")], total_requests=0)
        self.loop = loop or Loop()
        self.connection = Connection(config, state, {}, self.loop)  # type: ignore[arg-type]
        self.transport = Mock(get_extra_info=lambda name: None, is_closing=lambda: False)
        self.connection.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    @property
    def answers(self) -> list[Answer]:
        return [_answer(call.args[0]) for call in self.transport.write.call_args_list]

    @property
    def has_let_in(self) -> bool:
        return self.connection.cycle is not None


def _answer(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert len(headers) == len(lines)
    return Answer(int(first.split()[1]), headers, body)


@pytest.fixture
def crowded() -> Crowded:
    return Crowded()


def test_whoever_is_too_many_is_told_when_to_come_again(crowded: Crowded) -> None:
    crowded.send(BOOKING)
    (told,) = crowded.answers
    assert told.status == 503
    assert told.code == "try-again"
    assert told.headers["retry-after"] == "1"
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["date"] == "today"
    assert told.headers["content-length"] == str(len(told.body))
    assert not crowded.has_let_in
    assert not crowded.transport.close.called


def test_one_less_under_way_lets_one_in(crowded: Crowded) -> None:
    crowded.send(BOOKING)
    crowded.under_way.pop()
    crowded.send(BOOKING)
    assert crowded.has_let_in
    assert len(crowded.answers) == 1


def test_each_request_has_its_answer(crowded: Crowded) -> None:
    crowded.send(BOOKING * 3)
    assert [each.status for each in crowded.answers] == [503] * 3
    assert len({each.request_id for each in crowded.answers}) == 3


def test_in_pieces_and_in_chunks_too(crowded: Crowded) -> None:
    for data in (BOOKING, CHUNKS + b"3\r\nabc\r\n0\r\n\r\n"):
        for byte in data:
            crowded.send(bytes([byte]))
    assert [each.status for each in crowded.answers] == [503] * 2


def test_the_id_is_the_clients_if_it_has_one(crowded: Crowded) -> None:
    crowded.send(request("GET /events HTTP/1.1", "X-Request-ID: mine"))
    (told,) = crowded.answers
    assert told.request_id == "mine"
    assert told.code == "try-again"


def test_head_has_no_body(crowded: Crowded) -> None:
    crowded.send(request("HEAD /events HTTP/1.1"))
    (told,) = crowded.answers
    assert told.body == b""
    assert int(told.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "last",
    [
        request("GET /events HTTP/1.1", "Connection: close"),
        request("GET /events HTTP/1.0"),
        request("GET /events HTTP/1.0", "Connection: keep-alive"),
    ],
)
def test_the_connection_ends_where_the_client_says_so(crowded: Crowded, last: bytes) -> None:
    crowded.send(last)
    (told,) = crowded.answers
    assert told.headers["connection"] == "close"
    assert crowded.transport.close.called


def test_the_connection_ends_with_the_process(crowded: Crowded) -> None:
    crowded.send(BOOKING[:-1])
    before = len(crowded.loop.due)
    crowded.connection.shutdown()
    for each in crowded.loop.due[before:]:
        each()
    assert not crowded.transport.close.called
    crowded.send(BOOKING[-1:])
    (told,) = crowded.answers
    assert told.headers["connection"] == "close"
    assert crowded.transport.close.called


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_who_looks_after_the_service_is_let_in(crowded: Crowded, path: str) -> None:
    crowded.send(request(f"GET {path} HTTP/1.1"))
    assert crowded.has_let_in


def test_whoever_waits_to_be_asked_for_the_body_is_let_in(crowded: Crowded) -> None:
    crowded.send(request("POST /book HTTP/1.1", "Expect: 100-continue", "Content-Length: 5"))
    assert crowded.has_let_in


def test_nobody_is_answered_before_those_who_came_ahead(crowded: Crowded) -> None:
    one = crowded.under_way.pop()
    crowded.send(BOOKING)
    crowded.under_way.add(one)
    crowded.send(BOOKING)
    assert crowded.answers == []
    assert len(crowded.connection.pipeline) == 1


def test_what_breaks_off_in_its_body_is_told_so(crowded: Crowded) -> None:
    crowded.send(CHUNKS + b"zz\r\n")
    assert crowded.answers == []
    assert BROKEN in crowded.connection.cycle.scope["extensions"]


def test_the_loop_turns_between_many_answers(crowded: Crowded) -> None:
    crowded.loop.next_turn = []
    others = [Crowded(crowded.loop) for _ in range(2 * TOLD_AT_ONCE)]
    for each in others:
        each.send(BOOKING)
    assert sum(len(each.answers) for each in others) == 0
    for told in (1, 2):
        crowded.loop.turn()
        assert sum(len(each.answers) for each in others) == told * TOLD_AT_ONCE
    crowded.loop.turn()
    assert crowded.loop.next_turn == []


def test_who_waits_to_be_told_is_told_before_the_next_request(crowded: Crowded) -> None:
    crowded.loop.next_turn = []
    crowded.send(BOOKING)
    crowded.under_way.pop()
    crowded.send(BOOKING)
    assert len(crowded.answers) == 1
    assert crowded.has_let_in
    crowded.loop.turn()
    assert len(crowded.answers) == 1


def test_nothing_is_told_where_nobody_is_left(crowded: Crowded) -> None:
    crowded.loop.next_turn = []
    crowded.send(BOOKING)
    crowded.connection.connection_lost(None)
    crowded.loop.turn()
    assert crowded.answers == []


def test_the_log_says_how_many(crowded: Crowded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            crowded.send(BOOKING)
    assert len([each for each in caplog.messages if "turned away" in each]) <= 2

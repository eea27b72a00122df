"""Too many requests at once: they wait for a place in their order, and whoever gets none in time is told so."""

import json
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from boxoffice.entrypoints.cli.serve import KEEP_ALIVE_SECONDS
from boxoffice.entrypoints.http.connection import LAST_CALL_SECONDS, Connection
from boxoffice.entrypoints.http.crowding import MOST_TOLD, MOST_UNDER_WAY, TOLD_AFTER
from boxoffice.entrypoints.http.envelope import BROKEN
from tests.wire.raw import Answer, request

BODY = json.dumps({"eventId": "019a0000-0000-7000-8000-000000000001"}).encode()
BOOKING = request("POST /book HTTP/1.1", body=BODY)
CHUNKS = request("POST /book HTTP/1.1", "Transfer-Encoding: chunked")


class Loop:
    """Stands for a loop in which nothing that was begun ever ends; time passes when a test says so."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.now = 0.0

    def call_later(self, seconds: float, call: Callable[..., None], *args: Any) -> Mock:
        self.due.append((self.now + seconds, partial(call, *args)))
        return Mock()

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)

    def pass_by(self, seconds: float) -> None:
        until = self.now + seconds
        while soon := [each for each in self.due if each[0] <= until]:
            first = min(soon, key=lambda each: each[0])
            self.due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = until

    def time(self) -> float:
        return self.now

    def create_task(self, answering: Coroutine[Any, Any, None]) -> Mock:
        answering.close()
        return Mock()


class Crowded:
    """A connection to a process that has as many requests under way as it may have."""

    def __init__(self, beside: "Crowded | None" = None) -> None:
        config = Mock(loaded=True, ws_protocol_class=None, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        self.under_way: set[object] = beside.under_way if beside else {object() for _ in range(MOST_UNDER_WAY)}
        self.state: Any = (
            beside.state
            if beside
            else Mock(connections=set(), tasks=self.under_way, default_headers=[(b"date", b"today")], total_requests=0)
        )
        self.loop: Loop = beside.loop if beside else Loop()
        self.connection = Connection(config, self.state, {}, self.loop)  # type: ignore[arg-type]
        self.transport = Mock(get_extra_info=lambda name: None, is_closing=lambda: False)
        self.connection.connection_made(self.transport)

    def send(self, data: bytes, seconds: float = 2 * TOLD_AFTER) -> None:
        self.connection.data_received(data)
        self.loop.pass_by(seconds)

    @property
    def answers(self) -> list[Answer]:
        return [_answer(call.args[0]) for call in self.transport.write.call_args_list]

    @property
    def has_let_in(self) -> bool:
        return self.connection._answering is not None

    def end_one(self) -> None:
        """One of the requests under way is answered."""
        self.connection._room.leave(next(iter(self.under_way)))  # type: ignore[arg-type]


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
    crowded.end_one()
    crowded.send(BOOKING)
    assert crowded.has_let_in
    assert len(crowded.answers) == 1


def test_places_are_given_in_the_order_of_coming(crowded: Crowded) -> None:
    second, third = Crowded(crowded), Crowded(crowded)
    for each in (crowded, second, third):
        each.send(BOOKING, TOLD_AFTER / 10)
    crowded.end_one()
    crowded.end_one()
    assert [each.has_let_in for each in (crowded, second, third)] == [True, True, False]
    late = Crowded(crowded)
    crowded.end_one()
    assert third.has_let_in
    late.send(BOOKING, 0)
    crowded.end_one()
    assert late.has_let_in
    crowded.loop.pass_by(2 * TOLD_AFTER)
    assert [each.answers for each in (crowded, second, third, late)] == [[]] * 4


def test_nobody_passes_those_who_wait(crowded: Crowded) -> None:
    crowded.send(BOOKING, 0)
    crowded.under_way.pop()
    late = Crowded(crowded)
    late.send(BOOKING, 0)
    assert not late.has_let_in, "a place that was not given yet is that of the first"
    crowded.loop.pass_by(TOLD_AFTER)
    assert crowded.has_let_in


def test_whoever_sent_a_part_of_it_keeps_nobody_from_a_place(crowded: Crowded) -> None:
    crowded.send(BOOKING[:-1], 0)
    whole = Crowded(crowded)
    whole.send(BOOKING, 0)
    crowded.end_one()
    assert (crowded.has_let_in, whole.has_let_in) == (False, True)
    crowded.end_one()
    crowded.send(BOOKING[-1:], 0)
    assert crowded.has_let_in
    assert crowded.answers == []


def test_each_request_has_its_answer(crowded: Crowded) -> None:
    crowded.send(BOOKING * 3, 7 * TOLD_AFTER)
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
    crowded.connection.shutdown()
    crowded.loop.pass_by(2 * LAST_CALL_SECONDS)
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


def test_whoever_sends_too_much_does_not_wait(crowded: Crowded) -> None:
    crowded.send(request("POST /book HTTP/1.1", f"Content-Length: {2 * HIGH_WATER_LIMIT}") + b"x" * HIGH_WATER_LIMIT)
    assert not crowded.has_let_in
    crowded.send(b"x")
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


def test_everybody_is_told_after_a_moment_and_few_timers_are_set(crowded: Crowded) -> None:
    number = int(MOST_TOLD * TOLD_AFTER)
    others = [Crowded(crowded) for _ in range(number)]
    before = len(crowded.loop.due)
    for each in others:
        each.send(BOOKING, 0)
    assert len(crowded.loop.due) == before + 1
    crowded.loop.pass_by(0.9 * TOLD_AFTER)
    assert sum(len(each.answers) for each in others) == 0
    crowded.loop.pass_by(0.2 * TOLD_AFTER)
    assert [len(each.answers) for each in others] == [1] * number


def test_no_more_are_told_in_a_second_than_leaves_time_for_the_others(crowded: Crowded) -> None:
    others = [Crowded(crowded) for _ in range(MOST_TOLD // 5)]
    for each in others:
        each.send(BOOKING, 0)
    crowded.loop.pass_by(0.1)
    told = [len(each.answers) for each in others]
    assert 0.09 * MOST_TOLD <= sum(told) <= 0.1 * MOST_TOLD + 1
    assert told == sorted(told, reverse=True), "those who came first"
    crowded.loop.pass_by(0.15)
    assert [len(each.answers) for each in others] == [1] * len(others)


def test_whoever_comes_later_is_told_later(crowded: Crowded) -> None:
    crowded.send(BOOKING, 0.5 * TOLD_AFTER)
    later = Crowded(crowded)
    later.send(BOOKING, 0.6 * TOLD_AFTER)
    assert (len(crowded.answers), len(later.answers)) == (1, 0)
    crowded.loop.pass_by(TOLD_AFTER)
    assert (len(crowded.answers), len(later.answers)) == (1, 1)


def test_who_waits_is_told_before_the_next_request(crowded: Crowded) -> None:
    crowded.send(BOOKING, 0)
    crowded.send(BOOKING, 1.5 * TOLD_AFTER)
    assert len(crowded.answers) == 1
    crowded.end_one()
    assert crowded.has_let_in
    crowded.loop.pass_by(2 * TOLD_AFTER)
    assert len(crowded.answers) == 1


def test_nothing_is_told_where_nobody_is_left(crowded: Crowded) -> None:
    crowded.send(BOOKING, 0)
    crowded.connection.connection_lost(None)
    crowded.end_one()
    assert not crowded.has_let_in
    crowded.loop.pass_by(2 * TOLD_AFTER)
    assert crowded.answers == []


def test_the_log_says_how_many(crowded: Crowded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            crowded.send(BOOKING)
    assert len([each for each in caplog.messages if "turned away" in each]) <= 2

"""The load generator counts every response once, hides no waiting, and sends each token's request once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.load import ITSELF, Plan, run

BODY = b"x" * 200


def answer(status: int = 201, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Status" % status, b"Content-Length: %d" % len(BODY), *headers, b"", BODY]
    return b"\r\n".join(lines)


class Service:
    """Answer each request with the chunks that `respond` returns for its token.

    `pause` returns the seconds to wait before each chunk, for the number of the request from 1.
    """

    def __init__(self, respond: Callable[[bytes], list[bytes]], pause: Callable[[int], float] = lambda _: 0.0) -> None:
        self.asked: Counter[bytes] = Counter()
        self.port = 0
        self._callers: set[asyncio.Task[None] | None] = set()
        self._respond = respond
        self._pause = pause

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")
                body = await reader.readexactly(length)
                token = head.partition(b"Bearer ")[2].partition(b"\r\n")[0]
                self.asked[token + b" " + body] += 1
                for chunk in self._respond(token):
                    await asyncio.sleep(self._pause(self.asked.total()))
                    writer.write(chunk)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Service"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            callers = [each for each in self._callers if each is not None]
            for each in callers:
                each.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    path = tmp_path / "tokens"
    path.write_text("\n".join(f"t{number}" for number in range(200)))
    return str(path)


def plan(service: Service, **fields: object) -> Plan:
    known = {"method": "POST", "path": "/book", "connections": 4, "warm_up": 0.0, "seconds": 30.0}
    return Plan(**{"port": service.port, **known, **fields})  # type: ignore[arg-type]


async def test_each_token_is_used_once_and_bodies_alternate(tokens: str) -> None:
    async with Service(lambda _: [answer()]).open() as service:
        seen = await run(plan(service, tokens=tokens, bodies=["a", "bb"]))
    assert service.asked == Counter(f"t{number} {'bb' if number % 2 else 'a'}".encode() for number in range(200))
    assert seen.asked == 200
    # Requests in flight when the tokens are used up are not counted.
    assert 200 - 4 <= sum(seen.statuses.values()) <= 200
    assert set(seen.statuses) == {201}
    assert seen.seconds < 30
    assert set(seen.microseconds) == {ITSELF}


async def test_an_answer_may_arrive_in_pieces(tokens: str) -> None:
    whole = answer()
    async with Service(lambda _: [whole[:5], whole[5:60], whole[60:]], lambda _: 0.001).open() as service:
        seen = await run(plan(service, tokens=tokens))
    assert seen.asked == 200
    assert set(seen.statuses) == {201}


async def test_refused_requests_are_sent_again_after_the_others(tokens: str) -> None:
    refused: set[bytes] = set()

    def respond(token: bytes) -> list[bytes]:
        if token in refused:
            return [answer()]
        refused.add(token)
        return [answer(503, b"Retry-After: 1") if token.endswith(b"0") else answer(503)]

    async with Service(respond).open() as service:
        seen = await run(plan(service, tokens=tokens))
    assert set(service.asked.values()) == {2}
    assert seen.statuses[503] == 200
    assert seen.without_retry_after == 180
    assert seen.per_second == pytest.approx(seen.statuses[201] / seen.seconds)
    assert seen.refused_milliseconds["max"] >= seen.refused_milliseconds["p50"] > 0


async def test_an_open_loop_hides_no_waiting() -> None:
    """Of 40 requests due in one second on one connection, the first takes most of it and delays the others."""
    async with Service(lambda _: [answer(200)], lambda number: 0.8 if number == 1 else 0.0).open() as service:
        seen = await run(plan(service, method="GET", connections=1, rate=40.0, seconds=1.0))
    assert seen.milliseconds["p50"] > 100


async def test_due_requests_that_were_never_sent_count() -> None:
    """The second request takes the whole time of the run."""
    async with Service(lambda _: [answer(200)], lambda number: 1.2 if number == 2 else 0.0).open() as service:
        seen = await run(plan(service, method="GET", connections=1, rate=40.0, seconds=1.0))
    assert seen.asked == 2
    assert 0 < seen.milliseconds["p50"] < seen.milliseconds["max"]


async def test_a_closed_connection_is_an_error(tokens: str) -> None:
    class Closing(Service):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.close()

    async with Closing(lambda _: []).open() as service:
        with pytest.raises(ConnectionError):
            await run(plan(service, tokens=tokens))

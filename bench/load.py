"""The load: HTTP requests from a process of its own, as many as fit through (closed loop) or at a rate (open loop).

In a closed loop every connection asks again as soon as it has its answer: that measures throughput. In an open loop
requests are due at their times whatever the service does, and a latency counts from when the request was due, so that
no waiting is hidden (Gil Tene, "How NOT to Measure Latency").
"""

import asyncio
import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Final, cast

import msgspec
import uvloop
from msgspec import Struct

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Plan(Struct, kw_only=True):
    """What to ask, of whom and how. Token and body number n belong to request number n; both lists go round."""

    port: int
    method: str
    path: str
    tokens: list[str] = []
    bodies: list[str] = []
    connections: int
    warm_up: float
    """Seconds that are not counted."""
    seconds: float
    rate: float | None = None
    """Requests a second in an open loop; None: a closed loop."""


class Seen(Struct, kw_only=True):
    """What came of it: answers by their status, answers a second, latencies in milliseconds by their quantile."""

    statuses: dict[int, int]
    per_second: float
    asked: int
    milliseconds: dict[str, float]


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""
        self._due = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head >= 0:
            length = _LENGTH.search(received, 0, head + 2)
            if len(received) >= head + 4 + (int(length[1]) if length else 0):
                self._received = b""
                self._load.answered(self, int(received[9:12]), self._due)
                return
        self._received = received

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)


class _Load:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = _requests(plan)
        self._begun = perf_counter()
        self._from = self._begun + plan.warm_up
        self._until = self._from + plan.seconds
        self._idle: deque[_Connection] = deque()
        self._overdue: deque[float] = deque()
        self._under_way = 0
        self._ended = asyncio.get_running_loop().create_future()
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.asked = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(self._plan.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._plan.port)
            connections.append(connection)
        self._begun = perf_counter()
        self._from = self._begun + self._plan.warm_up
        self._until = self._from + self._plan.seconds
        if self._plan.rate is None:
            for connection in connections:
                self._ask(connection, perf_counter())
        else:
            self._idle.extend(connections)
            loop.call_soon(self._tick, 0)
        await self._ended
        for connection in connections:
            connection.transport.abort()

    def answered(self, connection: _Connection, status: int, due: float) -> None:
        now = perf_counter()
        self._under_way -= 1
        if self._from <= now < self._until:
            self.statuses[status] += 1
            self.latencies.append(now - due)
        if self._plan.rate is None:
            if now < self._until:
                self._ask(connection, now)
        elif self._overdue:
            self._ask(connection, self._overdue.popleft())
        else:
            self._idle.append(connection)
        self._end_if_over(now)

    def lost(self, connection: _Connection) -> None:
        if not self._ended.done():
            self._ended.set_exception(ConnectionError("the service closed a connection"))

    def _tick(self, number: int) -> None:
        """Ask for all that is due by now."""
        assert self._plan.rate is not None
        now = perf_counter()
        while (due := self._begun + number / self._plan.rate) <= now and due < self._until:
            number += 1
            if self._idle:
                self._ask(self._idle.popleft(), due)
            else:
                self._overdue.append(due)
        if now < self._until:
            asyncio.get_running_loop().call_later(0.001, self._tick, number)
        else:
            # What was due and never asked for counts as late as it is by now.
            self.latencies.extend(now - each for each in self._overdue if each >= self._from)
            self._overdue.clear()
            self._end_if_over(now)

    def _ask(self, connection: _Connection, due: float) -> None:
        self.asked += 1
        self._under_way += 1
        connection.ask(next(self._requests), due)

    def _end_if_over(self, now: float) -> None:
        if now >= self._until and self._under_way == 0 and not self._ended.done():
            self._ended.set_result(None)


def _requests(plan: Plan) -> Iterator[bytes]:
    number = 0
    while True:
        headers = "".join(
            [
                f"{plan.method} {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                f"Authorization: Bearer {plan.tokens[number % len(plan.tokens)]}\r\n" if plan.tokens else "",
            ]
        )
        body = plan.bodies[number % len(plan.bodies)] if plan.bodies else ""
        if body:
            headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        yield f"{headers}\r\n{body}".encode()
        number += 1


async def _run(plan: Plan) -> Seen:
    load = _Load(plan)
    async with asyncio.timeout(plan.warm_up + plan.seconds + 60):
        await load.run()
    latencies = sorted(load.latencies)
    quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return Seen(
        statuses=dict(load.statuses),
        per_second=sum(load.statuses.values()) / plan.seconds,
        asked=load.asked,
        milliseconds={
            name: round(latencies[min(int(share * len(latencies)), len(latencies) - 1)] * 1000, 3) if latencies else 0.0
            for name, share in quantiles.items()
        },
    )


def main() -> None:
    """Read a plan from the file that is named, write what was seen to standard output."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()

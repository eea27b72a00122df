"""The load generator, in a process of its own: as fast as possible (closed loop) or at a fixed rate (open loop).

In a closed loop every connection sends its next request when it has its response, which measures throughput. In an open
loop requests are due at fixed times and latency counts from the due time, so that no waiting is hidden (Gil Tene, "How
NOT to Measure Latency").

The generator shares the machine with the service, so it must be cheap: all requests are encoded before the first one is
sent, only the status and length of a response are read, and its own processor time is reported.
"""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter, process_time
from typing import Final, cast

import msgspec
import uvloop
from msgspec import Struct

from . import cpu

ITSELF: Final = "load"
"""The name of the generator's own processor time in the results."""

_TICK: Final = 0.001
"""Minimum seconds between two checks for due requests."""

_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Plan(Struct, kw_only=True):
    """The requests to send."""

    port: int
    method: str
    path: str
    bodies: list[str] = []
    """Request number n has body number n, in rotation."""
    tokens: str | None = None
    """A file with one token per line. Each is used once, and again after a 503, behind all others.

    The run ends early when all tokens are used.
    """
    connections: int
    warm_up: float = 1.0
    """Seconds that are not measured."""
    seconds: float = 5.0
    rate: float | None = None
    """Requests per second in an open loop; None: a closed loop."""
    processes: dict[str, list[int]] = {}
    """The processes whose processor time is measured, by name."""


class Seen(Struct, kw_only=True):
    """The results of the measured seconds."""

    statuses: dict[int, int]
    """Number of responses by status."""
    seconds: float
    asked: int
    """Requests sent, including the warm-up."""
    milliseconds: dict[str, float]
    """Latencies by quantile, from the time a request was due."""
    refused_milliseconds: dict[str, float]
    """Latencies of 503 responses, from the time the request was sent."""
    without_retry_after: int
    """Number of 503 responses without Retry-After."""
    microseconds: dict[str, float]
    """Processor time per response, by the names of the plan's processes, and of the generator itself."""

    @property
    def per_second(self) -> float:
        """Return responses per second, without 503."""
        return sum(count for status, count in self.statuses.items() if status != 503) / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""
        self.request = b""
        self.due = 0.0
        self.sent = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        head = data.find(b"\r\n\r\n")
        if head >= 0 and len(data) >= head + 4 + _length(data, head):
            self._received = b""
            self._load.answered(self, data)
        else:
            self._received = data

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(error)


def _length(data: bytes, head: int) -> int:
    start = data.find(b"content-length:", 0, head)
    if start < 0:
        # Header names are case-insensitive.
        start = data.lower().find(b"content-length:", 0, head)
    return 0 if start < 0 else int(data[start + 15 : data.find(b"\r", start)])


class _Load:
    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        self._plan = plan
        # Each token is used once; requests without tokens repeat.
        self._requests = iter(requests) if plan.tokens else cycle(requests)
        self._again: deque[bytes] = deque()
        self._is_counting = False
        self._is_over = False
        self._begun = self._from = self._until = 0.0
        self._before: dict[str, float] = {}
        self._idle: deque[_Connection] = deque()
        self._overdue: deque[float] = deque()
        self._under_way = 0
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._asked = 0
        self._counts: dict[bytes, int] = {}
        self._latencies: list[float] = []
        self._refused: list[float] = []
        self._without_retry_after = 0
        self._taken: dict[str, float] = {}

    async def run(self) -> Seen:
        connections: list[_Connection] = []
        try:
            for _ in range(self._plan.connections):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self), "127.0.0.1", self._plan.port
                )
                connections.append(connection)
            self._begun = perf_counter()
            self._loop.call_later(self._plan.warm_up, self._start_counting)
            self._loop.call_later(self._plan.warm_up + self._plan.seconds, self._stop)
            if self._plan.rate is None:
                for connection in connections:
                    self._ask(connection, perf_counter())
            else:
                self._idle.extend(connections)
                self._tick(0)
            await self._ended
        finally:
            self._is_over = True
            for connection in connections:
                connection.transport.abort()
        return self._seen()

    def answered(self, connection: _Connection, data: bytes) -> None:
        now = perf_counter()
        self._under_way -= 1
        status = data[9:12]
        if status == b"503":
            self._again.append(connection.request)
        if self._is_counting:
            self._counts[status] = self._counts.get(status, 0) + 1
            if self._plan.rate is None:
                self._latencies.append(now - connection.due)
            if status == b"503":
                self._refused.append(now - connection.sent)
                self._without_retry_after += b"retry-after:" not in data.lower()
        if self._plan.rate is None:
            if not self._is_over:
                self._ask(connection, now)
                return
        else:
            # Including requests that are answered after the end but were due before it.
            if self._from and connection.due >= self._from:
                self._latencies.append(now - connection.due)
            if self._overdue and not self._is_over:
                self._ask(connection, self._overdue.popleft())
                return
            self._idle.append(connection)
        if self._is_over and self._under_way == 0 and not self._ended.done():
            self._ended.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(error or ConnectionError("the service closed a connection"))

    def _tick(self, number: int) -> None:
        """Send all requests that are due."""
        assert self._plan.rate is not None
        now = perf_counter()
        until = self._begun + self._plan.warm_up + self._plan.seconds
        while (due := self._begun + number / self._plan.rate) <= now and due < until and not self._is_over:
            number += 1
            if self._idle:
                self._ask(self._idle.popleft(), due)
            else:
                self._overdue.append(due)
        if not self._is_over:
            self._loop.call_later(max(due - perf_counter(), _TICK), self._tick, number)

    def _ask(self, connection: _Connection, due: float) -> None:
        request = next(self._requests, b"")
        if not request:
            if not self._again:
                self._stop()
                return
            request = self._again.popleft()
        self._asked += 1
        connection.request = request
        self._under_way += 1
        connection.due = due
        connection.sent = perf_counter() if self._plan.rate is not None else due
        connection.transport.write(request)

    def _processor(self) -> dict[str, float]:
        taken = {name: cpu.seconds(pids) for name, pids in self._plan.processes.items()}
        return {**taken, ITSELF: process_time()}

    def _start_counting(self) -> None:
        if not self._is_over:
            self._is_counting = True
            self._before = self._processor()
            self._from = perf_counter()

    def _stop(self) -> None:
        if self._is_over:
            return
        self._is_counting, self._is_over = False, True
        self._until = perf_counter()
        self._taken = {name: after - self._before.get(name, 0.0) for name, after in self._processor().items()}
        # Requests that were due but never sent count with their delay so far.
        self._latencies.extend(self._until - due for due in self._overdue if self._from and due >= self._from)
        self._overdue.clear()
        if self._under_way == 0 and not self._ended.done():
            self._ended.set_result(None)

    def _seen(self) -> Seen:
        if not self._counts:
            raise RuntimeError("no responses in the measured time: too few customers, or the service is too slow")
        answers = sum(self._counts.values())
        return Seen(
            statuses={int(status): count for status, count in self._counts.items()},
            seconds=self._until - self._from,
            asked=self._asked,
            milliseconds=_milliseconds(self._latencies),
            refused_milliseconds=_milliseconds(self._refused),
            without_retry_after=self._without_retry_after,
            microseconds={name: round(taken / answers * 1e6, 1) for name, taken in self._taken.items()},
        )


def _milliseconds(latencies: list[float]) -> dict[str, float]:
    latencies.sort()
    last = len(latencies) - 1
    return {
        name: round(latencies[min(int(share * len(latencies)), last)] * 1000, 3) if latencies else 0.0
        for name, share in _QUANTILES.items()
    }


def _made(plan: Plan) -> list[bytes]:
    opening = f"{plan.method} {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    endings = [
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}" for body in plan.bodies
    ] or ["\r\n"]
    tokens = Path(plan.tokens).read_text().split() if plan.tokens else []
    if not tokens:
        return [f"{opening}{ending}".encode() for ending in endings]
    return [
        f"{opening}Authorization: Bearer {token}\r\n{endings[number % len(endings)]}".encode()
        for number, token in enumerate(tokens)
    ]


async def run(plan: Plan) -> Seen:
    """Run a plan. Raises: OSError, TimeoutError, RuntimeError without responses in the measured time."""
    load = _Load(plan, _made(plan))
    async with asyncio.timeout(plan.warm_up + plan.seconds + 60):
        return await load.run()


def main() -> None:
    """Read a plan from the named file and write the results to standard output."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    gc.disable()  # A pause of the generator would count as latency of the service.
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(plan))))


if __name__ == "__main__":
    main()

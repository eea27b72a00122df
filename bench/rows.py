"""The rows of the benchmark: each is a figure of Boxoffice and its baseline, measured in the same round."""

import asyncio
import statistics
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar, cast

import msgspec
from msgspec import Struct

from . import large, limit, use_cases
from .load import Plan, Seen
from .stage import TYPES, House, Stage
from .use_cases import PLENTY

Value = TypeVar("Value")

SECONDS: Final = 5.0
USUAL_CONNECTIONS: Final = (16, 32, 64)
"""The numbers of connections to try the usual way with; the best result counts."""

MANY_EVENTS: Final = 1_000

HELD_SECONDS: Final = 4.0
"""Shorter, because there are fewer customers who already have bookings."""

REFUSED_MILLISECONDS: Final = 100.0
REFUSED_BOOKINGS: Final = 3
"""The bound for a 503: this time, or this multiple of the median of a booking without overload, whichever is more."""

OVERLOAD: Final = 5
OVERLOAD_CONNECTIONS: Final = OVERLOAD * 256
"""Each connection sends its next request at once, because more requests are always due than are served."""


class Measured(Struct, frozen=True):
    """A figure, and the processor time per request in microseconds, by process."""

    value: float
    microseconds: dict[str, float] = {}


class Better(Enum):
    """The ratio of a row, and whether a higher one is better."""

    MORE = "ours / baseline, the more the better"
    FASTER = "baseline / ours, the more the better"
    ALIKE = "ours / baseline, the less the better"


class Figure(Struct, frozen=True):
    """A figure of Boxoffice and its baseline."""

    ours: Measured
    baseline: Measured

    def ratio(self, better: Better) -> float:
        """Return the ratio that a row shows."""
        ours, baseline = self.ours.value, self.baseline.value
        return baseline / ours if better is Better.FASTER else ours / baseline


class Row(Struct, frozen=True):
    """One row of the table."""

    name: str
    bound: float | None
    """The minimum ratio, or the maximum where less is better; None: no target."""
    aim: float | None
    unit: str
    ours: Callable[["Round"], Measured]
    baseline: Callable[["Round"], Measured]
    better: Better = Better.MORE
    needs_peer: bool = False
    """Whether the row needs the usual way in Node."""


class Overload(Struct, frozen=True):
    """The results of the overload."""

    booked: Measured
    """Bookings per second."""
    refused: Measured
    """The p99 of the time to a 503, in milliseconds."""
    alive: Measured
    """The p90 of the time to a response of `/health/live` on a new connection, in milliseconds."""


class Round:
    """One round of all rows. A figure that several rows share is measured once."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._known: dict[str, object] = {}

    def once(self, name: str, measure: Callable[[], Value]) -> Value:
        """Return the measurement of this name, made at the first call."""
        if name not in self._known:
            self._known[name] = measure()
        return cast("Value", self._known[name])

    def limit(self) -> Measured:
        """Measure the database's own limit, in bookings per second."""
        return Measured(
            self.once("limit", lambda: limit.per_second(self.stage.usual.url, self.stage.database_kind, SECONDS))
        )

    def book(
        self, house: House, connections: int, *, tickets: int = PLENTY, events: int = 1, rate: float | None = None
    ) -> Seen:
        """Book one ticket per customer, of new events in rotation."""

        def measure() -> Seen:
            async def make() -> list[str]:
                return [str(await house.event(tickets)) for _ in range(events)]

            is_usual = self.stage.is_usual(house)
            ids = [str(self.stage.usual_event(tickets)) for _ in range(events)] if is_usual else asyncio.run(make())
            seen = self.stage.load(_booking(house, ids, connections, rate), house)
            assert set(seen.statuses) == {201}, seen.statuses
            return seen

        return self.once(f"{house.server.port} {connections} {tickets} {events} {rate}", measure)

    def ours(self, connections: int, *, tickets: int = PLENTY, events: int = 1) -> Measured:
        """Measure Boxoffice, in bookings per second."""
        return _throughput(self.book(self.stage.ours, connections, tickets=tickets, events=events))

    def usual(self, connections: int, *, tickets: int = PLENTY, events: int = 1) -> Measured:
        """Measure the usual way, in bookings per second."""
        return _throughput(self.book(self.stage.usual, connections, tickets=tickets, events=events))

    def usual_at_its_best(self) -> Measured:
        """Measure the usual way with its best number of connections."""
        return max((self.usual(connections) for connections in USUAL_CONNECTIONS), key=lambda each: each.value)

    @property
    def peer(self) -> House:
        """Return the usual way in Node. Raises: RuntimeError if it is not installed."""
        if self.stage.peer is None:
            raise RuntimeError("Node or the packages of bench/peer are missing: run npm ci there")
        return self.stage.peer

    def peer_at_its_best(self) -> Measured:
        """Measure the usual way in Node with its best number of connections."""
        return max(
            (_throughput(self.book(self.peer, connections)) for connections in USUAL_CONNECTIONS),
            key=lambda each: each.value,
        )

    def beside_others(self, house: House, *, tickets: int = PLENTY) -> Measured:
        """Measure bookings per second of customers who have bookings of the event's other ticket types."""

        def measure() -> Seen:
            held = house.event_of_holders(tickets)
            body = {"eventId": str(held.event_id), "ticketTypeId": str(held.ticket_type_id)}
            plan = _booking(house, [], 256, None)
            plan.bodies = [msgspec.json.encode(body).decode()]
            plan.tokens, plan.seconds = str(held.tokens), HELD_SECONDS
            seen = self.stage.load(plan, house)
            assert set(seen.statuses) == {201}, seen.statuses
            return seen

        return _throughput(self.once(f"{house.server.port} beside others {tickets}", measure))

    def longest_refusal(self) -> Measured:
        """Return the bound for a 503 under overload, in milliseconds."""
        at_its_best = self.book(self.stage.ours, 256).milliseconds["p50"]
        return Measured(max(REFUSED_MILLISECONDS, REFUSED_BOOKINGS * at_its_best))

    def tail(self, house: House, share: float) -> Measured:
        """Measure the p99 of an open loop at a share of the usual way's throughput with 64 connections."""
        return _latency(self.book(house, 64, rate=share * self.usual(64).value), "p99")

    def status(self, house: House) -> Measured:
        """Measure status requests per second."""
        is_usual = self.stage.is_usual(house)
        event_id = self.stage.usual_event() if is_usual else asyncio.run(house.event())
        plan = Plan(port=house.server.port, method="GET", path=f"/status/{event_id}", connections=64, seconds=SECONDS)
        seen = self.stage.load(plan, house)
        assert set(seen.statuses) == {200}, seen.statuses
        return _throughput(seen)

    def without_http(self, url: str, bookings: int, *, ticket_types: int = 1) -> Measured:
        """Measure bookings per second of 256 callers without HTTP; customers have bookings of all other types."""
        database = {} if url.startswith("memory") else {"database": [self.stage.database.pid]}
        return Measured(*use_cases.book(url, 256, bookings, processes=database, ticket_types=ticket_types))

    def overload(self) -> "Overload":
        """Send five times the service's best throughput over five times as many connections."""

        def measure() -> Overload:
            house = self.stage.ours
            event_id = asyncio.run(house.event())
            plan = _booking(house, [str(event_id)], OVERLOAD_CONNECTIONS, OVERLOAD * self.ours(256).value)
            seen, looks = self.stage.load_and_look(plan, house)
            assert set(seen.statuses) <= {201, 503}, seen.statuses
            assert seen.without_retry_after == 0, "a 503 without Retry-After"
            return Overload(
                Measured(seen.per_second, seen.microseconds),
                Measured(seen.refused_milliseconds["p99"]),
                Measured(statistics.quantiles(looks, n=10)[-1] * 1_000),
            )

        return self.once("overload", measure)

    def beside_a_million(self) -> tuple[Measured, Measured]:
        """Measure the microseconds per booking after a million bookings of the event, and after a thousand."""
        processes = {"database": [self.stage.database.pid]}
        with_many, with_few = self.once("large", lambda: large.costs(self.stage.large_url, processes))
        return Measured(*with_many), Measured(*with_few)


def _booking(house: House, event_ids: list[str], connections: int, rate: float | None) -> Plan:
    return Plan(
        port=house.server.port,
        method="POST",
        path="/book",
        tokens=str(house.tokens),
        bodies=[msgspec.json.encode({"eventId": each}).decode() for each in event_ids],
        connections=connections,
        seconds=SECONDS,
        rate=rate,
    )


def _throughput(seen: Seen) -> Measured:
    return Measured(seen.per_second, seen.microseconds)


def _latency(seen: Seen, quantile: str) -> Measured:
    return Measured(seen.milliseconds[quantile], seen.microseconds)


ROWS: Final = (
    Row(
        "hot event, 256 connections / the usual way at its best",
        6,
        9,
        "/s",
        lambda r: r.ours(256),
        lambda r: r.usual_at_its_best(),
    ),
    Row(
        "hot event, 256 connections / the database's own limit",
        1.5,
        3,
        "/s",
        lambda r: r.ours(256),
        lambda r: r.limit(),
    ),
    Row(
        "use cases without HTTP, 256 callers / the database's own limit",
        8,
        20,
        "/s",
        lambda r: r.without_http(r.stage.ours.url, 40_000),
        lambda r: r.limit(),
    ),
    Row(
        "1,000 events, 64 connections / the usual way",
        3.5,
        5,
        "/s",
        lambda r: r.ours(64, events=MANY_EVENTS),
        lambda r: r.usual(64, events=MANY_EVENTS),
    ),
    Row(
        "sold out, 64 connections / the usual way",
        6,
        9,
        "/s",
        lambda r: r.ours(64, tickets=1),
        lambda r: r.usual(64, tickets=1),
    ),
    Row(
        "p99 at the rate that keeps the usual way's 64 connections busy, the usual way's / ours",
        4,
        8,
        "ms",
        lambda r: r.tail(r.stage.ours, 1.0),
        lambda r: r.tail(r.stage.usual, 1.0),
        Better.FASTER,
    ),
    Row(
        "p99 at four fifths of that rate",
        None,
        None,
        "ms",
        lambda r: r.tail(r.stage.ours, 0.8),
        lambda r: r.tail(r.stage.usual, 0.8),
        Better.FASTER,
    ),
    Row(
        "status, 64 connections / one query a request",
        3,
        4,
        "/s",
        lambda r: r.once("status", lambda: r.status(r.stage.ours)),
        lambda r: r.status(r.stage.usual),
    ),
    Row(
        "SQLite, hot event, 256 connections / the database's own limit",
        1.5,
        3,
        "/s",
        lambda r: _throughput(r.book(r.stage.on_sqlite, 256)),
        lambda r: r.limit(),
    ),
    Row(
        f"hot event, {TYPES} types, the others held, log file, 256 connections / the database's own limit",
        1.5,
        3,
        "/s",
        lambda r: r.beside_others(r.stage.logging),
        lambda r: r.limit(),
    ),
    Row(
        f"sold out, {TYPES} types, the others held, log file, 256 connections / the database's own limit",
        1.5,
        3,
        "/s",
        lambda r: r.beside_others(r.stage.logging, tickets=1),
        lambda r: r.limit(),
    ),
    Row(
        f"SQLite, hot event, {TYPES} types, the others held, log file, 256 connections / the database's own limit",
        1.2,
        2,
        "/s",
        lambda r: r.beside_others(r.stage.logging_on_sqlite),
        lambda r: r.limit(),
    ),
    Row(
        f"SQLite, sold out, {TYPES} types, the others held, log file, 256 connections / the database's own limit",
        1.2,
        2,
        "/s",
        lambda r: r.beside_others(r.stage.logging_on_sqlite, tickets=1),
        lambda r: r.limit(),
    ),
    Row(
        f"use cases without HTTP, 256 callers, {TYPES} types, the others held / the database's own limit",
        None,
        None,
        "/s",
        lambda r: r.without_http(r.stage.ours.url, 20_000, ticket_types=TYPES),
        lambda r: r.limit(),
    ),
    Row(
        "in-memory use cases, decisions a second",
        100_000,
        300_000,
        "/s",
        lambda r: r.without_http("memory://", 100_000),
        lambda _: Measured(1),
    ),
    Row(
        "cost of a booking at 1,000,000 bookings in the event / at 1,000",
        1.2,
        1.0,
        "µs",
        lambda r: r.beside_a_million()[0],
        lambda r: r.beside_a_million()[1],
        Better.ALIKE,
    ),
    Row(
        "one lone booking, median latency / the usual way's",
        1.1,
        1.0,
        "ms",
        lambda r: _latency(r.book(r.stage.ours, 1), "p50"),
        lambda r: _latency(r.book(r.stage.usual, 1), "p50"),
        Better.ALIKE,
    ),
    Row(
        "hot event, 256 connections, two processes / one",
        None,
        None,
        "/s",
        lambda r: _throughput(r.book(r.stage.in_two, 256)),
        lambda r: r.ours(256),
    ),
    Row(
        "hot event, 256 connections, four processes / one",
        None,
        None,
        "/s",
        lambda r: _throughput(r.book(r.stage.in_four, 256)),
        lambda r: r.ours(256),
    ),
    Row(
        "hot event, 256 connections / the usual way in Node at its best",
        None,
        None,
        "/s",
        lambda r: r.ours(256),
        lambda r: r.peer_at_its_best(),
        needs_peer=True,
    ),
    Row(
        "sold out, 64 connections / the usual way in Node",
        None,
        None,
        "/s",
        lambda r: r.ours(64, tickets=1),
        lambda r: _throughput(r.book(r.peer, 64, tickets=1)),
        needs_peer=True,
    ),
    Row(
        "status, 64 connections / one query a request in Node",
        None,
        None,
        "/s",
        lambda r: r.once("status", lambda: r.status(r.stage.ours)),
        lambda r: r.status(r.peer),
        needs_peer=True,
    ),
    Row(
        "overload, five times as many requests: booked / at its best",
        0.8,
        1.0,
        "/s",
        lambda r: r.overload().booked,
        lambda r: r.ours(256),
    ),
    Row(
        "overload: time to a 503, p99 / 100 ms or three times a booking's p50 at its best",
        1.0,
        0.5,
        "ms",
        lambda r: r.overload().refused,
        lambda r: r.longest_refusal(),
        Better.ALIKE,
    ),
    Row(
        "overload: time to an answer of /health/live, p90 / 5 s",
        1.0,
        0.2,
        "ms",
        lambda r: r.overload().alive,
        lambda _: Measured(5_000),
        Better.ALIKE,
    ),
)
"""All rows with their targets."""

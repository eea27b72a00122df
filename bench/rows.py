"""What is measured: each row a figure of ours beside its baseline, in the same round."""

import asyncio
import gc
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar, cast
from uuid import UUID

import msgspec
import uvloop
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.domain.book import Book
from boxoffice.domain.event import EventDetails, TicketTypeSpec
from boxoffice.domain.organize import Initialize
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings

from . import limit
from .load import Plan, Seen
from .stage import PLENTY, Stage

Value = TypeVar("Value")

SECONDS: Final = 5.0
WARM_UP: Final = 1.0
USUAL_CONNECTIONS: Final = (16, 32, 64)
"""What the usual way is tried with; its best counts."""

MANY_EVENTS: Final = 1_000


class Figure(Struct):
    """Ours beside the baseline, and their ratio as the target counts it."""

    ours: float
    baseline: float
    unit: str

    @property
    def ratio(self) -> float:
        """Ours over the baseline, or the other way round where less is better."""
        return self.baseline / self.ours if self.unit == "ms" else self.ours / self.baseline


class Row(Struct):
    """One line of the table."""

    name: str
    at_least: float
    aim: float
    measure: Callable[["Round"], Figure]


class Round:
    """One round of all rows; what several rows need is measured once."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._known: dict[str, object] = {}

    def limit(self) -> float:
        """The database's own limit, a second."""
        return self._once("limit", lambda: limit.per_second(self.stage.url, SECONDS))

    def usual(self, connections: int, *, tickets: int = PLENTY, events: int = 1) -> Seen:
        """The usual way, over so many connections."""

        def measure() -> Seen:
            ids = [self.stage.usual_event(tickets=tickets) for _ in range(events)]
            return self.stage.load(self.plan(self.stage.usual.port, ids, connections))

        return self._once(f"usual {connections} {tickets} {events}", measure)

    def usual_at_its_best(self) -> float:
        """Its bookings a second with the number of connections that suits it."""
        return max(_booked(self.usual(connections)) for connections in USUAL_CONNECTIONS)

    def ours(self, connections: int, *, tickets: int = PLENTY, events: int = 1, on_sqlite: bool = False) -> Seen:
        """The service, over so many connections; every promise is verified afterwards."""

        def measure() -> Seen:
            async def make() -> list[UUID]:
                return [await self.stage.event(tickets=tickets, on_sqlite=on_sqlite) for _ in range(events)]

            ids = asyncio.run(make())
            server = self.stage.on_sqlite if on_sqlite else self.stage.ours
            return self.stage.load(self.plan(server.port, ids, connections, on_sqlite=on_sqlite))

        return self._once(f"ours {connections} {tickets} {events} {on_sqlite}", measure)

    def plan(self, port: int, ids: list[UUID], connections: int, *, on_sqlite: bool = False) -> Plan:
        """Every customer books one ticket, one customer after the other."""
        people = self.stage.sqlite_people if on_sqlite else self.stage.people
        return Plan(
            port=port,
            method="POST",
            path="/book",
            tokens=[person.token for person in people],
            bodies=[msgspec.json.encode({"eventId": each}).decode() for each in ids],
            connections=connections,
            warm_up=WARM_UP,
            seconds=SECONDS,
        )

    def _once(self, name: str, measure: Callable[[], Value]) -> Value:
        if name not in self._known:
            self._known[name] = measure()
        return cast("Value", self._known[name])


def _booked(seen: Seen) -> float:
    assert set(seen.statuses) == {201}, seen.statuses
    return seen.per_second


async def _use_cases(container: Container, callers: int, bookings: int) -> float:
    """Bookings a second without HTTP: so many callers, each booking as soon as it has its answer."""
    new = container.ids().new
    organizer = Actor(new(), Role.ORGANIZER)
    ticket_type_id = new()
    event = await container.initialize_event()(
        Initialize(
            event_id=new(),
            actor=organizer,
            details=EventDetails(name="Jazz night"),
            ticket_types=((ticket_type_id, TicketTypeSpec(name="General admission", total_tickets=PLENTY)),),
            currency="EUR",
        )
    )
    book_ticket = container.book_ticket()
    commands = iter(
        [
            Book(booking_id=uuid7(), event_id=event.event.id, actor=Actor(uuid7()), ticket_type_id=ticket_type_id)
            for _ in range(bookings)
        ]
    )

    async def call() -> None:
        for command in commands:
            await book_ticket(command)

    gc.collect()
    gc.freeze()
    begun = perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    took = perf_counter() - begun
    gc.unfreeze()
    assert (await container.verify_promises()()).breaches == []
    return bookings / took


def _without_http(url: str, bookings: int) -> float:
    async def run() -> float:
        container = make_container(Settings(database_url=url))
        try:
            return await _use_cases(container, 256, bookings)
        finally:
            await container.turnstile().close()
            await container.storage().close()

    return uvloop.run(run())


def _status(round_: Round, port: int, event_id: UUID) -> Seen:
    plan = Plan(port=port, method="GET", path=f"/status/{event_id}", connections=64, warm_up=WARM_UP, seconds=SECONDS)
    seen = round_.stage.load(plan)
    assert set(seen.statuses) == {200}, seen.statuses
    return seen


def _of_status(round_: Round) -> Figure:
    ours = _status(round_, round_.stage.ours.port, asyncio.run(round_.stage.event()))
    usual = _status(round_, round_.stage.usual.port, round_.stage.usual_event())
    return Figure(ours.per_second, usual.per_second, "/s")


def _alone(round_: Round) -> Figure:
    """One connection: whoever books alone waits for nobody."""
    ours, usual = round_.ours(1), round_.usual(1)
    return Figure(ours.milliseconds["p50"], usual.milliseconds["p50"], "ms")


def _tail(round_: Round) -> Figure:
    """An open loop at four fifths of what the usual way can do: latencies from when each request was due."""
    rate = 0.8 * _booked(round_.usual(64))

    def plan(port: int, event_id: UUID) -> Plan:
        plan = round_.plan(port, [event_id], 64)
        plan.rate = rate
        return plan

    ours = round_.stage.load(plan(round_.stage.ours.port, asyncio.run(round_.stage.event())))
    usual = round_.stage.load(plan(round_.stage.usual.port, round_.stage.usual_event()))
    return Figure(ours.milliseconds["p99"], usual.milliseconds["p99"], "ms")


ROWS: Final = (
    Row(
        "hot event, 256 connections / the usual way at its best",
        10,
        20,
        lambda r: Figure(_booked(r.ours(256)), r.usual_at_its_best(), "/s"),
    ),
    Row(
        "hot event, 256 connections / the database's own limit",
        2.5,
        5,
        lambda r: Figure(_booked(r.ours(256)), r.limit(), "/s"),
    ),
    Row(
        "use cases without HTTP, 256 callers / that limit",
        8,
        20,
        lambda r: Figure(_without_http(r.stage.url, 20_000), r.limit(), "/s"),
    ),
    Row(
        "1,000 events, 64 connections / the usual way",
        5,
        10,
        lambda r: Figure(_booked(r.ours(64, events=MANY_EVENTS)), _booked(r.usual(64, events=MANY_EVENTS)), "/s"),
    ),
    Row(
        "sold out, 64 connections / the usual way",
        8,
        15,
        lambda r: Figure(_booked(r.ours(64, tickets=1)), _booked(r.usual(64, tickets=1)), "/s"),
    ),
    Row("p99 on the hot event, the usual way's / ours", 6, 12, _tail),
    Row("status, 64 connections / one query a request", 2.5, 4, _of_status),
    Row(
        "SQLite, hot event, 256 connections / the database's own limit",
        2.5,
        5,
        lambda r: Figure(_booked(r.ours(256, on_sqlite=True)), r.limit(), "/s"),
    ),
    Row(
        "in-memory use cases, decisions a second",
        100_000,
        300_000,
        lambda _: Figure(_without_http("memory://", 100_000), 1, "/s"),
    ),
    Row("one lone booking, the usual way's median / ours", 1 / 1.1, 1, _alone),
)
"""The targets; a ratio is ours over the baseline, or the baseline's over ours where less is better."""

"""The clock jumps by an hour, forward and back, and two processes live an hour apart: the promises know no clock.

Ten rounds of jumps, and as many customers an hour apart, with figures:

    .venv/bin/python -m pytest tests/faults/test_clock.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.concurrency.app_driver import AppDriver
from tests.faults import another_clock
from tests.faults.another_clock import ClockFile
from tests.faults.clients import Answer, Attempt, Connection, Crowd, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge, stored
from tests.faults.service import Server, boxoffice

_log = logging.getLogger(__name__)

HOUR: Final = 3_600.0
PRICE: Final = {"amount": 2_500, "currency": "EUR"}
WINDOW_MINUTES: Final = 20

DUE_WITHIN: Final = 120.0
"""Seconds in which the background work must do what is due. Two are usual."""


def by(clock: ClockFile) -> tuple[str, ...]:
    """A server that lives by this clock."""
    return (sys.executable, str(Path(another_clock.__file__)), str(clock.path), "serve")


class Buyers(Crowd):
    """Customers of an event that wants to be paid in time: they pay by good cards and bad ones, or cancel."""

    def choose(self, person: Person) -> Attempt:
        """Whoever has a booking pays for it more often than not, whatever they were told about it."""
        booking_id = self.holding[person.id]
        if booking_id is None or self.random.random() < 0.4:
            return super().choose(person)
        token = self.random.choice(["tok_ok", "tok_ok", "tok_decline", "tok_timeout"])
        return lambda client, key: client.pay(person, self.event_id, booking_id, token, key=key)

    def learn(self, person: Person, answer: Answer, *, has_keys: bool) -> None:
        """Holds may lapse without their customers, so more may be said than to others."""
        match answer.status, answer.body:
            case 200, {"status": "confirmed"}:
                pass
            case 402, {"code": "payment-declined"}:
                pass
            case 409, {"code": "payment-not-due" | "payment-under-way"}:
                pass
            case 409, {"code": "hold-expired" | "already-cancelled"}:
                self.holding[person.id] = None
            case _:
                super().learn(person, answer, has_keys=has_keys)


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    return mariadb.execute(url, statement)


async def until_all_is_settled(url: str) -> None:
    """Until the background work has nothing more to ask and to give back."""
    deadline = time.monotonic() + DUE_WITHIN
    while pending := rows(url, "SELECT kind, status, ask_at FROM payments WHERE status = 'pending'"):
        assert time.monotonic() < deadline, pending
        await asyncio.sleep(0)


async def check_all(url: str, directory: Path, crowd: Crowd, servers: Sequence[Server]) -> None:
    """Whatever the time was: the promises, the history, the money, and no word of an error."""
    assert set(crowd.told) <= {
        *("200", "201", "402 payment-declined", "503 payment-unknown"),
        *("409 already-booked", "409 already-cancelled", "409 hold-expired", "409 payment-not-due"),
        *("409 payment-under-way", "409 request-in-progress"),
    }
    await judge(url, directory, crowd.history)
    state = (await stored(url, crowd.history)).events[crowd.event_id]
    app = AppDriver(make_container(Settings(database_url=url)), url)
    try:
        assert await app.balance(state) > 0
    finally:
        await app.close()
    for server in servers:
        assert server.complaints() == []


def jumps(url: str) -> tuple[float, float]:
    """By how many seconds the time of one fact is before and behind that of the next one, at most."""
    times = [moment for (moment,) in rows(url, "SELECT occurred_at FROM facts ORDER BY event_id, seq")]
    steps = [(later - earlier) / timedelta(seconds=1) for earlier, later in pairwise(times)]
    return min(steps), max(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_the_clock_jumps_an_hour_and_back(
    migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    clock = ClockFile(tmp_path / "clock")
    servers = serve(migrated_url, 2, command=by(clock))
    organizer, *people = await enrol(migrated_url, 31)
    event_id = await initialize(
        servers[0].port,
        organizer,
        15,
        price=PRICE,
        paymentWindowMinutes=WINDOW_MINUTES,
        startsAt="2100-01-01T00:00:00Z",
    )
    crowd = Buyers(people, event_id, [server.port for server in servers])
    crowd.start()
    for _ in range(times(1, 10)):
        for ahead in (HOUR, 0, -HOUR, 0):
            for server in servers:
                await crowd.until_served(server.port, times(20, 100))
            clock.set(ahead)
    await crowd.until_served(servers[0].port, 20)
    await crowd.stop()
    back, forth = jumps(migrated_url)
    # What was put off while the clock was ahead comes due once it is there again.
    clock.set(2 * HOUR)
    await until_all_is_settled(migrated_url)
    _log.info("Facts %.0f s behind and %.0f s before the last one: %s", -back, forth, dict(crowd.told))

    assert back < -HOUR / 2
    assert forth > HOUR / 2
    await check_all(migrated_url, tmp_path, crowd, servers)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_two_processes_live_an_hour_apart(
    migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    ours, theirs = ClockFile(tmp_path / "ours"), ClockFile(tmp_path / "theirs")
    theirs.set(HOUR)
    (behind,) = serve(migrated_url, 1, name="behind", command=by(ours))
    (ahead,) = serve(migrated_url, 1, name="ahead", command=by(theirs))
    organizer, *people = await enrol(migrated_url, 31)
    event_id = await initialize(behind.port, organizer, 15, price=PRICE, paymentWindowMinutes=WINDOW_MINUTES)
    crowd = Buyers(people, event_id, [behind.port, ahead.port])
    crowd.start()
    for server in (behind, ahead):
        await crowd.until_served(server.port, times(60, 1_000))
    await crowd.stop()
    back, forth = jumps(migrated_url)
    ours.set(2 * HOUR)
    theirs.set(2 * HOUR)
    await until_all_is_settled(migrated_url)
    _log.info("Facts %.0f s behind and %.0f s before the last one: %s", -back, forth, dict(crowd.told))

    assert back < -HOUR / 2
    assert forth > HOUR / 2
    await check_all(migrated_url, tmp_path, crowd, [behind, ahead])


class Caller:
    """Somebody who calls one server."""

    def __init__(self, server: Server, person: Person) -> None:
        self._connection = Connection(server.port)
        self._person = person

    async def book(self, event_id: UUID) -> str:
        """The id of a new booking."""
        answer = await self._connection.send("POST", "/book", self._person.token, {"eventId": str(event_id)})
        assert answer.status == 201, answer
        return str(answer.body["id"])

    async def status(self, booking_id: str) -> str:
        """Of a booking."""
        answer = await self._connection.send("GET", f"/bookings/{booking_id}", self._person.token)
        assert answer.status == 200, answer
        return str(answer.body["status"])

    async def until(self, booking_id: str, status: str) -> None:
        """Until a booking has come to this status."""
        deadline = time.monotonic() + DUE_WITHIN
        while (found := await self.status(booking_id)) != status:
            assert time.monotonic() < deadline, found

    async def edit(self, event_id: UUID, **changes: Any) -> None:
        """Change the event."""
        answer = await self._connection.send("PATCH", f"/events/{event_id}", self._person.token, changes)
        assert answer.status == 200, answer

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@pytest.mark.slow
async def test_a_turn_taken_by_a_clock_that_was_ahead_ends_with_its_process(
    migrated_url: str, serve: Serve, tmp_path: Path
) -> None:
    clock = ClockFile(tmp_path / "clock")
    clock.set(HOUR)
    (server,) = serve(migrated_url, 1, command=by(clock))
    organizer, *people = await enrol(migrated_url, 3)
    deadline = time.monotonic() + DUE_WITHIN
    while not rows(migrated_url, "SELECT 1 FROM turns"):
        assert time.monotonic() < deadline
    clock.set(0)
    server.restart()

    event_id = await initialize(server.port, organizer, 1, price=PRICE, paymentWindowMinutes=WINDOW_MINUTES)
    first, second = (Caller(server, person) for person in people)
    await first.book(event_id)
    booking_id = await second.book(event_id)
    assert await second.status(booking_id) == "waitlisted"
    clock.set((WINDOW_MINUTES + 1) * 60)
    await second.until(booking_id, "held")
    first.close()
    second.close()


@pytest.mark.slow
async def test_after_a_jump_one_signs_in_again_and_a_paused_event_serves_its_line(
    migrated_url: str, serve: Serve, tmp_path: Path
) -> None:
    clock = ClockFile(tmp_path / "clock")
    (server,) = serve(migrated_url, 1, command=by(clock))
    organizer, *people = await enrol(migrated_url, 3)
    starts_at = (clock.now() + timedelta(minutes=30)).isoformat()
    event_id = await initialize(
        server.port, organizer, 1, price=PRICE, paymentWindowMinutes=WINDOW_MINUTES, startsAt=starts_at
    )
    first, second, manager = (Caller(server, person) for person in (*people, organizer))
    held, waiting = await first.book(event_id), await second.book(event_id)
    before = await signed_in(server)
    assert await may_call(server, before)

    clock.set(HOUR)
    assert not await may_call(server, before)
    meanwhile = await signed_in(server)
    assert await may_call(server, meanwhile)
    # To whoever looks it has lapsed already; the background work writes it down.
    deadline = time.monotonic() + DUE_WITHIN
    while rows(migrated_url, f"SELECT status FROM bookings WHERE id = X'{UUID(held).hex}'") != [("expired",)]:
        assert time.monotonic() < deadline

    clock.set(0)
    assert not await may_call(server, meanwhile)
    assert await may_call(server, before)
    assert await may_call(server, await signed_in(server))
    # The hold lapsed while the event seemed to have begun, when nobody is served.
    assert await second.status(waiting) == "waitlisted"
    await manager.edit(event_id, status="paused")
    await manager.edit(event_id, status="on_sale")
    assert await second.status(waiting) == "held"
    verdict = await asyncio.to_thread(boxoffice, migrated_url, tmp_path, "verify")
    assert verdict.returncode == 0, verdict.stdout
    for caller in (first, second, manager):
        caller.close()


_ACCOUNT: Final = {"email": "ada@example.org", "password": "correct horse battery"}


async def signed_in(server: Server) -> str:
    """A new access token."""
    connection = Connection(server.port)
    await connection.send("POST", "/create-user", "", {"name": "Ada", **_ACCOUNT})
    answer = await connection.send("POST", "/login", "", _ACCOUNT)
    connection.close()
    assert answer.status == 200, answer
    return str(answer.body["accessToken"])


async def may_call(server: Server, token: str) -> bool:
    """Whether a token is good."""
    connection = Connection(server.port)
    answer = await connection.send("GET", "/me", token)
    connection.close()
    assert answer.status in (200, 401), answer
    return answer.status == 200

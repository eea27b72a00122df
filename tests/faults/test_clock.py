"""The clock jumps by an hour, forward and back, and the clocks of two processes differ by an hour: the promises hold.

Ten rounds of jumps, as many customers with two clocks, and figures:

    .venv/bin/python -m pytest tests/faults/test_clock.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from boxoffice.adapters.payments.sandbox import SandboxGateway
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults import another_clock
from tests.faults.another_clock import ClockFile
from tests.faults.clients import Answer, Attempt, ClientGroup, Connection, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge
from tests.faults.service import Server, boxoffice

_log = logging.getLogger(__name__)

HOUR: Final = 3_600.0
WINDOW_MINUTES: Final = 20
FIELDS: Final = {"price": {"amount": 2_500, "currency": "EUR"}, "paymentWindowMinutes": WINDOW_MINUTES}
ACCOUNT: Final = {"email": "ada@example.org", "password": "correct horse battery"}

DONE_WITHIN: Final = 120.0
"""Seconds in which the background work must do what is due. Two are usual."""


def command_for(clock: ClockFile) -> tuple[str, ...]:
    """Return the command of a server that uses this clock."""
    return (sys.executable, str(Path(another_clock.__file__)), str(clock.path), "serve")


class Buyers(ClientGroup):
    """Customers who pay within a time limit, by good cards and bad ones, or cancel."""

    def choose(self, person: Person) -> Attempt:
        """With a booking, usually pay for it, whatever was answered before."""
        booking_id = self.holding[person.id]
        if booking_id is None or self.random.random() < 0.4:
            return super().choose(person)
        token = self.random.choice(["tok_ok", "tok_ok", "tok_decline", "tok_timeout"])
        return lambda client, key: client.pay(person, self.event_id, booking_id, token, key=key)

    def learn(self, person: Person, answer: Answer, *, has_keys: bool) -> None:
        """Accept the answers to payments, and that holds expire."""
        match answer.status, answer.body:
            case (
                (200, {"status": "confirmed"})
                | (402, {"code": "payment-declined"})
                | (409, {"code": "payment-not-due" | "payment-under-way"})
            ):
                pass
            case 409, {"code": "hold-expired" | "already-cancelled"}:
                self.holding[person.id] = None
            case _:
                super().learn(person, answer, has_keys=has_keys)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the background work has done something."""
    async with asyncio.timeout(DONE_WITHIN):
        while not await condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(mariadb.BETWEEN_LOOKS)


async def check_money(url: str) -> None:
    """Check that the provider's ledger has exactly the completed payments; `verify` compares them with the bookings."""
    rows = mariadb.execute(url, "SELECT HEX(id), kind, amount FROM payments WHERE status = 'succeeded'")
    gateway = make_container(Settings(database_url=url)).payment_gateway()
    assert isinstance(gateway, SandboxGateway)
    entries = await gateway.entries()
    await gateway.close()
    assert rows
    assert {(UUID(str(reference)), kind, amount) for reference, kind, amount in rows} == {
        (entry.reference, entry.kind, entry.amount.amount) for entry in entries if entry.taken
    }


def jumps(url: str) -> tuple[float, float]:
    """Return the largest steps, back and forth in seconds, between the times of two successive facts."""
    times: list[Any] = [row[0] for row in mariadb.execute(url, "SELECT occurred_at FROM facts ORDER BY event_id, seq")]
    steps = [(later - earlier) / timedelta(seconds=1) for earlier, later in pairwise(times)]
    return -min(steps), max(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("clocks", ["one that jumps", "two"])
async def test_the_promises_hold_whatever_the_clocks_show(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int], clocks: str
) -> None:
    ours = ClockFile(tmp_path / "ours")
    theirs = ours if clocks == "one that jumps" else ClockFile(tmp_path / "theirs")
    if ours is theirs:
        steps, requests = [HOUR, 0.0, -HOUR, 0.0] * times(1, 10), times(20, 100)
    else:
        steps, requests = [HOUR], times(60, 1_000)
        theirs.set(HOUR)
    servers = [
        *serve(migrated_mysql_url, 1, name="ours", command=command_for(ours)),
        *serve(migrated_mysql_url, 1, name="theirs", command=command_for(theirs)),
    ]
    organizer, *people = await enrol(migrated_mysql_url, 31)
    event_id = await initialize(servers[0].port, organizer, 15, startsAt="2100-01-01T00:00:00Z", **FIELDS)
    clients = Buyers(people, event_id, [server.port for server in servers])
    async with clients.running():
        for ahead in steps:
            for server in servers:
                await clients.until_served(server.port, requests)
            theirs.set(ahead)
        await clients.until_served(servers[0].port, 20)
    back, forth = jumps(migrated_mysql_url)
    # Payments that were postponed while a clock was ahead become due once it shows that time again.
    for clock in (ours, theirs):
        clock.set(2 * HOUR)

    async def is_settled() -> bool:
        return not mariadb.execute(migrated_mysql_url, "SELECT 1 FROM payments WHERE status = 'pending'")

    await until(is_settled)
    _log.info("Facts up to %.0f s behind and %.0f s before the previous: %s", back, forth, dict(clients.answers))
    assert min(back, forth) > HOUR / 2
    assert set(clients.answers) <= {
        *("200", "201", "402 payment-declined", "503 payment-unknown"),
        *("409 already-booked", "409 already-cancelled", "409 hold-expired", "409 payment-not-due"),
        *("409 payment-under-way", "409 request-in-progress"),
    }
    await judge(migrated_mysql_url, tmp_path, clients.history)
    await check_money(migrated_mysql_url)
    for server in servers:
        assert server.complaints() == []


async def send(server: Server, token: str, method: str, path: str, body: Any = None) -> Answer:
    """Send one request on a connection of its own."""
    connection = Connection(server.port)
    try:
        return await connection.send(method, path, token, body)
    finally:
        connection.close()


async def book(server: Server, person: Person, event_id: UUID) -> str:
    """Book a ticket and return the path of the booking."""
    answer = await send(server, person.token, "POST", "/book", {"eventId": str(event_id)})
    assert answer.status == 201, answer
    return f"/bookings/{answer.body['id']}"


async def status(server: Server, person: Person, path: str) -> str:
    """Return the status of a booking."""
    answer = await send(server, person.token, "GET", path)
    assert answer.status == 200, answer
    return str(answer.body["status"])


@pytest.mark.slow
async def test_a_lease_acquired_by_a_clock_that_was_ahead_ends_with_its_process(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path
) -> None:
    clock = ClockFile(tmp_path / "clock")
    clock.set(HOUR)
    (server,) = serve(migrated_mysql_url, 1, command=command_for(clock))
    organizer, first, second = await enrol(migrated_mysql_url, 3)

    async def is_leased() -> bool:
        return bool(mariadb.execute(migrated_mysql_url, "SELECT 1 FROM leases"))

    await until(is_leased)
    clock.set(0)
    server.restart()
    event_id = await initialize(server.port, organizer, 1, **FIELDS)
    await book(server, first, event_id)
    waiting = await book(server, second, event_id)
    assert await status(server, second, waiting) == "waitlisted"
    clock.set((WINDOW_MINUTES + 1) * 60)

    async def is_promoted() -> bool:
        return await status(server, second, waiting) == "held"

    await until(is_promoted)


async def sign_in(server: Server) -> str:
    """Return a new access token of one account."""
    await send(server, "", "POST", "/create-user", {"name": "Ada", **ACCOUNT})
    answer = await send(server, "", "POST", "/login", ACCOUNT)
    assert answer.status == 200, answer
    return str(answer.body["accessToken"])


async def is_accepted(server: Server, token: str) -> bool:
    answer = await send(server, token, "GET", "/me")
    assert answer.status in (200, 401), answer
    return answer.status == 200


@pytest.mark.slow
async def test_after_a_jump_one_signs_in_again_and_a_paused_event_serves_its_waiting_list(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path
) -> None:
    clock = ClockFile(tmp_path / "clock")
    (server,) = serve(migrated_mysql_url, 1, command=command_for(clock))
    organizer, first, second = await enrol(migrated_mysql_url, 3)
    starts_at = (clock.now() + timedelta(minutes=30)).isoformat()
    event_id = await initialize(server.port, organizer, 1, startsAt=starts_at, **FIELDS)
    await book(server, first, event_id)
    waiting = await book(server, second, event_id)
    before = await sign_in(server)
    assert await is_accepted(server, before)

    clock.set(HOUR)
    assert not await is_accepted(server, before)
    meanwhile = await sign_in(server)
    assert await is_accepted(server, meanwhile)

    async def has_expired() -> bool:
        # In the database: reads show it as expired at once.
        return bool(mariadb.execute(migrated_mysql_url, "SELECT 1 FROM bookings WHERE status = 'expired'"))

    await until(has_expired)
    clock.set(0)
    assert not await is_accepted(server, meanwhile)
    assert await is_accepted(server, before)
    assert await is_accepted(server, await sign_in(server))
    # The hold expired when the event seemed to have started, so nothing was promoted.
    assert await status(server, second, waiting) == "waitlisted"
    for state in ("paused", "on_sale"):
        answer = await send(server, organizer.token, "PATCH", f"/events/{event_id}", {"status": state})
        assert answer.status == 200, answer
    assert await status(server, second, waiting) == "held"
    verdict = await asyncio.to_thread(boxoffice, migrated_mysql_url, tmp_path, "verify")
    assert verdict.returncode == 0, verdict.stdout

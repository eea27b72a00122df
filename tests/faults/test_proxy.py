"""Connections to MariaDB that are cut at the worst moments, or lead nowhere for a while.

The full counts: `.venv/bin/python -m pytest tests/faults/test_proxy.py --long`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic

import httpx
import pytest
from sqlalchemy.engine import make_url

from boxoffice.domain.event import EventState
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.concurrency.app_driver import AppDriver
from tests.concurrency.conftest import app_on
from tests.faults.clients import Person, enrol
from tests.faults.crowd import Crowd, checked_out
from tests.faults.proxy import After, Cut, Proxy, proxied
from tests.faults.service import Server

OF_THE_TEST = 24
"""Connections that the test's own look at the database may have open."""

ANSWERED_WITHIN = 10.0
"""Seconds; five are meant, and a shared machine may be slow."""


@asynccontextmanager
async def applications(url: str, number: int) -> AsyncIterator[list[Container]]:
    """So many of them on one database, each with a turnstile and connections of its own."""
    async with AsyncExitStack() as stack:
        containers = [make_container(Settings(database_url=url)) for _ in range(number)]
        for container in containers:
            stack.push_async_callback(container.storage().close)
            stack.push_async_callback(container.turnstile().close)
        yield containers


@asynccontextmanager
async def crowded(crowd: Crowd, callers: int) -> AsyncIterator[None]:
    """The callers come and go on until the end of the context, and are answered all."""
    async with asyncio.timeout(280), asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(crowd.come())
        yield
        crowd.end()


async def events(office: AppDriver) -> list[EventState]:
    """Small ones, so that there are lines."""
    return [await office.initialize(total) for total in (5, 8, 2)]


async def turned_away(crowd: Crowd) -> None:
    """Until somebody more has been told to try again."""
    crowd.was_turned_away.clear()
    await crowd.was_turned_away.wait()


async def told_again(crowd: Crowd) -> None:
    """Until somebody has been told an outcome from now on."""
    crowd.was_told.clear()
    await crowd.was_told.wait()


async def nothing_left(url: str, containers: list[Container], proxy: Proxy) -> None:
    """Every connection is back in its pool, the server has ended those that the proxy has, no transaction is open."""
    name = make_url(url).database
    known = f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()"
    running = "SELECT COUNT(*) FROM information_schema.innodb_trx"
    async with asyncio.timeout(ANSWERED_WITHIN):
        while True:
            ((connections,),) = mariadb.execute(url, known)
            ((transactions,),) = mariadb.execute(url, running)
            in_use = sum(map(checked_out, containers))
            if in_use == transactions == 0 and int(str(connections)) <= proxy.open_links + OF_THE_TEST:
                return
            await asyncio.sleep(mariadb.BETWEEN_LOOKS)


CUTS = [[Cut.BEFORE_COMMIT], [Cut.AFTER_COMMIT], [Cut.IN_A_QUESTION, Cut.IN_AN_ANSWER]]


@pytest.mark.parametrize("cuts", CUTS, ids=["before-commit", "after-commit", "in-a-packet"])
async def test_connections_are_cut_under_load(
    migrated_url: str, times: Callable[[int, int], int], cuts: list[Cut]
) -> None:
    wanted = times(10, 200)
    random = Random(f"{cuts}")
    async with (
        app_on(migrated_url) as office,
        proxied(migrated_url, random) as proxy,
        applications(proxy.url, 2) as containers,
    ):
        crowd = Crowd(containers, await events(office), random)
        async with crowded(crowd, 6):
            for number in range(wanted):
                # In a packet of any statement of any transaction, in the middle of a read, or of a greeting.
                packets_before = random.randrange(60) if len(cuts) > 1 else random.randrange(3)
                await proxy.cut(cuts[number % len(cuts)], packets_before=packets_before)
                await told_again(crowd)
        await crowd.check(office)
    assert sum(proxy.cuts[cut] for cut in cuts) == proxy.cuts.total() == wanted
    if len(cuts) > 1:
        assert len(proxy.bytes_of_parts) == wanted
    print(  # noqa: T201 (the figures of a long run)
        f"{dict(proxy.cuts)}: {len(crowd.answered)} outcomes, {crowd.turned_away} times 503, "
        f"reads {dict(crowd.reads)}, slowest answer {crowd.slowest:.2f} s"
    )


@pytest.mark.slow
async def test_a_black_hole(migrated_url: str, times: Callable[[int, int], int]) -> None:
    """What was sent into it arrives when it ends, or never does; nobody waits for either."""
    for after in list(After)[: -times(1, len(After)) - 1 : -1]:
        await look_into_a_black_hole(migrated_url, after, seconds=times(4, 30))


async def look_into_a_black_hole(migrated_url: str, after: After, *, seconds: float) -> None:
    random = Random(after)
    async with (
        app_on(migrated_url) as office,
        proxied(migrated_url, random) as proxy,
        applications(proxy.url, 2) as containers,
    ):
        states = await events(office)
        crowd = Crowd(containers, states, random)
        async with crowded(crowd, 6):
            for _ in range(20):
                await told_again(crowd)
            proxy.swallow()
            begun = monotonic()
            # Long enough for everybody to have met it, and for connections to be given up and made anew.
            while monotonic() - begun < seconds:
                await turned_away(crowd)
            proxy.recover(after)
            ended = monotonic()
            await told_again(crowd)
            recovered = monotonic() - ended
            for _ in range(20):
                await told_again(crowd)
        await crowd.check(office)
        # Nothing is left behind: every connection is back in its pool, and the server knows of no others.
        await nothing_left(migrated_url, containers, proxy)
    assert crowd.slowest < ANSWERED_WITHIN
    assert recovered < ANSWERED_WITHIN
    print(  # noqa: T201 (the figures of a long run)
        f"{after}: {len(crowd.answered)} outcomes, {crowd.turned_away} times 503, slowest {crowd.slowest:.2f} s, "
        f"first one {recovered:.2f} s after the end, {proxy.accepted} connections"
    )


@pytest.mark.slow
async def test_a_black_hole_seen_from_outside(
    migrated_url: str, times: Callable[[int, int], int], tmp_path: Path
) -> None:
    """Over HTTP: 503 in time, alive meanwhile, at work again afterwards."""
    people = await enrol(migrated_url, 8)
    slowest, told = 0.0, Counter[int]()
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(app_on(migrated_url))
        proxy = await stack.enter_async_context(proxied(migrated_url, Random(1)))
        server = Server(proxy.url, tmp_path)
        stack.callback(server.kill)
        await asyncio.to_thread(server.start)
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60))
        state = await office.initialize(5)
        asks = [("POST", "/book"), ("GET", f"/status/{state.event.id}"), ("GET", "/health/ready")]

        async def ask(person: Person, method: str, path: str) -> int:
            nonlocal slowest
            body = {"eventId": str(state.event.id), "quantity": 1} if method == "POST" else None
            begun = monotonic()
            answer = await http.request(method, path, json=body, headers={"Authorization": f"Bearer {person.token}"})
            slowest = max(slowest, monotonic() - begun)
            told[answer.status_code] += 1
            return answer.status_code

        assert await asyncio.gather(*(ask(people[0], *each) for each in asks)) == [201, 200, 200]
        proxy.swallow()
        begun = monotonic()
        while monotonic() - begun < times(4, 30):
            asking = asyncio.gather(*(ask(person, *each) for person in people[1:] for each in asks))
            while not asking.done():
                assert (await http.get("/health/live")).status_code == 200
                await asyncio.wait([asking], timeout=0.2)
            assert set(await asking) == {503}
        proxy.recover(After.LATE)
        ended = monotonic()
        while (status := await ask(people[1], "POST", "/book")) == 503:
            pass
        recovered = monotonic() - ended
        # Its first attempt may have come out of the hole and happened by now.
        assert status in (201, 409)
        for person in people[2:]:
            assert await ask(person, "POST", "/book") in (201, 409)
        await office.verify()
        ticket_types = (await office.read(state)).ticket_types
        assert sum(each.taken + each.waiting_tickets for each in ticket_types) == len(people)
        assert server.complaints() == []
    assert slowest < ANSWERED_WITHIN
    assert recovered < ANSWERED_WITHIN
    print(f"{dict(told)}, slowest answer {slowest:.2f} s, first one {recovered:.2f} s after the end")  # noqa: T201

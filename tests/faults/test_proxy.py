"""Connections to MariaDB that are cut at the worst moments, or that lead nowhere for a while.

In full: `.venv/bin/python -m pytest tests/faults/test_proxy.py --long`.
"""

import asyncio
from collections.abc import Callable
from random import Random
from time import monotonic

import pytest
from sqlalchemy.engine import make_url

from boxoffice.entrypoints.container import Container
from tests import mariadb
from tests.faults.load_clients import ANSWERED_WITHIN, LoadClients, applications, connections_in_use, new_event
from tests.faults.proxy import After, Cut, Proxy, proxied

OWN_CONNECTIONS = 24
"""Connections that the test's own application may have open."""


@pytest.mark.parametrize(
    "cuts",
    [[Cut.BEFORE_COMMIT], [Cut.AFTER_COMMIT], [Cut.IN_A_REQUEST, Cut.IN_A_RESPONSE]],
    ids=["before-commit", "after-commit", "in-a-packet"],
)
async def test_connections_are_cut_under_load(
    migrated_mysql_url: str, times: Callable[[int, int], int], cuts: list[Cut]
) -> None:
    wanted = times(10, 200)
    random = Random(f"{cuts}")
    # A packet of any statement, also of a read or a greeting.
    most_before = 60 if Cut.IN_A_REQUEST in cuts else 3
    async with (
        proxied(migrated_mysql_url, random) as proxy,
        applications(proxy.url, proxy.url, migrated_mysql_url) as (*containers, direct),
    ):
        clients = LoadClients(containers, [await new_event(direct, total) for total in (5, 8, 2)], random)
        async with clients.running(6):
            for number in range(wanted):
                await proxy.cut(cuts[number % len(cuts)], packets_before=random.randrange(most_before))
                await clients.until_acknowledged()
        await clients.check(direct)
    assert sum(proxy.cuts[cut] for cut in cuts) == proxy.cuts.total() == wanted
    print(f"{dict(proxy.cuts)}: {clients.figures()}")  # noqa: T201


@pytest.mark.slow
async def test_a_black_hole(migrated_mysql_url: str, times: Callable[[int, int], int]) -> None:
    """What was sent into it arrives when it ends, or never; no command waits for either."""
    for after in list(After)[-times(1, len(After)) :]:
        await pass_a_black_hole(migrated_mysql_url, after, seconds=times(4, 30))


async def pass_a_black_hole(url: str, after: After, *, seconds: float) -> None:
    random = Random(after)
    async with proxied(url, random) as proxy, applications(proxy.url, proxy.url, url) as (*containers, direct):
        clients = LoadClients(containers, [await new_event(direct, total) for total in (5, 8, 2)], random)
        async with clients.running(6):
            await clients.until_acknowledged(20)
            proxy.swallow()
            begun = monotonic()
            # Long enough for each client to meet it, and for connections to be given up and replaced.
            while monotonic() - begun < seconds:
                await clients.until_turned_away()
            proxy.recover(after)
            ended = monotonic()
            await clients.until_acknowledged()
            recovered = monotonic() - ended
            await clients.until_acknowledged(20)
        await clients.check(direct)
        await check_nothing_is_left(url, containers, proxy)
    assert clients.slowest < ANSWERED_WITHIN
    assert recovered < ANSWERED_WITHIN
    print(f"{after}: {clients.figures()}, first outcome {recovered:.2f} s after the end")  # noqa: T201


async def check_nothing_is_left(url: str, containers: list[Container], proxy: Proxy) -> None:
    """Wait until all connections are back in their pools, the server has closed the others, and none has a lock."""
    others = (
        "SELECT COUNT(*) FROM information_schema.processlist "
        f"WHERE db = '{make_url(url).database}' AND id <> CONNECTION_ID()"
    )
    async with asyncio.timeout(ANSWERED_WITHIN):
        while True:
            ((connections,),) = mariadb.execute(url, others)
            ((transactions,),) = mariadb.execute(url, "SELECT COUNT(*) FROM information_schema.innodb_trx")
            in_use = sum(map(connections_in_use, containers))
            if in_use == transactions == 0 and int(str(connections)) <= proxy.open_links + OWN_CONNECTIONS:
                return
            await asyncio.sleep(mariadb.BETWEEN_LOOKS)

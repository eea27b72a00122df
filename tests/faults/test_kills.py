"""`kill -9` of the service and of the database under load: every acknowledged outcome is stored, and nothing else.

The service 50 times, the database 20 times, with figures:

    .venv/bin/python -m pytest tests/faults/test_kills.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests import mariadb
from tests.faults.clients import ClientGroup, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import check_holding, check_nothing_is_left, judge
from tests.faults.service import SERVE

_log = logging.getLogger(__name__)

CONNECTIONS = 26
"""Connections that one process of the service opens at most."""

SERVES_AGAIN_WITHIN = 120.0
"""Seconds from a kill to the next acknowledged request, with the start of the process or database; two are usual."""

OUTCOMES = {"200", "201", "409 already-booked", "409 already-cancelled"}


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("victim", ["service", "database"])
async def test_it_is_killed_again_and_again(
    own_server: mariadb.MariaDB,
    own_migrated_url: str,
    serve: Serve,
    tmp_path: Path,
    times: Callable[[int, int], int],
    victim: str,
) -> None:
    random = Random(victim)
    servers = serve(own_migrated_url, 2)
    pids = [server.pid for server in servers]
    organizer, *people = await enrol(own_migrated_url, 41)
    event_id = await initialize(servers[0].port, organizer, 30)
    clients = ClientGroup(people, event_id, [server.port for server in servers])
    away = []
    async with clients.running():
        for _ in range(times(2, 50) if victim == "service" else times(1, 20)):
            server = random.choice(servers)
            await clients.until_served(server.port, random.randint(1, 40))
            killed = time.monotonic()
            if victim == "service":
                server.kill()
                await asyncio.to_thread(server.start)
            else:
                own_server.kill()
                await clients.until_answered("503 try-again", random.randint(0, 60))
                await asyncio.to_thread(own_server.start)
            async with asyncio.timeout(SERVES_AGAIN_WITHIN):
                for each in servers if victim == "database" else [server]:
                    await clients.until_served(each.port, 1)
            away.append(time.monotonic() - killed)
    _log.info("%s kills, away for %.1f to %.1f s: %s", len(away), min(away), max(away), dict(clients.answers))

    if victim == "service":
        assert set(clients.answers) <= OUTCOMES | {"lost", "not-sent"}
        assert clients.answers["lost"] > 0
    else:
        assert set(clients.answers) <= OUTCOMES | {"503 try-again"}
        assert clients.answers["503 try-again"] > 0
        assert [server.pid for server in servers] == pids
    check_holding(own_migrated_url, event_id, clients.holding)
    await judge(own_migrated_url, tmp_path, clients.history)
    await check_nothing_is_left(own_migrated_url, most_connections=CONNECTIONS * len(servers))
    for server in servers:
        assert server.complaints() == []
        assert server.terminate() == 0
    await check_nothing_is_left(own_migrated_url, most_connections=0)


_SLOW_START = """
import sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    time.sleep({seconds})
"""


@pytest.mark.slow
async def test_workers_that_start_slowly_are_waited_for(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    """As on an overloaded machine; a supervisor that gives them up starts them again and again."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(_SLOW_START.format(seconds=times(1, 12)))
    path = os.pathsep.join([str(tmp_path / "slow"), *filter(None, [os.environ.get("PYTHONPATH")])])
    (server,) = serve(migrated_mysql_url, 1, command=(*SERVE, "--workers", "2"), environment={"PYTHONPATH": path})
    assert server.terminate() == 0
    assert 1 <= sum("starts" in line["event"] for line in server.logged()) <= 2

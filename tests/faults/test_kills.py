"""`kill -9` of the service and of the database under load: what was acknowledged is there, and nothing else.

The service 50 times, the database 20 times, with figures:

    .venv/bin/python -m pytest tests/faults/test_kills.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from boxoffice.entrypoints.harness.history import History
from tests import mariadb
from tests.faults.clients import Client, Crowd, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import check_holding, check_nothing_is_left, judge
from tests.faults.service import SERVE

_log = logging.getLogger(__name__)

CONNECTIONS = 26
"""That one process of the service opens at most."""

SERVES_AGAIN_WITHIN = 120.0
"""Seconds after a kill in which a booking or cancellation must be acknowledged again, the start of the process or
of the database included. Two are usual; a machine that many share may take much longer."""


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_the_service_is_killed_again_and_again(
    migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    random = Random(1)
    kills = times(3, 50)
    servers = serve(migrated_url, 2)
    organizer, *people = await enrol(migrated_url, 41)
    event_id = await initialize(servers[0].port, organizer, 30)
    crowd = Crowd(people, event_id, [server.port for server in servers])
    crowd.start()
    away = []
    for _ in range(kills):
        server = random.choice(servers)
        await crowd.until_served(server.port, random.randint(1, 40))
        killed = time.monotonic()
        server.kill()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(SERVES_AGAIN_WITHIN):
            await crowd.until_served(server.port, 1)
        away.append(time.monotonic() - killed)
    await crowd.stop()
    _log.info("%s kills, away for %.1f to %.1f s: %s", kills, min(away), max(away), dict(crowd.told))

    assert set(crowd.told) <= {"200", "201", "409 already-booked", "409 already-cancelled", "lost", "not-sent"}
    assert crowd.told["lost"] > 0
    check_holding(migrated_url, event_id, crowd.holding)
    await judge(migrated_url, tmp_path, crowd.history)
    await check_nothing_is_left(migrated_url, most_connections=CONNECTIONS * len(servers))
    for server in servers:
        assert server.complaints() == []
        assert server.terminate() == 0
    await check_nothing_is_left(migrated_url, most_connections=0)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_the_database_is_killed_again_and_again(
    own_mariadb: mariadb.MariaDB, own_migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    random = Random(2)
    kills = times(2, 20)
    servers = serve(own_migrated_url, 2)
    pids = [server.pid for server in servers]
    organizer, *people = await enrol(own_migrated_url, 41)
    event_id = await initialize(servers[0].port, organizer, 30)
    crowd = Crowd(people, event_id, [server.port for server in servers])
    crowd.start()
    away = []
    for _ in range(kills):
        await crowd.until_served(random.choice(servers).port, random.randint(1, 40))
        killed = time.monotonic()
        own_mariadb.kill()
        await crowd.until_told("503 try-again", random.randint(0, 60))
        await asyncio.to_thread(own_mariadb.start)
        async with asyncio.timeout(SERVES_AGAIN_WITHIN):
            for server in servers:
                await crowd.until_served(server.port, 1)
        away.append(time.monotonic() - killed)
    await crowd.stop()
    _log.info("%s kills, away for %.1f to %.1f s: %s", kills, min(away), max(away), dict(crowd.told))

    # The service itself never goes away, and says what is the matter.
    assert set(crowd.told) <= {"200", "201", "409 already-booked", "409 already-cancelled", "503 try-again"}
    assert crowd.told["503 try-again"] > 0
    assert [server.pid for server in servers] == pids
    check_holding(own_migrated_url, event_id, crowd.holding)
    await judge(own_migrated_url, tmp_path, crowd.history)
    await check_nothing_is_left(own_migrated_url, most_connections=CONNECTIONS * len(servers))
    for server in servers:
        assert server.complaints() == []
        assert server.terminate() == 0
    await check_nothing_is_left(own_migrated_url, most_connections=0)


@pytest.mark.slow
async def test_workers_end_with_their_supervisor_and_leave_its_port(migrated_url: str, serve: Serve) -> None:
    (server,) = serve(migrated_url, 1, command=(*SERVE, "--workers", "2"))
    organizer, ada, bob = await enrol(migrated_url, 3)
    event_id = await initialize(server.port, organizer, 2)
    told: Counter[str] = Counter()
    client = Client(0, server.port, History(), told)
    await client.book(ada, event_id)
    server.kill()
    async with asyncio.timeout(SERVES_AGAIN_WITHIN):
        while not await asyncio.to_thread(is_free, server.port):
            pass
        await asyncio.to_thread(server.start)
        while await client.book(bob, event_id) is None:
            pass
    client.close()
    assert told["201"] == 2


_SLOW_START = """
import sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    time.sleep({seconds})
"""


@pytest.mark.slow
async def test_workers_that_start_slowly_are_waited_for(
    migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    """As on a machine that has too much to do; by default, uvicorn gives up each of them after five seconds."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(_SLOW_START.format(seconds=times(1, 12)))
    path = os.pathsep.join([str(tmp_path / "slow"), *filter(None, [os.environ.get("PYTHONPATH")])])
    (server,) = serve(migrated_url, 1, command=(*SERVE, "--workers", "2"), environment={"PYTHONPATH": path})
    assert server.terminate() == 0
    assert not [line for line in server.logged() if "died" in line["event"]]


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) != 0

"""A rush on few tickets: several processes of the service on one MariaDB, and every customer is told the truth.

The whole rush, 10,000 customers for 1,000 tickets in four processes, with its figures:

    .venv/bin/python -m pytest tests/faults/test_rush.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from boxoffice.entrypoints.histories import History
from tests.faults.clients import Client, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge
from tests.faults.service import Server

_log = logging.getLogger(__name__)

CONNECTIONS = 64
"""Of clients to one server."""


async def rush(people: Sequence[Person], event_id: UUID, servers: Sequence[Server]) -> tuple[History, Counter[str]]:
    """Everybody books one ticket, at whichever server is free first."""
    history = History()
    told: Counter[str] = Counter()
    waiting = iter(people)

    async def queue_up(number: int, port: int, line: Iterator[Person]) -> None:
        client = Client(number, port, history, told)
        for person in line:
            await client.book(person, event_id)
        client.close()

    await asyncio.gather(
        *(
            queue_up(number, server.port, waiting)
            for number, server in enumerate([server for server in servers for _ in range(CONNECTIONS)])
        )
    )
    return history, told


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_everybody_gets_a_ticket_or_a_place_in_line(
    migrated_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    customers, tickets, processes = times(600, 10_000), times(60, 1_000), times(2, 4)
    servers = serve(migrated_url, processes)
    organizer, *people = await enrol(migrated_url, customers + 1)
    event_id = await initialize(servers[0].port, organizer, tickets)
    began = time.monotonic()
    history, told = await rush(people, event_id, servers)
    seconds = time.monotonic() - began
    _log.info("%s bookings in %.1f s, %.0f a second: %s", customers, seconds, customers / seconds, dict(told))

    assert told == {"201": customers}
    outcomes = [each.outcome for each in history.operations() if each.outcome]
    assert Counter(outcome.status for outcome in outcomes) == {
        "confirmed": tickets,
        "waitlisted": customers - tickets,
    }
    places = sorted(outcome.position for outcome in outcomes if outcome.position is not None)
    assert places == list(range(1, customers - tickets + 1))
    await judge(migrated_url, tmp_path, history)
    for server in servers:
        assert server.complaints() == []
        assert server.terminate() == 0

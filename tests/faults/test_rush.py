"""A rush for few tickets on several processes of the service and one MariaDB: every answer is true.

With 10,000 customers for 1,000 tickets in four processes, and figures:

    .venv/bin/python -m pytest tests/faults/test_rush.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from boxoffice.entrypoints.harness.history import Call, History, Sale, check_linearizable
from tests.faults.clients import Client, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge, stored

_log = logging.getLogger(__name__)

CONNECTIONS = 64
"""Connections to each server."""

OPERATIONS = 192
CALLERS = 12


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_each_customer_gets_a_ticket_or_a_place_in_the_waiting_list(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    customers, tickets, processes = times(600, 10_000), times(60, 1_000), times(2, 4)
    servers = serve(migrated_mysql_url, processes)
    organizer, *people = await enrol(migrated_mysql_url, customers + 1)
    event_id = await initialize(servers[0].port, organizer, tickets)
    history, answers = History(), Counter[str]()

    async def book(number: int, port: int, people: Iterator[Person]) -> None:
        client = Client(number, port, history, answers)
        for person in people:
            await client.book(person, event_id)
        client.close()

    began, waiting = time.monotonic(), iter(people)
    ports = [server.port for server in servers for _ in range(CONNECTIONS)]
    await asyncio.gather(*(book(number, port, waiting) for number, port in enumerate(ports)))
    seconds = time.monotonic() - began
    _log.info("%s bookings in %.1f s, %.0f a second: %s", customers, seconds, customers / seconds, dict(answers))

    assert answers == {"201": customers}
    outcomes = [each.outcome for each in history.operations() if each.outcome]
    assert Counter(outcome.status for outcome in outcomes) == {"confirmed": tickets, "waitlisted": customers - tickets}
    places = sorted(outcome.position for outcome in outcomes if outcome.position is not None)
    assert places == list(range(1, customers - tickets + 1))
    await judge(migrated_mysql_url, tmp_path, history)
    for server in servers:
        assert server.complaints() == []
        assert server.terminate() == 0


async def mix(people: Sequence[Person], organizer: Person, event_id: UUID, ports: Sequence[int], seed: int) -> History:
    """Book, cancel, read and change the number of tickets, all at once."""
    history, answers = History(), Counter[str]()

    async def act(number: int) -> None:
        random = Random(f"{seed} {number}")
        client = Client(number, ports[number % len(ports)], history, answers)
        booked: dict[UUID, Person] = {}
        for _ in range(OPERATIONS // CALLERS):
            what = random.random()
            if what < 0.1:
                await client.status(random.choice(people), event_id)
            elif what < 0.15:
                await client.total(organizer, event_id, random.randint(4, 9))
            elif what < 0.5 and booked:
                booking_id = random.choice(list(booked))
                await client.cancel(booked.pop(booking_id), event_id, booking_id)
            else:
                person = random.choice(people)
                answer = await client.book(person, event_id, random.choice((1, 1, 2)))
                if answer is not None and answer.status == 201:
                    booked[UUID(answer.body["id"])] = person
        client.close()

    await asyncio.gather(*map(act, range(CALLERS)))
    return history


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_one_order_explains_all_answers(
    migrated_mysql_url: str, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    ports = [server.port for server in serve(migrated_mysql_url, 2)]
    organizer, *people = await enrol(migrated_mysql_url, 21)
    for seed in range(times(2, 30)):
        event_id = await initialize(ports[0], organizer, 6)
        beginning = History()
        beginning.invoke(0, Call(name="status", event_id=event_id))
        sale = Sale.of((await stored(migrated_mysql_url, beginning)).events[event_id])
        history = await mix(people, organizer, event_id, ports, seed)
        await judge(migrated_mysql_url, tmp_path, history)
        verdict = check_linearizable(history, sale, final=await stored(migrated_mysql_url, history))
        assert verdict.is_linearizable, str(verdict)

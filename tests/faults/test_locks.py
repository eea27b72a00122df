"""Locks of other clients of MariaDB: deadlocks, and locks that are held for too long.

In full: `.venv/bin/python -m pytest tests/faults/test_locks.py --long`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

import asyncmy
import pytest
from asyncmy.errors import OperationalError
from sqlalchemy.engine import make_url

from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.entrypoints.container import Container
from tests.faults.load_clients import ANSWERED_WITHIN, Recorder, applications, check, new_booking, new_event

DEADLOCK: Final = 1213
LOCK_TIMEOUTS: Final = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_timeouts'"


class Rival:
    """A connection of another program to the same database."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def do(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall())

    async def lock(self, *states: EventState) -> None:
        """Lock the rows of these events, one by one in this order."""
        for state in states:
            await self.do(f"SELECT id FROM events WHERE id = X'{state.event.id.hex}' FOR UPDATE")

    async def wins(self, state: EventState) -> bool:
        """Lock the row of this event; return False if this connection is rolled back because of a deadlock."""
        try:
            await self.lock(state)
        except OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
            return False
        return True

    async def count(self, metric: str) -> int:
        """Return a counter of the server."""
        ((value,),) = await self.do(f"SELECT count FROM information_schema.innodb_metrics WHERE name = '{metric}'")
        return int(value)

    async def is_someone_waiting(self) -> bool:
        """Return whether a transaction waits for a row lock at present."""
        ((_, value),) = await self.do("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        return int(value) > 0


@asynccontextmanager
async def rival_on(url: str) -> AsyncIterator[Rival]:
    parsed = make_url(url)
    connection = await asyncmy.connect(
        host=parsed.host, port=parsed.port, user=parsed.username, password=parsed.password, db=parsed.database
    )
    try:
        yield Rival(connection)
    finally:
        connection.close()


async def test_deadlocks_are_retried(migrated_mysql_url: str, times: Callable[[int, int], int]) -> None:
    """A rival locks the rows in the opposite order. InnoDB rolls back the transaction that has changed fewer rows."""
    wanted = times(20, 500)
    recorder = Recorder()
    undone: Counter[str] = Counter()
    async with (
        rival_on(migrated_mysql_url) as rival,
        rival_on(migrated_mysql_url) as watch,
        applications(migrated_mysql_url) as (container,),
    ):
        states = [await new_event(container, 10) for _ in range(2)]
        await rival.do("CREATE TABLE weights (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB")
        await rival.do(
            "INSERT INTO weights WITH RECURSIVE "
            "listed (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM listed WHERE n < 200) SELECT n, 0 FROM listed"
        )
        await rival.do("COMMIT")
        before = await watch.count("lock_deadlocks")
        for number in range(wanted):
            await rival.do("START TRANSACTION")
            if number % 2 == 0:
                await rival.do("UPDATE weights SET n = n + 1")
            await rival.lock(states[1])
            both = asyncio.gather(*(recorder.book(container, new_booking(state)) for state in states))
            # The application locks the first row and then waits for the second.
            while not await watch.is_someone_waiting():
                assert not both.done()
            undone["application" if await rival.wins(states[0]) else "rival"] += 1
            await rival.do("ROLLBACK")
            await both
        deadlocks = await watch.count("lock_deadlocks") - before
        await rival.do("DROP TABLE weights")
        await check(container, recorder.history)
    assert deadlocks == wanted
    assert undone["application"] >= wanted // 2
    print(f"{deadlocks} deadlocks, undone: {dict(undone)}")  # noqa: T201


@pytest.mark.slow
async def test_a_lock_that_is_held_for_too_long(migrated_mysql_url: str, times: Callable[[int, int], int]) -> None:
    """Commands for the locked event get "try again" in time; others are served, also from the same batch."""
    number, rounds = times(3, 20), times(1, 10)
    recorder = Recorder()
    slowest: dict[str, float] = {}

    async def is_served(name: str, container: Container, state: EventState) -> bool:
        begun = monotonic()
        try:
            await recorder.book(container, new_booking(state))
        except Unavailable:
            return False
        else:
            return True
        finally:
            slowest[name] = max(slowest.get(name, 0.0), monotonic() - begun)

    async def visit(container: Container, locked: EventState, free: EventState) -> None:
        together = is_served("locked", container, locked), is_served("same batch", container, free)
        assert tuple(await asyncio.gather(*together)) == (False, True)
        # The next command for the locked event waits in a queue of its own.
        waiting = asyncio.ensure_future(is_served("locked", container, locked))
        assert await is_served("meanwhile", container, free)
        assert not await waiting

    async with (
        rival_on(migrated_mysql_url) as rival,
        rival_on(migrated_mysql_url) as watch,
        applications(*[migrated_mysql_url] * number) as containers,
    ):
        locked = [await new_event(containers[0], 10) for _ in containers]
        free = [await new_event(containers[0], 10) for _ in containers]
        ((before,),) = await watch.do(LOCK_TIMEOUTS)
        for _ in range(rounds):
            await rival.do("START TRANSACTION")
            await rival.lock(*locked)
            await asyncio.gather(*map(visit, containers, locked, free))
            await rival.do("ROLLBACK")
            assert all(await asyncio.gather(*(map(is_served, ["later"] * number, containers, locked))))
        ((after,),) = await watch.do(LOCK_TIMEOUTS)
        await check(containers[0], recorder.history)
    assert after - before >= 2 * number * rounds
    assert max(slowest["locked"], slowest["same batch"]) < ANSWERED_WITHIN
    print(f"{after - before} lock timeouts, slowest answers in seconds: {dict(slowest)}")  # noqa: T201

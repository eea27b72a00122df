"""Somebody else's locks on MariaDB: deadlocks, and locks that are held for too long.

The full counts: `.venv/bin/python -m pytest tests/faults/test_locks.py --long`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

import asyncmy
import pytest
from asyncmy.errors import OperationalError
from sqlalchemy.engine import make_url

from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.event import EventState
from boxoffice.entrypoints.container import Container
from tests.concurrency.app_driver import AppDriver, bookings
from tests.concurrency.conftest import app_on
from tests.faults.crowd import booked_with
from tests.faults.test_proxy import ANSWERED_WITHIN, applications

DEADLOCK: Final = 1213
ROWS_OF_WEIGHT: Final = 200
"""InnoDB undoes whoever has changed less: a rival who has changed so much is never the one."""


class Rival:
    """Somebody else's connection to the same database."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def do(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; the rows that it finds."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall())

    async def lock(self, states: Sequence[EventState]) -> None:
        """Lock the rows of these events, one by one in this order."""
        for state in states:
            await self.do(f"SELECT id FROM events WHERE id = X'{state.event.id.hex}' FOR UPDATE")

    async def wins(self, state: EventState) -> bool:
        """Lock the row of this event too; False when that is a deadlock, in which this connection was undone."""
        try:
            await self.lock([state])
        except OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
            return False
        return True

    async def status(self, name: str) -> int:
        """One of the server's counters."""
        ((_, value),) = await self.do(f"SHOW GLOBAL STATUS LIKE '{name}'")
        return int(value)

    async def lock_timeouts(self) -> int:
        """How often anybody has waited for a lock in vain."""
        ((value,),) = await self.do("SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_timeouts'")
        return int(value)


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


async def book(container: Container, state: EventState) -> Booking | Unavailable:
    """A new customer's booking, or that the database is not to be had."""
    (command,) = bookings(state, 1)
    try:
        return await container.book_ticket()(booked_with(command))
    except Unavailable as failure:
        return failure


async def check(office: AppDriver, states: Sequence[EventState], told: Sequence[Booking]) -> None:
    """What was acknowledged is there, once, and nothing else."""
    await office.verify()
    facts = [fact for state in states for fact in await office.facts(state.event.id)]
    entered = Counter(fact.booking_id for fact in facts if fact.kind in ("TicketsBooked", "CustomerWaitlisted"))
    assert entered == Counter(booking.id for booking in told)


async def test_deadlocks_are_never_seen(migrated_url: str, times: Callable[[int, int], int]) -> None:
    """Somebody takes the rows in the other order, so that one of the two has to be undone; both are, in their turn."""
    wanted = times(20, 500)
    told: list[Booking] = []
    undone: Counter[str] = Counter()
    async with (
        app_on(migrated_url) as office,
        rival_on(migrated_url) as rival,
        rival_on(migrated_url) as watch,
        applications(migrated_url, 1) as (container,),
    ):
        states = [await office.initialize(10) for _ in range(2)]
        await rival.do("CREATE TABLE weights (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB")
        rows = ", ".join(f"({number}, 0)" for number in range(ROWS_OF_WEIGHT))
        await rival.do(f"INSERT INTO weights VALUES {rows}")
        await rival.do("COMMIT")
        before = await watch.status("Innodb_deadlocks")
        for number in range(wanted):
            is_heavy = number % 2 == 0
            await rival.do("START TRANSACTION")
            if is_heavy:
                await rival.do("UPDATE weights SET n = n + 1")
            await rival.lock(states[1:])
            both = asyncio.gather(*(book(container, state) for state in states))
            # The application has the first row by now, and waits for the second.
            while not await watch.status("Innodb_row_lock_current_waits"):
                assert not both.done()
            undone["application" if await rival.wins(states[0]) else "rival"] += 1
            await rival.do("ROLLBACK")
            told += [booking for booking in await both if isinstance(booking, Booking)]
            assert len(told) == 2 * (number + 1)
        deadlocks = await watch.status("Innodb_deadlocks") - before
        await rival.do("DROP TABLE weights")
        await check(office, states, told)
    assert deadlocks == wanted
    assert undone["application"] >= wanted // 2
    print(f"{deadlocks} deadlocks, undone: {dict(undone)}, {len(told)} bookings")  # noqa: T201


@pytest.mark.slow
async def test_a_lock_that_is_held_for_too_long(migrated_url: str, times: Callable[[int, int], int]) -> None:
    """Who wants that event is told to try again, in time; who wants another one is served, in the same batch too."""
    crowd, rounds = times(3, 20), times(1, 10)
    told: list[Booking] = []
    turned_away = 0
    slowest = {"held": 0.0, "same batch": 0.0, "meanwhile": 0.0}
    async with (
        app_on(migrated_url) as office,
        rival_on(migrated_url) as rival,
        rival_on(migrated_url) as watch,
        applications(migrated_url, crowd) as containers,
    ):
        held = [await office.initialize(10) for _ in containers]
        free = [await office.initialize(10) for _ in containers]
        before = await watch.lock_timeouts()

        async def timed(name: str, container: Container, state: EventState) -> Booking | Unavailable:
            begun = monotonic()
            result = await book(container, state)
            slowest[name] = max(slowest[name], monotonic() - begun)
            if isinstance(result, Booking):
                told.append(result)
            return result

        async def visit(container: Container, its_held: EventState, its_free: EventState) -> None:
            nonlocal turned_away
            # In one batch.
            results = await asyncio.gather(timed("held", container, its_held), timed("same batch", container, its_free))
            assert [isinstance(result, Unavailable) for result in results] == [True, False]
            turned_away += 1
            # From now on who wants what is held waits for himself alone.
            waiting = asyncio.ensure_future(timed("held", container, its_held))
            assert isinstance(await timed("meanwhile", container, its_free), Booking)
            await asyncio.wait([waiting])
            assert isinstance(waiting.result(), Unavailable)
            turned_away += 1

        for _ in range(rounds):
            await rival.do("START TRANSACTION")
            await rival.lock(held)
            await asyncio.gather(*map(visit, containers, held, free))
            await rival.do("ROLLBACK")
            # It is free again, and everybody is served.
            after = await asyncio.gather(*map(book, containers, held))
            told += [result for result in after if isinstance(result, Booking)]
            assert len(told) % (3 * crowd) == 0
        timeouts = await watch.lock_timeouts() - before
        await check(office, [*held, *free], told)
    assert timeouts >= turned_away == 2 * crowd * rounds
    assert slowest["held"] < ANSWERED_WITHIN
    assert slowest["same batch"] < ANSWERED_WITHIN
    figures = {name: f"{seconds:.2f} s" for name, seconds in slowest.items()}
    print(f"{timeouts} lock waits in vain, {turned_away} times 503, slowest answers {figures}")  # noqa: T201

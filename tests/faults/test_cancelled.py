"""Callers that disconnect at any moment: no connection, lock or row of another caller leaks.

In full: `.venv/bin/python -m pytest tests/faults/test_cancelled.py --long`.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from random import Random
from time import monotonic
from typing import Final

import pytest
from dependency_injector.providers import Singleton
from sqlalchemy.engine import make_url
from uuid_utils.compat import uuid7

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container
from tests import mariadb, servers
from tests.faults.load_clients import (
    Recorder,
    applications,
    check,
    check_is_of,
    connections_in_use,
    new_booking,
    new_event,
)

AT_ONCE: Final = 10
MOST_TURNS: Final = 400
"""Turns of the event loop within which most requests are answered."""

MOST_SECONDS: Final = 0.03
"""The same in seconds."""

MOST_CONNECTIONS: Final = 26
"""Connections that one process opens at most (docs/operations.md)."""

RELEASED_WITHIN: Final = 20.0  # seconds; milliseconds are usual


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty, migrated database."""
    found: str = request.getfixturevalue("migrated_sqlite_url" if request.param == "sqlite" else "migrated_mysql_url")
    return found


class Callers(Recorder):
    """Callers that send random requests, and disconnect before or after the answer."""

    def __init__(self, container: Container, state: EventState, random: Random) -> None:
        super().__init__()
        self.ends: Counter[str] = Counter()
        self._container = container
        self._state = state
        self._random = random
        self._booked: list[Book] = []
        self._not_cancelled: list[Book] = []

    async def ask(self) -> None:
        """Send one of the requests."""
        of_booking = [self.cancel_one, self.cancel_one, self.read_one, self.read_one, self.list_one]
        others = [self.book_one, self.book_one, self.read_event, self.sign_up, self.verify]
        await self._random.choice([*others, *(of_booking if self._not_cancelled else ())])()

    async def book_one(self) -> None:
        command = new_booking(self._state)
        await self.book(self._container, command)
        self._booked.append(command)
        self._not_cancelled.append(command)

    async def cancel_one(self) -> None:
        command = self._not_cancelled.pop(self._random.randrange(len(self._not_cancelled)))
        await self.cancel(self._container, command)

    async def read_one(self) -> None:
        command = self._random.choice(self._booked)
        check_is_of((await self._container.read_booking()(command.booking_id, command.actor)).booking, command)

    async def list_one(self) -> None:
        command = self._random.choice(self._booked)
        queries = self._container.storage().booking_queries
        (found,) = await queries.bookings_of_customer(command.actor.user_id, None, None, 10)
        check_is_of(found, command)

    async def read_event(self) -> None:
        found = await self._container.read_event()(self._state.event.id, Actor(uuid7()))
        assert (found.event.id, found.event.name) == (self._state.event.id, self._state.event.name)

    async def sign_up(self) -> None:
        email = f"{uuid7()}@example.org"
        user = await self._container.create_user()(
            Registration(name="Ada", email=email, password="correct horse battery")
        )
        found = await self._container.storage().account_queries.user_by_email(email)
        assert found
        assert (found.id, found.email) == (user.id, email)

    async def verify(self) -> None:
        assert (await self._container.verify_promises()()).breaches == []

    async def cancelled_after(self, turns: int) -> None:
        """Send a request, and cancel it after so many turns of the event loop."""
        task = asyncio.ensure_future(self.ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await self._count(task)

    async def timed_out_after(self, seconds: float) -> None:
        """Send a request with a timeout."""
        await self._count(asyncio.wait_for(self.ask(), seconds))

    async def _count(self, request: Awaitable[None]) -> None:
        try:
            await request
        except (asyncio.CancelledError, TimeoutError):
            self.ends["gone"] += 1
        except Unavailable:
            self.ends["turned away"] += 1
        else:
            self.ends["answered"] += 1


async def check_nothing_is_left(url: str, container: Container) -> None:
    """Wait until no connection is in use, no transaction is open, and the server has no more than the pools'."""
    deadline = monotonic() + RELEASED_WITHIN
    while left := [*_locks(url), *([f"{in_use} in use"] if (in_use := connections_in_use(container)) else [])]:
        assert monotonic() < deadline, left
        await asyncio.sleep(mariadb.BETWEEN_LOOKS)


def _locks(url: str) -> list[object]:
    """Return the open transactions, and all connections if there are too many."""
    database = make_url(url).database
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(str(database), timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                return [error]
        return []
    transactions = mariadb.execute(url, "SELECT trx_mysql_thread_id, trx_query FROM information_schema.innodb_trx")
    connections = mariadb.execute(
        url,
        "SELECT id, command, state, info FROM information_schema.processlist "
        f"WHERE db = '{database}' AND id <> CONNECTION_ID()",
    )
    return [*transactions, *(connections if len(connections) > MOST_CONNECTIONS else [])]


async def test_callers_that_disconnect_leave_nothing_behind(url: str, times: Callable[[int, int], int]) -> None:
    """Half of them at a turn of the event loop, half of them after a time; others are served meanwhile."""
    random = Random(url.partition(":")[0])
    async with applications(url) as (container,):
        container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
        callers = Callers(container, await new_event(container, 20), random)
        wanted = times(60, 500)
        while callers.ends["gone"] < wanted:
            await asyncio.gather(
                *(callers.cancelled_after(int(MOST_TURNS ** random.random())) for _ in range(AT_ONCE // 2)),
                *(callers.timed_out_after(random.random() * MOST_SECONDS) for _ in range(AT_ONCE // 2)),
                callers.book_one(),
            )
        await check_nothing_is_left(url, container)
        await asyncio.gather(*(callers.book_one() for _ in range(AT_ONCE)))
        await check(container, callers.history)
        await check_nothing_is_left(url, container)
    print(dict(callers.ends))  # noqa: T201

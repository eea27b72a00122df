"""Requests whose callers go away at any moment: nothing leaks, nobody sees what is not theirs, no lock stays.

The full counts: `.venv/bin/python -m pytest tests/faults/test_cancelled.py --long`.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from random import Random
from time import monotonic
from typing import Final

import pytest
from dependency_injector.providers import Singleton
from sqlalchemy.engine import make_url

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.event import EventState
from boxoffice.domain.refusals import AlreadyCancelled, Refusal
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.concurrency.app_driver import ORGANIZER, AppDriver, new_id
from tests.concurrency.conftest import app_on
from tests.concurrency.worker import BookIt
from tests.faults.crowd import booked_with, checked_out, is_of

AT_ONCE: Final = 10
MOST_TURNS: Final = 400
"""Turns of the loop within which most requests are answered."""

MOST_SECONDS: Final = 0.03
"""The same as time."""

MOST_CONNECTIONS: Final = 26
"""What one process opens at most (docs/operations.md)."""

LET_GO_WITHIN: Final = 20.0
"""Seconds until everything interrupted has come to its end; a few milliseconds are usual."""


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "migrated_url")
    return found


@asynccontextmanager
async def application(url: str) -> AsyncIterator[Container]:
    """With the connections of its own alone."""
    container = make_container(Settings(database_url=url))
    container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
    try:
        yield container
    finally:
        await container.turnstile().close()
        await container.storage().close()


class Callers:
    """Ask for something, and go away before the answer is there, or after."""

    def __init__(self, container: Container, state: EventState, random: Random) -> None:
        self._container = container
        self._state = state
        self._random = random
        self.booked: list[BookIt] = []
        self.acknowledged: dict[BookIt, Booking] = {}
        self.cancelled: set[BookIt] = set()
        self.asked_to_cancel: set[BookIt] = set()
        self.ends: Counter[str] = Counter()

    async def ask(self) -> None:
        """One of the things that may be asked."""
        asks = [self.book, self.book, self.cancel, self.cancel, self.read, self.read]
        await self._random.choice([*asks, self.page, self.look, self.sign_up, self.verify])()

    async def book(self) -> None:
        (kind,) = self._state.ticket_types
        command = BookIt(booking=new_id(), event=self._state.event.id, customer=new_id(), ticket_type=kind.id)
        self.booked.append(command)
        booking = await self._container.book_ticket()(booked_with(command))
        assert is_of(booking, command), (command, booking)
        self.acknowledged[command] = booking

    async def cancel(self) -> None:
        for command in self._some():
            if command in self.asked_to_cancel:
                continue
            self.asked_to_cancel.add(command)
            cancelled = await self._container.cancel_booking().by_id(command.booking, Actor(command.customer))
            assert is_of(cancelled.booking, command), (command, cancelled)
            self.cancelled.add(command)

    async def read(self) -> None:
        for command in self._some():
            found = await self._container.read_booking()(command.booking, Actor(command.customer))
            assert is_of(found, command), (command, found)

    async def page(self) -> None:
        for command in self._some():
            found = await self._container.storage().booking_queries.bookings_of_customer(
                command.customer, None, None, 10
            )
            assert [is_of(each, command) for each in found] == [True], (command, found)

    async def look(self) -> None:
        found = await self._container.read_event()(self._state.event.id, ORGANIZER)
        assert (found.event.id, found.event.name) == (self._state.event.id, self._state.event.name)

    async def sign_up(self) -> None:
        email = f"{new_id()}@example.org"
        user = await self._container.create_user()(
            Registration(name="Ada", email=email, password="correct horse battery")
        )
        found = await self._container.storage().account_queries.user_by_email(email)
        assert found
        assert (found.id, found.email) == (user.id, email)

    async def verify(self) -> None:
        assert (await self._container.verify_promises()()).breaches == []

    def _some(self) -> list[BookIt]:
        return [self._random.choice(list(self.acknowledged))] if self.acknowledged else []

    async def gone_after(self, turns: int) -> None:
        """Ask, and go away after so many turns of the loop."""
        task = asyncio.ensure_future(self.ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        await self._leave(task)

    async def timed_out_after(self, seconds: float) -> None:
        """Ask, and wait no longer than that."""
        try:
            async with asyncio.timeout(seconds):
                await self.ask()
        except TimeoutError:
            self.ends["gone"] += 1
        except (Refusal, Unavailable) as error:
            self.ends[type(error).__name__] += 1
        else:
            self.ends["answered"] += 1

    async def _leave(self, task: "asyncio.Task[None]") -> None:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        match result:
            case None:
                self.ends["answered"] += 1
            case asyncio.CancelledError():
                self.ends["gone"] += 1
            case Unavailable() | AlreadyCancelled():
                self.ends[type(result).__name__] += 1
            case BaseException():
                raise result


async def nothing_left(url: str, container: Container) -> None:
    """No connection is in use, the server has no more than there may be, and no transaction is open."""
    deadline = monotonic() + LET_GO_WITHIN
    while left := [*_locks(url), *([f"{in_use} in use"] if (in_use := checked_out(container)) else [])]:
        assert monotonic() < deadline, left
        await asyncio.sleep(mariadb.BETWEEN_LOOKS)


def _locks(url: str) -> list[object]:
    """Who holds a lock, or a connection beyond those that there may be."""
    database = make_url(url).database
    assert database
    if url.startswith("sqlite"):
        # Whoever comes from outside gets the writers' lock at once.
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                return [error]
        return []
    open_transactions = mariadb.execute(
        url, "SELECT trx_mysql_thread_id, trx_state, trx_started, trx_query, NOW() FROM information_schema.innodb_trx"
    )
    connections = mariadb.execute(
        url,
        "SELECT id, command, time_ms, state, info FROM information_schema.processlist"
        f" WHERE db = '{database}' AND id <> CONNECTION_ID()",
    )
    return [*open_transactions, *(connections if len(connections) > MOST_CONNECTIONS else [])]


async def check(office: AppDriver, state: EventState, callers: Callers) -> None:
    """What was acknowledged is there, as it was; and nothing that nobody asked for."""
    await office.verify()
    told: dict[object, list[str]] = {}
    for fact in await office.facts(state.event.id):
        if fact.booking_id is not None:
            told.setdefault(fact.booking_id, []).append(fact.kind)
    assert set(told) <= {command.booking for command in callers.booked}
    assert {command.booking for command in callers.acknowledged} <= set(told)
    ended = {booking_id for booking_id, kinds in told.items() if "BookingCancelled" in kinds}
    assert ended <= {command.booking for command in callers.asked_to_cancel}
    assert {command.booking for command in callers.cancelled} <= ended


async def test_callers_who_go_away_leave_nothing_behind(url: str, times: Callable[[int, int], int]) -> None:
    """Half of them at a turn of the loop, half of them after a time; between them, others are served."""
    random = Random(url.partition(":")[0])
    wanted = times(60, 500)
    async with app_on(url) as office, application(url) as container:
        state = await office.initialize(20)
        callers = Callers(container, state, random)
        while callers.ends["gone"] < wanted:
            leaving = [callers.gone_after(int(MOST_TURNS ** random.random())) for _ in range(AT_ONCE // 2)]
            late = [callers.timed_out_after(random.random() * MOST_SECONDS) for _ in range(AT_ONCE // 2)]
            await asyncio.gather(*leaving, *late, callers.book())
        await nothing_left(url, container)
        # The locks are free: everybody is served.
        await asyncio.gather(*(callers.book() for _ in range(AT_ONCE)))
        await check(office, state, callers)
        await nothing_left(url, container)
    print(f"{dict(callers.ends)}, {len(callers.booked)} bookings asked for, {len(callers.acknowledged)} acknowledged")  # noqa: T201

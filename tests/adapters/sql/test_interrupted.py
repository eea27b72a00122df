"""A cancelled caller leaves nothing behind, wherever it happens: no lock, no thread, no connection."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from boxoffice.adapters.sql.dialects.mysql import MySQLDialect
from boxoffice.adapters.sql.engine import pool
from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.loading import LoadSpec
from tests.contract.storage_driver import StorageDriver

MOMENTS = 150
"""Loop turns after which a caller is cancelled; a transaction here takes about half as many."""


@pytest.fixture
def without_collection() -> Iterator[None]:
    """What only the garbage collector would end is not ended."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collection")
async def test_a_cancelled_transaction_gives_the_lock_back(sqlite_storage: SqlStorage) -> None:
    storage = sqlite_storage
    state = await StorageDriver(storage).initialize(3)

    async def work() -> None:
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])

    kept = []
    for turns in range(MOMENTS):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        # Held on to as a log or an error's report would, with every frame and statement in it.
        kept.append(task)
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])


def test_closing_waits_for_what_was_interrupted(sqlite_url: str) -> None:
    """A driver's thread that still works when the loop ends could not report to it."""
    asyncio.run(upgrade(sqlite_url))
    join_the_threads_of_the_driver()
    before = threading.active_count()

    async def interrupted(turns: int) -> None:
        storage = SqlStorage.from_url(sqlite_url)
        task = asyncio.create_task(storage.check_ready())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await storage.close()

    for turns in range(MOMENTS):
        asyncio.run(interrupted(turns))
        join_the_threads_of_the_driver()
    assert threading.active_count() == before


def join_the_threads_of_the_driver() -> None:
    """They end a little later than their connections."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(timeout=10)


class Made:
    """Stands for a connection."""

    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


class SlowEngine:
    """Makes a connection in so many turns of the loop."""

    dialect = None

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.made: list[Made] = []

    def connect(self) -> "SlowEngine":
        return self

    async def start(self) -> Made:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.made.append(Made())
        return self.made[0]

    async def dispose(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize("turns", range(1, 7))
async def test_a_connection_made_in_the_moment_in_which_it_is_given_up_is_closed(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ABANDONED_SECONDS", 0)
    engine: Any = SlowEngine(turns)
    connections = pool.ConnectionPool(engine, MySQLDialect().send)
    connecting = asyncio.create_task(connections.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    await connections.close()
    assert all(each.is_closed for each in engine.made)

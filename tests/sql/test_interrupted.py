"""Whoever is cancelled leaves nothing behind, wherever it happens: no lock, no thread, no connection."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from boxoffice.adapters.sql.engine import pool as connections
from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.loading import LoadSpec
from tests.contract.box_office import BoxOffice

MOMENTS = 150
"""Loop turns after which somebody is cancelled; a transaction here takes about half as many."""


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
    state = await BoxOffice(storage).initialize(3)

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
    """A thread of the driver that is still at work when the loop ends could not tell anybody."""
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

    def __init__(self) -> None:
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_there_in_the_moment_in_which_it_is_given_up_is_closed(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Made] = []

    async def start() -> Made:
        for _ in range(turns):
            await asyncio.sleep(0)
        made.append(Made())
        return made[0]

    monkeypatch.setattr(connections, "MORE_SECONDS", 0)
    starting: asyncio.Task[Any] = asyncio.create_task(start())
    await asyncio.wait_for(connections._close_when_there(starting), 30)
    assert starting.cancelled() or made[0].is_closed

"""The in-memory storage fails as a database does, so that a simulation with it simulates the right thing."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from boxoffice.domain.event import Event
from boxoffice.entrypoints.harness.simulation.loop import make_loop
from tests.contract.storage_driver import StorageDriver, new_id


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    loop = make_loop(Random(0))
    try:
        loop.run(work, seconds=1_000, turns=10_000)
    finally:
        loop.close()


def failing(at: Step, failure: Exception) -> Callable[[Step], Awaitable[None]]:
    """Fails each time that this step is reached."""

    async def fault(step: Step) -> None:
        if step is at:
            raise failure

    return fault


async def looks_for(driver: StorageDriver, event: Event, batch_id: UUID) -> bool:
    """Whether the fact that comes after this state of the event carries the mark."""
    async with driver.storage.begin() as unit_of_work:
        return await unit_of_work.events.was_committed({event.id: event.last_seq + 1}, batch_id)


@pytest.mark.parametrize("commits", [True, False])
def test_a_lost_commit_is_decided_later_and_a_lookup_waits_for_it(commits: bool) -> None:
    async def steps() -> None:
        storage = MemoryStorage()
        driver, others = StorageDriver(storage), StorageDriver(storage.another())
        state, batch_id = await driver.initialize(3), new_id()
        storage.fault = failing(Step.COMMIT, storage.lost_in_commit(2.0, commits=commits))
        with pytest.raises(OutcomeUnknown):
            await driver.book(state, batch_id=batch_id)
        assert (await others.read(state)).ticket_types[0].taken == 0
        assert storage.locked == 1
        assert await looks_for(others, state.event, batch_id) is commits
        assert asyncio.get_running_loop().time() == 2.0
        assert (await others.read(state)).ticket_types[0].taken == int(commits)
        assert storage.locked == 0

    in_virtual_time(steps())


def test_a_lost_connection_holds_its_locks_until_it_is_noticed() -> None:
    async def steps() -> None:
        storage = MemoryStorage()
        driver, others = StorageDriver(storage), StorageDriver(storage.another())
        state = await driver.initialize(3)
        storage.fault = failing(Step.SAVE, storage.lost(5.0))
        with pytest.raises(Retryable):
            await driver.book(state)
        with pytest.raises(Unavailable):
            await others.book(state)
        assert asyncio.get_running_loop().time() == 3.0
        await others.book(state)
        assert asyncio.get_running_loop().time() == 5.0
        assert (await others.read(state)).ticket_types[0].taken == 1

    in_virtual_time(steps())


def test_cut_connections_undo_what_was_open_and_say_so() -> None:
    async def steps() -> None:
        storage = MemoryStorage()
        driver, others = StorageDriver(storage), StorageDriver(storage.another())
        state = await driver.initialize(3)

        async def slow(step: Step) -> None:
            if step is Step.SAVE:
                await asyncio.sleep(10)

        storage.fault = slow
        under_way = asyncio.ensure_future(driver.book(state))
        await asyncio.sleep(1)
        waiting = asyncio.ensure_future(driver.book(state))
        await asyncio.sleep(1)
        storage.cut()
        assert storage.locked == 0
        await others.book(state)
        assert asyncio.get_running_loop().time() == 2.0
        for lost in (waiting, under_way):
            with pytest.raises(Retryable):
                await lost
        assert (await others.read(state)).ticket_types[0].taken == 1

    in_virtual_time(steps())


def test_connections_that_are_cut_during_commit_leave_the_outcome_unknown() -> None:
    async def steps(at: Step) -> None:
        storage = MemoryStorage()
        driver = StorageDriver(storage)
        state = await driver.initialize(3)

        async def cut(step: Step) -> None:
            if step is at:
                storage.cut()

        storage.fault = cut
        if at is Step.COMMIT:
            with pytest.raises(OutcomeUnknown):
                await driver.book(state)
        else:
            # Nothing was open then.
            await driver.book(state)
        assert (await driver.read(state)).ticket_types[0].taken == int(at is Step.COMMITTED)

    in_virtual_time(steps(Step.COMMIT))
    in_virtual_time(steps(Step.COMMITTED))

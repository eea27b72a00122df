"""Leases of the background work: every process may try, one holds the lease."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from .storage_driver import NOW, StorageDriver, new_id

TERM = timedelta(seconds=10)


async def acquire(driver: StorageDriver, process_id: UUID, now: datetime = NOW, chore: str = "sweep") -> bool:
    return await driver.do(lambda unit: unit.leases.acquire_lease(chore, process_id, now, now + TERM))


async def test_one_process_holds_the_lease_until_it_ends(driver: StorageDriver) -> None:
    first, second = new_id(), new_id()
    assert await acquire(driver, first)
    assert not await acquire(driver, second)
    assert not await acquire(driver, second, NOW + TERM - timedelta(microseconds=1))
    assert await acquire(driver, second, NOW + TERM)
    assert not await acquire(driver, first, NOW + TERM)


async def test_the_holder_may_renew_its_lease(driver: StorageDriver) -> None:
    first, second = new_id(), new_id()
    assert await acquire(driver, first)
    assert await acquire(driver, first, NOW + TERM / 2)
    assert not await acquire(driver, second, NOW + TERM)
    assert await acquire(driver, second, NOW + TERM / 2 + TERM)


async def test_each_chore_has_its_own_lease(driver: StorageDriver) -> None:
    first, second = new_id(), new_id()
    assert await acquire(driver, first)
    assert await acquire(driver, second, chore="Sweep")
    assert not await acquire(driver, second)


async def test_one_of_many_that_try_at_once_gets_it(driver: StorageDriver) -> None:
    for now in (NOW, NOW + TERM):
        taken = await asyncio.gather(*(acquire(driver, new_id(), now) for _ in range(6)))
        assert sorted(taken) == [False] * 5 + [True]


async def test_a_lease_that_is_being_acquired_makes_the_next_process_wait(driver: StorageDriver) -> None:
    async with driver.storage.begin() as unit_of_work:
        assert await unit_of_work.leases.acquire_lease("sweep", new_id(), NOW, NOW + TERM)
        second = asyncio.create_task(acquire(driver, new_id()))
        # It must not decide, however long one waits.
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.commit()
    assert not await second


async def test_a_lease_that_ends_far_ahead_was_acquired_by_a_wrong_clock(driver: StorageDriver) -> None:
    ahead, other = new_id(), new_id()
    assert await acquire(driver, ahead, NOW + timedelta(hours=1))
    assert await acquire(driver, other)
    assert not await acquire(driver, new_id())
    # Between clocks that differ by less than a term, leases hold as usual.
    assert not await acquire(driver, ahead, NOW - TERM + timedelta(microseconds=1))

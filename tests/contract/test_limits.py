"""Counters of the rate limits: requests that processes share with each other, and failures to sign in."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from boxoffice.application.ports.repositories import Count, Failures
from boxoffice.application.ports.storage import UnitOfWork

from .storage_driver import NOW, StorageDriver, new_id

MINUTE = 31_000_000


async def put(driver: StorageDriver, process_id: UUID, *counts: Count) -> None:
    await driver.do(lambda unit: unit.limits.put_counts(process_id, counts))


async def others(driver: StorageDriver, process_id: UUID, *counts: Count) -> dict[tuple[int, UUID], int]:
    return await driver.do(lambda unit: unit.limits.counts_of_others(process_id, counts))


async def test_the_counts_of_other_processes_are_summed(driver: StorageDriver) -> None:
    key, other_key, us, second, third = (new_id() for _ in range(5))
    await put(driver, us, Count(MINUTE, key, 1_000))
    await put(driver, second, Count(MINUTE, key, 3), Count(MINUTE, other_key, 50), Count(MINUTE - 1, key, 7))
    await put(driver, third, Count(MINUTE, key, 4), Count(MINUTE - 2, key, 90), Count(MINUTE + 1, key, 90))
    assert await others(driver, us, Count(MINUTE, key, 1)) == {(MINUTE, key): 7, (MINUTE - 1, key): 7}
    assert await others(driver, second, Count(MINUTE, key, 1)) == {(MINUTE, key): 1_004}
    assert await others(driver, us, Count(MINUTE, new_id(), 1)) == {}
    assert await others(driver, us) == {}


async def test_a_count_replaces_the_one_before(driver: StorageDriver) -> None:
    key, us, second = (new_id() for _ in range(3))
    for requests in (3, 9, 5):
        await put(driver, second, Count(MINUTE, key, requests), Count(MINUTE + 1, key, requests))
    await put(driver, second)
    assert await others(driver, us, Count(MINUTE, key, 1)) == {(MINUTE, key): 5}


async def test_many_counts_at_once(driver: StorageDriver) -> None:
    counts = [Count(MINUTE, new_id(), number) for number in range(1, 1_001)]
    await put(driver, new_id(), *counts)
    assert await others(driver, new_id(), *counts) == {(MINUTE, each.key): each.requests for each in counts}


async def test_processes_put_their_counts_at_the_same_time(driver: StorageDriver) -> None:
    keys, processes = [new_id() for _ in range(20)], [new_id() for _ in range(5)]
    for requests in (1, 2):
        counts = [Count(MINUTE, key, requests) for key in reversed(keys)]
        await asyncio.gather(*(put(driver, process_id, *counts) for process_id in processes))
    found = await others(driver, new_id(), *(Count(MINUTE, key, 0) for key in keys))
    assert found == {(MINUTE, key): 2 * len(processes) for key in keys}


async def test_old_counts_are_forgotten(driver: StorageDriver) -> None:
    key = new_id()
    await put(driver, new_id(), Count(MINUTE - 1, key, 1), Count(MINUTE, key, 2))
    await driver.do(lambda unit: unit.limits.forget_counts(MINUTE))
    assert await others(driver, new_id(), Count(MINUTE, key, 0)) == {(MINUTE, key): 2}


async def failures(driver: StorageDriver, *subjects: UUID) -> dict[UUID, tuple[Failures, ...]]:
    return await driver.do(lambda unit: unit.limits.failures(subjects))


async def fail(driver: StorageDriver, *subjects: UUID, at: datetime = NOW) -> None:
    """Record a failure as signing in does: under a lock, so that none is lost."""

    async def record(unit: UnitOfWork) -> None:
        found = await unit.limits.lock_failures(subjects)
        last = {subject: (*found.get(subject, ()), Failures(at))[-10:] for subject in subjects}
        await unit.limits.save_failures(last)

    await driver.do(record)


async def test_failures_are_kept_to_the_microsecond(driver: StorageDriver) -> None:
    subject, other = new_id(), new_id()
    times = tuple(NOW + timedelta(microseconds=number) for number in range(12))
    for at in times:
        await fail(driver, subject, at=at)
    await fail(driver, other)
    kept = {subject: tuple(map(Failures, times[-10:])), other: (Failures(NOW),)}
    assert await failures(driver, subject, other) == kept
    assert await failures(driver, new_id()) == {}


async def test_locking_alone_leaves_no_failure(driver: StorageDriver) -> None:
    subject = new_id()
    assert await driver.do(lambda unit: unit.limits.lock_failures([subject])) == {}
    assert await failures(driver, subject) == {}


async def test_no_failure_is_lost_when_many_come_at_once(driver: StorageDriver) -> None:
    address, account = new_id(), new_id()
    # Locks are taken in their own order, whichever way round the subjects are named.
    pairs = [(address, account), (account, address)] * 4
    await asyncio.gather(*(fail(driver, *pair) for pair in pairs))
    found = await failures(driver, address, account)
    assert [len(found[each]) for each in (address, account)] == [8, 8]


async def test_thirty_two_failures_are_kept_until_the_last_of_them_is_old(driver: StorageDriver) -> None:
    subject, old = new_id(), new_id()
    await fail(driver, old)
    kept = tuple(Failures(NOW + timedelta(minutes=number), 100 + number) for number in range(32))

    async def save(unit: UnitOfWork) -> None:
        await unit.limits.lock_failures([subject])
        await unit.limits.save_failures({subject: kept})

    await driver.do(save)
    assert await failures(driver, subject) == {subject: kept}
    await driver.do(lambda unit: unit.limits.forget_failures(kept[-1].at))
    assert await failures(driver, subject, old) == {subject: kept}
    await driver.do(lambda unit: unit.limits.forget_failures(kept[-1].at + timedelta(microseconds=1)))
    assert await failures(driver, subject) == {}

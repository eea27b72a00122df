"""What limits are held against: counts of requests that processes tell each other, and failures to sign in."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from boxoffice.application.ports.repositories import Count, Failures, LimitRepository
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction

from .box_office import NOW, BoxOffice, new_id

Result = TypeVar("Result")
MINUTE = 31_000_000


async def with_limits(office: BoxOffice, work: Callable[[LimitRepository], Awaitable[Result]]) -> Result:
    async def run(unit_of_work: UnitOfWork) -> Result:
        return await work(unit_of_work.limits)

    return await in_transaction(office.storage, run)


async def put(office: BoxOffice, process_id: UUID, *counts: Count) -> None:
    await with_limits(office, lambda limits: limits.put_counts(process_id, counts))


async def others(office: BoxOffice, process_id: UUID, *counts: Count) -> dict[tuple[int, UUID], int]:
    return await with_limits(office, lambda limits: limits.counts_of_others(process_id, counts))


async def test_others_counts_are_summed_and_ones_own_are_not(office: BoxOffice) -> None:
    key, other_key, us, second, third = (new_id() for _ in range(5))
    await put(office, us, Count(MINUTE, key, 1_000))
    await put(office, second, Count(MINUTE, key, 3), Count(MINUTE, other_key, 50), Count(MINUTE - 1, key, 7))
    await put(office, third, Count(MINUTE, key, 4), Count(MINUTE - 2, key, 90), Count(MINUTE + 1, key, 90))
    assert await others(office, us, Count(MINUTE, key, 1)) == {(MINUTE, key): 7, (MINUTE - 1, key): 7}
    assert await others(office, second, Count(MINUTE, key, 1)) == {(MINUTE, key): 1_004}
    assert await others(office, us, Count(MINUTE, new_id(), 1)) == {}
    assert await others(office, us) == {}


async def test_a_count_takes_the_place_of_the_one_before(office: BoxOffice) -> None:
    key, us, second = (new_id() for _ in range(3))
    for requests in (3, 9, 5):
        await put(office, second, Count(MINUTE, key, requests), Count(MINUTE + 1, key, requests))
    await put(office, second)
    assert await others(office, us, Count(MINUTE, key, 1)) == {(MINUTE, key): 5}


async def test_many_counts_at_once(office: BoxOffice) -> None:
    us, second = new_id(), new_id()
    counts = [Count(MINUTE, new_id(), number) for number in range(1, 1_001)]
    await put(office, second, *counts)
    found = await others(office, us, *counts)
    assert found == {(MINUTE, each.key): each.requests for each in counts}


async def test_processes_put_their_counts_at_the_same_time(office: BoxOffice) -> None:
    keys, processes = [new_id() for _ in range(20)], [new_id() for _ in range(5)]
    for requests in (1, 2):
        await asyncio.gather(
            *(
                put(office, process_id, *(Count(MINUTE, key, requests) for key in reversed(keys)))
                for process_id in processes
            )
        )
    found = await others(office, new_id(), *(Count(MINUTE, key, 0) for key in keys))
    assert found == {(MINUTE, key): 2 * len(processes) for key in keys}


async def test_old_counts_are_forgotten(office: BoxOffice) -> None:
    key, us, second = (new_id() for _ in range(3))
    await put(office, second, Count(MINUTE - 1, key, 1), Count(MINUTE, key, 2))
    await with_limits(office, lambda limits: limits.forget_counts(MINUTE))
    assert await others(office, us, Count(MINUTE, key, 0)) == {(MINUTE, key): 2}


async def test_what_is_not_committed_counts_nothing(office: BoxOffice) -> None:
    key, subject = new_id(), new_id()
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.limits.put_counts(new_id(), [Count(MINUTE, key, 1)])
        await unit_of_work.limits.lock_failures([subject])
        await unit_of_work.limits.save_failures({subject: (Failures(NOW),)})
    assert await others(office, new_id(), Count(MINUTE, key, 0)) == {}
    assert await failures(office, subject) == {}


async def failures(office: BoxOffice, *subjects: UUID) -> dict[UUID, tuple[Failures, ...]]:
    return await with_limits(office, lambda limits: limits.failures(subjects))


async def fail(office: BoxOffice, *subjects: UUID, at: datetime = NOW) -> None:
    """What signing in does: locked, so that no failure is lost."""

    async def record(limits: LimitRepository) -> None:
        found = await limits.lock_failures(subjects)
        await limits.save_failures({subject: (*found.get(subject, ()), Failures(at))[-10:] for subject in subjects})

    await with_limits(office, record)


async def test_failures_are_kept_to_the_microsecond(office: BoxOffice) -> None:
    subject, other = new_id(), new_id()
    times = tuple(NOW + timedelta(microseconds=number) for number in range(12))
    for at in times:
        await fail(office, subject, at=at)
    await fail(office, other)
    assert await failures(office, subject, other) == {
        subject: tuple(map(Failures, times[-10:])),
        other: (Failures(NOW),),
    }
    assert await failures(office, new_id()) == {}


async def test_locking_alone_leaves_no_failure(office: BoxOffice) -> None:
    subject = new_id()
    assert await with_limits(office, lambda limits: limits.lock_failures([subject])) == {}
    assert await failures(office, subject) == {}


async def test_no_failure_is_lost_however_many_come_at_once(office: BoxOffice) -> None:
    address, account = new_id(), new_id()
    # Each pair is locked in its order, whichever way round it is named.
    await asyncio.gather(
        *(fail(office, *((address, account) if number % 2 else (account, address))) for number in range(8))
    )
    found = await failures(office, address, account)
    assert [len(found[each]) for each in (address, account)] == [8, 8]


async def test_old_failures_are_forgotten(office: BoxOffice) -> None:
    old, young = new_id(), new_id()
    await fail(office, old, young)
    await fail(office, young, at=NOW + timedelta(seconds=1))
    await with_limits(office, lambda limits: limits.forget_failures(NOW + timedelta(microseconds=1)))
    assert await failures(office, old, young) == {young: (Failures(NOW), Failures(NOW + timedelta(seconds=1)))}


async def test_many_failures_of_many_minutes_are_kept(office: BoxOffice) -> None:
    subject = new_id()
    kept = tuple(Failures(NOW + timedelta(seconds=60 * number), 100 + number) for number in range(32))

    async def save(limits: LimitRepository) -> None:
        await limits.lock_failures([subject])
        await limits.save_failures({subject: kept})

    await with_limits(office, save)
    assert await failures(office, subject) == {subject: kept}
    await with_limits(office, lambda limits: limits.forget_failures(kept[-1].at))
    assert await failures(office, subject) == {subject: kept}

"""Turns of the background work: all processes may try, one has it."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction

from .box_office import NOW, BoxOffice, new_id

TURN = timedelta(seconds=10)


async def acquire_lease(office: BoxOffice, process_id: UUID, now: datetime = NOW, chore: str = "sweep") -> bool:
    async def take(unit_of_work: UnitOfWork) -> bool:
        return await unit_of_work.leases.acquire_lease(chore, process_id, now, now + TURN)

    return await in_transaction(office.storage, take)


async def test_one_process_has_the_turn_until_it_ends(office: BoxOffice) -> None:
    first, second = new_id(), new_id()
    assert await acquire_lease(office, first)
    assert not await acquire_lease(office, second)
    assert not await acquire_lease(office, second, NOW + TURN - timedelta(microseconds=1))
    assert await acquire_lease(office, second, NOW + TURN)
    assert not await acquire_lease(office, first, NOW + TURN)


async def test_whoever_has_the_turn_may_keep_it(office: BoxOffice) -> None:
    first, second = new_id(), new_id()
    assert await acquire_lease(office, first)
    assert await acquire_lease(office, first)
    assert await acquire_lease(office, first, NOW + TURN / 2)
    assert not await acquire_lease(office, second, NOW + TURN)
    assert await acquire_lease(office, second, NOW + TURN / 2 + TURN)


async def test_each_chore_has_its_own_turn(office: BoxOffice) -> None:
    first, second = new_id(), new_id()
    assert await acquire_lease(office, first)
    assert await acquire_lease(office, second, chore="Sweep")
    assert not await acquire_lease(office, second)


async def test_a_turn_that_was_not_committed_was_not_taken(office: BoxOffice) -> None:
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.leases.acquire_lease("sweep", new_id(), NOW, NOW + TURN)
    assert await acquire_lease(office, new_id())


async def test_of_many_at_once_one_gets_it(office: BoxOffice) -> None:
    for now in (NOW, NOW + TURN):
        taken = await asyncio.gather(*(acquire_lease(office, new_id(), now) for _ in range(6)))
        assert sorted(taken) == [False] * 5 + [True]


async def test_a_turn_that_is_being_taken_makes_the_next_one_wait_and_see(office: BoxOffice) -> None:
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.leases.acquire_lease("sweep", new_id(), NOW, NOW + TURN)
        second = asyncio.create_task(acquire_lease(office, new_id()))
        # It must not decide, however long one waits.
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.commit()
    assert not await second


async def test_a_turn_that_is_still_to_come_for_long_was_taken_by_a_wrong_clock(office: BoxOffice) -> None:
    ahead, other = new_id(), new_id()
    assert await acquire_lease(office, ahead, NOW + timedelta(hours=1))
    assert await acquire_lease(office, other)
    assert not await acquire_lease(office, new_id())
    # Machines whose clocks differ by less than a turn take turns as others do.
    assert not await acquire_lease(office, ahead, NOW - TURN + timedelta(microseconds=1))

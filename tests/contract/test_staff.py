"""The staff of events: read as it was saved, each person once, whatever lock is held."""

import asyncio
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.accounts.staff import Colleague
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.policy import StaffRole
from boxoffice.domain.user import User

from .storage_driver import NOW, StorageDriver, new_id, new_user


def new_member(event_id: UUID, user: User, role: StaffRole = StaffRole.DESK) -> StaffMember:
    """An appointment that is not stored yet."""
    return StaffMember(id=new_id(), event_id=event_id, user_id=user.id, role=role, appointed_at=NOW)


async def add(driver: StorageDriver, *members: StaffMember) -> None:
    async def work(unit: UnitOfWork) -> None:
        for member in members:
            await unit.staff.add(member)

    await driver.do(work)


async def accounts(driver: StorageDriver, number: int) -> list[User]:
    users = [new_user(f"helper{each}@example.org") for each in range(number)]

    async def work(unit: UnitOfWork) -> None:
        for user in users:
            await unit.users.add(user)

    await driver.do(work)
    return users


async def test_a_staff_comes_back_as_it_was_saved(driver: StorageDriver) -> None:
    users = await accounts(driver, 3)
    event_id, other = new_id(), new_id()
    members = [new_member(event_id, user, role) for user, role in zip(users, StaffRole, strict=True)]
    elsewhere = new_member(other, users[0], StaffRole.DOOR)
    await add(driver, *members, elsewhere)
    queries = driver.storage.staff_queries

    colleagues = [Colleague(member, user) for member, user in zip(members, users, strict=True)]
    assert await queries.staff(event_id, None, 10) == colleagues
    assert await queries.staff(event_id, None, 2) == colleagues[:2]
    assert await queries.staff(event_id, users[0].id, 10) == colleagues[1:]
    assert [await queries.role(event_id, user.id) for user in users] == list(StaffRole)
    assert await queries.role(other, users[1].id) is None
    assert await queries.events_of(users[0].id) == {event_id: StaffRole.MANAGER, other: StaffRole.DOOR}
    assert await queries.events_of(new_id()) == {}
    assert await queries.staff(new_id(), None, 10) == []


async def test_a_unit_of_work_sees_its_own_changes_and_others_after_its_commit(driver: StorageDriver) -> None:
    first, second = await accounts(driver, 2)
    event_id = new_id()
    member = new_member(event_id, first)
    changed = replace(member, role=StaffRole.MANAGER)
    async with driver.storage.begin() as unit:
        assert await unit.staff.member(event_id, first.id) is None
        await unit.staff.add(member)
        await unit.staff.add(new_member(event_id, second))
        assert await unit.staff.member(event_id, first.id) == member
        assert await unit.staff.count(event_id) == 2
        await unit.staff.save(changed)
        await unit.staff.remove(event_id, second.id)
        assert await unit.staff.member(event_id, first.id) == changed
        assert await unit.staff.member(event_id, second.id) is None
        assert await unit.staff.count(event_id) == 1
        assert await driver.storage.staff_queries.role(event_id, first.id) is None
        await unit.commit()
    assert await driver.storage.staff_queries.staff(event_id, None, 10) == [Colleague(changed, first)]
    async with driver.storage.begin() as unit:
        await unit.staff.remove(event_id, first.id)
        assert await unit.staff.count(event_id) == 0
    assert await driver.storage.staff_queries.role(event_id, first.id) is StaffRole.MANAGER
    async with driver.storage.begin() as unit:
        await unit.staff.remove(event_id, first.id)
        await unit.commit()
    assert await driver.storage.staff_queries.staff(event_id, None, 10) == []


async def test_a_person_works_once_for_an_event(driver: StorageDriver) -> None:
    (user,) = await accounts(driver, 1)
    event_id = new_id()
    found = await asyncio.gather(
        *(add(driver, new_member(event_id, user, role)) for role in StaffRole), return_exceptions=True
    )
    assert [type(each) for each in found if each is not None] == [Conflict, Conflict]
    assert len(await driver.storage.staff_queries.staff(event_id, None, 10)) == 1
    with pytest.raises(Conflict):
        await add(driver, new_member(event_id, user))


async def test_a_staff_is_read_beside_the_locked_event(driver: StorageDriver) -> None:
    (user,) = await accounts(driver, 1)
    state = await driver.initialize(1)
    await add(driver, new_member(state.event.id, user))
    async with driver.storage.begin() as unit:
        await unit.events.lock([LoadSpec(event_id=state.event.id)])
        async with asyncio.timeout(30):
            assert await driver.storage.staff_queries.role(state.event.id, user.id) is StaffRole.DESK
            assert len(await driver.storage.staff_queries.staff(state.event.id, None, 10)) == 1

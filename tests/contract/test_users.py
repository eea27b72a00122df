"""Accounts and sessions."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.application.failures import Conflict
from boxoffice.application.ports import Account, AccountKey
from boxoffice.domain.user import Role, Session, User

from .box_office import NOW, BoxOffice, new_id, new_session, new_user


async def add(office: BoxOffice, user: User, *sessions: Session) -> User:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        for session in sessions:
            await unit_of_work.users.add_session(session, NOW)
        await unit_of_work.commit()
    return user


async def session_of(office: BoxOffice, session: Session) -> Session | None:
    account = await office.account(session.user_id, session.id)
    return account.session if account else None


async def test_an_account_is_kept_as_it_is(office: BoxOffice) -> None:
    user = await add(office, new_user())
    assert await office.reads.user_by_email(user.email) == user
    assert await office.account(user.id, None) == Account(user, None)


async def test_unknown_accounts_are_none(office: BoxOffice) -> None:
    await add(office, new_user())
    assert await office.reads.user_by_email("nobody@example.org") is None
    assert await office.account(new_id(), None) is None
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock(new_id()) is None
        assert await unit_of_work.users.lock_by_email("nobody@example.org") is None


@pytest.mark.parametrize("other", ["adá@example.org", "ada@example.org.uk", "ADA@example.org"])
async def test_addresses_that_differ_are_different(office: BoxOffice, other: str) -> None:
    await add(office, new_user("ada@example.org"))
    await add(office, new_user(other))
    assert await office.reads.user_by_email("ada@example.org") != await office.reads.user_by_email(other)


async def test_an_address_is_taken_once(office: BoxOffice) -> None:
    user = await add(office, new_user())
    with pytest.raises(Conflict):
        await add(office, new_user(user.email))
    with pytest.raises(Conflict):
        await add(office, replace(user, email="other@example.org"))
    assert await office.reads.user_by_email(user.email) == user


async def test_of_two_with_the_same_address_at_once_one_conflicts(office: BoxOffice) -> None:
    results = await asyncio.gather(*(add(office, new_user()) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "User"]


async def test_saving_an_account_puts_every_field(office: BoxOffice) -> None:
    user, other = await add(office, new_user()), await add(office, new_user("other@example.org"))
    changed = replace(user, name="Ada King", password_hash="new", role=Role.ADMIN)
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock(user.id) == user
        await unit_of_work.users.save(changed)
        await unit_of_work.commit()
    assert await office.account(user.id, None) == Account(changed, None)
    assert await office.reads.user_by_email(user.email) == changed
    assert await office.reads.user_by_email(other.email) == other


@pytest.mark.parametrize("by_email", [False, True])
async def test_a_locked_account_makes_the_next_one_wait_and_see(office: BoxOffice, by_email: bool) -> None:
    user = await add(office, new_user())

    async def lock() -> User | None:
        async with office.storage.begin() as unit_of_work:
            users = unit_of_work.users
            return await (users.lock_by_email(user.email) if by_email else users.lock(user.id))

    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.lock(user.id)
        second = asyncio.create_task(lock())
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.save(replace(user, name="Changed"))
        await unit_of_work.commit()
    found = await second
    assert found is not None
    assert found.name == "Changed"


async def test_a_session_is_found_with_its_own_user_only(office: BoxOffice) -> None:
    user, other = new_user(), new_user("other@example.org")
    session = new_session(user)
    await add(office, user, session)
    await add(office, other, new_session(other))
    assert await office.account(user.id, session.id) == Account(user, session)
    assert await office.account(other.id, session.id) == Account(other, None)
    assert await office.account(user.id, new_id()) == Account(user, None)


async def test_many_accounts_are_read_at_once_each_with_its_own_session(office: BoxOffice) -> None:
    users = [new_user(f"{number}@example.org") for number in range(3)]
    sessions = {user.id: [new_session(user), new_session(user)] for user in users}
    for user in users:
        await add(office, user, *sessions[user.id])
    one, two, three = users
    wanted = {
        AccountKey(one.id, sessions[one.id][0].id): Account(one, sessions[one.id][0]),
        AccountKey(one.id, sessions[one.id][1].id): Account(one, sessions[one.id][1]),
        AccountKey(two.id): Account(two, None),
        AccountKey(three.id, sessions[one.id][0].id): Account(three, None),
    }
    assert await office.reads.accounts([*wanted, AccountKey(new_id())]) == wanted
    assert await office.reads.accounts([]) == {}


async def test_a_new_session_sweeps_those_of_its_user_that_expired(office: BoxOffice) -> None:
    user, other = new_user(), new_user("other@example.org")
    old, edge, live = (new_session(user, lasts=timedelta(minutes=minutes)) for minutes in (5, 10, 11))
    of_other = new_session(other, lasts=timedelta(minutes=5))
    await add(office, user, old, edge, live)
    await add(office, other, of_other)
    new = new_session(user)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add_session(new, NOW + timedelta(minutes=10))
        await unit_of_work.commit()
    assert [await session_of(office, each) for each in (old, edge, live, new, of_other)] == [
        None,
        None,
        live,
        new,
        of_other,
    ]


async def test_ending_sessions_leaves_the_one_named_and_those_of_others(office: BoxOffice) -> None:
    user, other = new_user(), new_user("other@example.org")
    kept, ended, of_other = new_session(user), new_session(user), new_session(other)
    await add(office, user, kept, ended)
    await add(office, other, of_other)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.end_sessions(user.id, NOW, but=kept.id)
        await unit_of_work.commit()
    assert [await session_of(office, each) for each in (kept, ended, of_other)] == [
        kept,
        replace(ended, ended_at=NOW),
        of_other,
    ]
    later = NOW + timedelta(minutes=1)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.end_sessions(user.id, later, but=None)
        await unit_of_work.commit()
    # What ended before ended then.
    assert [await session_of(office, each) for each in (kept, ended)] == [
        replace(kept, ended_at=later),
        replace(ended, ended_at=NOW),
    ]

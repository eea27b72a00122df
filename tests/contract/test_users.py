"""Accounts and their sessions: read as they were saved, found by the right user only, locked while they change."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.queries import Account, Revocations
from boxoffice.application.ports.repositories import SignIn
from boxoffice.application.ports.security import AccountKey, RefreshDigests, ReplacedToken
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.user import Role, Session, User

from .storage_driver import EMAIL, NOW, StorageDriver, new_digests, new_id, new_session, new_user

MICROSECOND = timedelta(microseconds=1)


async def add(driver: StorageDriver, user: User, *sessions: Session) -> User:
    async def work(unit: UnitOfWork) -> User:
        await unit.users.add(user)
        for session in sessions:
            await unit.users.add_session(session, new_digests(), NOW)
        return user

    return await driver.do(work)


async def session_of(driver: StorageDriver, session: Session) -> Session | None:
    account = await driver.account(session.user_id, session.id)
    return account.session if account else None


async def test_an_account_comes_back_as_it_was_saved(driver: StorageDriver) -> None:
    user, other = await add(driver, new_user()), await add(driver, new_user("other@example.org"))
    changed = replace(user, name="Ada King", password_hash="new", role=Role.ADMIN, disabled_at=NOW, verified_at=NOW)
    without = replace(changed, name="", password_hash=None, pending_email="new@example.org", erased_at=NOW)
    for expected, saved in ((user, changed), (changed, without), (without, without)):
        assert await driver.storage.account_queries.user_by_email(EMAIL) == expected
        assert await driver.account(user.id, None) == Account(expected, None)
        async with driver.storage.begin() as unit_of_work:
            assert await unit_of_work.users.lock(user.id) == expected
            await unit_of_work.users.save(saved)
            await unit_of_work.commit()
    assert await driver.storage.account_queries.user_by_email("other@example.org") == other


async def test_unknown_accounts_are_none(driver: StorageDriver) -> None:
    await add(driver, new_user())
    assert await driver.storage.account_queries.user_by_email("unknown@example.org") is None
    assert await driver.account(new_id(), None) is None
    async with driver.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock(new_id()) is None
        assert await unit_of_work.users.lock_by_email("unknown@example.org") is None


@pytest.mark.parametrize("other", ["adá@example.org", "ada@example.org.uk", "ADA@example.org"])
async def test_addresses_that_differ_are_different(driver: StorageDriver, other: str) -> None:
    await add(driver, new_user("ada@example.org"))
    await add(driver, new_user(other))
    assert await driver.storage.account_queries.user_by_email(
        "ada@example.org"
    ) != await driver.storage.account_queries.user_by_email(other)


async def test_an_address_is_taken_once(driver: StorageDriver) -> None:
    results = await asyncio.gather(*(add(driver, new_user()) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "User"]
    (user,) = [result for result in results if isinstance(result, User)]
    for again in (new_user(), replace(user, email="other@example.org")):
        with pytest.raises(Conflict):
            await add(driver, again)
    assert await driver.storage.account_queries.user_by_email(EMAIL) == user


async def test_an_address_passes_from_one_account_to_another_in_one_transaction(driver: StorageDriver) -> None:
    """Any number of accounts may be without one."""
    users = [await add(driver, new_user())]
    for _ in range(2):
        after = new_user()

        async def take(unit: UnitOfWork, after: User = after) -> None:
            await unit.users.save(replace(users[-1], email=None))
            await unit.users.add(after)

        await driver.do(take)
        users.append(after)
    assert await driver.storage.account_queries.user_by_email(EMAIL) == users[-1]
    found = [each.email for each in await driver.storage.account_queries.users(None, 10)]
    assert found == [None, None, EMAIL]


@pytest.mark.parametrize("by_email", [False, True])
async def test_a_locked_account_makes_the_next_one_wait_and_see(driver: StorageDriver, by_email: bool) -> None:
    user = await add(driver, new_user())

    async def lock(unit: UnitOfWork) -> User | None:
        return await (unit.users.lock_by_email(EMAIL) if by_email else unit.users.lock(user.id))

    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.users.lock(user.id)
        second = asyncio.create_task(driver.do(lock))
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.save(replace(user, name="Changed"))
        await unit_of_work.commit()
    found = await second
    assert found is not None
    assert found.name == "Changed"


async def test_many_accounts_are_read_at_once_each_with_its_own_session(driver: StorageDriver) -> None:
    users = [new_user(f"{number}@example.org") for number in range(3)]
    sessions = {user.id: [new_session(user), new_session(user)] for user in users}
    for user in users:
        await add(driver, user, *sessions[user.id])
    one, two, three = users
    wanted = {
        AccountKey(one.id, sessions[one.id][0].id): Account(one, sessions[one.id][0]),
        AccountKey(one.id, sessions[one.id][1].id): Account(one, sessions[one.id][1]),
        AccountKey(two.id): Account(two, None),
        AccountKey(three.id, sessions[one.id][0].id): Account(three, None),
    }
    assert await driver.storage.account_queries.accounts([*wanted, AccountKey(new_id())]) == wanted
    assert await driver.storage.account_queries.accounts([]) == {}


async def test_accounts_are_listed_by_id_page_by_page(driver: StorageDriver) -> None:
    assert await driver.storage.account_queries.users(None, 10) == []
    users = sorted(
        [await add(driver, new_user(f"{number}@example.org")) for number in range(5)], key=lambda user: user.id
    )
    assert await driver.storage.account_queries.users(None, 10) == users
    assert await driver.storage.account_queries.users(users[1].id, 2) == users[2:4]
    assert await driver.storage.account_queries.users(users[4].id, 2) == []


async def test_ended_sessions_are_reported_since_a_time(driver: StorageDriver) -> None:
    user = new_user()
    live, ended, before = new_session(user), new_session(user), new_session(user)
    await add(driver, user, live, replace(ended, ended_at=NOW), replace(before, ended_at=NOW - MICROSECOND))
    assert await driver.storage.account_queries.revocations(NOW) == Revocations([ended.id], {})
    found = await driver.storage.account_queries.revocations(NOW - MICROSECOND)
    assert sorted(found.ended) == sorted([ended.id, before.id])
    await driver.do(lambda unit: unit.users.end_sessions(user.id, NOW + MICROSECOND, but=None))
    assert await driver.storage.account_queries.revocations(NOW + MICROSECOND) == Revocations([live.id], {})


async def test_users_whose_standing_changed_are_reported_as_they_are_today(driver: StorageDriver) -> None:
    users = [await add(driver, replace(new_user(f"{role}@example.org"), role=role)) for role in Role]
    assert await driver.storage.account_queries.revocations(NOW) == Revocations([], {})

    async def change(user: User, **changes: Any) -> None:
        await driver.do(lambda unit: unit.users.save(replace(user, **changes)))

    customer, organizer, admin = users
    await change(customer, standing_changed_at=NOW - MICROSECOND)
    await change(organizer, standing_changed_at=NOW)
    await change(admin, standing_changed_at=NOW, disabled_at=NOW)
    assert await driver.storage.account_queries.revocations(NOW) == Revocations(
        [], {organizer.id: Role.ORGANIZER, admin.id: None}
    )
    await change(organizer, standing_changed_at=NOW, role=Role.CUSTOMER)
    await change(admin, standing_changed_at=NOW, erased_at=NOW)
    assert await driver.storage.account_queries.revocations(NOW) == Revocations(
        [], {organizer.id: Role.CUSTOMER, admin.id: None}
    )


async def test_a_new_session_removes_those_of_its_user_that_expired(driver: StorageDriver) -> None:
    user, other = new_user(), new_user("other@example.org")
    old, edge, live = (new_session(user, lasts=timedelta(minutes=minutes)) for minutes in (5, 10, 11))
    of_other = new_session(other, lasts=timedelta(minutes=5))
    await add(driver, user, replace(old, ended_at=NOW), edge, live)
    await add(driver, other, of_other)
    new = new_session(user)
    await driver.do(lambda unit: unit.users.add_session(new, new_digests(), NOW + timedelta(minutes=10)))
    found = [await session_of(driver, each) for each in (old, edge, live, new, of_other)]
    assert found == [None, None, live, new, of_other]
    assert await driver.storage.account_queries.revocations(NOW) == Revocations([], {})


async def test_ending_sessions_spares_the_one_named_and_those_of_others(driver: StorageDriver) -> None:
    user, other = new_user(), new_user("other@example.org")
    kept, ended, of_other = new_session(user), new_session(user), new_session(other)
    await add(driver, user, kept, ended)
    await add(driver, other, of_other)
    await driver.do(lambda unit: unit.users.end_sessions(user.id, NOW, but=kept.id))
    found = [await session_of(driver, each) for each in (kept, ended, of_other)]
    assert found == [kept, replace(ended, ended_at=NOW), of_other]
    later = NOW + timedelta(minutes=1)
    await driver.do(lambda unit: unit.users.end_sessions(user.id, later, but=None))
    # A session keeps the time at which it ended first.
    found = [await session_of(driver, each) for each in (kept, ended)]
    assert found == [replace(kept, ended_at=later), replace(ended, ended_at=NOW)]


async def sign_in(driver: StorageDriver, user: User) -> tuple[Session, RefreshDigests]:
    session, digests = new_session(user), new_digests()
    await driver.do(lambda unit: unit.users.add_session(session, digests, NOW))
    return session, digests


async def locked(driver: StorageDriver, digests: RefreshDigests) -> SignIn | None:
    return await driver.do(lambda unit: unit.users.lock_session(digests.family))


async def test_a_session_is_found_by_its_family_alone(driver: StorageDriver) -> None:
    user, other = await add(driver, new_user()), await add(driver, new_user("other@example.org"))
    session, digests = await sign_in(driver, user)
    await sign_in(driver, other)
    with pytest.raises(Conflict):
        await driver.do(lambda unit: unit.users.add_session(new_session(user), digests, NOW))
    assert await locked(driver, digests) == SignIn(user, session, digests.token)
    assert await locked(driver, RefreshDigests(digests.token, digests.family)) is None
    assert await locked(driver, new_digests()) is None


async def test_a_session_is_saved_with_its_newest_token_and_nothing_else_changes(driver: StorageDriver) -> None:
    user = await add(driver, new_user())
    (session, digests), (other, of_other) = await sign_in(driver, user), await sign_in(driver, user)
    later = replace(session, expires_at=NOW + timedelta(days=30))
    ended = replace(later, ended_at=NOW)
    replaced = ReplacedToken(digests.token, b"s" * 32, NOW)
    for saved in (
        SignIn(user, later, b"n" * 32, replaced),
        SignIn(user, ended, b"o" * 32, replace(replaced, digest=b"n" * 32)),
        SignIn(user, ended, b"o" * 32, None),
    ):
        async with driver.storage.begin() as unit_of_work:
            assert await unit_of_work.users.lock_session(digests.family) is not None
            await unit_of_work.users.save_session(saved)
            assert await unit_of_work.users.lock_session(digests.family) == saved
            await unit_of_work.commit()
        assert await locked(driver, digests) == saved
        assert await session_of(driver, session) == saved.session
    assert await locked(driver, of_other) == SignIn(user, other, of_other.token)


@pytest.mark.parametrize("by_user", [False, True])
async def test_a_locked_session_makes_the_next_one_wait_and_see(driver: StorageDriver, by_user: bool) -> None:
    """Its user is locked with it, so a change of the account waits too."""
    user = await add(driver, new_user())
    session, digests = await sign_in(driver, user)

    async def look(unit: UnitOfWork) -> SignIn | None:
        if by_user:
            await unit.users.lock(user.id)
        return await unit.users.lock_session(digests.family)

    async with driver.storage.begin() as unit_of_work:
        first = await unit_of_work.users.lock_session(digests.family)
        assert first is not None
        second = asyncio.create_task(driver.do(look))
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.save_session(replace(first, token=b"n" * 32))
        await unit_of_work.commit()
    assert await second == SignIn(user, session, b"n" * 32)


async def test_a_session_that_is_removed_while_it_is_waited_for_is_none(driver: StorageDriver) -> None:
    user = await add(driver, new_user())
    _, digests = await sign_in(driver, user)
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.users.lock(user.id)
        second = asyncio.create_task(locked(driver, digests))
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.add_session(new_session(user), new_digests(), NOW + timedelta(minutes=15))
        await unit_of_work.commit()
    assert await second is None

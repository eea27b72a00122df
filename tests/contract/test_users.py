"""Accounts and sessions."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.queries import Account, Revocations
from boxoffice.application.ports.repositories import SignIn
from boxoffice.application.ports.security import AccountKey, RefreshDigests
from boxoffice.domain.user import Role, Session, User

from .box_office import NOW, BoxOffice, new_digests, new_id, new_session, new_user


async def add(office: BoxOffice, user: User, *sessions: Session) -> User:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        for session in sessions:
            await unit_of_work.users.add_session(session, new_digests(), NOW)
        await unit_of_work.commit()
    return user


async def session_of(office: BoxOffice, session: Session) -> Session | None:
    account = await office.account(session.user_id, session.id)
    return account.session if account else None


async def test_an_account_is_kept_as_it_is(office: BoxOffice) -> None:
    user = await add(office, new_user())
    assert await office.storage.account_queries.user_by_email(user.email) == user
    assert await office.account(user.id, None) == Account(user, None)


async def test_unknown_accounts_are_none(office: BoxOffice) -> None:
    await add(office, new_user())
    assert await office.storage.account_queries.user_by_email("nobody@example.org") is None
    assert await office.account(new_id(), None) is None
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock(new_id()) is None
        assert await unit_of_work.users.lock_by_email("nobody@example.org") is None


@pytest.mark.parametrize("other", ["adá@example.org", "ada@example.org.uk", "ADA@example.org"])
async def test_addresses_that_differ_are_different(office: BoxOffice, other: str) -> None:
    await add(office, new_user("ada@example.org"))
    await add(office, new_user(other))
    assert await office.storage.account_queries.user_by_email(
        "ada@example.org"
    ) != await office.storage.account_queries.user_by_email(other)


async def test_an_address_is_taken_once(office: BoxOffice) -> None:
    user = await add(office, new_user())
    with pytest.raises(Conflict):
        await add(office, new_user(user.email))
    with pytest.raises(Conflict):
        await add(office, replace(user, email="other@example.org"))
    assert await office.storage.account_queries.user_by_email(user.email) == user


async def test_of_two_with_the_same_address_at_once_one_conflicts(office: BoxOffice) -> None:
    results = await asyncio.gather(*(add(office, new_user()) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "User"]


async def test_saving_an_account_puts_every_field(office: BoxOffice) -> None:
    user, other = await add(office, new_user()), await add(office, new_user("other@example.org"))
    changed = replace(user, name="Ada King", password_hash="new", role=Role.ADMIN, disabled_at=NOW)
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock(user.id) == user
        await unit_of_work.users.save(changed)
        await unit_of_work.commit()
    assert await office.account(user.id, None) == Account(changed, None)
    assert await office.storage.account_queries.user_by_email(user.email) == changed
    assert await office.storage.account_queries.user_by_email(other.email) == other


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
    assert await office.storage.account_queries.accounts([*wanted, AccountKey(new_id())]) == wanted
    assert await office.storage.account_queries.accounts([]) == {}


async def test_sessions_that_ended_are_told_from_a_time_on(office: BoxOffice) -> None:
    user, ago = new_user(), timedelta(microseconds=1)
    live, ended, before = new_session(user), new_session(user), new_session(user)
    await add(office, user, live, replace(ended, ended_at=NOW), replace(before, ended_at=NOW - ago))
    assert await office.storage.account_queries.revocations(NOW) == Revocations([ended.id], {})
    assert await office.storage.account_queries.revocations(NOW + ago) == Revocations([], {})
    found = await office.storage.account_queries.revocations(NOW - ago)
    assert sorted(found.ended) == sorted([ended.id, before.id])
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.end_sessions(user.id, NOW + ago, but=None)
        await unit_of_work.commit()
    assert await office.storage.account_queries.revocations(NOW + ago) == Revocations([live.id], {})


async def test_a_session_that_is_swept_is_told_no_more(office: BoxOffice) -> None:
    user = new_user()
    await add(office, user, replace(new_session(user, lasts=timedelta(minutes=5)), ended_at=NOW))
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add_session(new_session(user), new_digests(), NOW + timedelta(hours=1))
        await unit_of_work.commit()
    assert await office.storage.account_queries.revocations(NOW) == Revocations([], {})


async def test_users_for_whom_something_changed_are_told_as_they_are_today(office: BoxOffice) -> None:
    users = [replace(new_user(f"{role}@example.org"), role=role) for role in Role]
    for user in users:
        await add(office, user)
    assert await office.storage.account_queries.revocations(NOW) == Revocations([], {})

    async def change(user: User, **changes: Any) -> None:
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.users.save(replace(user, **changes))
            await unit_of_work.commit()

    customer, organizer, admin = users
    await change(customer, standing_changed_at=NOW - timedelta(microseconds=1))
    await change(organizer, standing_changed_at=NOW)
    await change(admin, standing_changed_at=NOW, disabled_at=NOW)
    assert await office.storage.account_queries.revocations(NOW) == Revocations(
        [], {organizer.id: Role.ORGANIZER, admin.id: None}
    )
    await change(organizer, standing_changed_at=NOW, role=Role.CUSTOMER)
    await change(admin, standing_changed_at=NOW, disabled_at=None)
    assert await office.storage.account_queries.revocations(NOW) == Revocations(
        [], {organizer.id: Role.CUSTOMER, admin.id: Role.ADMIN}
    )


async def test_a_new_session_sweeps_those_of_its_user_that_expired(office: BoxOffice) -> None:
    user, other = new_user(), new_user("other@example.org")
    old, edge, live = (new_session(user, lasts=timedelta(minutes=minutes)) for minutes in (5, 10, 11))
    of_other = new_session(other, lasts=timedelta(minutes=5))
    await add(office, user, old, edge, live)
    await add(office, other, of_other)
    new = new_session(user)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add_session(new, new_digests(), NOW + timedelta(minutes=10))
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


async def sign_in(office: BoxOffice, user: User, session: Session, digests: RefreshDigests) -> None:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add_session(session, digests, NOW)
        await unit_of_work.commit()


async def found(office: BoxOffice, digests: RefreshDigests) -> SignIn | None:
    async with office.storage.begin() as unit_of_work:
        return await unit_of_work.users.lock_session(digests.family)


async def test_a_session_is_found_by_its_family_alone(office: BoxOffice) -> None:
    user, other = await add(office, new_user()), await add(office, new_user("other@example.org"))
    session, digests = new_session(user), new_digests()
    await sign_in(office, user, session, digests)
    await sign_in(office, other, new_session(other), new_digests())
    assert await found(office, digests) == SignIn(user, session, digests.token)
    assert await found(office, RefreshDigests(digests.token, digests.family)) is None
    assert await found(office, new_digests()) is None


async def test_a_session_is_put_with_its_newest_token_and_nothing_else_changes(office: BoxOffice) -> None:
    user = await add(office, new_user())
    sessions = [(new_session(user), new_digests()) for _ in range(2)]
    for session, digests in sessions:
        await sign_in(office, user, session, digests)
    (session, digests), (other, of_other) = sessions
    later = replace(session, expires_at=NOW + timedelta(days=30))
    ended = replace(later, ended_at=NOW)
    for each, token in ((later, b"n" * 32), (ended, b"o" * 32)):
        async with office.storage.begin() as unit_of_work:
            assert await unit_of_work.users.lock_session(digests.family) is not None
            await unit_of_work.users.save_session(each, token)
            assert await unit_of_work.users.lock_session(digests.family) == SignIn(user, each, token)
            await unit_of_work.commit()
        assert await found(office, digests) == SignIn(user, each, token)
        assert await session_of(office, session) == each
    assert await found(office, of_other) == SignIn(user, other, of_other.token)


async def test_a_session_that_was_put_and_not_committed_is_as_it_was(office: BoxOffice) -> None:
    user = await add(office, new_user())
    session, digests = new_session(user), new_digests()
    await sign_in(office, user, session, digests)
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock_session(digests.family) is not None
        await unit_of_work.users.save_session(replace(session, ended_at=NOW), b"n" * 32)
    assert await found(office, digests) == SignIn(user, session, digests.token)


async def test_a_family_has_one_session(office: BoxOffice) -> None:
    user = await add(office, new_user())
    session, digests = new_session(user), new_digests()
    await sign_in(office, user, session, digests)
    with pytest.raises(Conflict):
        await sign_in(office, user, new_session(user), replace(new_digests(), family=digests.family))
    assert await found(office, digests) == SignIn(user, session, digests.token)


@pytest.mark.parametrize("by_user", [False, True])
async def test_a_locked_session_makes_the_next_one_wait_and_see(office: BoxOffice, by_user: bool) -> None:
    """Its user is locked with it: whoever changes the account waits too."""
    user = await add(office, new_user())
    session, digests = new_session(user), new_digests()
    await sign_in(office, user, session, digests)

    async def look() -> SignIn | None:
        async with office.storage.begin() as unit_of_work:
            if by_user:
                await unit_of_work.users.lock(user.id)
            return await unit_of_work.users.lock_session(digests.family)

    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.users.lock_session(digests.family) is not None
        second = asyncio.create_task(look())
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.save_session(session, b"n" * 32)
        await unit_of_work.commit()
    assert await second == SignIn(user, session, b"n" * 32)


async def test_a_session_that_goes_while_it_is_waited_for_is_none(office: BoxOffice) -> None:
    user = await add(office, new_user())
    session, digests = new_session(user), new_digests()
    await sign_in(office, user, session, digests)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.lock(user.id)
        second = asyncio.create_task(found(office, digests))
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.users.end_sessions(user.id, NOW, but=None)
        await unit_of_work.users.add_session(new_session(user), new_digests(), NOW + timedelta(minutes=15))
        await unit_of_work.commit()
    assert await second is None


async def test_accounts_are_listed_by_id_page_by_page(office: BoxOffice) -> None:
    assert await office.storage.account_queries.users(None, 10) == []
    users = [await add(office, new_user(f"{number}@example.org")) for number in range(5)]
    users.sort(key=lambda user: user.id)
    assert await office.storage.account_queries.users(None, 10) == users
    assert await office.storage.account_queries.users(None, 2) == users[:2]
    assert await office.storage.account_queries.users(users[1].id, 2) == users[2:4]
    assert await office.storage.account_queries.users(users[4].id, 2) == []

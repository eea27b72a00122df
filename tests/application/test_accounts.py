"""Accounts: making one, signing in and out, changing it, and who a token speaks for."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application import retrying_transaction as transaction
from boxoffice.application.accounts import list_users
from boxoffice.application.accounts.authenticate import (
    LOOKS_AGAIN_AFTER,
    LOOKS_EVERY,
    MARGIN,
    Authenticate,
    Caller,
)
from boxoffice.application.accounts.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.disable_user import DisableUser, EnableUser
from boxoffice.application.accounts.grant_role import GrantRole
from boxoffice.application.accounts.list_users import ListUsers
from boxoffice.application.accounts.log_in import SESSION_LIFETIME, Credentials, LogIn, SignedIn
from boxoffice.application.accounts.log_out import LogOut
from boxoffice.application.accounts.login_throttle import FailedLogins, LogInWithinLimits
from boxoffice.application.accounts.refresh_session import RefreshSession
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.security import Asker, Claims
from boxoffice.application.retrying_transaction import ATTEMPTS, in_transaction
from boxoffice.domain.refusals import (
    EmailTaken,
    InvalidRequest,
    InvalidToken,
    NotAllowed,
    NotFound,
    Refusal,
    TooManyRequests,
    WrongCredentials,
)
from boxoffice.domain.user import Actor, Role, User
from tests.application.world import NOW, FewKnownPasswords, PlainHasher, PlainRefreshTokens, PlainTokens, World, later

PASSWORD = "correct horse"
HOME = "192.0.2.7"


class Desk:
    """Everything about accounts."""

    def __init__(self, world: World) -> None:
        storage, clock = world.storage, world.clock
        self.world = world
        self.hasher = PlainHasher()
        self.tokens = PlainTokens()
        self.refresh_tokens = PlainRefreshTokens()
        self.seconds = 0.0
        self.create = CreateUser(storage, self.hasher, FewKnownPasswords(), clock, world.ids)
        self.log_in = LogIn(storage, self.hasher, self.tokens, self.refresh_tokens, clock, world.ids)
        self.refresh = RefreshSession(storage, self.tokens, self.refresh_tokens, clock)
        self.log_out = LogOut(storage, self.refresh_tokens, clock)
        self.disable = DisableUser(storage, clock)
        self.enable = EnableUser(storage, clock)
        self.list = ListUsers(storage.account_queries)
        self.change = ChangeProfile(storage, self.hasher, FewKnownPasswords(), clock)
        self.limited_log_in = LogInWithinLimits(self.log_in, None)
        self.read = ReadProfile(storage.account_queries)
        self.grant = GrantRole(storage, clock)
        self.authenticate = Authenticate(self.tokens, storage.account_queries, clock, seconds=lambda: self.seconds)

    async def user(self, email: str = "ana@example.org") -> User:
        """A new account."""
        return await self.create(Registration(name="Ana", email=email, password=PASSWORD))

    async def sign_in(self, email: str = "ana@example.org", password: str = PASSWORD) -> SignedIn:
        """A new session's tokens."""
        return await self.log_in(Credentials(email=email, password=password))

    async def session(self, email: str = "ana@example.org", password: str = PASSWORD) -> str:
        """A new session's access token."""
        return (await self.sign_in(email, password)).access.text

    async def sign_in_anyway(self, email: str = "ana@example.org") -> SignedIn:
        """As on a node that has not heard yet that the user is disabled."""
        tables = self.world.storage._tables
        disabled = tables.users[tables.emails[email]]
        tables.users[disabled.id] = replace(disabled, disabled_at=None)
        signed_in = await self.sign_in(email)
        tables.users[disabled.id] = disabled
        return signed_in

    def sessions(self) -> int:
        """How many sessions are stored."""
        return len(self.world.storage._tables.sessions)


@pytest.fixture
def desk(world: World) -> Desk:
    """Everything about accounts, on an empty storage."""
    return Desk(world)


def paths(refused: "pytest.ExceptionInfo[InvalidRequest]") -> list[tuple[str | int, ...]]:
    """The broken fields of a refusal."""
    return [error.path for error in refused.value.errors]


# Creating.


async def test_an_account_is_kept_as_it_was_said_but_normalised(desk: Desk) -> None:
    user = await desk.create(Registration(name=" Ana ", email=" ANA@Example.ORG", password=" secret word "))
    assert (user.name, user.email, user.role) == ("Ana", "ana@example.org", Role.CUSTOMER)
    assert user.password_hash == "hash of  secret word "
    assert user.created_at == NOW
    assert await desk.read(user.id) == user


async def test_every_broken_value_of_a_registration_is_named(desk: Desk) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.create(Registration(name="", email="ana", password="short"))
    assert paths(refused) == [("name",), ("email",), ("password",)]


async def test_a_well_known_password_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="well known") as refused:
        await desk.create(Registration(name="Ana", email="ana@example.org", password="Password1"))
    assert paths(refused) == [("password",)]


async def test_an_address_has_one_account_in_whatever_case(desk: Desk) -> None:
    first = await desk.user()
    with pytest.raises(EmailTaken):
        await desk.user("ANA@example.org")
    assert await desk.world.storage.account_queries.user_by_email("ana@example.org") == first


async def test_of_many_who_take_an_address_at_once_one_gets_it(desk: Desk) -> None:
    results = await asyncio.gather(*(desk.user() for _ in range(5)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["EmailTaken"] * 4 + ["User"]


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_account_whose_commit_was_never_answered_is_not_taken_for_anothers(desk: Desk, step: Step) -> None:
    desk.world.faults.plan(step, OutcomeUnknown())
    user = await desk.user()
    assert await desk.read(user.id) == user


# Signing in.


async def test_signing_in_starts_a_session_whose_token_speaks_for_the_user(desk: Desk) -> None:
    user = await desk.user()
    token = (await desk.log_in(Credentials(email=" ANA@example.org ", password=PASSWORD))).access
    assert token.expires_in == desk.tokens.lifetime
    caller = await desk.authenticate(token.text)
    assert caller == Caller(Actor(user.id, Role.CUSTOMER), desk.tokens.issued[token.text])


async def test_an_account_is_signed_in_to_with_any_spelling_of_its_address(desk: Desk) -> None:
    user = await desk.user("Jo@fa\u00df.example")
    for typed in ("jo@XN--FA-HIA.example", "jo@fa\u00df.example.", "\ufeffjo@fa\u00df.example"):
        assert (await desk.authenticate(await desk.session(typed))).actor.user_id == user.id
    with pytest.raises(WrongCredentials):
        await desk.session("jo@fass.example")


@pytest.mark.parametrize("kept", ["jo@xn--fa-hia.example", "x@x..org", "\uff41na@example.org", "a\u200bna@example.org"])
async def test_an_account_from_before_todays_rules_is_still_signed_in_to(desk: Desk, kept: str) -> None:
    today = await desk.user("jo@fa\u00df.example")
    before = replace(today, id=desk.world.ids.new(), email=kept)
    async with desk.world.storage.begin() as unit_of_work:
        await unit_of_work.users.add(before)
        await unit_of_work.commit()
    assert (await desk.authenticate(await desk.session(kept))).actor.user_id == before.id
    assert (await desk.authenticate(await desk.session("jo@fa\u00df.example"))).actor.user_id == today.id
    assert (await desk.grant(kept, Role.ADMIN)).id == before.id
    assert (await desk.disable(kept)).id == before.id


async def test_unknown_address_and_wrong_password_look_alike_and_both_are_verified(desk: Desk) -> None:
    user = await desk.user()
    told = []
    for email in ("ana@example.org", "ben@example.org"):
        with pytest.raises(WrongCredentials) as refused:
            await desk.session(email, "wrong")
        told.append((refused.value.detail, refused.value.members))
    assert told[0] == told[1]
    assert desk.hasher.verified == [("wrong", user.password_hash), ("wrong", None)]
    assert desk.sessions() == 0


async def test_an_unknown_account_is_not_let_in_whatever_the_hasher_says(desk: Desk) -> None:
    async def anything(password: str, password_hash: str | None, asker: Asker) -> bool:
        return True

    desk.hasher.verify = anything  # type: ignore[method-assign]
    with pytest.raises(WrongCredentials):
        await desk.session()


async def test_credentials_that_can_never_be_right_are_refused_before_they_are_verified(desk: Desk) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.session("ana", "")
    assert paths(refused) == [("email",), ("password",)]
    assert desk.hasher.verified == []


async def test_a_password_that_new_accounts_may_not_have_may_be_tried(desk: Desk) -> None:
    for password in ("x", "password1", "x" * 1_024):
        with pytest.raises(WrongCredentials):
            await desk.session("ana@example.org", password)


async def test_a_password_that_changes_while_one_signs_in_is_not_good_any_more(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    claims = desk.tokens.issued[token]
    plain = desk.hasher.verify

    async def slow(password: str, password_hash: str | None, asker: Asker) -> bool:
        is_right = await plain(password, password_hash, asker)
        desk.hasher.verify = plain  # type: ignore[method-assign]
        await desk.change(claims, ProfileChanges(current_password=PASSWORD, new_password="another word"))
        return is_right

    desk.hasher.verify = slow  # type: ignore[method-assign]
    with pytest.raises(WrongCredentials):
        await desk.session()


async def old_user(desk: Desk) -> User:
    """An account whose password was hashed long ago."""
    user = replace(await desk.user(), password_hash=f"old hash of {PASSWORD}")
    desk.world.storage._tables.users[user.id] = user
    return user


async def test_a_password_that_was_kept_too_weakly_is_kept_better_from_its_next_use_on(desk: Desk) -> None:
    user = await old_user(desk)
    with pytest.raises(WrongCredentials):
        await desk.session(password="wrong")
    assert await desk.read(user.id) == user, "who does not know the password changes nothing"
    await desk.session()
    assert await desk.read(user.id) == replace(user, password_hash=f"hash of {PASSWORD}")
    await desk.session()


async def test_signing_in_goes_on_where_there_is_no_room_to_keep_a_password_better(desk: Desk) -> None:
    user = await old_user(desk)

    async def full(password: str, asker: Asker) -> str:
        raise Unavailable

    desk.hasher.hash = full  # type: ignore[method-assign]
    await desk.session()
    assert await desk.read(user.id) == user


async def test_of_many_who_sign_in_at_once_none_is_told_that_the_old_hash_is_wrong(desk: Desk) -> None:
    user = await old_user(desk)
    reached, opened = desk.world.faults.gate(Step.LOCK)
    late = asyncio.ensure_future(desk.session())
    await reached.wait()
    await asyncio.gather(*(desk.session() for _ in range(3)))
    opened.set()
    await late
    assert desk.sessions() == 4
    assert await desk.read(user.id) == replace(user, password_hash=f"hash of {PASSWORD}")


async def test_an_account_that_changes_all_the_time_is_busy(desk: Desk) -> None:
    user = await desk.user()
    plain, number = desk.hasher.verify, 0

    async def slow(password: str, password_hash: str | None, asker: Asker) -> bool:
        nonlocal number
        number += 1
        desk.world.storage._tables.users[user.id] = replace(user, password_hash=f"another {number}")
        return await plain(password, f"hash of {password}", asker)

    desk.hasher.verify = slow  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await desk.session()
    assert number == 3
    assert desk.sessions() == 0


async def test_an_account_that_is_gone_when_its_session_should_start_is_not_let_in(desk: Desk) -> None:
    user = await desk.user()
    reached, opened = desk.world.faults.gate(Step.LOCK)
    signing_in = asyncio.ensure_future(desk.session())
    await reached.wait()
    del desk.world.storage._tables.users[user.id]
    del desk.world.storage._tables.emails[user.email]
    opened.set()
    with pytest.raises(WrongCredentials):
        await signing_in


async def test_a_session_whose_commit_was_never_answered_is_started_anew_under_another_id(desk: Desk) -> None:
    await desk.user()
    desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    token = await desk.session()
    assert desk.sessions() == 2, "the same id twice would be refused by a schema"
    await desk.authenticate(token)


# Going on.


async def test_a_refresh_token_gets_the_next_tokens_of_its_session(desk: Desk) -> None:
    user = await desk.user()
    first = await desk.sign_in()
    desk.world.clock.time = later(minutes=20)
    second = await desk.refresh(f" {first.refresh_token} ")
    assert second.access.expires_in == desk.tokens.lifetime
    assert desk.tokens.issued[second.access.text] == desk.tokens.issued[first.access.text]
    assert (await desk.authenticate(second.access.text)).actor == Actor(user.id)
    third = await desk.refresh(second.refresh_token)
    assert len({each.refresh_token for each in (first, second, third)}) == 3
    assert desk.sessions() == 1


async def refused(desk: Desk, token: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        await desk.refresh(token)
    assert refusal.value.is_refresh


@pytest.mark.parametrize("further", [0, 1, 5])
async def test_a_used_refresh_token_ends_its_session_and_no_other(desk: Desk, further: int) -> None:
    await desk.user()
    first, other = await desk.sign_in(), await desk.sign_in()
    newest = await desk.refresh(first.refresh_token)
    for _ in range(further):
        newest = await desk.refresh(newest.refresh_token)
    await refused(desk, first.refresh_token)
    await refused(desk, newest.refresh_token)
    with pytest.raises(InvalidToken):
        await desk.authenticate(newest.access.text)
    await desk.authenticate(other.access.text)
    await desk.refresh(other.refresh_token)


async def test_a_token_that_never_was_ends_nothing(desk: Desk) -> None:
    await desk.user()
    signed_in = await desk.sign_in()
    for token in ("x", "session 7 token 7", signed_in.access.text):
        await refused(desk, token)
        await desk.log_out(token)
    await desk.refresh(signed_in.refresh_token)


@pytest.mark.parametrize("token", ["", " ", "x" * 513, "a\0b"])
async def test_what_can_be_no_refresh_token_is_an_invalid_request(desk: Desk, token: str) -> None:
    for call in (desk.refresh, desk.log_out):
        with pytest.raises(InvalidRequest) as refusal:
            await call(token)
        assert paths(refusal) == [("refresh_token",)]


async def test_of_many_who_come_with_one_token_at_once_one_is_served_and_the_session_ends(desk: Desk) -> None:
    await desk.user()
    first = await desk.sign_in()
    results = await asyncio.gather(*(desk.refresh(first.refresh_token) for _ in range(5)), return_exceptions=True)
    served = [each for each in results if isinstance(each, SignedIn)]
    assert sum(isinstance(each, InvalidToken) for each in results) == 4
    assert len(served) == 1
    await refused(desk, served[0].refresh_token)


async def test_a_session_lasts_for_thirty_days_from_the_last_use_of_its_refresh_token(desk: Desk) -> None:
    await desk.user()
    signed_in = await desk.sign_in()
    moment = timedelta(microseconds=1)
    for uses in range(1, 4):
        desk.world.clock.time = NOW + (SESSION_LIFETIME - moment) * uses
        signed_in = await desk.refresh(signed_in.refresh_token)
    desk.world.clock.time += SESSION_LIFETIME
    await refused(desk, signed_in.refresh_token)


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_refresh_whose_commit_was_never_answered_is_no_reuse(desk: Desk, step: Step) -> None:
    await desk.user()
    first = await desk.sign_in()
    desk.world.faults.plan(step, OutcomeUnknown())
    second = await desk.refresh(first.refresh_token)
    await desk.authenticate(second.access.text)
    await desk.refresh(second.refresh_token)


async def test_the_end_of_a_session_whose_token_was_used_twice_holds_although_nothing_else_is_done(desk: Desk) -> None:
    """It is committed, not rolled back with the refusal; also when the first try to commit it is undone."""
    await desk.user()
    first = await desk.sign_in()
    second = await desk.refresh(first.refresh_token)
    desk.world.faults.plan(Step.COMMIT, Retryable())
    await refused(desk, first.refresh_token)
    (session,) = desk.world.storage._tables.sessions.values()
    assert session.ended_at == NOW
    await refused(desk, second.refresh_token)


async def test_a_new_role_is_in_the_session_that_goes_on(desk: Desk) -> None:
    await desk.user()
    first = await desk.sign_in()
    await desk.grant("ana@example.org", Role.ORGANIZER)
    second = await desk.refresh(first.refresh_token)
    assert (await desk.authenticate(second.access.text)).actor.role is Role.ORGANIZER


# Signing out.


@pytest.mark.parametrize("is_used", [False, True])
async def test_signing_out_ends_the_session_and_no_other(desk: Desk, is_used: bool) -> None:
    await desk.user()
    first, other = await desk.sign_in(), await desk.sign_in()
    newest = await desk.refresh(first.refresh_token)
    await desk.log_out((first if is_used else newest).refresh_token)
    await refused(desk, newest.refresh_token)
    with pytest.raises(InvalidToken):
        await desk.authenticate(newest.access.text)
    await desk.authenticate(other.access.text)
    await desk.refresh(other.refresh_token)


async def test_signing_out_twice_is_no_matter(desk: Desk) -> None:
    await desk.user()
    token = (await desk.sign_in()).refresh_token
    desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await desk.log_out(token)
    desk.world.clock.time = later(minutes=1)
    await desk.log_out(token)
    (session,) = desk.world.storage._tables.sessions.values()
    assert session.ended_at == NOW


async def test_signing_out_holds_after_the_next_look(desk: Desk) -> None:
    await desk.user()
    signed_in = await desk.sign_in()
    await desk.authenticate(signed_in.access.text)
    await desk.log_out(signed_in.refresh_token)
    desk.seconds = LOOKS_EVERY
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)


# Shutting an account.


async def test_a_disabled_user_is_as_unknown(desk: Desk) -> None:
    user = await desk.user()
    signed_in = await desk.sign_in()
    assert await desk.disable(" ANA@example.org") == replace(user, disabled_at=NOW, standing_changed_at=NOW)
    with pytest.raises(WrongCredentials) as disabled:
        await desk.session()
    with pytest.raises(WrongCredentials) as unknown:
        await desk.session("ben@example.org")
    assert (disabled.value.detail, disabled.value.members) == (unknown.value.detail, unknown.value.members)
    assert desk.hasher.verified[-2:] == [(PASSWORD, user.password_hash), (PASSWORD, None)]
    await refused(desk, signed_in.refresh_token)
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)


async def test_disabling_holds_after_the_next_look(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    await desk.authenticate(token)
    await desk.disable("ana@example.org")
    await desk.authenticate(token)
    desk.seconds = LOOKS_EVERY
    with pytest.raises(InvalidToken):
        await desk.authenticate(token)


async def test_whoever_is_enabled_signs_in_anew_and_old_sessions_stay_ended(desk: Desk) -> None:
    user = await desk.user()
    signed_in = await desk.sign_in()
    await desk.disable("ana@example.org")
    desk.world.clock.time = later(minutes=1)
    assert await desk.enable(" ANA@example.org") == replace(user, standing_changed_at=later(minutes=1))
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)
    await refused(desk, signed_in.refresh_token)
    await desk.authenticate(await desk.session())


async def test_a_session_that_nothing_ended_is_not_good_for_a_disabled_user(desk: Desk) -> None:
    """On a cluster a session may start on one node while the user is disabled on another."""
    await desk.user()
    await desk.disable("ana@example.org")
    signed_in = await desk.sign_in_anyway()
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)
    await refused(desk, signed_in.refresh_token)


async def test_whoever_is_enabled_and_signs_in_is_let_in_at_once(desk: Desk) -> None:
    await desk.user()
    await desk.disable("ana@example.org")
    with pytest.raises(InvalidToken):
        await desk.authenticate((await desk.sign_in_anyway()).access.text)
    await desk.enable("ana@example.org")
    await desk.authenticate(await desk.session())


async def test_a_new_session_acts_with_a_new_role_at_once(desk: Desk) -> None:
    """Although the role before it is known from the last look."""
    await desk.user()
    await desk.grant("ana@example.org", Role.ADMIN)
    await desk.authenticate(await desk.session())
    await desk.grant("ana@example.org", Role.CUSTOMER)
    desk.seconds += LOOKS_AGAIN_AFTER
    caller = await desk.authenticate(await desk.session())
    assert caller.actor.role is Role.CUSTOMER


async def test_a_user_who_is_disabled_while_signing_in_is_not_let_in(desk: Desk) -> None:
    await desk.user()
    reached, opened = desk.world.faults.gate(Step.LOCK)
    signing_in = asyncio.ensure_future(desk.session())
    await reached.wait()
    await desk.disable("ana@example.org")
    opened.set()
    with pytest.raises(WrongCredentials):
        await signing_in
    assert desk.sessions() == 0


async def test_disabling_twice_keeps_the_first_time(desk: Desk) -> None:
    await desk.user()
    desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await desk.disable("ana@example.org")
    desk.world.clock.time = later(minutes=1)
    assert (await desk.disable("ana@example.org")).disabled_at == NOW


async def test_whom_nobody_knows_is_neither_disabled_nor_enabled(desk: Desk) -> None:
    for call in (desk.disable, desk.enable):
        with pytest.raises(NotFound):
            await call("nobody@example.org")
        with pytest.raises(InvalidRequest):
            await call("nobody")


async def test_all_accounts_are_listed_some_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_users, "AT_ONCE", 2)
    users = [await desk.user(f"{number}@example.org") for number in range(5)]
    assert [user async for user in desk.list()] == users
    assert desk.world.faults.count(Step.READ) == 4


# Whom a token speaks for.


async def test_a_token_that_is_not_ours_speaks_for_nobody(desk: Desk) -> None:
    with pytest.raises(InvalidToken):
        await desk.authenticate("token 0")


async def test_a_role_holds_for_tokens_already_out_after_the_next_look(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER
    assert (await desk.grant(" ANA@example.org", Role.ORGANIZER)).role is Role.ORGANIZER
    desk.seconds = LOOKS_EVERY - 0.001
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER, "no look with every call"
    desk.seconds = LOOKS_EVERY
    assert (await desk.authenticate(token)).actor.role is Role.ORGANIZER
    await desk.grant("ana@example.org", Role.CUSTOMER)
    desk.seconds = 2 * LOOKS_EVERY
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER
    assert LOOKS_EVERY < 5


async def test_a_token_says_the_role_that_its_user_had(desk: Desk) -> None:
    """So that it holds at once where the last look was before it."""
    await desk.user()
    await desk.authenticate(await desk.session())
    await desk.grant("ana@example.org", Role.ADMIN)
    assert (await desk.authenticate(await desk.session())).actor.role is Role.ADMIN


async def test_one_look_is_enough_for_all_who_call(desk: Desk) -> None:
    await desk.user()
    tokens = [await desk.session() for _ in range(3)]
    before = desk.world.faults.count(Step.READ)
    await asyncio.gather(*map(desk.authenticate, tokens), *map(desk.authenticate, tokens))
    await asyncio.gather(*map(desk.authenticate, tokens))
    assert desk.world.faults.count(Step.READ) == before + 1


async def test_what_was_revoked_before_a_process_began_holds_from_its_first_call_on(desk: Desk) -> None:
    await desk.user()
    signed_in, other = await desk.sign_in(), await desk.session()
    await desk.grant("ana@example.org", Role.ADMIN)
    await desk.log_out(signed_in.refresh_token)
    # The last moment of the token, and the clock of whoever revoked was behind.
    desk.world.clock.time = NOW + timedelta(seconds=desk.tokens.lifetime) + MARGIN
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)
    assert (await desk.authenticate(other)).actor.role is Role.ADMIN


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
async def test_a_revocation_that_took_long_is_found_whatever_the_clock_did_meanwhile(
    desk: Desk, ahead: timedelta
) -> None:
    """Stamped before the last look, and there to be read only after it."""
    await desk.user()
    signed_in, now = await desk.sign_in(), later(hours=2)
    desk.world.clock.time = now - MARGIN
    reached, opened = desk.world.faults.gate(Step.COMMIT)
    signing_out = asyncio.ensure_future(desk.log_out(signed_in.refresh_token))
    await reached.wait()
    desk.world.clock.time = now + ahead
    await desk.authenticate(signed_in.access.text)
    opened.set()
    await signing_out
    desk.world.clock.time, desk.seconds = now, LOOKS_EVERY
    with pytest.raises(InvalidToken):
        await desk.authenticate(signed_in.access.text)


async def test_what_was_revoked_is_known_until_every_token_that_says_otherwise_has_expired(desk: Desk) -> None:
    await desk.user()
    signed_in, other = await desk.sign_in(), await desk.session()
    await desk.grant("ana@example.org", Role.ADMIN)
    await desk.log_out(signed_in.refresh_token)
    await desk.authenticate(other)
    desk.world.clock.time = later(hours=1)
    lifetime = desk.tokens.lifetime + 2 * MARGIN.total_seconds()
    for desk.seconds in (LOOKS_EVERY, LOOKS_EVERY + lifetime - 0.001):
        with pytest.raises(InvalidToken):
            await desk.authenticate(signed_in.access.text)
        assert (await desk.authenticate(other)).actor.role is Role.ADMIN
    desk.seconds += LOOKS_EVERY
    await desk.authenticate(other)
    assert (desk.authenticate._ended, desk.authenticate._users) == ({}, {}), "kept for ever, they would fill the memory"


async def test_while_nobody_can_look_nobody_is_let_in(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    await desk.authenticate(token)
    desk.seconds = LOOKS_EVERY
    desk.world.faults.plan(Step.READ, Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.authenticate(token)
    await desk.authenticate(token)


# Changing.


async def test_a_name_changes_without_a_password(desk: Desk) -> None:
    user = await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    changed = await desk.change(claims, ProfileChanges(name=" Anna "))
    assert changed == replace(user, name="Anna")
    assert await desk.read(user.id) == changed


async def test_a_change_names_something(desk: Desk) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    with pytest.raises(InvalidRequest) as refused:
        await desk.change(claims, ProfileChanges())
    assert paths(refused) == [()]


async def test_a_new_password_needs_the_current_one(desk: Desk) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    with pytest.raises(InvalidRequest) as refused:
        await desk.change(claims, ProfileChanges(new_password="another word"))
    assert paths(refused) == [("current_password",)]


@pytest.mark.parametrize(("new", "detail"), [("short", "8 to 128"), ("PASSWORD1", "well known")])
async def test_a_new_password_is_held_to_the_rules(desk: Desk, new: str, detail: str) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    with pytest.raises(InvalidRequest, match=detail) as refused:
        await desk.change(claims, ProfileChanges(current_password=PASSWORD, new_password=new))
    assert paths(refused) == [("new_password",)]


@pytest.mark.parametrize("changes", [{"new_password": "another word"}, {"name": "Anna"}, {}])
async def test_a_wrong_current_password_is_not_allowed_whatever_shall_change(
    desk: Desk, changes: dict[str, Any]
) -> None:
    user = await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    with pytest.raises(NotAllowed):
        await desk.change(claims, ProfileChanges(current_password="wrong", **changes))
    assert await desk.read(user.id) == user


async def test_a_new_password_ends_every_other_session_but_its_own(desk: Desk) -> None:
    await desk.user()
    await desk.user("ben@example.org")
    own, other, bens = await desk.session(), await desk.session(), await desk.session("ben@example.org")
    changes = ProfileChanges(current_password=PASSWORD, new_password="another word")
    await desk.change(desk.tokens.issued[own], changes)
    await desk.authenticate(own)
    await desk.authenticate(bens)
    with pytest.raises(InvalidToken):
        await desk.authenticate(other)
    with pytest.raises(WrongCredentials):
        await desk.session()
    await desk.session(password="another word")


async def test_a_new_password_ends_the_refresh_tokens_of_other_sessions_at_once(desk: Desk) -> None:
    await desk.user()
    own, other = await desk.sign_in(), await desk.sign_in()
    changes = ProfileChanges(current_password=PASSWORD, new_password="another word")
    await desk.change(desk.tokens.issued[own.access.text], changes)
    await refused(desk, other.refresh_token)
    await desk.refresh(own.refresh_token)


async def test_the_end_of_a_session_holds_after_the_remembered_time(desk: Desk) -> None:
    await desk.user()
    own, other = await desk.session(), await desk.session()
    await desk.authenticate(other)
    changes = ProfileChanges(current_password=PASSWORD, new_password="another word")
    await desk.change(desk.tokens.issued[own], changes)
    desk.seconds = LOOKS_EVERY
    with pytest.raises(InvalidToken):
        await desk.authenticate(other)


async def test_a_new_name_ends_no_session(desk: Desk) -> None:
    await desk.user()
    own, other = await desk.session(), await desk.session()
    await desk.change(desk.tokens.issued[own], ProfileChanges(name="Anna", current_password=PASSWORD))
    await desk.authenticate(other)


async def test_of_two_new_passwords_at_once_one_holds(desk: Desk) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    reached, opened = desk.world.faults.gate(Step.LOCK)
    late = asyncio.ensure_future(
        desk.change(claims, ProfileChanges(current_password=PASSWORD, new_password="the late word"))
    )
    await reached.wait()
    await desk.change(claims, ProfileChanges(current_password=PASSWORD, new_password="the early word"))
    opened.set()
    with pytest.raises(NotAllowed, match="meanwhile"):
        await late
    await desk.session(password="the early word")


async def test_a_new_password_whose_commit_was_never_answered_holds_once(desk: Desk) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    changes = ProfileChanges(current_password=PASSWORD, new_password="another word")
    assert (await desk.change(claims, changes)).password_hash == "hash of another word"


async def test_a_role_that_was_granted_meanwhile_is_not_lost(desk: Desk) -> None:
    await desk.user()
    claims = desk.tokens.issued[await desk.session()]
    reached, opened = desk.world.faults.gate(Step.LOCK)
    changing = asyncio.ensure_future(desk.change(claims, ProfileChanges(name="Anna")))
    await reached.wait()
    await desk.grant("ana@example.org", Role.ADMIN)
    opened.set()
    assert (await changing).role is Role.ADMIN


async def test_an_account_that_is_gone_has_nothing_to_read_or_change(desk: Desk) -> None:
    gone = Claims(UUID(int=1), UUID(int=2), Role.CUSTOMER)
    with pytest.raises(InvalidToken):
        await desk.read(gone.user_id)
    with pytest.raises(InvalidToken):
        await desk.change(gone, ProfileChanges(name="Anna"))
    with pytest.raises(InvalidToken):
        await desk.change(gone, ProfileChanges(current_password=PASSWORD))


# Granting.


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_be_granted_and_taken_back(desk: Desk, role: Role) -> None:
    user = await desk.user()
    changed_at = None if role is user.role else NOW
    assert await desk.grant("ana@example.org", role) == replace(user, role=role, standing_changed_at=changed_at)
    assert (await desk.read(user.id)).role is role
    desk.world.clock.time = later(minutes=1)
    assert (await desk.grant("ana@example.org", role)).standing_changed_at == changed_at


async def test_a_role_is_granted_to_an_account_that_exists(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.grant("nobody@example.org", Role.ADMIN)
    with pytest.raises(InvalidRequest):
        await desk.grant("nobody", Role.ADMIN)


# Transactions.


@pytest.mark.parametrize("failure", [Retryable(), OutcomeUnknown()])
async def test_a_transaction_that_was_undone_is_run_again_so_often(desk: Desk, failure: Exception) -> None:
    world = desk.world
    await desk.user()

    async def nothing(unit_of_work: object) -> int:
        return 7

    world.faults.plan(Step.COMMIT, *[failure] * (ATTEMPTS - 1))
    assert await in_transaction(world.storage, nothing, jitter=lambda: 0.0) == 7
    world.faults.plan(Step.COMMIT, *[failure] * ATTEMPTS)
    with pytest.raises(Unavailable):
        await in_transaction(world.storage, nothing, jitter=lambda: 0.0)


async def test_a_storage_that_does_not_answer_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "DEADLINE", 0.02)
    desk.world.faults.gate(Step.BEGIN)
    with pytest.raises(Unavailable):
        await desk.user()


class TestTheCurrentPassword:
    """Guessing it is limited as signing in is, by the same counters."""

    @pytest.fixture
    def desk(self, world: World) -> Desk:
        desk = Desk(world)
        failed_logins = FailedLogins(world.storage, world.clock)
        desk.change = ChangeProfile(world.storage, desk.hasher, FewKnownPasswords(), world.clock, failed_logins)
        desk.limited_log_in = LogInWithinLimits(desk.log_in, failed_logins)
        return desk

    async def claims(self, desk: Desk, email: str = "ana@example.org") -> Claims:
        await desk.user(email)
        return desk.tokens.issued[await desk.session(email)]

    async def attempt(self, desk: Desk, claims: Claims, password: str, address: str | None = HOME) -> str:
        try:
            await desk.change(claims, ProfileChanges(name="Ana B.", current_password=password), address)
        except Refusal as refusal:
            return refusal.code
        return "changed"

    @pytest.mark.parametrize("address", [HOME, None])
    async def test_after_ten_wrong_ones_the_right_one_is_refused_too(self, desk: Desk, address: str | None) -> None:
        claims, other = await self.claims(desk), await self.claims(desk, "ben@example.org")
        for _ in range(10):
            assert await self.attempt(desk, claims, "wrong", address) == "not-allowed"
        verified = len(desk.hasher.verified)
        assert await self.attempt(desk, claims, PASSWORD, address) == "too-many-requests"
        assert await self.attempt(desk, claims, "wrong", address) == "too-many-requests"
        assert len(desk.hasher.verified) <= verified + 1, "once closed no password is looked at"
        assert await self.attempt(desk, claims, PASSWORD, "198.51.100.2") == "changed"
        assert await self.attempt(desk, other, PASSWORD, address) == "changed"
        assert (await desk.change(claims, ProfileChanges(name="Cleo"), address)).name == "Cleo", "needs no password"

    async def test_failures_to_sign_in_count_too(self, desk: Desk) -> None:
        claims = await self.claims(desk)
        wrong = Credentials(email="Ana@example.org", password="wrong")
        for _ in range(5):
            assert await self.attempt(desk, claims, "wrong") == "not-allowed"
            with pytest.raises(WrongCredentials):
                await desk.limited_log_in(wrong, HOME)
        assert await self.attempt(desk, claims, PASSWORD) == "too-many-requests"
        with pytest.raises(TooManyRequests):
            await desk.limited_log_in(Credentials(email="ana@example.org", password=PASSWORD), HOME)

    async def test_an_account_that_is_gone_has_no_password(self, desk: Desk) -> None:
        claims = await self.claims(desk)
        del desk.world.storage._tables.users[claims.user_id]
        assert await self.attempt(desk, claims, PASSWORD) == "invalid-token"


async def test_passwords_are_hashed_for_whom_it_concerns(desk: Desk) -> None:
    """Strangers have a share of their own, so that they cannot use up that of the account they try."""
    registration = Registration(name="Ana", email="Ana@example.org", password=PASSWORD)
    user = await desk.create(registration, "2001:db8::1")
    network = "2001:db8::/64"
    assert desk.hasher.askers == [Asker(("ana@example.org", "2001:db8::1"), network)]
    await desk.log_in(Credentials(email="Ana@example.org", password=PASSWORD), "2001:db8::1")
    claims = desk.tokens.issued[await desk.session()]
    desk.hasher.askers.clear()
    await desk.change(claims, ProfileChanges(current_password=PASSWORD, new_password="another word"), HOME)
    assert desk.hasher.askers == [Asker(user.id, HOME)] * 2

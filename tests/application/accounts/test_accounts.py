"""Accounts: creating, changing and disabling one, signing in and out, and whom a token identifies."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application import retrying_transaction as transaction
from boxoffice.application.accounts.authenticate import LOOKS_EVERY, MARGIN, Authenticate, Caller
from boxoffice.application.accounts.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.log_in import Credentials, LogIn, SignedIn
from boxoffice.application.accounts.log_out import LogOut
from boxoffice.application.accounts.login_throttle import FailedLogins, LogInWithinLimits
from boxoffice.application.accounts.refresh_session import GRACE, RefreshSession
from boxoffice.application.operators import list_users
from boxoffice.application.operators.disable_user import DisableUser, EnableUser
from boxoffice.application.operators.grant_role import GrantRole
from boxoffice.application.operators.list_users import ListUsers
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.security import Asker
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
from tests.application.fake_app import (
    NOW,
    FakeApp,
    FewKnownPasswords,
    PlainHasher,
    PlainRefreshTokens,
    PlainTokens,
    later,
    using_api_keys,
    without_mails,
)

PASSWORD = "correct horse"
ANAS = "ana@example.org"
NEW_PASSWORD = ProfileChanges(current_password=PASSWORD, new_password="another word")
HOME = "192.0.2.7"


class Desk:
    """Every use case of accounts."""

    def __init__(self, app: FakeApp) -> None:
        storage, clock = app.storage, app.clock
        self.app = app
        self.hasher = PlainHasher()
        self.tokens = PlainTokens()
        self.refresh_tokens = PlainRefreshTokens()
        self.seconds = 0.0
        self.create = CreateUser(storage, self.hasher, FewKnownPasswords(), clock, app.ids, without_mails(app.ids))
        self.log_in = LogIn(storage, self.hasher, self.tokens, self.refresh_tokens, clock, app.ids)
        self.refresh = RefreshSession(storage, self.tokens, self.refresh_tokens, clock)
        self.log_out = LogOut(storage, self.refresh_tokens, clock)
        self.disable = DisableUser(storage, clock, app.review_account)
        self.enable = EnableUser(storage, clock, app.review_account)
        self.list = ListUsers(storage.account_queries)
        self.change = ChangeProfile(storage, self.hasher, FewKnownPasswords(), without_mails(app.ids), clock)
        self.limited_log_in = LogInWithinLimits(self.log_in, None)
        self.read = ReadProfile(storage.account_queries)
        self.grant = GrantRole(storage, clock)
        self.authenticate = Authenticate(
            self.tokens, storage.account_queries, clock, using_api_keys(storage, clock), seconds=lambda: self.seconds
        )

    async def user(self, email: str = ANAS) -> User:
        """A new account."""
        return await self.create(Registration(name="Ana", email=email, password=PASSWORD))

    async def sign_in(self, email: str = ANAS, password: str = PASSWORD) -> SignedIn:
        """The tokens of a new session."""
        return await self.log_in(Credentials(email=email, password=password))

    async def session(self, email: str = ANAS, password: str = PASSWORD) -> str:
        """The access token of a new session."""
        return (await self.sign_in(email, password)).access.text

    async def caller(self, email: str = ANAS) -> Caller:
        """A new account, as it calls in a session."""
        await self.user(email)
        return self.calling(await self.session(email))

    def calling(self, token: str) -> Caller:
        """The caller with this access token."""
        claims = self.tokens.issued[token]
        return Caller(Actor(claims.user_id, claims.role), claims.session_id)

    async def sign_in_anyway(self) -> SignedIn:
        """As on a node that does not know yet that the user is disabled."""
        tables = self.app.tables
        disabled = tables.users[tables.emails[ANAS]]
        tables.users[disabled.id] = replace(disabled, disabled_at=None)
        signed_in = await self.sign_in()
        tables.users[disabled.id] = disabled
        return signed_in

    async def is_refused(self, token: str) -> bool:
        """Whether an access token identifies no caller."""
        try:
            await self.authenticate(token)
        except InvalidToken:
            return True
        return False

    def sessions(self) -> int:
        """How many sessions are stored."""
        return len(self.app.tables.sessions)


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """The use cases on an empty storage."""
    return Desk(app)


def paths(refused: "pytest.ExceptionInfo[InvalidRequest]") -> list[tuple[str | int, ...]]:
    """The broken fields of a refusal."""
    return [error.path for error in refused.value.errors]


# Creating.


async def test_broken_values_and_well_known_passwords_are_refused(desk: Desk) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.create(Registration(name="", email="ana", password="short"))
    assert paths(refused) == [("name",), ("email",), ("password",)]
    with pytest.raises(InvalidRequest, match="well known") as refused:
        await desk.create(Registration(name="Ana", email=ANAS, password="Password1"))
    assert paths(refused) == [("password",)]


async def test_of_many_registrations_of_an_address_one_succeeds(desk: Desk) -> None:
    results = await asyncio.gather(*(desk.user() for _ in range(5)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["EmailTaken"] * 4 + ["User"]
    with pytest.raises(EmailTaken):
        await desk.user("ANA@example.org")


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_account_whose_commit_was_not_answered_is_created_once(desk: Desk, step: Step) -> None:
    desk.app.faults.plan(step, OutcomeUnknown())
    user = await desk.user()
    assert await desk.read(user.id) == user


# Signing in.


@pytest.mark.parametrize("kept", ["x@x..org", "\uff41na@example.org", "a\u200bna@example.org"])
async def test_an_account_with_an_address_that_no_mail_can_reach_can_still_sign_in(desk: Desk, kept: str) -> None:
    before = replace(await desk.user(), id=desk.app.ids.new(), email=kept)
    async with desk.app.storage.begin() as unit_of_work:
        await unit_of_work.users.add(before)
        await unit_of_work.commit()
    assert (await desk.authenticate(await desk.session(kept.upper()))).actor.user_id == before.id
    assert (await desk.grant(kept, Role.ADMIN)).id == before.id
    assert (await desk.disable(kept)).id == before.id


async def test_unknown_disabled_and_wrong_credentials_look_alike_and_all_are_verified(desk: Desk) -> None:
    user, disabled = await desk.user(), await desk.user("cleo@example.org")
    without = replace(await desk.user("dora@example.org"), password_hash=None)
    desk.app.tables.users[without.id] = without
    assert await desk.disable(" CLEO@example.org") == replace(disabled, disabled_at=NOW, standing_changed_at=NOW)
    seen = []
    for email, password in (
        (ANAS, "wrong"),
        ("ben@example.org", "wrong"),
        ("cleo@example.org", PASSWORD),
        ("dora@example.org", PASSWORD),
    ):
        with pytest.raises(WrongCredentials) as refused:
            await desk.session(email, password)
        seen.append((refused.value.detail, refused.value.members))
    assert all(each == seen[0] for each in seen)
    hashes = [("wrong", user.password_hash), ("wrong", None), (PASSWORD, disabled.password_hash), (PASSWORD, None)]
    assert desk.hasher.verified == hashes
    assert desk.sessions() == 0


async def test_only_credentials_that_can_be_right_are_verified(desk: Desk) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.session("ana", "")
    assert paths(refused) == [("email",), ("password",)]
    assert desk.hasher.verified == []
    for password in ("x", "password1", "x" * 1_024):
        with pytest.raises(WrongCredentials):
            await desk.session(ANAS, password)


async def test_a_password_that_changes_during_sign_in_is_no_longer_valid(desk: Desk) -> None:
    caller = await desk.caller()
    plain = desk.hasher.verify

    async def slow(password: str, password_hash: str | None, asker: Asker) -> bool:
        is_right = await plain(password, password_hash, asker)
        desk.hasher.verify = plain  # type: ignore[method-assign]
        await desk.change(caller, NEW_PASSWORD)
        return is_right

    desk.hasher.verify = slow  # type: ignore[method-assign]
    with pytest.raises(WrongCredentials):
        await desk.session()


async def old_user(desk: Desk) -> User:
    """An account whose password was hashed long ago."""
    user = replace(await desk.user(), password_hash=f"old hash of {PASSWORD}")
    desk.app.tables.users[user.id] = user
    return user


async def test_an_outdated_hash_is_replaced_when_its_password_is_used(desk: Desk) -> None:
    user = await old_user(desk)
    with pytest.raises(WrongCredentials):
        await desk.session(password="wrong")
    plain = desk.hasher.hash

    async def full(password: str, asker: Asker) -> str:
        raise Unavailable

    desk.hasher.hash = full  # type: ignore[method-assign]
    await desk.session()
    assert await desk.read(user.id) == user, "neither a wrong password nor a full queue changes it"
    desk.hasher.hash = plain  # type: ignore[method-assign]
    for _ in range(2):
        await desk.session()
        assert await desk.read(user.id) == replace(user, password_hash=f"hash of {PASSWORD}")


async def test_an_account_that_changes_during_each_attempt_is_unavailable(desk: Desk) -> None:
    user = await desk.user()
    plain, number = desk.hasher.verify, 0

    async def slow(password: str, password_hash: str | None, asker: Asker) -> bool:
        nonlocal number
        number += 1
        desk.app.tables.users[user.id] = replace(user, password_hash=f"another {number}")
        return await plain(password, f"hash of {password}", asker)

    desk.hasher.verify = slow  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await desk.session()
    assert number == 3
    assert desk.sessions() == 0


@pytest.mark.parametrize("is_gone", [False, True])
async def test_an_account_that_is_disabled_or_gone_before_its_session_starts_cannot_sign_in(
    desk: Desk, is_gone: bool
) -> None:
    user = await desk.user()
    reached, opened = desk.app.faults.gate(Step.LOCK)
    signing_in = asyncio.ensure_future(desk.session())
    await reached.wait()
    if is_gone:
        del desk.app.tables.users[user.id]
        del desk.app.tables.emails[ANAS]
    else:
        await desk.disable(ANAS)
    opened.set()
    with pytest.raises(WrongCredentials):
        await signing_in
    assert desk.sessions() == 0


# Refreshing a session.


async def refused(desk: Desk, token: str) -> None:
    """A refresh token is refused."""
    with pytest.raises(InvalidToken) as refusal:
        await desk.refresh(token)
    assert refusal.value.is_refresh


@pytest.mark.parametrize(("further", "later"), [(0, GRACE), (1, timedelta()), (5, timedelta()), (0, -GRACE)])
async def test_a_used_refresh_token_ends_its_session_and_no_other(desk: Desk, further: int, later: timedelta) -> None:
    """Also within the grace, if a token after it was used, and by a clock that is behind."""
    await desk.user()
    first, other = await desk.sign_in(), await desk.sign_in()
    newest = await desk.refresh(first.refresh_token)
    for _ in range(further):
        newest = await desk.refresh(newest.refresh_token)
    desk.app.clock.time += later
    desk.app.faults.plan(Step.COMMIT, Retryable())
    await refused(desk, first.refresh_token)
    await refused(desk, newest.refresh_token)
    assert await desk.is_refused(newest.access.text)
    await desk.authenticate(other.access.text)
    await desk.refresh(other.refresh_token)


@pytest.mark.parametrize("later", [timedelta(), GRACE - timedelta(microseconds=1), -timedelta(seconds=1)])
async def test_a_lost_answer_is_given_again_for_some_seconds(desk: Desk, later: timedelta) -> None:
    await desk.user()
    first = await desk.sign_in()
    second = await desk.refresh(first.refresh_token)
    desk.app.clock.time += later
    again = await desk.refresh(first.refresh_token)
    assert again.refresh_token == second.refresh_token
    await desk.authenticate(again.access.text)
    third = await desk.refresh(second.refresh_token)
    assert (await desk.refresh(second.refresh_token)).refresh_token == third.refresh_token


async def test_an_unknown_refresh_token_ends_nothing(desk: Desk) -> None:
    await desk.user()
    signed_in = await desk.sign_in()
    for token in ("x", "session 7 token 7", signed_in.access.text):
        await refused(desk, token)
        await desk.log_out(token)
    await desk.refresh(signed_in.refresh_token)


@pytest.mark.parametrize("token", ["", " ", "x" * 513, "a\0b"])
async def test_a_malformed_refresh_token_is_an_invalid_request(desk: Desk, token: str) -> None:
    for call in (desk.refresh, desk.log_out):
        with pytest.raises(InvalidRequest) as refusal:
            await call(token)
        assert paths(refusal) == [("refresh_token",)]


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_refresh_whose_commit_was_not_answered_is_no_reuse(desk: Desk, step: Step) -> None:
    await desk.user()
    first = await desk.sign_in()
    desk.app.faults.plan(step, OutcomeUnknown())
    second = await desk.refresh(first.refresh_token)
    await desk.authenticate(second.access.text)
    await desk.refresh(second.refresh_token)


# Signing out.


@pytest.mark.parametrize("how", ["signing out", "disabling", "a new password"])
async def test_a_revocation_holds_after_the_next_look(desk: Desk, how: str) -> None:
    own = await desk.caller()
    other = await desk.sign_in()
    await desk.authenticate(other.access.text)
    if how == "signing out":
        await desk.log_out(other.refresh_token)
    elif how == "disabling":
        await desk.disable(ANAS)
    else:
        await desk.change(own, NEW_PASSWORD)
    assert not await desk.is_refused(other.access.text)
    desk.seconds = LOOKS_EVERY
    assert await desk.is_refused(other.access.text)


# Disabling an account.


async def test_disabling_ends_all_sessions_also_after_enabling_again(desk: Desk) -> None:
    user = await desk.user()
    signed_in = await desk.sign_in()
    desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await desk.disable(ANAS)
    await refused(desk, signed_in.refresh_token)
    assert await desk.is_refused(signed_in.access.text)
    desk.app.clock.time = later(minutes=1)
    assert (await desk.disable(ANAS)).disabled_at == NOW, "it keeps the first time"
    assert await desk.enable(" ANA@example.org") == replace(user, standing_changed_at=later(minutes=1))
    assert await desk.is_refused(signed_in.access.text)
    await refused(desk, signed_in.refresh_token)
    await desk.authenticate(await desk.session())


async def test_a_session_that_starts_while_the_user_is_disabled_is_not_valid(desk: Desk) -> None:
    """On a cluster a session may start on one node while the user is disabled on another."""
    await desk.user()
    await desk.disable(ANAS)
    signed_in = await desk.sign_in_anyway()
    assert await desk.is_refused(signed_in.access.text)
    await refused(desk, signed_in.refresh_token)
    await desk.enable(ANAS)
    await desk.authenticate(await desk.session())


async def test_an_unknown_account_is_neither_disabled_nor_enabled_nor_granted_a_role(desk: Desk) -> None:
    for call in (desk.disable, desk.enable, lambda email: desk.grant(email, Role.ADMIN)):
        with pytest.raises(NotFound):
            await call("unknown@example.org")
        with pytest.raises(InvalidRequest):
            await call("unknown")


async def test_accounts_are_listed_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_users, "AT_ONCE", 2)
    users = [await desk.user(f"{number}@example.org") for number in range(5)]
    assert [user async for user in desk.list()] == users
    assert desk.app.faults.count(Step.READ) == 4


# Whom a token identifies.


async def test_a_new_role_holds_for_existing_tokens_after_the_next_look(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER
    assert (await desk.grant(" ANA@example.org", Role.ORGANIZER)).role is Role.ORGANIZER
    desk.seconds = LOOKS_EVERY - 0.001
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER, "no look with every call"
    desk.seconds = LOOKS_EVERY
    assert (await desk.authenticate(token)).actor.role is Role.ORGANIZER
    await desk.grant(ANAS, Role.CUSTOMER)
    desk.seconds = 2 * LOOKS_EVERY
    assert (await desk.authenticate(token)).actor.role is Role.CUSTOMER
    assert LOOKS_EVERY < 5


async def test_callers_share_one_look(desk: Desk) -> None:
    assert await desk.is_refused("token 0"), "an unknown token needs no look"
    await desk.user()
    tokens = [await desk.session() for _ in range(3)]
    before = desk.app.faults.count(Step.READ)
    await asyncio.gather(*map(desk.authenticate, tokens), *map(desk.authenticate, tokens))
    await asyncio.gather(*map(desk.authenticate, tokens))
    assert desk.app.faults.count(Step.READ) == before + 1


async def test_a_revocation_from_before_a_process_began_holds_from_its_first_call(desk: Desk) -> None:
    await desk.user()
    signed_in, other = await desk.sign_in(), await desk.session()
    await desk.grant(ANAS, Role.ADMIN)
    await desk.log_out(signed_in.refresh_token)
    # The last moment of the token, and the clock of the other process was behind.
    desk.app.clock.time = NOW + timedelta(seconds=desk.tokens.lifetime) + MARGIN
    assert await desk.is_refused(signed_in.access.text)
    assert (await desk.authenticate(other)).actor.role is Role.ADMIN


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
async def test_a_revocation_that_took_long_is_found_however_the_clock_was_set(desk: Desk, ahead: timedelta) -> None:
    """Its time is before the last look, and it is committed after it."""
    await desk.user()
    signed_in, now = await desk.sign_in(), later(hours=2)
    desk.app.clock.time = now - MARGIN
    reached, opened = desk.app.faults.gate(Step.COMMIT)
    signing_out = asyncio.ensure_future(desk.log_out(signed_in.refresh_token))
    await reached.wait()
    desk.app.clock.time = now + ahead
    await desk.authenticate(signed_in.access.text)
    opened.set()
    await signing_out
    desk.app.clock.time, desk.seconds = now, LOOKS_EVERY
    assert await desk.is_refused(signed_in.access.text)


async def test_a_revocation_is_kept_until_all_tokens_from_before_it_have_expired(desk: Desk) -> None:
    await desk.user()
    signed_in, other = await desk.sign_in(), await desk.session()
    await desk.grant(ANAS, Role.ADMIN)
    await desk.log_out(signed_in.refresh_token)
    await desk.authenticate(other)
    desk.app.clock.time = later(hours=1)
    lifetime = desk.tokens.lifetime + 2 * MARGIN.total_seconds()
    for desk.seconds in (LOOKS_EVERY, LOOKS_EVERY + lifetime - 0.001):
        assert await desk.is_refused(signed_in.access.text)
        assert (await desk.authenticate(other)).actor.role is Role.ADMIN
    desk.seconds += LOOKS_EVERY
    assert (await desk.authenticate(other)).actor.role is Role.CUSTOMER, "forgotten, or it would fill the memory"
    assert not await desk.is_refused(signed_in.access.text)


async def test_without_a_look_no_caller_is_identified(desk: Desk) -> None:
    await desk.user()
    token = await desk.session()
    await desk.authenticate(token)
    desk.seconds = LOOKS_EVERY
    desk.app.faults.plan(Step.READ, Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.authenticate(token)
    await desk.authenticate(token)


# Changing an account.


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        (ProfileChanges(), ()),
        (ProfileChanges(new_password="another word"), ("current_password",)),
        (ProfileChanges(current_password=PASSWORD, new_password="short"), ("new_password",)),
        (ProfileChanges(current_password=PASSWORD, new_password="PASSWORD1"), ("new_password",)),
    ],
)
async def test_a_change_that_is_no_valid_request_is_refused(
    desk: Desk, changes: ProfileChanges, path: tuple[str, ...]
) -> None:
    caller = await desk.caller()
    with pytest.raises(InvalidRequest) as refused:
        await desk.change(caller, changes)
    assert paths(refused) == [path]


async def test_a_new_password_ends_every_session_but_its_own(desk: Desk) -> None:
    await desk.user()
    await desk.user("ben@example.org")
    own, other, bens = await desk.sign_in(), await desk.sign_in(), await desk.session("ben@example.org")
    desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    changed = await desk.change(desk.calling(own.access.text), NEW_PASSWORD)
    assert changed.password_hash == "hash of another word"
    for each in (own.access.text, bens):
        await desk.authenticate(each)
    assert await desk.is_refused(other.access.text)
    await refused(desk, other.refresh_token)
    await desk.refresh(own.refresh_token)
    with pytest.raises(WrongCredentials):
        await desk.session()
    await desk.session(password="another word")


async def test_of_two_concurrent_new_passwords_the_first_holds(desk: Desk) -> None:
    caller = await desk.caller()
    reached, opened = desk.app.faults.gate(Step.LOCK)
    late = asyncio.ensure_future(desk.change(caller, replace(NEW_PASSWORD, new_password="the late word")))
    await reached.wait()
    await desk.change(caller, NEW_PASSWORD)
    opened.set()
    with pytest.raises(NotAllowed, match="meanwhile"):
        await late
    await desk.session(password="another word")


async def test_a_deleted_account_cannot_be_read_or_changed(desk: Desk) -> None:
    gone = Caller(Actor(UUID(int=1)), UUID(int=2))
    with pytest.raises(InvalidToken):
        await desk.read(gone.actor.user_id)
    with pytest.raises(InvalidToken):
        await desk.change(gone, ProfileChanges(name="Anna"))
    with pytest.raises(InvalidToken):
        await desk.change(gone, ProfileChanges(current_password=PASSWORD))


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_be_granted_and_taken_back(desk: Desk, role: Role) -> None:
    user = await desk.user()
    changed_at = None if role is user.role else NOW
    assert await desk.grant(ANAS, role) == replace(user, role=role, standing_changed_at=changed_at)
    assert (await desk.read(user.id)).role is role
    desk.app.clock.time = later(minutes=1)
    assert (await desk.grant(ANAS, role)).standing_changed_at == changed_at


# Transactions.


@pytest.mark.parametrize("failure", [Retryable(), OutcomeUnknown()])
async def test_a_transaction_is_retried_a_bounded_number_of_times(desk: Desk, failure: Exception) -> None:
    app = desk.app
    await desk.user()

    async def nothing(unit_of_work: object) -> int:
        return 7

    app.faults.plan(Step.COMMIT, *[failure] * (ATTEMPTS - 1))
    assert await in_transaction(app.storage, nothing, jitter=lambda: 0.0) == 7
    app.faults.plan(Step.COMMIT, *[failure] * ATTEMPTS)
    with pytest.raises(Unavailable):
        await in_transaction(app.storage, nothing, jitter=lambda: 0.0)


async def test_a_storage_that_does_not_answer_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "DEADLINE", 0.02)
    desk.app.faults.gate(Step.BEGIN)
    with pytest.raises(Unavailable):
        await desk.user()


class TestTheCurrentPassword:
    """Guesses are limited by the same counters as signing in."""

    @pytest.fixture
    def desk(self, app: FakeApp) -> Desk:
        desk = Desk(app)
        failed_logins = FailedLogins(app.storage, app.clock)
        desk.change = ChangeProfile(
            app.storage, desk.hasher, FewKnownPasswords(), without_mails(app.ids), app.clock, failed_logins
        )
        desk.limited_log_in = LogInWithinLimits(desk.log_in, failed_logins)
        return desk

    async def attempt(self, desk: Desk, caller: Caller, password: str, address: str | None = HOME) -> str:
        try:
            await desk.change(caller, ProfileChanges(name="Ana B.", current_password=password), address)
        except Refusal as refusal:
            return refusal.code
        return "changed"

    @pytest.mark.parametrize("address", [HOME, None])
    async def test_after_ten_wrong_ones_the_right_one_is_refused_too(self, desk: Desk, address: str | None) -> None:
        caller, other = await desk.caller(), await desk.caller("ben@example.org")
        for _ in range(10):
            assert await self.attempt(desk, caller, "wrong", address) == "not-allowed"
        verified = len(desk.hasher.verified)
        assert await self.attempt(desk, caller, PASSWORD, address) == "too-many-requests"
        assert await self.attempt(desk, caller, "wrong", address) == "too-many-requests"
        assert len(desk.hasher.verified) <= verified + 1, "once closed no password is looked at"
        assert await self.attempt(desk, caller, PASSWORD, "198.51.100.2") == "changed"
        assert await self.attempt(desk, other, PASSWORD, address) == "changed"
        assert (await desk.change(caller, ProfileChanges(name="Cleo"), address)).name == "Cleo", "needs no password"
        del desk.app.tables.users[other.actor.user_id]
        assert await self.attempt(desk, other, PASSWORD) == "invalid-token", "the account is gone"

    async def test_failures_to_sign_in_count_too(self, desk: Desk) -> None:
        caller = await desk.caller()
        wrong = Credentials(email="Ana@example.org", password="wrong")
        for _ in range(5):
            assert await self.attempt(desk, caller, "wrong") == "not-allowed"
            with pytest.raises(WrongCredentials):
                await desk.limited_log_in(wrong, HOME)
        assert await self.attempt(desk, caller, PASSWORD) == "too-many-requests"
        with pytest.raises(TooManyRequests):
            await desk.limited_log_in(Credentials(email=ANAS, password=PASSWORD), HOME)


async def test_strangers_and_the_account_have_separate_shares_of_the_password_queue(desk: Desk) -> None:
    registration = Registration(name="Ana", email="Ana@example.org", password=PASSWORD)
    user = await desk.create(registration, "2001:db8::1")
    network = "2001:db8::/64"
    assert desk.hasher.askers == [Asker((ANAS, "2001:db8::1"), network)]
    await desk.log_in(Credentials(email="Ana@example.org", password=PASSWORD), "2001:db8::1")
    caller = desk.calling(await desk.session())
    desk.hasher.askers.clear()
    await desk.change(caller, NEW_PASSWORD, HOME)
    assert desk.hasher.askers == [Asker(user.id, HOME)] * 2

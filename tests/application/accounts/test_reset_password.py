"""Forgotten passwords and changes of address: who gets a mail, what a link does, and what it leaves useless."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.authenticate import Caller
from boxoffice.application.accounts.change_profile import ChangeProfile, ProfileChanges
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.accounts.log_in import Credentials, LogIn
from boxoffice.application.accounts.reset_password import MakeResetLink, RequestPasswordReset, ResetPassword
from boxoffice.application.accounts.verify_email import RequestVerification, VerifyEmail
from boxoffice.application.background.send_links import SendLinks
from boxoffice.application.limits.recipients import MOST_LINKS
from boxoffice.application.operators.disable_user import DisableUser
from boxoffice.application.ports.errors import OutcomeUnknown
from boxoffice.application.ports.notifications import Email, LinkEmail
from boxoffice.domain.decisions.erase import erased
from boxoffice.domain.policy import KeyRole
from boxoffice.domain.refusals import (
    EmailTaken,
    InvalidRequest,
    InvalidToken,
    LinkExpired,
    MailNotConfigured,
    NotAllowed,
    NotFound,
    WrongCredentials,
)
from boxoffice.domain.user import Actor, ApiKey, User
from boxoffice.domain.verification import LinkPurpose
from tests.application.fake_app import (
    NOW,
    FakeApp,
    FewKnownPasswords,
    PlainHasher,
    PlainLinkTokens,
    PlainRefreshTokens,
    PlainTokens,
    without_mails,
)

ANAS, BENS, NEW = "ana@example.org", "ben@example.org", "new@example.org"
PASSWORD = "correct horse"
ANOTHER = "another word"


class Desk:
    """Accounts that forget passwords and change addresses, and the mail server that they hear from."""

    def __init__(self, app: FakeApp) -> None:
        storage, clock, self.hasher = app.storage, app.clock, PlainHasher()
        self.app = app
        mails, known, links = LinkMails(app.ids, are_sent=True), FewKnownPasswords(), PlainLinkTokens()
        self.tokens = PlainTokens()
        self.create = CreateUser(storage, self.hasher, known, clock, app.ids, mails)
        self.log_in = LogIn(storage, self.hasher, self.tokens, PlainRefreshTokens(), clock, app.ids)
        self.verify = VerifyEmail(storage, links, mails, clock)
        self.verify_again = RequestVerification(storage, mails, clock)
        self.forgot = RequestPasswordReset(storage, mails, clock)
        self.forgot_without_mails = RequestPasswordReset(storage, without_mails(app.ids), clock)
        self.reset = ResetPassword(storage, self.hasher, known, links, mails, clock)
        self.make_link = MakeResetLink(storage, links, mails, clock)
        self.change = ChangeProfile(storage, self.hasher, known, mails, clock)
        self.change_without_mails = ChangeProfile(storage, self.hasher, known, without_mails(app.ids), clock)
        self.disable = DisableUser(storage, clock, app.review_account)
        self._send = SendLinks(storage, self, links, clock, jitter=lambda: 0.5)
        self.sent: list[LinkEmail] = []

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        assert isinstance(email, LinkEmail)
        self.sent.append(email)

    async def close_idle(self) -> None:
        """Nothing is open."""

    async def mails(self) -> list[tuple[str, LinkPurpose, str]]:
        """The recipient, purpose and token of each mail that is due."""
        self.sent = []
        await self._send(self.app.clock.now() + timedelta(hours=1))
        return [(each.recipient, each.purpose, each.token) for each in self.sent]

    async def token(self) -> str:
        """The token of the only mail that is due."""
        ((_, _, token),) = await self.mails()
        return token

    async def user(self, email: str = ANAS, *, is_verified: bool = True) -> User:
        user = await self.create(Registration(name="Ana", email=email, password=PASSWORD))
        token = await self.token()
        return await self.verify(token) if is_verified else user

    async def caller(self, email: str = ANAS, password: str = PASSWORD) -> Caller:
        signed_in = await self.log_in(Credentials(email=email, password=password))
        claims = self.tokens.issued[signed_in.access.text]
        return Caller(Actor(claims.user_id, claims.role), claims.session_id)

    async def move(self, caller: Caller, email: str = NEW, password: str = PASSWORD) -> User:
        return await self.change(caller, ProfileChanges(email=email, current_password=password))

    def stored(self, user: User) -> User:
        return self.app.tables.users[user.id]

    def links(self) -> list[tuple[str, LinkPurpose]]:
        return [(each.email, each.purpose) for each in self.app.tables.notifications.links.values()]


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """The use cases on an empty storage."""
    return Desk(app)


# Forgotten passwords.


async def test_a_forgotten_password_is_replaced_by_the_link_in_a_mail(desk: Desk) -> None:
    user = await desk.user(is_verified=False)
    caller = await desk.caller()
    own = ApiKey(id=UUID(int=1), user_id=user.id, name="x", role=KeyRole.READ, created_at=NOW)
    others = replace(own, id=UUID(int=2), user_id=UUID(int=3))
    desk.app.tables.api_keys.update({each.id: each for each in (own, others)})
    for _ in range(2):
        await desk.forgot("ANA@example.org")
    (first, second) = await desk.mails()
    assert first[:2] == second[:2] == (ANAS, LinkPurpose.RESET)
    assert await desk.reset(second[2], ANOTHER) == desk.stored(user)
    assert desk.stored(user) == replace(user, password_hash=f"hash of {ANOTHER}", verified_at=NOW)
    assert caller.session_id is not None
    assert desk.app.tables.sessions[caller.session_id].ended_at == NOW
    assert list(desk.app.tables.api_keys.values()) == [others], "keys end with the sessions"
    with pytest.raises(WrongCredentials):
        await desk.caller()
    await desk.caller(password=ANOTHER)
    assert desk.links() == [], "every other link of the account is dead"
    for token in (first[2], second[2]):
        with pytest.raises(LinkExpired):
            await desk.reset(token, PASSWORD)


async def test_an_unknown_address_and_one_that_gets_no_mail_make_the_same_work(desk: Desk) -> None:
    steps: list[object] = []
    await desk.user()
    disabled = await desk.disable((await desk.user(BENS)).email or "")
    for address in (ANAS, BENS, "x@x..org", "nobody@example.org"):
        desk.app.faults.steps.clear()
        await desk.forgot(address)
        steps.append(list(desk.app.faults.steps))
    assert all(each == steps[0] for each in steps)
    assert [each[0] for each in await desk.mails()] == [ANAS]
    assert desk.links() == [(ANAS, LinkPurpose.RESET)], "addresses without an account are not kept"
    assert desk.stored(disabled) == disabled
    with pytest.raises(InvalidRequest):
        await desk.forgot("ana")


async def test_reset_mails_are_limited_apart_from_others(desk: Desk) -> None:
    user = await desk.user(is_verified=False)
    for _ in range(MOST_LINKS + 1):
        await desk.forgot(ANAS)
    assert [each[1] for each in await desk.mails()] == [LinkPurpose.RESET] * MOST_LINKS
    await desk.verify_again(Actor(user.id))
    assert [each[1] for each in await desk.mails()] == [LinkPurpose.VERIFY]


async def test_without_mails_no_password_is_forgotten(desk: Desk) -> None:
    for address in (ANAS, "nobody@example.org"):
        with pytest.raises(MailNotConfigured):
            await desk.forgot_without_mails(address)


async def test_a_refused_password_does_not_use_up_the_link(desk: Desk) -> None:
    await desk.user()
    await desk.forgot(ANAS)
    token = await desk.token()
    for password in ("short", "Password1"):
        with pytest.raises(InvalidRequest) as refused:
            await desk.reset(token, password)
        assert [each.path for each in refused.value.errors] == [("new_password",)]
    await desk.reset(token, ANOTHER)


async def test_only_a_link_that_works_is_worth_hashing(desk: Desk) -> None:
    await desk.user(is_verified=False)
    await desk.forgot(ANAS)
    token = await desk.token()
    await desk.verify_again((await desk.caller()).actor)
    (to_verify,) = [each[2] for each in await desk.mails()]
    desk.hasher.askers.clear()
    with pytest.raises(LinkExpired):
        await desk.verify(token)
    desk.app.clock.time += timedelta(hours=1)
    for text in (token, to_verify, "link-00000000-0000-0000-0000-000000000001", "x"):
        with pytest.raises(LinkExpired):
            await desk.reset(text, ANOTHER)
    assert desk.hasher.askers == []


async def test_an_account_without_a_password_gets_its_first_one(desk: Desk) -> None:
    user = replace(await desk.user(is_verified=False), password_hash=None)
    desk.app.tables.users[user.id] = user
    await desk.forgot(ANAS)
    await desk.reset(await desk.token(), ANOTHER)
    assert (await desk.caller(password=ANOTHER)).actor.user_id == user.id


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_unanswered_commit_mails_and_resets_once(desk: Desk, step: Step) -> None:
    await desk.user()
    desk.app.faults.plan(step, OutcomeUnknown())
    await desk.forgot(ANAS)
    token = await desk.token()
    desk.app.faults.plan(step, OutcomeUnknown())
    await desk.reset(token, ANOTHER)
    await desk.caller(password=ANOTHER)


async def test_a_reset_ends_a_change_of_address(desk: Desk) -> None:
    user = await desk.user()
    await desk.move(await desk.caller())
    (pending,) = await desk.mails()
    await desk.forgot(ANAS)
    await desk.reset(await desk.token(), ANOTHER)
    assert desk.stored(user).pending_email is None
    with pytest.raises(LinkExpired):
        await desk.verify(pending[2])


async def test_a_new_password_makes_a_link_for_another_one_dead(desk: Desk) -> None:
    await desk.user()
    await desk.forgot(ANAS)
    token = await desk.token()
    await desk.change(await desk.caller(), ProfileChanges(current_password=PASSWORD, new_password=ANOTHER))
    with pytest.raises(LinkExpired):
        await desk.reset(token, PASSWORD)


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_operator_makes_a_link_without_a_mail(desk: Desk, step: Step) -> None:
    user = await desk.user()
    desk.app.faults.plan(step, OutcomeUnknown())
    token = await desk.make_link("ANA@example.org")
    assert await desk.mails() == []
    await desk.reset(token, ANOTHER)
    await desk.disable(ANAS)
    with pytest.raises(NotAllowed):
        await desk.make_link(ANAS)
    with pytest.raises(NotFound):
        await desk.make_link("nobody@example.org")
    assert desk.stored(user).disabled_at == NOW


# Changes of address.


async def test_an_address_is_replaced_once_the_new_one_is_verified(desk: Desk) -> None:
    user = await desk.user()
    caller = await desk.caller()
    await desk.forgot(ANAS)
    to_old = await desk.token()
    assert await desk.move(caller, "NEW@example.org") == replace(user, pending_email=NEW)
    (mail,) = await desk.mails()
    assert mail[:2] == (NEW, LinkPurpose.VERIFY)
    with pytest.raises(WrongCredentials):
        await desk.caller(NEW)
    assert await desk.verify(mail[2]) == replace(user, email=NEW) == desk.stored(user)
    await desk.caller(NEW)
    assert [each[:2] for each in await desk.mails()] == [(ANAS, LinkPurpose.REPLACED)]
    assert desk.links() == [], "the mail to the old address leaves nothing, and its links are dead"
    for use in (desk.verify(mail[2]), desk.reset(to_old, ANOTHER)):
        with pytest.raises(LinkExpired):
            await use


async def test_an_address_that_was_never_verified_hears_nothing(desk: Desk) -> None:
    user = await desk.user(is_verified=False)
    await desk.move(await desk.caller())
    await desk.verify(await desk.token())
    assert await desk.mails() == []
    assert desk.stored(user).is_verified


async def test_another_change_makes_the_link_before_dead_but_the_same_one_does_not(desk: Desk) -> None:
    user = await desk.user()
    caller = await desk.caller()
    tokens = []
    for address in (NEW, NEW, BENS, NEW):
        await desk.move(caller, address)
        tokens.append(await desk.token())
    for token in tokens[:3]:
        with pytest.raises(LinkExpired):
            await desk.verify(token)
    await desk.move(caller, NEW)
    await desk.verify_again(Actor(user.id))
    assert [each[0] for each in await desk.mails()] == [NEW, NEW]
    await desk.move(caller, ANAS)
    with pytest.raises(LinkExpired):
        await desk.verify(tokens[3])
    assert desk.stored(user) == user
    assert await desk.mails() == []


async def test_a_change_needs_the_current_password(desk: Desk) -> None:
    user = await desk.user()
    caller = await desk.caller()
    with pytest.raises(InvalidRequest) as refused:
        await desk.change(caller, ProfileChanges(email=NEW))
    assert [each.path for each in refused.value.errors] == [("current_password",)]
    with pytest.raises(NotAllowed):
        await desk.move(caller, password="wrong")
    assert desk.stored(user) == user


async def test_a_verified_address_of_another_account_is_taken_at_once_and_when_it_is_verified(desk: Desk) -> None:
    ana, ben = await desk.user(), await desk.user(BENS)
    caller = await desk.caller()
    with pytest.raises(EmailTaken):
        await desk.move(caller, BENS)
    assert desk.stored(ana) == ana
    await desk.move(caller)
    token = await desk.token()
    await desk.user(NEW)
    with pytest.raises(EmailTaken):
        await desk.verify(token)
    assert (desk.stored(ana).email, desk.stored(ben).email) == (ANAS, BENS)


async def test_an_unverified_address_of_another_account_passes_by_a_change(desk: Desk) -> None:
    """The account that loses it keeps its own change of address."""
    ana, squatter = await desk.user(), await desk.user(NEW, is_verified=False)
    await desk.verify_again(Actor(squatter.id))
    of_squatter = await desk.token()
    await desk.move(await desk.caller(NEW), BENS)
    to_ben = await desk.token()
    await desk.move(await desk.caller())
    await desk.verify(await desk.token())
    assert (desk.stored(ana).email, desk.stored(squatter).email) == (NEW, None)
    with pytest.raises(LinkExpired):
        await desk.verify(of_squatter)
    assert (await desk.verify(to_ben)).id == squatter.id


async def test_without_mails_an_address_stays(desk: Desk) -> None:
    user, _ = await desk.user(), await desk.user(BENS)
    caller = await desk.caller()
    changes = ProfileChanges(name="Anna", email=NEW, current_password=PASSWORD)
    for changed, refusal in (
        (changes, MailNotConfigured),
        (replace(changes, current_password="wrong"), NotAllowed),
        (replace(changes, email=BENS), EmailTaken),
    ):
        with pytest.raises(refusal):
            await desk.change_without_mails(caller, changed)
    assert desk.stored(user) == user


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_unanswered_commit_changes_once(desk: Desk, step: Step) -> None:
    user = await desk.user()
    caller = await desk.caller()
    desk.app.faults.plan(step, OutcomeUnknown())
    await desk.move(caller)
    token = await desk.token()
    desk.app.faults.plan(step, OutcomeUnknown())
    assert await desk.verify(token) == replace(user, email=NEW)
    assert [each[:2] for each in await desk.mails()] == [(ANAS, LinkPurpose.REPLACED)]


async def test_an_account_that_was_erased_or_disabled_meanwhile_is_not_changed(desk: Desk) -> None:
    user = await desk.user()
    caller = await desk.caller()
    for ended in ({"erased_at": NOW}, {"disabled_at": NOW}):
        desk.app.tables.users[user.id] = replace(user, **ended)
        with pytest.raises(InvalidToken):
            await desk.change(caller, ProfileChanges(name="Anna"))
    assert desk.stored(user).name == user.name


async def test_a_link_that_is_asked_for_while_the_account_is_erased_leads_nowhere(desk: Desk) -> None:
    user = await desk.user()
    async with desk.app.storage.begin() as unit_of_work:
        await LinkMails(desk.app.ids, are_sent=True).lock(unit_of_work, ANAS)
        asking = asyncio.create_task(desk.forgot(ANAS))
        for _ in range(10):
            await asyncio.sleep(0)
        await unit_of_work.users.lock(user.id)
        await unit_of_work.users.save(erased(user, NOW))
        await unit_of_work.commit()
    await asking
    links = desk.app.tables.notifications.links.values()
    assert [each.has_account for each in links if each.purpose is LinkPurpose.RESET] == [False]

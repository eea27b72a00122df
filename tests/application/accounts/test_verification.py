"""Verified addresses: which account signs in with one, who gets a mail, and what an unanswered commit leaves."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.accounts.log_in import Credentials, LogIn
from boxoffice.application.accounts.prove_password import ProvePassword
from boxoffice.application.accounts.verify_email import (
    MarkVerified,
    RequestVerification,
    VerifyEmail,
)
from boxoffice.application.background.send_links import ForgetLinks
from boxoffice.application.limits.recipients import MOST_LINKS, WITHIN
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.domain.refusals import (
    EmailTaken,
    IdempotencyKeyReused,
    InvalidRequest,
    InvalidToken,
    LinkExpired,
    MailNotConfigured,
    NotFound,
    WrongCredentials,
)
from boxoffice.domain.user import Actor, User
from boxoffice.domain.verification import LIFETIMES, Link, LinkPurpose
from tests.application.fake_app import (
    NOW,
    FakeApp,
    FewKnownPasswords,
    PlainHasher,
    PlainLinkTokens,
    PlainRefreshTokens,
    PlainTokens,
    once,
    without_mails,
)

ANAS = "ana@example.org"
LIFETIME = LIFETIMES[LinkPurpose.VERIFY]


class Desk:
    """Registration, verification and signing in."""

    def __init__(self, app: FakeApp) -> None:
        storage, clock, hasher = app.storage, app.clock, PlainHasher()
        self.app = app
        mails = LinkMails(app.ids, are_sent=True)
        self.create = CreateUser(storage, hasher, FewKnownPasswords(), clock, app.ids, mails)
        self.create_without_mails = CreateUser(
            storage, hasher, FewKnownPasswords(), clock, app.ids, without_mails(app.ids)
        )
        self.log_in = LogIn(storage, hasher, PlainTokens(), PlainRefreshTokens(), clock, app.ids)
        self.verify = VerifyEmail(storage, PlainLinkTokens(), mails, clock)
        self.request = RequestVerification(storage, mails, clock)
        self.request_without_mails = RequestVerification(storage, without_mails(app.ids), clock)
        self.mark = MarkVerified(storage, clock)
        self.forget = ForgetLinks(storage, clock)
        self.prove = ProvePassword(storage.account_queries, hasher, None)

    async def register(self, password: str = "older password", email: str = ANAS) -> User:
        return await self.create(Registration(name="Ana", email=email, password=password))

    async def links(self) -> list[Link]:
        """The links whose mails are queued, oldest first."""
        links = await self.app.storage.notification_queries.due_links(self.app.clock.now(), 100)
        return sorted(links, key=lambda each: each.id)

    async def token_of(self, user: User) -> str:
        """The token of the last mail to an account."""
        return token([each for each in await self.links() if each.user_id == user.id][-1])

    async def stored(self, user: User) -> User | None:
        return self.app.tables.users.get(user.id)

    async def signs_in(self, password: str) -> UUID | None:
        """The account that signs in with Ana's address and this password."""
        try:
            await self.log_in(Credentials(email="ANA@example.org", password=password))
        except WrongCredentials:
            return None
        return self.app.tables.emails[ANAS]


def token(link: Link) -> str:
    return PlainLinkTokens().text(link.id)


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """The use cases on an empty storage."""
    return Desk(app)


async def test_a_new_account_holds_its_address_and_verifies_it_by_the_link_in_its_mail(desk: Desk) -> None:
    user = await desk.register()
    assert (user.email, user.is_verified) == (ANAS, False)
    assert await desk.signs_in("older password") == user.id
    (link,) = await desk.links()
    assert (link.email, link.user_id, link.purpose, link.due_at) == (ANAS, user.id, LinkPurpose.VERIFY, NOW)
    assert await desk.verify(token(link)) == replace(user, verified_at=NOW) == await desk.stored(user)
    with pytest.raises(LinkExpired):
        await desk.verify(token(link))


async def test_an_unverified_address_is_registered_again_and_passes_to_whom_it_is_mailed(desk: Desk) -> None:
    older = await desk.register()
    newer = await desk.register("newer password")
    assert (newer.email, newer.is_verified) == (ANAS, False), "it looks like any new account"
    assert await desk.stored(newer) is None
    assert await desk.signs_in("older password") == older.id
    assert await desk.signs_in("newer password") is None
    of_older, of_newer = await desk.links()
    assert await desk.verify(token(of_newer)) == replace(newer, verified_at=NOW) == await desk.stored(newer)
    assert await desk.stored(older) == replace(older, email=None)
    assert await desk.signs_in("older password") is None
    assert await desk.signs_in("newer password") == newer.id
    with pytest.raises(LinkExpired):
        await desk.verify(token(of_older))
    assert desk.app.tables.notifications.claims == {}
    await desk.request(Actor(older.id))
    assert await desk.links() == [], "there is nothing to verify"


async def test_once_verified_an_address_is_neither_claimed_nor_taken(desk: Desk) -> None:
    older, newer, newest = await desk.register(), await desk.register(), await desk.register()
    await desk.verify(await desk.token_of(older))
    for other in (newer, newest):
        with pytest.raises(EmailTaken):
            await desk.verify(await desk.token_of(other))
    with pytest.raises(EmailTaken):
        await desk.register()
    assert await desk.stored(older) == replace(older, verified_at=NOW)


async def test_without_mails_an_address_is_taken_by_the_first_account(desk: Desk) -> None:
    registration = Registration(name="Ana", email=ANAS, password="older password")
    desk.app.faults.plan(Step.COMMIT, Conflict())
    with pytest.raises(EmailTaken):
        await desk.create_without_mails(registration)
    await desk.create_without_mails(registration)
    assert await desk.links() == []
    with pytest.raises(EmailTaken):
        await desk.create_without_mails(registration)


@pytest.mark.parametrize("text", ["link-00000000-0000-0000-0000-000000000001", "x", "x" * 512])
async def test_an_unknown_token_is_an_expired_link(desk: Desk, text: str) -> None:
    with pytest.raises(LinkExpired):
        await desk.verify(text)
    with pytest.raises(InvalidRequest):
        await desk.verify("")


async def test_a_link_expires_and_is_forgotten_with_its_claim(desk: Desk) -> None:
    older, newer = await desk.register(), await desk.register()
    tokens = [await desk.token_of(each) for each in (older, newer)]
    desk.app.clock.time += LIFETIME
    for each in tokens:
        with pytest.raises(LinkExpired):
            await desk.verify(each)
    tables = desk.app.tables.notifications
    await desk.forget()
    assert (len(tables.links), len(tables.claims), len(tables.mail_times)) == (2, 1, 0)
    desk.app.clock.time += timedelta(microseconds=1)
    await desk.forget()
    assert (tables.links, tables.claims) == ({}, {})


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
@pytest.mark.parametrize("is_claim", [False, True])
async def test_an_unanswered_commit_registers_and_verifies_once(desk: Desk, step: Step, is_claim: bool) -> None:
    if is_claim:
        await desk.register()
    desk.app.faults.plan(step, OutcomeUnknown())
    user = await desk.register("newer password")
    (link,) = [each for each in await desk.links() if each.user_id == user.id]
    desk.app.faults.plan(step, OutcomeUnknown())
    assert await desk.verify(token(link)) == replace(user, verified_at=NOW) == await desk.stored(user)


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_registration_takes_over_the_account_that_a_desk_made(desk: Desk, step: Step) -> None:
    made = User(id=desk.app.ids.new(), name="A.", email=ANAS, password_hash=None, created_at=NOW)
    async with desk.app.storage.begin() as unit_of_work:
        await unit_of_work.users.add(made)
        await unit_of_work.commit()
    claim = await desk.register("her password")
    assert await desk.signs_in("her password") is None, "until she has verified the address"
    last = await desk.token_of(claim)
    desk.app.faults.plan(step, OutcomeUnknown())
    taken_over = replace(made, name="Ana", password_hash=claim.password_hash, verified_at=NOW)
    assert await desk.verify(last) == taken_over == await desk.stored(made)
    assert await desk.signs_in("her password") == made.id
    assert (len(desk.app.tables.users), desk.app.tables.notifications.claims) == (1, {})
    with pytest.raises(LinkExpired):
        await desk.verify(last)


# The mail again.


async def test_the_mail_is_sent_again_with_a_link_of_its_own(desk: Desk) -> None:
    user = await desk.register()
    desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await desk.request(Actor(user.id))
    first, second = await desk.links()
    assert first.id != second.id
    await desk.verify(token(second))
    assert (await desk.verify(token(first))).is_verified, "each link works once"
    await desk.request(Actor(user.id))
    assert len(await desk.links()) == 0, "there is nothing to verify"


async def test_no_mail_goes_to_an_address_that_none_can_reach(desk: Desk) -> None:
    user = replace(await desk.register(), email="x@x..org")
    desk.app.tables.users[user.id] = user
    await desk.request(Actor(user.id))
    assert len(await desk.links()) == 1


async def test_a_mail_is_refused_where_none_are_sent(desk: Desk) -> None:
    user = await desk.register()
    with pytest.raises(MailNotConfigured):
        await desk.request_without_mails(Actor(user.id))
    with pytest.raises(InvalidToken):
        await desk.request(Actor(UUID(int=7)))


async def test_no_mail_goes_to_an_account_that_loses_its_address_meanwhile(desk: Desk) -> None:
    older, newer = await desk.register(), await desk.register("newer password")
    link = await desk.token_of(newer)
    desk.app.tables.notifications.links = {each.id: each for each in await desk.links() if each.user_id == newer.id}
    reached, opened = desk.app.faults.gate(Step.BEGIN)
    asking = asyncio.ensure_future(desk.request(Actor(older.id)))
    await reached.wait()
    await desk.verify(link)
    opened.set()
    await asking
    assert await desk.links() == []


async def test_a_key_sends_one_mail(desk: Desk) -> None:
    user = await desk.register()
    key = once(actor=Actor(user.id))
    await desk.request(Actor(user.id), key)
    with pytest.raises(Replayed) as again:
        await desk.request(Actor(user.id), key)
    assert again.value.response.payload == str(user).encode()
    with pytest.raises(IdempotencyKeyReused):
        await desk.request(Actor(user.id), once(request="other", actor=Actor(user.id)))
    assert len(await desk.links()) == 2
    desk.app.faults.plan(Step.COMMIT, Conflict())
    await desk.request(Actor(user.id), once("another", actor=Actor(user.id)))
    assert len(await desk.links()) == 3


# Limits.


async def test_an_address_gets_five_mails_an_hour_from_whatever_asks_for_them(desk: Desk) -> None:
    user = await desk.register()
    for number in range(MOST_LINKS):
        await (desk.request(Actor(user.id)) if number % 2 else desk.register(email="ANA@Example.ORG."))
    links = await desk.links()
    assert len(links) == MOST_LINKS == 5
    assert len(desk.app.tables.notifications.claims) == 2, "a claim without its mail is not kept"
    other = await desk.register(email="ben@example.org")
    assert await desk.token_of(other)
    desk.app.clock.time += WITHIN
    await desk.request(Actor(user.id))
    assert len(await desk.links()) == len(links) + 2


async def test_an_account_without_a_mail_can_ask_for_one_later(desk: Desk) -> None:
    other = await desk.register()
    for _ in range(MOST_LINKS):
        await desk.request(Actor(other.id))
    # As after another account was erased.
    del desk.app.tables.users[other.id]
    del desk.app.tables.emails[ANAS]
    user = await desk.register()
    assert user.id not in {each.user_id for each in await desk.links()}
    desk.app.clock.time += WITHIN
    await desk.request(Actor(user.id))
    await desk.verify(await desk.token_of(user))


# Operators, and accounts without an address.


async def test_an_operator_marks_an_address_as_verified(desk: Desk) -> None:
    user = await desk.register()
    assert await desk.mark("ANA@example.org") == replace(user, verified_at=NOW) == await desk.stored(user)
    desk.app.clock.time += WITHIN
    assert await desk.mark(ANAS) == replace(user, verified_at=NOW)
    with pytest.raises(NotFound):
        await desk.mark("ben@example.org")


async def test_an_account_that_lost_its_address_still_proves_its_password(desk: Desk) -> None:
    user = replace(await desk.register(), email=None)
    desk.app.tables.users[user.id] = user
    assert await desk.prove(user.id, "older password") == user

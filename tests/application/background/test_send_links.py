"""Mails with links: sent with what makes the link, retried while the mail server is away, given up with the link."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.background.send_links import SendLinks
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.notifications import Email, LinkEmail, Refused, Undeliverable
from boxoffice.domain.mails import RETRY_AFTER
from boxoffice.domain.verification import LIFETIMES, Link, LinkPurpose
from tests.application.fake_app import NOW, FakeApp, FewKnownPasswords, PlainHasher, PlainLinkTokens

LIFETIME = LIFETIMES[LinkPurpose.VERIFY]
LATER = NOW + timedelta(days=2)


class Desk:
    """A service that registers accounts and sends mails, and is its own mail server."""

    def __init__(self, app: FakeApp) -> None:
        self.app = app
        mails = LinkMails(app.ids, are_sent=True)
        self._create = CreateUser(app.storage, PlainHasher(), FewKnownPasswords(), app.clock, app.ids, mails)
        self.round = SendLinks(app.storage, self, PlainLinkTokens(), app.clock, jitter=lambda: 0.5)
        self.sent: list[LinkEmail] = []
        self.fails: Exception | None = None
        self.takes = timedelta(0)

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        self.app.clock.time += self.takes
        if self.fails is not None:
            raise self.fails
        assert isinstance(email, LinkEmail)
        self.sent.append(email)

    async def close_idle(self) -> None:
        """Nothing is open."""

    async def register(self) -> Link:
        """The link of a new account, whose mail is due."""
        before = self.app.ids.new()
        email = f"{before.int}@example.org"
        await self._create(Registration(name="http://evil.example", email=email, password="a fine password"))
        return (await self.queue())[-1]

    async def queue(self) -> list[Link]:
        return await self.app.storage.notification_queries.due_links(LATER, 100)


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """A service without accounts."""
    return Desk(app)


async def test_a_link_is_mailed_once_and_without_a_word_of_the_user(desk: Desk) -> None:
    link = await desk.register()
    assert [await desk.round(LATER) for _ in range(2)] == [1, 0]
    assert desk.sent == [
        LinkEmail(id=link.id, purpose=LinkPurpose.VERIFY, recipient=link.email, token=PlainLinkTokens().text(link.id))
    ]


async def test_while_the_mail_server_is_away_it_is_retried(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    link = await desk.register()
    desk.fails = Refused("the mail server is not there")
    assert await desk.round(LATER) == 0
    (retried,) = await desk.queue()
    assert (retried.attempts, retried.due_at) == (1, NOW + RETRY_AFTER[0])
    desk.fails = None
    assert await desk.round(LATER) == 0
    desk.app.clock.time += RETRY_AFTER[0]
    assert await desk.round(LATER) == 1
    assert [each.id for each in desk.sent] == [link.id]
    assert f"to account {link.user_id} was refused and is retried: the mail server is not there" in caplog.text
    assert "@" not in caplog.text
    assert "link-" not in caplog.text


async def test_it_is_given_up_after_the_last_attempt(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    link = await desk.register()
    desk.app.tables.notifications.links[link.id] = replace(link, attempts=len(RETRY_AFTER))
    desk.fails = Refused("not now")
    await desk.round(LATER)
    assert await desk.queue() == []
    assert "given up: not now" in caplog.text


async def test_it_is_not_retried_where_it_is_refused_for_good(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.register()
    desk.fails = Undeliverable("the recipient is refused (550)")
    assert await desk.round(LATER) == 0
    assert await desk.queue() == []
    assert "cannot be delivered: the recipient is refused (550)" in caplog.text
    assert "@" not in caplog.text


async def test_a_link_that_no_longer_works_is_not_mailed(desk: Desk) -> None:
    await desk.register()
    desk.app.clock.time += LIFETIME
    assert await desk.round(LATER) == 0
    assert (desk.sent, await desk.queue()) == ([], [])


async def test_one_that_was_sent_and_not_recorded_is_sent_again_with_the_same_link(desk: Desk) -> None:
    await desk.register()
    desk.app.faults.plan(Step.COMMIT, Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.round(LATER)
    assert await desk.round(LATER) == 1
    assert desk.sent[0] == desk.sent[1]


async def test_the_time_for_sending_is_bounded(desk: Desk) -> None:
    for _ in range(3):
        await desk.register()
    desk.takes = timedelta(seconds=1)
    assert await desk.round(NOW + timedelta(seconds=2)) == 2
    assert await desk.round(LATER) == 1

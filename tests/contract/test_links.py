"""Links, claims and the counts of mails as they were saved, and the race for an address."""

import asyncio
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.accounts.verify_email import RequestVerification, VerifyEmail
from boxoffice.application.limits.recipients import MOST_LINKS, links_to
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.storage import Storage, UnitOfWork
from boxoffice.domain.refusals import EmailTaken, LinkExpired
from boxoffice.domain.user import Actor, User
from boxoffice.domain.verification import Link, LinkPurpose
from tests.application.fake_app import FewKnownPasswords, PlainHasher, PlainLinkTokens
from tests.settable_clock import SettableClock

from .storage_driver import EMAIL, NOW, StorageDriver, new_id

MICROSECOND = timedelta(microseconds=1)


def new_link(*, user_id: UUID | None = None, **values: Any) -> Link:
    """A link that is not stored yet."""
    given = {
        "purpose": LinkPurpose.VERIFY,
        "email": "ad\u00e1@fa\u00df.example",
        "created_at": NOW,
        "due_at": NOW,
        **values,
    }
    return Link(id=new_id(), user_id=user_id or new_id(), **given)


async def add(driver: StorageDriver, *links: Link) -> None:
    async def work(unit: UnitOfWork) -> None:
        for link in links:
            await unit.links.add(link)

    await driver.do(work)


async def remove_some(user_id: UUID, email: str | None, purpose: LinkPurpose | None, unit: UnitOfWork) -> None:
    await unit.links.remove_of(user_id, email=email, purpose=purpose)


async def stored(driver: StorageDriver, *links: Link) -> list[Link | None]:
    return [await driver.storage.notification_queries.link(each.id) for each in links]


async def test_a_link_comes_back_as_it_was_saved_and_is_due_until_it_was_sent(driver: StorageDriver) -> None:
    late, early, future = new_link(), new_link(due_at=NOW - MICROSECOND), new_link(due_at=NOW + MICROSECOND)
    await add(driver, late, early, future)
    due = driver.storage.notification_queries.due_links
    assert (await due(NOW, 5), await due(NOW, 1)) == ([early, late], [early])
    retried, sent = replace(early, attempts=1, due_at=NOW + MICROSECOND), replace(late, due_at=None)

    async def save(unit: UnitOfWork) -> list[Link | None]:
        for each in (retried, sent, new_link()):
            await unit.links.save(each)
        return [await unit.links.link(each.id) for each in (early, late)]

    assert await driver.do(save) == [retried, sent]
    assert await due(NOW, 5) == []
    assert await stored(driver, early, late, new_link()) == [retried, sent, None]
    with pytest.raises(Conflict):
        await add(driver, late)


async def test_links_are_removed_by_id_by_account_and_by_age(driver: StorageDriver) -> None:
    user_id = new_id()
    one, two, three = new_link(), new_link(user_id=user_id), new_link(user_id=user_id)
    old, edge = new_link(created_at=NOW - MICROSECOND), new_link()
    await add(driver, one, two, three, old, edge)
    elsewhere = new_link(user_id=user_id, email="other@example.org")
    reset = new_link(user_id=user_id, purpose=LinkPurpose.RESET)
    await add(driver, elsewhere, reset)
    await driver.do(lambda unit: unit.links.remove(one.id))
    for email, purpose in (("other@example.org", LinkPurpose.RESET), ("unknown@example.org", None)):
        await driver.do(partial(remove_some, user_id, email, purpose))
    assert await stored(driver, two, three, elsewhere, reset) == [two, three, elsewhere, reset]
    await driver.do(lambda unit: unit.links.remove_of(user_id, email="other@example.org"))
    await driver.do(lambda unit: unit.links.remove_of(user_id, purpose=LinkPurpose.RESET))
    assert await stored(driver, two, three, elsewhere, reset) == [two, three, None, None]
    await driver.do(lambda unit: unit.links.remove_of(user_id))
    await driver.do(lambda unit: unit.links.forget(NOW))
    assert await stored(driver, one, two, three, old, edge) == [None, None, None, None, edge]


async def test_a_claim_comes_back_as_the_account_that_it_becomes(driver: StorageDriver) -> None:
    removed, old, kept = new_claim(), replace(new_claim(), created_at=NOW - MICROSECOND), new_claim()

    async def work(unit: UnitOfWork) -> None:
        for each in (removed, old, kept):
            await unit.links.add_claim(each)
        assert await unit.links.claim(removed.id) == removed
        await unit.links.remove_claim(removed.id)

    await driver.do(work)
    await driver.do(lambda unit: unit.links.forget(NOW))

    async def find(unit: UnitOfWork) -> list[User | None]:
        return [await unit.links.claim(each.id) for each in (removed, old, kept)]

    assert await driver.do(find) == [None, None, kept]
    with pytest.raises(Conflict):
        await driver.do(lambda unit: unit.links.add_claim(kept))


def new_claim() -> User:
    """A registration of an address that another account holds."""
    return User(id=new_id(), name="Ada", email=EMAIL, password_hash="hash", created_at=NOW)


async def test_mails_are_counted_under_a_lock_and_forgotten(driver: StorageDriver) -> None:
    subjects = [new_id(), new_id()]
    moments = (NOW + number * MICROSECOND for number in count())

    async def add_one(unit: UnitOfWork) -> None:
        found = await unit.limits.lock_mail_times(subjects)
        now = next(moments)
        await unit.limits.save_mail_times({subject: (*found.get(subject, ()), now) for subject in subjects})

    await asyncio.gather(*(driver.do(add_one) for _ in range(5)))
    times = tuple(NOW + number * MICROSECOND for number in range(5))
    assert await driver.do(lambda unit: unit.limits.lock_mail_times([*subjects, new_id()])) == dict.fromkeys(
        subjects, times
    )
    await driver.do(lambda unit: unit.limits.forget_mail_times(times[-1]))
    assert len(await driver.do(lambda unit: unit.limits.lock_mail_times(subjects))) == 2
    await driver.do(lambda unit: unit.limits.forget_mail_times(times[-1] + MICROSECOND))
    assert await driver.do(lambda unit: unit.limits.lock_mail_times(subjects)) == {}


async def test_a_locked_recipient_makes_the_next_one_wait(driver: StorageDriver) -> None:
    subject = new_id()
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.limits.lock_mail_times([subject])
        second = asyncio.create_task(driver.do(lambda unit: unit.limits.lock_mail_times([subject])))
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.limits.save_mail_times({subject: (NOW,)})
        await unit_of_work.commit()
    assert await second == {subject: (NOW,)}


class Ids:
    """Ids as everywhere."""

    new = staticmethod(new_id)


class Desk:
    """Registration and verification, on one storage."""

    def __init__(self, storage: Storage) -> None:
        clock, ids, mails = SettableClock(NOW), Ids(), LinkMails(Ids(), are_sent=True)
        self.storage = storage
        self.create = CreateUser(storage, PlainHasher(), FewKnownPasswords(), clock, ids, mails)
        self.verify = VerifyEmail(storage, PlainLinkTokens(), mails, clock)
        self.request = RequestVerification(storage, mails, clock)

    async def register(self) -> User:
        return await self.create(Registration(name="Ada", email=EMAIL, password="correct horse"))

    async def tokens(self) -> list[str]:
        return [f"link-{each.id}" for each in await self.storage.notification_queries.due_links(NOW, 100)]


async def test_of_many_registrations_at_once_one_holds_the_address_and_one_verifies_it(driver: StorageDriver) -> None:
    """The others claim it. No more mails leave than one address may get, and none of the links works twice."""
    desk = Desk(driver.storage)
    users = await asyncio.gather(*(desk.register() for _ in range(MOST_LINKS + 2)))
    holder = await driver.storage.account_queries.user_by_email(EMAIL)
    assert holder in users
    assert await driver.storage.account_queries.users(None, 10) == [holder]
    tokens = await desk.tokens()
    assert len(tokens) == MOST_LINKS
    results = await asyncio.gather(*(desk.verify(each) for each in tokens * 2), return_exceptions=True)
    verified = [each for each in results if isinstance(each, User)]
    assert len(verified) == 1
    assert {type(each) for each in results if isinstance(each, BaseException)} == {EmailTaken, LinkExpired}
    assert await driver.storage.account_queries.user_by_email(EMAIL) == verified[0]
    assert verified[0].verified_at == NOW
    assert len(await driver.storage.account_queries.users(None, 10)) == (1 if verified[0].id == holder.id else 2)
    with pytest.raises(EmailTaken):
        await desk.register()


async def test_the_address_is_taken_and_lost_whatever_happens_at_once(driver: StorageDriver) -> None:
    """The older account asks for mails while the newer one verifies the address and others register it."""
    desk = Desk(driver.storage)
    older, newer = await desk.register(), await desk.register()
    link = (await driver.storage.notification_queries.due_links(NOW, 10))[1]
    assert link.user_id == newer.id
    results = await asyncio.gather(
        desk.verify(f"link-{link.id}"),
        *(desk.request(Actor(older.id)) for _ in range(2)),
        *(desk.register() for _ in range(2)),
        return_exceptions=True,
    )
    assert isinstance(results[0], User)
    assert await driver.storage.account_queries.user_by_email(EMAIL) == replace(newer, verified_at=NOW)
    account = await driver.account(older.id, None)
    assert account is not None
    assert account.user == replace(older, email=None)
    left = await driver.storage.notification_queries.due_links(NOW, 10)
    assert older.id not in {each.user_id for each in left}


async def test_a_registration_waits_for_others_of_its_address(driver: StorageDriver) -> None:
    """Otherwise two that see nobody hold it would both take it."""
    desk, holder = Desk(driver.storage), new_claim()
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.limits.lock_mail_times(list(links_to(EMAIL, LinkPurpose.VERIFY)))
        registering = asyncio.create_task(desk.register())
        assert not (await asyncio.wait([registering], timeout=0.3))[0]
        await unit_of_work.users.add(holder)
        await unit_of_work.commit()
    claim = await registering
    assert await driver.storage.account_queries.users(None, 10) == [holder]
    assert await driver.do(lambda unit: unit.links.claim(claim.id)) == claim


async def test_a_verification_waits_for_others_of_its_address(driver: StorageDriver) -> None:
    desk = Desk(driver.storage)
    older, _ = await desk.register(), await desk.register()
    _, token = await desk.tokens()
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.limits.lock_mail_times(list(links_to(EMAIL, LinkPurpose.VERIFY)))
        verifying = asyncio.create_task(desk.verify(token))
        assert not (await asyncio.wait([verifying], timeout=0.3))[0]
        await unit_of_work.users.save(older.with_verified_address(NOW))
        await unit_of_work.commit()
    with pytest.raises(EmailTaken):
        await verifying

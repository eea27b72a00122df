"""Webhooks and mails: what is stored of them, and what is found to be sent, to whom first."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.mails import Announcement, Mail, MailKind
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook

from .storage_driver import NOW, ORGANIZER, StorageDriver, new_id, new_user

LATER = NOW + timedelta(minutes=5)
MICROSECOND = timedelta(microseconds=1)


def new_delivery(webhook: Webhook, event_id: UUID, seq: int, **fields: Any) -> Delivery:
    return Delivery(
        **{
            "id": new_id(),
            "webhook_id": webhook.id,
            "event_id": event_id,
            "seq": seq,
            "kind": "TicketsBooked",
            "status": DeliveryStatus.RETRYING,
            "attempts": 1,
            "created_at": NOW,
            "tried_at": NOW,
            "due_at": LATER,
            "error": "answered 503",
            **fields,
        }
    )


def new_mail(event_id: UUID, **fields: Any) -> Mail:
    return Mail(
        **{
            "id": new_id(),
            "kind": MailKind.PROMOTED,
            "event_id": event_id,
            "booking_id": new_id(),
            "seq": 7,
            "expires_at": LATER,
            "created_at": NOW,
            "due_at": NOW,
            **fields,
        }
    )


async def add(driver: StorageDriver, organizer_id: UUID = ORGANIZER.user_id, **fields: Any) -> Webhook:
    url = "https://hooks.example.org/" + "a" * 2_000
    webhook = Webhook(id=new_id(), organizer_id=organizer_id, url=url, secret="whsec_AAAA", created_at=NOW, **fields)
    await driver.do(lambda unit: unit.webhooks.add(webhook, NOW))
    return webhook


async def put_cursor(driver: StorageDriver, webhook: Webhook, event_id: UUID, last_seq: int, **fields: Any) -> None:
    cursor = Cursor(**{"webhook_id": webhook.id, "event_id": event_id, "last_seq": last_seq, "tried_at": NOW, **fields})

    async def put_it(unit: UnitOfWork) -> None:
        await unit.webhooks.lock(webhook.id)
        await unit.webhooks.put_cursor(cursor)
        assert await unit.webhooks.cursor(webhook.id, event_id) == cursor

    await driver.do(put_it)


async def put(driver: StorageDriver, *deliveries: Delivery) -> None:
    for each in deliveries:
        await driver.do(lambda unit, each=each: unit.webhooks.put_delivery(each))  # type: ignore[misc]


class TestWebhooks:
    async def test_a_webhook_comes_back_as_it_was_saved(self, driver: StorageDriver) -> None:
        state = await driver.initialize(1)
        reads = driver.storage.notification_queries
        assert not await reads.has_webhooks()
        plain = await add(driver)
        narrow = await add(driver, event_id=state.event.id, kinds=("TicketsBooked", "HoldExpired"))
        await add(driver, new_id())
        assert await reads.has_webhooks()
        assert await reads.webhooks(ORGANIZER.user_id) == [plain, narrow]
        assert await reads.webhook(narrow.id) == narrow
        assert await reads.webhook(new_id()) is None
        assert await driver.do(lambda unit: unit.webhooks.lock(plain.id)) == plain
        assert await driver.do(lambda unit: unit.webhooks.count(ORGANIZER.user_id)) == 2
        with pytest.raises(Conflict):
            await driver.do(lambda unit: unit.webhooks.add(plain, NOW))

    async def test_a_webhook_is_removed_with_its_deliveries(self, driver: StorageDriver) -> None:
        event_id, reads = new_id(), driver.storage.notification_queries
        webhook, other = await add(driver), await add(driver)
        await put(driver, *(new_delivery(each, event_id, 1) for each in (webhook, other)))
        await driver.do(lambda unit: unit.webhooks.remove(webhook.id))
        assert await reads.webhook(webhook.id) is None
        assert await reads.deliveries(webhook.id, None, None, 10) == []
        assert len(await reads.deliveries(other.id, None, None, 10)) == 1
        with pytest.raises(Conflict):
            await put(driver, new_delivery(webhook, event_id, 1))
        await driver.do(lambda unit: unit.webhooks.remove(other.id))
        assert not await reads.has_webhooks()

    async def test_a_locked_webhook_makes_the_next_one_wait(self, driver: StorageDriver) -> None:
        webhook = await add(driver)
        async with driver.storage.begin() as unit_of_work:
            await unit_of_work.webhooks.lock(webhook.id)
            second = asyncio.create_task(driver.do(lambda unit: unit.webhooks.lock(webhook.id)))
            assert not (await asyncio.wait([second], timeout=0.2))[0]
            await unit_of_work.webhooks.remove(webhook.id)
            await unit_of_work.commit()
        assert await second is None


async def pending(driver: StorageDriver, now: datetime = NOW, but: frozenset[UUID] = frozenset()) -> list[Any]:
    found = await driver.storage.notification_queries.pending_deliveries(now, but, 4, None, 100, 100)
    assert found.next is None
    return [(each.webhook.id, each.event_id, each.last_seq) for each in found.items]


class TestPendingDeliveries:
    async def test_a_webhook_receives_what_happens_from_then_on(self, driver: StorageDriver) -> None:
        old = await driver.initialize(3)
        await driver.book(old)
        webhook = await add(driver)
        assert await pending(driver) == []
        await driver.book(old)
        new = await driver.initialize(1)
        assert await pending(driver) == [(webhook.id, new.event.id, 0), (webhook.id, old.event.id, 2)]

    async def test_a_webhook_receives_events_of_its_organizer_only(self, driver: StorageDriver) -> None:
        webhook = await add(driver)
        await driver.initialize(1, actor=Actor(new_id()))
        mine = await driver.initialize(1)
        narrow = await add(driver, event_id=mine.event.id)
        other = await driver.initialize(1)
        await driver.book(mine)
        assert sorted(await pending(driver)) == sorted(
            [(webhook.id, mine.event.id, 0), (webhook.id, other.event.id, 0), (narrow.id, mine.event.id, 1)]
        )
        assert [found[0] for found in await pending(driver, but=frozenset({webhook.id}))] == [narrow.id]

    async def test_nothing_is_sent_while_the_account_is_disabled(self, driver: StorageDriver) -> None:
        user = new_user()
        await driver.do(lambda unit: unit.users.add(user))
        webhook = await add(driver, user.id)
        state = await driver.initialize(1, actor=Actor(user.id))
        for disabled_at in (NOW, None):
            changed = replace(user, disabled_at=disabled_at)
            await driver.do(lambda unit, changed=changed: unit.users.save(changed))  # type: ignore[misc]
            assert await pending(driver) == ([] if disabled_at else [(webhook.id, state.event.id, 0)])

    async def test_nothing_is_sent_while_a_webhook_is_not_active(self, driver: StorageDriver) -> None:
        """What waited is given up, and once it is active again what happened meanwhile is skipped."""
        webhook, other = await add(driver), await add(driver)
        first, second = await driver.initialize(1), await driver.initialize(1)
        reads, deliveries = driver.storage.notification_queries, []
        for each, seq, status in (
            (webhook, 1, DeliveryStatus.RETRYING),
            (webhook, 2, DeliveryStatus.RESENDING),
            (other, 1, DeliveryStatus.RETRYING),
        ):
            deliveries.append(new_delivery(each, first.event.id, seq, status=status, due_at=NOW))
        await put(driver, *deliveries)
        await put_cursor(driver, webhook, first.event.id, 0, due_at=LATER)
        off = replace(webhook, url="https://b.example/", kinds=("HoldExpired",), active=False)

        async def switch_off(unit: UnitOfWork) -> None:
            await unit.webhooks.lock(webhook.id)
            await unit.webhooks.put(off)
            await unit.webhooks.give_up_retries(webhook.id)

        await driver.do(switch_off)
        assert await reads.webhook(webhook.id) == off
        assert {each[0] for each in await pending(driver, LATER)} == {other.id}
        assert await reads.resends(frozenset(), 9) == []
        stored = [await reads.delivery(each.id) for each in deliveries]
        assert [each and each.status for each in stored] == ["dead", "resending", "retrying"]
        assert stored[0] == replace(deliveries[0], status=DeliveryStatus.DEAD, due_at=None)
        await driver.book(first)

        async def switch_on(unit: UnitOfWork) -> None:
            assert await unit.webhooks.lock(webhook.id) == off
            await unit.webhooks.put(webhook)
            await unit.webhooks.skip_facts(webhook, LATER)

        await driver.do(switch_on)
        assert {each[0] for each in await pending(driver, LATER)} == {other.id}
        assert [each.webhook for each in await reads.resends(frozenset(), 9)] == [webhook]
        await driver.book(second)
        assert [each for each in await pending(driver, LATER) if each[0] == webhook.id] == [
            (webhook.id, second.event.id, 1)
        ]

    async def test_nothing_is_sent_before_it_is_due(self, driver: StorageDriver) -> None:
        webhook = await add(driver)
        state = await driver.initialize(1)
        await put_cursor(driver, webhook, state.event.id, 0, due_at=LATER)
        assert await pending(driver, LATER - MICROSECOND) == []
        assert await pending(driver, LATER) == [(webhook.id, state.event.id, 0)]
        await put_cursor(driver, webhook, state.event.id, 1)
        assert await pending(driver, LATER) == []

    async def test_what_waited_longest_comes_first_and_each_webhook_has_its_share(self, driver: StorageDriver) -> None:
        webhook = await add(driver)
        first, second, third = [(await driver.initialize(1)).event.id for _ in range(3)]
        other = await add(driver)
        fresh = (await driver.initialize(1)).event.id
        await put_cursor(driver, webhook, first, 0, tried_at=LATER)
        await put_cursor(driver, webhook, second, 0, tried_at=NOW)
        assert [found[1] for found in await pending(driver) if found[0] == webhook.id] == [third, fresh, second, first]
        every = await driver.storage.notification_queries.pending_deliveries(
            NOW, frozenset({other.id}), 4, None, 100, 100
        )
        assert [each.tried_at for each in every.items] == [None, None, NOW, LATER]
        one_each = await driver.storage.notification_queries.pending_deliveries(NOW, frozenset(), 1, None, 100, 100)
        assert [(each.webhook.id, each.event_id) for each in one_each.items] == [(webhook.id, third), (other.id, fresh)]

    async def test_events_are_looked_at_window_by_window(self, driver: StorageDriver) -> None:
        await add(driver)
        ids = [(await driver.initialize(1)).event.id for _ in range(5)]
        after, seen = None, []
        for _ in range(3):
            found = await driver.storage.notification_queries.pending_deliveries(NOW, frozenset(), 4, after, 2, 100)
            seen.append(([each.event_id for each in found.items], found.next))
            after = found.next
        assert seen == [(ids[:2], ids[1]), (ids[2:4], ids[3]), (ids[4:], None)]


async def test_organizers_come_in_rotation(driver: StorageDriver) -> None:
    owners = sorted((new_id() for _ in range(3)), key=lambda owner: owner.int)
    for owner, number in zip(owners, (3, 1, 2), strict=True):
        for _ in range(number):
            await add(driver, owner)
        for _ in range(2):
            await driver.initialize(1, actor=Actor(owner))

    async def found(limit: int) -> list[UUID]:
        page = await driver.storage.notification_queries.pending_deliveries(NOW, frozenset(), 2, None, 100, limit)
        return [each.webhook.organizer_id for each in page.items]

    first, second, third = owners
    assert sorted(await found(3), key=lambda owner: owner.int) == owners
    assert sorted(await found(6), key=lambda owner: owner.int) == [first, first, second, second, third, third]
    rest = (await found(100))[6:]
    assert (rest.count(first), rest.count(second), rest.count(third)) == (4, 0, 2)


class TestDeliveries:
    async def test_a_delivery_comes_back_as_it_was_saved(self, driver: StorageDriver) -> None:
        event_id, reads = new_id(), driver.storage.notification_queries
        webhook = await add(driver)
        first, second, third = [new_delivery(webhook, event_id, seq) for seq in (1, 2, 3)]
        second = replace(second, status=DeliveryStatus.DEAD, due_at=None)
        await put(driver, first, second, third)
        for status, before, limit, expected in [
            (None, None, 10, [third, second, first]),
            (None, third.id, 1, [second]),
            (DeliveryStatus.DEAD, None, 10, [second]),
            (DeliveryStatus.RETRYING, third.id, 10, [first]),
        ]:
            assert await reads.deliveries(webhook.id, status, before, limit) == expected
        assert await driver.do(lambda unit: unit.webhooks.delivery(webhook.id, event_id, 2)) == second
        changed = replace(first, attempts=2, tried_at=LATER, due_at=LATER + timedelta(1), error="no connection")
        await put(driver, changed)
        assert await reads.delivery(first.id) == changed
        with pytest.raises(Conflict):
            await put(driver, new_delivery(webhook, event_id, 1))
        await driver.do(lambda unit: unit.webhooks.remove_retried(webhook.id, event_id, 2))
        assert await reads.deliveries(webhook.id, None, None, 10) == [third, second]
        await driver.do(lambda unit: unit.webhooks.remove_delivery(second.id))
        assert await reads.deliveries(webhook.id, None, None, 10) == [third]

    async def test_resends_come_oldest_first_and_organizers_in_rotation(self, driver: StorageDriver) -> None:
        webhook, other = await add(driver), await add(driver, new_id())
        again = {"status": DeliveryStatus.RESENDING}
        late, early, last = [
            new_delivery(webhook, new_id(), 1, due_at=NOW + timedelta(minutes=minutes), **again)
            for minutes in (2, 1, 3)
        ]
        of_other = new_delivery(other, new_id(), 1, due_at=LATER, **again)
        await put(driver, late, early, last, of_other, new_delivery(webhook, new_id(), 3))
        reads = driver.storage.notification_queries
        found = await reads.resends(frozenset(), 10)
        assert [(each.webhook, each.delivery) for each in found] == [
            (webhook, early),
            (other, of_other),
            (webhook, late),
            (webhook, last),
        ]
        assert [each.delivery for each in await reads.resends(frozenset({other.id}), 1)] == [early]


async def looked_through(
    driver: StorageDriver,
    state: EventState,
    after: int,
    last_seq: int,
    *mails: Mail,
    announcements: Sequence[Announcement] = (),
) -> bool:
    return await driver.do(lambda unit: unit.mails.queue(state.event.id, after, last_seq, mails, announcements))


class TestMails:
    async def test_facts_before_the_beginning_count_as_looked_through(self, driver: StorageDriver) -> None:
        reads = driver.storage.notification_queries
        old = await driver.initialize(2)
        assert not await reads.have_mails_begun()
        for _ in range(2):
            await driver.do(lambda unit: unit.mails.begin(NOW))
            assert await reads.have_mails_begun()
        assert (await reads.pending_events(None, 10)).events == []
        new = await driver.initialize(1)
        await driver.book(old)
        assert (await reads.pending_events(None, 10)).events == [(old.event.id, 1), (new.event.id, 0)]

    async def test_events_are_looked_at_window_by_window(self, driver: StorageDriver) -> None:
        states = [await driver.initialize(1) for _ in range(5)]
        await looked_through(driver, states[1], 0, 1)
        one, two, three, four, five = [state.event.id for state in states]
        for after, events, next_ in [(None, [one], two), (two, [three, four], four), (four, [five], None)]:
            found = await driver.storage.notification_queries.pending_events(after, 2)
            assert ([each for each, _ in found.events], found.next) == (events, next_)

    async def test_mails_are_queued_once(self, driver: StorageDriver) -> None:
        reads = driver.storage.notification_queries
        state = await driver.initialize(1)
        mail = new_mail(state.event.id)
        later = new_mail(state.event.id, due_at=LATER, kind=MailKind.EVENT_CANCELLED, expires_at=None, seq=0)
        assert await looked_through(driver, state, 0, 1, mail, later)
        assert not await looked_through(driver, state, 0, 1, new_mail(state.event.id))
        assert await looked_through(driver, state, 1, 2, replace(mail, attempts=3))
        assert await reads.due_mails(LATER - MICROSECOND, 10) == [mail]
        assert await reads.due_mails(LATER, 10) == [mail, later]
        assert await reads.due_mails(LATER, 1) == [mail]

    async def test_a_mail_is_put_off_or_removed(self, driver: StorageDriver) -> None:
        reads = driver.storage.notification_queries
        state = await driver.initialize(1)
        mail, other = new_mail(state.event.id), new_mail(state.event.id)
        await looked_through(driver, state, 0, 1, mail, other)
        put_off = replace(mail, due_at=LATER, attempts=1)
        await driver.do(lambda unit: unit.mails.put(put_off))
        assert await reads.due_mails(NOW, 10) == [other]
        for _ in range(2):
            await driver.do(lambda unit: unit.mails.remove(other.id))
        await driver.do(lambda unit: unit.mails.put(other))
        assert await reads.due_mails(LATER, 10) == [put_off]

    async def test_one_of_two_at_once_looks_through(self, driver: StorageDriver) -> None:
        state = await driver.initialize(1)
        for after in (0, 1):
            both = (looked_through(driver, state, after, after + 1, new_mail(state.event.id)) for _ in range(2))
            found = await asyncio.gather(*both, return_exceptions=True)
            assert [each for each in found if each is True] == [True]
            assert all(each in (True, False) or isinstance(each, Conflict) for each in found)
        assert len(await driver.storage.notification_queries.due_mails(NOW, 10)) == 2


async def test_an_announcement_goes_on_step_by_step(driver: StorageDriver) -> None:
    reads = driver.storage.notification_queries
    state = await driver.initialize(1)
    first = Announcement(event_id=state.event.id, seq=1, kind=MailKind.MOVED, created_at=NOW)
    second = replace(first, seq=2, kind=MailKind.CHANGED)
    for after in (0, 1):
        assert await looked_through(driver, state, after, after + 1, announcements=[second, first])
    assert await reads.announcements(10) == [first, second]
    assert await reads.announcements(1) == [first]
    mail, other = new_mail(state.event.id), new_mail(state.event.id)
    below = new_id()
    for _ in range(2):
        # The second time another process has made the step.
        await driver.do(lambda unit: unit.mails.announce(first, [mail], below))
    await driver.do(lambda unit: unit.mails.announce(first, [new_mail(state.event.id)], None))
    went_on = replace(first, below=below)
    assert await reads.announcements(10) == [went_on, second]
    await driver.do(lambda unit: unit.mails.announce(went_on, [other, replace(mail, attempts=5)], None))
    await driver.do(lambda unit: unit.mails.announce(went_on, [new_mail(state.event.id)], None))
    assert await reads.announcements(10) == [second]
    assert sorted(await reads.due_mails(NOW, 10), key=lambda each: each.id) == sorted(
        [mail, other], key=lambda each: each.id
    )

"""What is kept of telling others: webhooks and how far each was told, mails and how far facts were looked through."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.notifications import MailRepository, WebhookRepository
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.domain.event import EventState
from boxoffice.domain.mails import Mail, MailKind
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook

from .box_office import NOW, ORGANIZER, BoxOffice, new_id, new_user

LATER = NOW + timedelta(minutes=5)


def new_webhook(**fields: Any) -> Webhook:
    return Webhook(
        **{
            "id": new_id(),
            "organizer_id": ORGANIZER.user_id,
            "url": "https://hooks.example.org/" + "a" * 2_000,
            "secret": "whsec_AAAA",
            "created_at": NOW,
            **fields,
        }
    )


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
            "customer_id": new_id(),
            "expires_at": LATER,
            "created_at": NOW,
            "due_at": NOW,
            **fields,
        }
    )


async def keep(office: BoxOffice, work: Callable[[WebhookRepository], Awaitable[Any]]) -> Any:
    async def in_it(unit_of_work: UnitOfWork) -> Any:
        return await work(unit_of_work.webhooks)

    return await in_transaction(office.storage, in_it)


async def keep_mails(office: BoxOffice, work: Callable[[MailRepository], Awaitable[Any]]) -> Any:
    async def in_it(unit_of_work: UnitOfWork) -> Any:
        return await work(unit_of_work.mails)

    return await in_transaction(office.storage, in_it)


async def add(office: BoxOffice, **fields: Any) -> Webhook:
    webhook = new_webhook(**fields)
    await keep(office, lambda webhooks: webhooks.add(webhook, NOW))
    return webhook


async def put_cursor(office: BoxOffice, webhook: Webhook, event_id: UUID, last_seq: int, **fields: Any) -> None:
    cursor = Cursor(**{"webhook_id": webhook.id, "event_id": event_id, "last_seq": last_seq, "tried_at": NOW, **fields})

    async def put(webhooks: WebhookRepository) -> None:
        await webhooks.lock(webhook.id)
        await webhooks.put_cursor(cursor)
        assert await webhooks.cursor(webhook.id, event_id) == cursor

    await keep(office, put)


async def put(office: BoxOffice, delivery: Delivery) -> None:
    await keep(office, lambda webhooks: webhooks.put_delivery(delivery))


async def streams(office: BoxOffice, now: Any = NOW, but: frozenset[UUID] = frozenset(), each: int = 4) -> list[Any]:
    found = await office.storage.notification_queries.streams(now, but, each, None, 100, 100)
    assert found.next is None
    return [(stream.webhook.id, stream.event_id, stream.last_seq) for stream in found.items]


class TestWebhooks:
    async def test_what_was_kept_is_read(self, office: BoxOffice) -> None:
        state = await office.initialize(1)
        plain = await add(office)
        narrow = await add(office, event_id=state.event.id, kinds=("TicketsBooked", "HoldExpired"))
        await add(office, organizer_id=new_id())
        reads = office.storage.notification_queries
        assert await reads.webhooks(ORGANIZER.user_id) == [plain, narrow]
        assert await reads.webhook(narrow.id) == narrow
        assert await reads.webhook(new_id()) is None
        assert await keep(office, lambda webhooks: webhooks.lock(plain.id)) == plain
        assert await keep(office, lambda webhooks: webhooks.count(ORGANIZER.user_id)) == 2

    async def test_an_id_is_taken_once(self, office: BoxOffice) -> None:
        webhook = await add(office)
        with pytest.raises(Conflict):
            await keep(office, lambda webhooks: webhooks.add(webhook, NOW))

    async def test_whether_there_is_any(self, office: BoxOffice) -> None:
        assert not await office.storage.notification_queries.has_webhooks()
        webhook = await add(office)
        assert await office.storage.notification_queries.has_webhooks()
        await keep(office, lambda webhooks: webhooks.remove(webhook.id))
        assert not await office.storage.notification_queries.has_webhooks()

    async def test_what_is_not_committed_is_not_there(self, office: BoxOffice) -> None:
        webhook = new_webhook()
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.webhooks.add(webhook, NOW)
        assert await office.storage.notification_queries.webhook(webhook.id) is None

    async def test_with_a_webhook_all_goes_that_was_kept_of_it(self, office: BoxOffice) -> None:
        state = await office.initialize(1)
        webhook, other = await add(office), await add(office)
        for each in (webhook, other):
            await put(office, new_delivery(each, state.event.id, 1))
        await keep(office, lambda webhooks: webhooks.remove(webhook.id))
        reads = office.storage.notification_queries
        assert await reads.webhook(webhook.id) is None
        assert await reads.deliveries(webhook.id, None, None, 10) == []
        assert len(await reads.deliveries(other.id, None, None, 10)) == 1
        with pytest.raises(Conflict):
            await put(office, new_delivery(webhook, state.event.id, 1))

    async def test_one_is_waited_for_while_it_is_locked(self, office: BoxOffice) -> None:
        webhook = await add(office)
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.webhooks.lock(webhook.id)
            second = asyncio.create_task(keep(office, lambda webhooks: webhooks.lock(webhook.id)))
            assert not (await asyncio.wait([second], timeout=0.2))[0]
            await unit_of_work.webhooks.remove(webhook.id)
            await unit_of_work.commit()
        assert await second is None


class TestStreams:
    async def test_a_webhook_is_told_what_happens_from_then_on(self, office: BoxOffice) -> None:
        old = await office.initialize(3)
        await office.book(old)
        webhook = await add(office)
        assert await streams(office) == []
        await office.book(old)
        new = await office.initialize(1)
        assert await streams(office) == [(webhook.id, new.event.id, 0), (webhook.id, old.event.id, 2)]

    async def test_of_its_organizers_events_only(self, office: BoxOffice) -> None:
        webhook = await add(office)
        await office.initialize(1, actor=Actor(new_id()))
        mine = await office.initialize(1)
        narrow = await add(office, event_id=mine.event.id)
        other = await office.initialize(1)
        await office.book(mine)
        assert sorted(await streams(office)) == sorted(
            [(webhook.id, mine.event.id, 0), (webhook.id, other.event.id, 0), (narrow.id, mine.event.id, 1)]
        )
        assert [found[0] for found in await streams(office, but=frozenset({webhook.id}))] == [narrow.id]

    async def test_nothing_while_the_account_is_shut(self, office: BoxOffice) -> None:
        user = new_user()
        webhook = await add(office, organizer_id=user.id)
        state = await office.initialize(1, actor=Actor(user.id))
        for disabled_at in (None, NOW, None):

            async def shut(unit_of_work: UnitOfWork, disabled_at: Any = disabled_at) -> None:
                there = await unit_of_work.users.lock(user.id)
                keeping = unit_of_work.users.add if there is None else unit_of_work.users.save
                await keeping(replace(user, disabled_at=disabled_at))

            await in_transaction(office.storage, shut)
            expected = [] if disabled_at else [(webhook.id, state.event.id, 0)]
            assert await streams(office) == expected

    async def test_not_before_it_is_due(self, office: BoxOffice) -> None:
        webhook = await add(office)
        state = await office.initialize(1)
        await put_cursor(office, webhook, state.event.id, 0, due_at=LATER)
        assert await streams(office, LATER - timedelta(microseconds=1)) == []
        assert await streams(office, LATER) == [(webhook.id, state.event.id, 0)]
        await put_cursor(office, webhook, state.event.id, 1)
        assert await streams(office, LATER) == []

    async def test_those_that_waited_longest_come_first_and_each_webhook_has_its_share(self, office: BoxOffice) -> None:
        webhook = await add(office)
        first, second, third = [await office.initialize(1) for _ in range(3)]
        other = await add(office)
        fresh = await office.initialize(1)
        await put_cursor(office, webhook, first.event.id, 0, tried_at=LATER)
        await put_cursor(office, webhook, second.event.id, 0, tried_at=NOW)
        of_webhook = [found[1] for found in await streams(office) if found[0] == webhook.id]
        assert of_webhook == [third.event.id, fresh.event.id, second.event.id, first.event.id]
        assert await streams(office, each=1) == [(webhook.id, third.event.id, 0), (other.id, fresh.event.id, 0)]

    async def test_organizers_come_in_rotation_where_deliveries_are_sent_again(self, office: BoxOffice) -> None:
        one, other = await add(office, organizer_id=new_id()), await add(office, organizer_id=new_id())
        event_id = new_id()
        again = {"status": DeliveryStatus.RESENDING}
        for seq in range(1, 5):
            await put(office, new_delivery(one, event_id, seq, due_at=NOW + timedelta(seconds=seq), **again))
        await put(office, new_delivery(other, event_id, 1, due_at=LATER, **again))
        found = await office.storage.notification_queries.resends(frozenset(), 3)
        assert [(each.webhook.id, each.delivery.seq) for each in found] == [(one.id, 1), (other.id, 1), (one.id, 2)]

    async def test_events_are_looked_at_by_and_by(self, office: BoxOffice) -> None:
        reads = office.storage.notification_queries
        await add(office)
        ids = [(await office.initialize(1)).event.id for _ in range(5)]
        after, seen = None, []
        for _ in range(3):
            found = await reads.streams(NOW, frozenset(), 4, after, 2, 100)
            seen.append(([stream.event_id for stream in found.items], found.next))
            after = found.next
        assert seen == [(ids[:2], ids[1]), (ids[2:4], ids[3]), (ids[4:], None)]


async def test_organizers_come_in_rotation(office: BoxOffice) -> None:
    owners = sorted((new_id() for _ in range(3)), key=lambda owner: owner.int)
    webhooks = {}
    for owner, number in zip(owners, (3, 1, 2), strict=True):
        webhooks[owner] = [await add(office, organizer_id=owner) for _ in range(number)]
        for _ in range(2):
            await office.initialize(1, actor=Actor(owner))
    reads = office.storage.notification_queries

    async def found(limit: int) -> list[UUID]:
        page = await reads.streams(NOW, frozenset(), 2, None, 100, limit)
        return [stream.webhook.organizer_id for stream in page.items]

    first, second, third = owners
    assert sorted(await found(3), key=lambda owner: owner.int) == owners
    assert sorted(await found(6), key=lambda owner: owner.int) == [first, first, second, second, third, third]
    rest = (await found(100))[6:]
    assert (rest.count(first), rest.count(second), rest.count(third)) == (4, 0, 2)
    (stream,) = (await reads.streams(NOW, frozenset(), 2, None, 100, 1)).items
    assert stream.tried_at is None
    await put_cursor(office, stream.webhook, stream.event_id, 0)
    page = await reads.streams(NOW, frozenset(), 2, None, 100, 100)
    assert {each.tried_at for each in page.items if each.event_id == stream.event_id} >= {NOW}


class TestDeliveries:
    async def test_what_was_kept_is_read(self, office: BoxOffice) -> None:
        state = await office.initialize(1)
        webhook = await add(office)
        first, second, third = [new_delivery(webhook, state.event.id, seq) for seq in (1, 2, 3)]
        second = replace(second, status=DeliveryStatus.DEAD, due_at=None)
        for each in (first, second, third):
            await put(office, each)
        reads = office.storage.notification_queries
        assert await reads.deliveries(webhook.id, None, None, 10) == [third, second, first]
        assert await reads.deliveries(webhook.id, None, third.id, 1) == [second]
        assert await reads.deliveries(webhook.id, DeliveryStatus.DEAD, None, 10) == [second]
        assert await reads.deliveries(webhook.id, DeliveryStatus.RETRYING, third.id, 10) == [first]
        assert await reads.delivery(first.id) == first
        assert await keep(office, lambda webhooks: webhooks.delivery(webhook.id, state.event.id, 2)) == second
        changed = replace(first, attempts=2, tried_at=LATER, due_at=LATER + timedelta(1), error="no connection")
        await put(office, changed)
        assert await reads.delivery(first.id) == changed
        await keep(office, lambda webhooks: webhooks.remove_retried(webhook.id, state.event.id, 2))
        assert await reads.deliveries(webhook.id, None, None, 10) == [third, second]
        await keep(office, lambda webhooks: webhooks.remove_delivery(second.id))
        assert await reads.deliveries(webhook.id, None, None, 10) == [third]

    async def test_a_fact_has_one(self, office: BoxOffice) -> None:
        webhook = await add(office)
        event_id = new_id()
        await put(office, new_delivery(webhook, event_id, 1))
        with pytest.raises(Conflict):
            await put(office, new_delivery(webhook, event_id, 1))

    async def test_those_to_be_sent_once_more(self, office: BoxOffice) -> None:
        webhook, other = await add(office), await add(office)
        event_id = new_id()
        again = {"status": DeliveryStatus.RESENDING}
        late, early = [new_delivery(webhook, event_id, seq, due_at=at, **again) for seq, at in ((1, LATER), (2, NOW))]
        of_other = new_delivery(other, event_id, 1, due_at=NOW - timedelta(1), **again)
        for each in (late, early, of_other, new_delivery(webhook, event_id, 3)):
            await put(office, each)
        reads = office.storage.notification_queries
        found = await reads.resends(frozenset(), 10)
        assert [(each.webhook.id, each.delivery) for each in found] == [
            (other.id, of_other),
            (webhook.id, early),
            (webhook.id, late),
        ]
        assert [each.delivery for each in await reads.resends(frozenset({other.id}), 1)] == [early]


async def looked_through(office: BoxOffice, state: EventState, after: int, last_seq: int, *mails: Mail) -> bool:
    kept: bool = await keep_mails(office, lambda queue: queue.queue(state.event.id, after, last_seq, mails))
    return kept


class TestMails:
    async def test_what_happened_before_the_beginning_is_looked_through(self, office: BoxOffice) -> None:
        reads = office.storage.notification_queries
        old = await office.initialize(2)
        assert not await reads.have_mails_begun()
        for _ in range(2):
            await keep_mails(office, lambda mails: mails.begin(NOW))
            assert await reads.have_mails_begun()
        assert (await reads.news(None, 10)).events == []
        new = await office.initialize(1)
        await office.book(old)
        assert (await reads.news(None, 10)).events == [(old.event.id, 1), (new.event.id, 0)]

    async def test_organizers_come_in_rotation(self, office: BoxOffice) -> None:
        owners = sorted((new_id() for _ in range(3)), key=lambda owner: owner.int)
        webhooks = {}
        for owner, number in zip(owners, (3, 1, 2), strict=True):
            webhooks[owner] = [await add(office, organizer_id=owner) for _ in range(number)]
            for _ in range(2):
                await office.initialize(1, actor=Actor(owner))
        reads = office.storage.notification_queries

        async def found(limit: int) -> list[UUID]:
            page = await reads.streams(NOW, frozenset(), 2, None, 100, limit)
            return [stream.webhook.organizer_id for stream in page.items]

        first, second, third = owners
        assert sorted(await found(3), key=lambda owner: owner.int) == owners
        assert sorted(await found(6), key=lambda owner: owner.int) == [first, first, second, second, third, third]
        rest = (await found(100))[6:]
        assert (rest.count(first), rest.count(second), rest.count(third)) == (4, 0, 2)
        (stream,) = (await reads.streams(NOW, frozenset(), 2, None, 100, 1)).items
        assert stream.tried_at is None
        await put_cursor(office, stream.webhook, stream.event_id, 0)
        page = await reads.streams(NOW, frozenset(), 2, None, 100, 100)
        assert {each.tried_at for each in page.items if each.event_id == stream.event_id} >= {NOW}

    async def test_organizers_come_in_rotation_where_deliveries_are_sent_again(self, office: BoxOffice) -> None:
        one, other = await add(office, organizer_id=new_id()), await add(office, organizer_id=new_id())
        event_id = new_id()
        again = {"status": DeliveryStatus.RESENDING}
        for seq in range(1, 5):
            await put(office, new_delivery(one, event_id, seq, due_at=NOW + timedelta(seconds=seq), **again))
        await put(office, new_delivery(other, event_id, 1, due_at=LATER, **again))
        found = await office.storage.notification_queries.resends(frozenset(), 3)
        assert [(each.webhook.id, each.delivery.seq) for each in found] == [(one.id, 1), (other.id, 1), (one.id, 2)]

    async def test_events_are_looked_at_by_and_by(self, office: BoxOffice) -> None:
        reads = office.storage.notification_queries
        states = [await office.initialize(1) for _ in range(5)]
        await looked_through(office, states[1], 0, 1)
        first = await reads.news(None, 2)
        assert ([each for each, _ in first.events], first.next) == ([states[0].event.id], states[1].event.id)
        second = await reads.news(first.next, 2)
        assert ([each for each, _ in second.events], second.next) == (
            [states[2].event.id, states[3].event.id],
            states[3].event.id,
        )
        third = await reads.news(second.next, 2)
        assert ([each for each, _ in third.events], third.next) == ([states[4].event.id], None)

    async def test_mails_are_queued_once(self, office: BoxOffice) -> None:
        reads = office.storage.notification_queries
        state = await office.initialize(1)
        mail = new_mail(state.event.id)
        later = new_mail(state.event.id, due_at=LATER, kind=MailKind.CANCELLED, expires_at=None)
        assert await looked_through(office, state, 0, 1, mail, later)
        assert not await looked_through(office, state, 0, 1, new_mail(state.event.id))
        assert await looked_through(office, state, 1, 2, replace(mail, attempts=3))
        assert await reads.due_mails(LATER - timedelta(microseconds=1), 10) == [mail]
        assert await reads.due_mails(LATER, 10) == [mail, later]
        assert await reads.due_mails(LATER, 1) == [mail]

    async def test_one_is_put_off_or_goes(self, office: BoxOffice) -> None:
        reads = office.storage.notification_queries
        state = await office.initialize(1)
        mail, other = new_mail(state.event.id), new_mail(state.event.id)
        await looked_through(office, state, 0, 1, mail, other)
        put_off = replace(mail, due_at=LATER, attempts=1)
        await keep_mails(office, lambda mails: mails.put(put_off))
        assert await reads.due_mails(NOW, 10) == [other]
        for _ in range(2):
            await keep_mails(office, lambda mails: mails.remove(other.id))
        await keep_mails(office, lambda mails: mails.put(other))
        assert await reads.due_mails(LATER, 10) == [put_off]

    async def test_of_two_at_once_one_looks_through(self, office: BoxOffice) -> None:
        state = await office.initialize(1)
        for after in (0, 1):
            found = await asyncio.gather(
                *(looked_through(office, state, after, after + 1, new_mail(state.event.id)) for _ in range(2)),
                return_exceptions=True,
            )
            assert [each for each in found if each is True] == [True]
            assert all(each in (True, False) or isinstance(each, Conflict) for each in found)
        assert len(await office.storage.notification_queries.due_mails(NOW, 10)) == 2

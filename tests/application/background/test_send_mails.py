"""Mails: made of facts, sent while they are true, retried while the mail server is away."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background import send_mails
from boxoffice.application.background.send_links import SendLinks
from boxoffice.application.background.send_mails import (
    AT_ONCE,
    LEASE,
    LONGEST_ROUND,
    PIECE,
    Mailed,
    SendMails,
)
from boxoffice.application.limits.recipients import MOST_NOTICES, MOST_OF_ORGANIZER, WITHIN
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Unavailable
from boxoffice.application.ports.notifications import Email, LinkEmail, Refused, Undeliverable
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import PaymentRefunded
from boxoffice.domain.mails import RETRY_AFTER, Announcement, Mail, MailKind
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor, User
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, NOW, ORGANIZER, FakeApp, PlainLinkTokens, customer

PRICE = Money(1_000, "EUR")


class FakePostman:
    """Records what it sent; a test makes it fail or take its time."""

    def __init__(self, app: FakeApp) -> None:
        self._app = app
        self.sent: list[Email] = []
        self.asked = 0
        self.rests = 0
        self.fails: Exception | None = None
        self.takes = timedelta(0)

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        self.asked += 1
        self._app.clock.time += self.takes
        if self.fails is not None:
            raise self.fails
        assert isinstance(email, Email)
        self.sent.append(email)

    async def close_idle(self) -> None:
        self.rests += 1

    @property
    def kinds(self) -> list[tuple[MailKind, UUID]]:
        return [(letter.mail.kind, letter.customer.id) for letter in self.sent]


class Desk:
    """A box office that sends mails."""

    def __init__(self, app: FakeApp, postman: FakePostman | None = None) -> None:
        self.app = app
        self.postman = postman or FakePostman(app)
        links = SendLinks(app.storage, self.postman, PlainLinkTokens(), app.clock, jitter=lambda: 0.5)
        self.send = SendMails(app.storage, self.postman, links, app.clock, app.ids, jitter=lambda: 0.5)

    async def account(self, actor: Actor, **others: Any) -> None:
        values = {"email": f"{actor.user_id}@example.org", "verified_at": NOW, **others}
        user = User(id=actor.user_id, name="Ann", password_hash="", created_at=NOW, **values)
        await in_transaction(self.app.storage, lambda unit_of_work: unit_of_work.users.add(user))

    async def queue(self) -> list[Mail]:
        return await self.app.storage.notification_queries.due_mails(NOW + timedelta(days=1_000), 1_000)

    async def announcements(self) -> list[Announcement]:
        return await self.app.storage.notification_queries.announcements(1_000)

    async def unread(self) -> int:
        """How many events have facts that were not looked through."""
        return len((await self.app.storage.notification_queries.pending_events(None, 10)).events)

    async def line(self, *, price: Money | None = None, minutes: int | None = None) -> tuple[UUID, Booking, Booking]:
        """An event with one ticket, which Ana has and Ben waits for."""
        event_id = await self.app.event(1, price=price, payment_window_minutes=minutes)
        for actor in (ANA, BEN):
            await self.account(actor)
        return event_id, await self.app.book(event_id, ANA), await self.app.book(event_id, BEN)

    async def sent_so_far(self) -> None:
        """Send what is due, and forget it."""
        await self.send()
        self.postman.sent.clear()
        self.postman.asked = self.postman.rests = 0

    async def promotion(self) -> Booking:
        """Ben's booking, just promoted."""
        _, first, second = await self.line()
        await self.sent_so_far()
        await self.app.cancel(first)
        return second


@pytest.fixture
async def desk(app: FakeApp) -> Desk:
    """A box office that has begun to send mails."""
    desk = Desk(app)
    await desk.send()
    return desk


async def test_a_promoted_customer_gets_one_mail(desk: Desk) -> None:
    second = await desk.promotion()
    assert await desk.send() == Mailed(is_ours=True, queued=1, sent=1)
    (letter,) = desk.postman.sent
    assert (letter.mail.kind, letter.customer.id, letter.booking.id) == (MailKind.PROMOTED, BEN.user_id, second.id)
    assert letter.booking.status is BookingStatus.CONFIRMED
    assert letter.event.name == "Jazz night"
    assert await desk.send() == Mailed(is_ours=True)
    assert await desk.queue() == []
    assert desk.postman.rests == 2


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_hold_is_told_of_until_it_is_paid_or_over(desk: Desk, is_paid: bool) -> None:
    _, first, second = await desk.line(price=PRICE, minutes=10)
    await desk.app.cancel(first)
    await desk.send()
    assert desk.postman.kinds == [(MailKind.PROMOTED, BEN.user_id)]
    if is_paid:
        await desk.app.pay(second)
    for minutes in (8, 10):
        desk.app.clock.time = NOW + timedelta(minutes=minutes)
        await desk.app.sweep()
        for _ in range(2):
            await desk.send()
    told = [MailKind.PAID] if is_paid else [MailKind.LAPSING, MailKind.LAPSED]
    assert desk.postman.kinds[1:] == [(kind, BEN.user_id) for kind in told]
    assert await desk.queue() == []


async def test_customers_hear_what_the_organizer_did_and_of_their_money(desk: Desk) -> None:
    _, first, second = await desk.line(price=PRICE)
    await desk.app.pay(first)
    await desk.send()
    assert desk.postman.kinds == [(MailKind.PAID, ANA.user_id)]
    await desk.app.cancel(second)
    await desk.app.cancel(first, ORGANIZER)
    await desk.app.sweep()
    await desk.send()
    assert desk.postman.kinds[1:] == [(kind, ANA.user_id) for kind in (MailKind.CANCELLED, MailKind.REFUNDED)]
    (letter,) = [each for each in desk.postman.sent if each.mail.kind is MailKind.REFUNDED]
    assert letter.fact is not None
    assert isinstance(letter.fact.what, PaymentRefunded)
    assert letter.fact.what.amount == PRICE


@pytest.mark.parametrize("types", [1, 2])
async def test_a_mail_names_the_ticket_type_where_there_are_several(desk: Desk, types: int) -> None:
    names = ["Stalls", "Balcony"][:types]
    event_id = await desk.app.event(types=[TicketTypeSpec(name=name, total_tickets=1) for name in names])
    await desk.account(ANA)
    await desk.app.book(event_id, ANA, ticket_type_id=(await desk.app.type_ids(event_id))[-1])
    await desk.send()
    assert [letter.ticket_type for letter in desk.postman.sent] == [None if types == 1 else "Balcony"]


# Changes of an event.


async def changed_event(desk: Desk, size: int = 3) -> list[Booking]:
    """The bookings of an event, whose customers have accounts."""
    event_id = await desk.app.event(size, starts_at=NOW + timedelta(days=30))
    for number in range(size):
        await desk.account(customer(number))
    bookings = await desk.app.crowd(event_id, size)
    await desk.sent_so_far()
    return bookings


async def test_customers_hear_of_another_date_and_venue(desk: Desk) -> None:
    (gone, *_) = await changed_event(desk)
    event_id = gone.event_id
    await desk.app.cancel(gone)
    await desk.app.edit(event_id, description="Another", ends_at=NOW + timedelta(days=31), name="Jazz")
    await desk.app.edit(event_id, starts_at=NOW + timedelta(days=20), venue="There")
    desk.app.clock.time += timedelta(seconds=1)
    await desk.account(ANA)
    await desk.app.book(event_id, ANA)
    assert (await desk.send()).sent == 3
    others = {customer(number).user_id for number in range(3)} - {gone.customer_id}
    kinds = {(MailKind.MOVED, each) for each in others} | {(MailKind.CONFIRMED, ANA.user_id)}
    assert set(desk.postman.kinds) == kinds
    desk.postman.sent.clear()
    desk.app.clock.time += timedelta(minutes=1)
    await desk.app.edit(event_id, venue="Elsewhere")
    assert (await desk.send()).sent == 3
    assert {kind for kind, _ in desk.postman.kinds} == {MailKind.CHANGED}
    assert await desk.queue() == []
    assert await desk.announcements() == []


async def test_a_change_that_was_changed_again_is_told_of_once(desk: Desk) -> None:
    event_id = (await changed_event(desk))[0].event_id
    for days in (20, 10):
        await desk.app.edit(event_id, starts_at=NOW + timedelta(days=days))
    assert (await desk.send()).sent == 3
    assert {letter.event.starts_at for letter in desk.postman.sent} == {NOW + timedelta(days=10)}
    await desk.app.edit(event_id, venue="There")
    await desk.app.edit(event_id, status=EventStatus.COMPLETED)
    assert (await desk.send()).sent == 0
    assert await desk.queue() == []
    assert await desk.announcements() == []


async def test_a_change_for_many_is_told_of_in_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_mails, "PIECE", 2)
    monkeypatch.setattr(send_mails, "AT_ONCE", 3)
    event_id = (await changed_event(desk, 5))[0].event_id
    while (await desk.send()).sent:
        pass
    desk.postman.sent.clear()
    await desk.app.edit(event_id, venue="There")
    rounds = [await desk.send() for _ in range(4)]
    assert [(each.queued, each.sent) for each in rounds] == [(2, 2), (2, 2), (1, 1), (0, 0)]
    assert len({letter.customer.id for letter in desk.postman.sent}) == 5
    assert await desk.announcements() == []


async def test_announcements_wait_for_the_other_mails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = await changed_event(desk)
    monkeypatch.setattr(send_mails, "AT_ONCE", 1)
    await desk.app.edit(first.event_id, venue="There")
    await desk.app.cancel(first)
    desk.app.clock.time += timedelta(seconds=1)
    await desk.account(ANA)
    await desk.app.book(first.event_id, ANA)
    assert await desk.send() == Mailed(is_ours=True, queued=1, sent=1)
    assert desk.postman.kinds == [(MailKind.CONFIRMED, ANA.user_id)]
    assert (await desk.send()).queued == 2


async def test_a_step_that_was_made_and_not_answered_is_made_once(desk: Desk) -> None:
    event_id = (await changed_event(desk))[0].event_id
    await desk.app.edit(event_id, venue="There")
    # The commits of the lease, of the queue, and of the step.
    desk.app.faults.plan(Step.COMMITTED, None, None, OutcomeUnknown())
    with suppress(OutcomeUnknown):
        await desk.send()
    await desk.send()
    assert len(desk.postman.sent) == 3


@pytest.mark.parametrize(("status", "sent"), [(EventStatus.CANCELLED, 2), (EventStatus.COMPLETED, 0)])
async def test_the_customers_of_a_cancelled_event_get_a_mail(desk: Desk, status: EventStatus, sent: int) -> None:
    event_id, _, _ = await desk.line()
    await desk.app.edit(event_id, status=status)
    await desk.app.settled(event_id)
    await desk.send()
    told = [each for each in desk.postman.kinds if each[0] is not MailKind.CONFIRMED]
    assert sorted(told) == [(MailKind.EVENT_CANCELLED, each.user_id) for each in (ANA, BEN)][:sent]
    assert await desk.queue() == []


async def test_facts_from_before_mails_were_switched_on_cause_none(app: FakeApp) -> None:
    desk = Desk(app)
    _, first, _ = await desk.line()
    await app.cancel(first)
    assert await desk.send() == Mailed(is_ours=True)
    after = Desk(app)
    assert await after.send() == Mailed(is_ours=False), "one process at a time has the lease"
    app.clock.time += LEASE
    assert await after.send() == Mailed(is_ours=True)


async def test_while_the_mail_server_is_away_a_mail_is_retried(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.promotion()
    desk.postman.fails = Refused("the mail server is not there")
    assert (await desk.send()).sent == 0
    (mail,) = await desk.queue()
    assert (mail.attempts, mail.due_at) == (1, NOW + RETRY_AFTER[0])
    await desk.send()
    assert desk.postman.asked == 1
    desk.app.clock.time = mail.due_at
    desk.postman.fails = None
    assert (await desk.send()).sent == 1
    assert desk.postman.sent[0].mail.id == mail.id
    assert await desk.queue() == []
    assert "retried: the mail server is not there" in caplog.text
    assert "@" not in caplog.text


async def test_a_mail_that_is_refused_permanently_is_not_retried(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.promotion()
    desk.postman.fails = Undeliverable("the recipient is refused (550)")
    await desk.send()
    assert await desk.queue() == []
    assert "cannot be delivered: the recipient is refused (550)" in caplog.text
    assert "@" not in caplog.text


async def test_a_mail_that_was_sent_and_not_recorded_is_sent_again_with_the_same_id(desk: Desk) -> None:
    await desk.promotion()
    # The commits of the lease, of the queue, of the count, and of the record.
    desk.app.faults.plan(Step.COMMIT, None, None, None, Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.send()
    assert desk.postman.rests == 1
    assert (await desk.send()).sent == 1
    first_letter, second_letter = desk.postman.sent
    assert first_letter.mail.id == second_letter.mail.id


@pytest.mark.parametrize(
    ("step", "failure", "sent"), [(Step.COMMITTED, OutcomeUnknown(), [1, 0]), (Step.COMMIT, Conflict(), [0, 1])]
)
async def test_a_mail_is_queued_once(desk: Desk, step: Step, failure: Exception, sent: list[int]) -> None:
    """Whether COMMIT was not answered, or another process has queued it."""
    await desk.promotion()
    desk.app.faults.plan(step, None, failure)
    assert [(await desk.send()).sent for _ in range(2)] == sent


async def test_long_histories_are_read_in_pieces(desk: Desk) -> None:
    event_id = await desk.app.event(1)
    await desk.account(customer(0))
    first = await desk.app.book(event_id, customer(0))
    await desk.app.crowd(event_id, PIECE, first=1)
    await desk.app.cancel(first)
    assert await desk.send() == Mailed(is_ours=True, queued=2, sent=0)
    assert len(await desk.app.facts(event_id)) > PIECE
    assert await desk.unread() == 0


async def test_the_time_for_sending_is_bounded(desk: Desk) -> None:
    event_id = await desk.app.event(AT_ONCE)
    for number in range(3):
        await desk.account(customer(number))
    await desk.app.crowd(event_id, 3)
    await desk.app.edit(event_id, status=EventStatus.CANCELLED)
    await desk.app.settled(event_id)
    desk.postman.takes = LONGEST_ROUND / 2
    assert (await desk.send()).sent == 2
    assert (await desk.send()).sent == 1
    assert LONGEST_ROUND < LEASE


async def test_the_time_for_reading_facts_is_bounded(desk: Desk) -> None:
    for _ in range(3):
        await desk.app.event(2)

    async def slow(step: Step) -> None:
        # One read of the due links, one of the events with news, and one of the facts of an event.
        if step is Step.READ:
            desk.app.clock.time += LONGEST_ROUND / 3 + timedelta(microseconds=1)

    for left in (2, 1, 0):
        desk.app.storage.fault = slow
        await desk.send()
        desk.app.storage.fault = None
        assert await desk.unread() == left


# Recipients.


@pytest.mark.parametrize("others", [{"verified_at": None}, {"email": None}])
async def test_mails_about_bookings_go_to_verified_addresses_only(desk: Desk, others: dict[str, Any]) -> None:
    await desk.account(BEN, **others)
    await cancelled_events(desk, 1)
    assert await desk.send() == Mailed(is_ours=True, queued=2, sent=0)
    assert await desk.queue() == []


async def cancelled_events(desk: Desk, number: int, organizer: Actor = ORGANIZER) -> None:
    """Events that Ben had booked."""
    for _ in range(number):
        event_id = await desk.app.event(1, actor=organizer)
        await desk.app.book(event_id, BEN)
        await desk.app.edit(event_id, actor=organizer, status=EventStatus.CANCELLED)
        await desk.app.settled(event_id)


async def test_beyond_thirty_an_hour_mails_are_delayed_and_not_lost(desk: Desk) -> None:
    await desk.account(BEN)
    for organizer in (customer(1), customer(2)):
        await cancelled_events(desk, MOST_NOTICES // 2 + 1, organizer)
    assert (await desk.send()).sent == MOST_NOTICES == 30
    assert [each.due_at for each in await desk.queue()] == [NOW + WITHIN] * 2
    desk.app.clock.time += WITHIN
    assert (await desk.send()).sent == 2
    assert await desk.queue() == []


async def test_an_organizer_who_floods_a_customer_leaves_room_for_others(desk: Desk) -> None:
    event_id, first, _ = await desk.line()
    await desk.sent_so_far()
    await cancelled_events(desk, MOST_OF_ORGANIZER + 1, customer(1))
    await desk.send()
    await desk.app.cancel(first)
    assert (await desk.send()).sent == 1
    promotion = desk.postman.sent[-1]
    assert (promotion.mail.kind, promotion.event.id) == (MailKind.PROMOTED, event_id)
    assert len(desk.postman.sent) == MOST_OF_ORGANIZER + 1
    assert len(await desk.queue()) == 1

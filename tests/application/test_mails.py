"""Mails: made of facts, sent while they are true, again where the server was not there, once otherwise."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background.send_mails import (
    AT_ONCE,
    LONGEST_ROUND,
    PIECE,
    TURN,
    WINDOW,
    Mailed,
    SendMails,
)
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Unavailable
from boxoffice.application.ports.notifications import Email, Refused, Undeliverable
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.event import EventStatus
from boxoffice.domain.mails import LATEST, RETRY_AFTER, Mail, MailKind
from boxoffice.domain.user import Actor, User
from boxoffice.domain.values.money import Money
from tests.application.world import ANA, BEN, NOW, World, customer

PRICE = Money(1_000, "EUR")


class ToldPostman:
    """Does what it is told, and notes what it sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list[Email] = []
        self.asked = 0
        self.rests = 0
        self.fails: Exception | None = None
        self.takes = timedelta(0)

    async def send(self, letter: Email, now: datetime) -> None:
        self.asked += 1
        self._world.clock.time += self.takes
        if self.fails is not None:
            raise self.fails
        self.sent.append(letter)

    async def close_idle(self) -> None:
        self.rests += 1

    @property
    def told(self) -> list[tuple[MailKind, UUID]]:
        return [(letter.mail.kind, letter.customer.id) for letter in self.sent]


class Desk:
    """A box office that sends mails."""

    def __init__(self, world: World, postman: ToldPostman | None = None) -> None:
        self.world = world
        self.postman = postman or ToldPostman(world)
        self.send = SendMails(world.storage, self.postman, world.clock, world.ids, jitter=lambda: 0.5)

    async def open(self) -> None:
        """Switch mails on."""
        await self.send()

    async def account(self, actor: Actor) -> User:
        user = User(
            id=actor.user_id, name="Ann", email=f"{actor.user_id}@example.org", password_hash="", created_at=NOW
        )

        async def add(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.users.add(user)

        await in_transaction(self.world.storage, add)
        return user

    async def queue(self) -> list[Mail]:
        return await self.world.storage.notification_queries.due_mails(NOW + timedelta(days=1_000), 1_000)

    async def line(self, *, price: Money | None = None, minutes: int | None = None) -> tuple[UUID, Booking, Booking]:
        """An event with one ticket, which Ana has and Ben waits for."""
        event_id = await self.world.event(1, price=price, payment_window_minutes=minutes)
        for actor in (ANA, BEN):
            await self.account(actor)
        return event_id, await self.world.book(event_id, ANA), await self.world.book(event_id, BEN)


@pytest.fixture
async def desk(world: World) -> Desk:
    desk = Desk(world)
    await desk.open()
    return desk


async def test_whoever_is_promoted_hears_of_it_once(desk: Desk) -> None:
    _, first, second = await desk.line()
    await desk.world.cancel(first)
    assert await desk.send() == Mailed(is_ours=True, queued=1, sent=1)
    (letter,) = desk.postman.sent
    assert (letter.mail.kind, letter.customer.id, letter.booking.id) == (MailKind.PROMOTED, BEN.user_id, second.id)
    assert letter.booking.status is BookingStatus.CONFIRMED
    assert letter.event.name == "Jazz night"
    assert await desk.send() == Mailed(is_ours=True)
    assert await desk.queue() == []
    assert desk.postman.rests == 3


async def test_a_hold_is_reminded_of_before_it_lapses(desk: Desk) -> None:
    _, first, second = await desk.line(price=PRICE, minutes=10)
    await desk.world.cancel(first)
    await desk.send()
    assert desk.postman.told == [(MailKind.PROMOTED, BEN.user_id)]
    desk.world.clock.time = NOW + timedelta(minutes=8)
    await desk.send()
    assert desk.postman.told[1:] == [(MailKind.LAPSING, BEN.user_id)]
    await desk.send()
    assert len(desk.postman.sent) == 2
    assert (await desk.world.booking(second.id)).status is BookingStatus.HELD


async def test_what_is_paid_is_reminded_of_no_more(desk: Desk) -> None:
    _, first, _ = await desk.line(price=PRICE, minutes=10)
    await desk.world.pay(first)
    desk.world.clock.time = NOW + timedelta(minutes=8)
    await desk.send()
    assert desk.postman.asked == 0
    assert await desk.queue() == []


async def test_of_a_cancelled_event_everybody_hears(desk: Desk) -> None:
    event_id, _, _ = await desk.line()
    await desk.world.edit(event_id, status=EventStatus.CANCELLED)
    await desk.world.settled(event_id)
    await desk.send()
    assert sorted(desk.postman.told) == [(MailKind.CANCELLED, ANA.user_id), (MailKind.CANCELLED, BEN.user_id)]


async def test_of_a_completed_one_nobody_does(desk: Desk) -> None:
    event_id, _, _ = await desk.line()
    await desk.world.edit(event_id, status=EventStatus.COMPLETED)
    await desk.world.settled(event_id)
    assert await desk.send() == Mailed(is_ours=True, queued=1)
    assert desk.postman.asked == 0


async def test_what_happened_before_they_were_switched_on_is_told_to_nobody(world: World) -> None:
    desk = Desk(world)
    _, first, _ = await desk.line()
    await world.cancel(first)
    assert await desk.send() == Mailed(is_ours=True)
    after = Desk(world)
    assert await after.send() == Mailed(is_ours=False)
    world.clock.time += TURN
    assert await after.send() == Mailed(is_ours=True)


async def test_whoever_has_no_account_here_gets_no_mail(desk: Desk) -> None:
    event_id = await desk.world.event(1)
    first = await desk.world.book(event_id, ANA)
    await desk.world.book(event_id, BEN)
    await desk.world.cancel(first)
    assert await desk.send() == Mailed(is_ours=True, queued=1)
    assert await desk.queue() == []


async def test_what_is_too_old_is_not_sent(desk: Desk) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.world.clock.time += LATEST + timedelta(seconds=1)
    assert await desk.send() == Mailed(is_ours=True, queued=1)
    assert desk.postman.asked == 0


async def test_a_server_that_is_away_gets_it_later(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.postman.fails = Refused("the mail server is not there")
    assert (await desk.send()).sent == 0
    (mail,) = await desk.queue()
    assert (mail.attempts, mail.due_at) == (1, NOW + RETRY_AFTER[0])
    await desk.send()
    assert desk.postman.asked == 1
    desk.world.clock.time = mail.due_at
    desk.postman.fails = None
    assert (await desk.send()).sent == 1
    assert desk.postman.sent[0].mail.id == mail.id
    assert await desk.queue() == []
    assert "tried again: the mail server is not there" in caplog.text
    assert "@" not in caplog.text


async def test_it_is_not_tried_for_ever(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.postman.fails = Refused("the mail server is not there")
    for wait in (*RETRY_AFTER, timedelta(0)):
        await desk.send()
        desk.world.clock.time += wait
    assert desk.postman.asked == len(RETRY_AFTER) + 1
    assert "given up" in caplog.text
    assert await desk.queue() == []


async def test_what_is_refused_for_good_is_not_tried_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.postman.fails = Undeliverable("the recipient is refused (550)")
    await desk.send()
    assert await desk.queue() == []
    assert "refused for good: the recipient is refused (550)" in caplog.text
    assert "@" not in caplog.text


async def test_what_was_handed_over_and_not_noted_is_sent_again_as_the_same(desk: Desk) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    # Those of the turn, of the queue, and of the note.
    desk.world.faults.plan(Step.COMMIT, None, None, Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.send()
    assert desk.postman.rests == 2
    assert (await desk.send()).sent == 1
    first_letter, second_letter = desk.postman.sent
    assert first_letter.mail.id == second_letter.mail.id


async def test_a_piece_that_was_kept_without_an_answer_is_kept_once(desk: Desk) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.world.faults.plan(Step.COMMITTED, None, OutcomeUnknown())
    await desk.send()
    await desk.send()
    assert len(desk.postman.sent) == 1


async def test_what_another_one_has_looked_through_is_left_to_it(desk: Desk) -> None:
    _, first, _ = await desk.line()
    await desk.world.cancel(first)
    desk.world.faults.plan(Step.COMMIT, None, Conflict())
    assert await desk.send() == Mailed(is_ours=True)
    assert (await desk.send()).sent == 1


async def test_long_histories_are_looked_through_piece_by_piece(desk: Desk) -> None:
    event_id = await desk.world.event(1)
    await desk.account(customer(0))
    await desk.account(customer(PIECE))
    first = await desk.world.book(event_id, customer(0))
    await desk.world.crowd(event_id, PIECE, first=1)
    await desk.world.cancel(first)
    assert await desk.send() == Mailed(is_ours=True, queued=1, sent=0)
    facts = await desk.world.facts(event_id)
    assert len(facts) > PIECE
    assert (await desk.world.storage.notification_queries.news(None, 10)).events == []


async def test_a_round_comes_to_an_end(desk: Desk) -> None:
    event_id = await desk.world.event(AT_ONCE)
    for number in range(3):
        await desk.account(customer(number))
    await desk.world.crowd(event_id, 3)
    await desk.world.edit(event_id, status=EventStatus.CANCELLED)
    await desk.world.settled(event_id)
    desk.postman.takes = LONGEST_ROUND / 2
    assert (await desk.send()).sent == 2
    assert (await desk.send()).sent == 1
    assert LONGEST_ROUND < TURN


async def test_looking_through_comes_to_an_end_too(desk: Desk) -> None:
    for _ in range(3):
        await desk.world.event(2)

    async def slow(step: Step) -> None:
        # One look for news, and one at the facts of an event.
        if step is Step.READ:
            desk.world.clock.time += LONGEST_ROUND / 2

    for left in (2, 1, 0):
        desk.world.storage.fault = slow
        await desk.send()
        desk.world.storage.fault = None
        assert len((await desk.world.storage.notification_queries.news(None, 10)).events) == left


async def test_events_are_looked_at_by_and_by(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WINDOW >= 1_000
    monkeypatch.setattr("boxoffice.application.background.send_mails.WINDOW", 2)
    for _ in range(5):
        await desk.world.event(1)
    for left in (3, 1, 0, 0):
        await desk.send()
        assert len((await desk.world.storage.notification_queries.news(None, 10)).events) == left


async def test_one_process_at_a_time_sends(desk: Desk) -> None:
    other = Desk(World(desk.world.storage, desk.world.ids))
    assert await other.send() == Mailed(is_ours=False)
    other.world.clock.time = NOW + TURN
    assert (await other.send()).is_ours

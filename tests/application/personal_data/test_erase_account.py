"""Erasing the caller's account: what refuses it, what it ends, and what happens at the same time or after a crash."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.accounts.log_in import Credentials, LogIn
from boxoffice.application.accounts.login_throttle import FailedLogins
from boxoffice.application.accounts.prove_password import ProvePassword
from boxoffice.application.accounts.verify_email import MarkVerified
from boxoffice.application.personal_data import finish_erasure
from boxoffice.application.personal_data.erase_account import EraseAccount
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.tickets.name_ticket import TicketChanges
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.erase import LAST_LOOK_AFTER, TAKEN_OVER_AFTER, erased
from boxoffice.domain.event import EventStatus
from boxoffice.domain.policy import KeyRole, KeyScope
from boxoffice.domain.refusals import (
    BookingsBind,
    InvalidRequest,
    InvalidToken,
    NotAllowed,
    StillOrganizing,
    TooManyRequests,
    WrongCredentials,
)
from boxoffice.domain.tickets.ticket import ticket_id
from boxoffice.domain.user import Actor, User
from boxoffice.domain.values.money import Money
from boxoffice.domain.webhooks import Webhook
from tests.application.fake_app import (
    BEN,
    CLEO,
    NOW,
    ORGANIZER,
    FakeApp,
    FewKnownPasswords,
    PlainHasher,
    PlainRefreshTokens,
    PlainTokens,
    once,
)

ANAS = "ana@example.org"
PASSWORD = "correct horse"
START = NOW + timedelta(days=30)
PRICED: dict[str, Any] = {"price": Money(2_500, "EUR"), "payment_window_minutes": 15}


class Desk:
    """Accounts that are erased, with a box office."""

    def __init__(self, app: FakeApp) -> None:
        storage, clock, hasher = app.storage, app.clock, PlainHasher()
        self.app = app
        mails = LinkMails(app.ids, are_sent=True)
        self.create = CreateUser(storage, hasher, FewKnownPasswords(), clock, app.ids, mails)
        self.log_in = LogIn(storage, hasher, PlainTokens(), PlainRefreshTokens(), clock, app.ids)
        self.mark_verified = MarkVerified(storage, clock)
        prove = ProvePassword(storage.account_queries, hasher, FailedLogins(storage, clock))
        self.erase = EraseAccount(storage, prove, mails, app.finish_erasure, clock)

    async def user(self, email: str = ANAS) -> User:
        return await self.create(Registration(name="Ana", email=email, password=PASSWORD))

    def stored(self, user: User) -> User:
        return self.app.tables.users[user.id]

    def erasures(self) -> list[UUID]:
        return list(self.app.tables.erasures)

    def status(self, *bookings: Booking) -> list[str]:
        return [self.app.tables.bookings[each.id].status.value for each in bookings]

    async def organized(self, user: User, status: EventStatus = EventStatus.ON_SALE) -> UUID:
        return await self.app.event(actor=Actor(user.id), status=status)

    async def booked_with_a_key(self, actor: Actor, key: str) -> Booking:
        command = Book(booking_id=self.app.ids.new(), event_id=await self.app.event(), actor=actor)
        return await self.app.book_ticket(command, once(key, actor=actor))

    async def last_look(self) -> None:
        """What the sweep does once no token of the account works any more."""
        self.app.clock.time += LAST_LOOK_AFTER
        await self.app.sweep()


@pytest.fixture
async def desk(app: FakeApp) -> AsyncIterator[Desk]:
    """The use cases on an empty storage; afterwards every promise holds."""
    yield Desk(app)
    await app.check_promises()


async def test_name_address_password_and_sessions_are_erased_and_the_address_is_free(desk: Desk) -> None:
    user = await desk.user()
    await desk.log_in(Credentials(email=ANAS, password=PASSWORD))
    desk.app.clock.time += timedelta(hours=1)
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.stored(user) == erased(user, desk.app.clock.time)
    tables = desk.app.tables
    assert (tables.sessions, tables.notifications.links) == ({}, {})
    with pytest.raises(WrongCredentials):
        await desk.log_in(Credentials(email=ANAS, password=PASSWORD))
    with pytest.raises(InvalidToken):
        await desk.erase(Actor(user.id), PASSWORD)
    again = await desk.user()
    assert again.id != user.id
    await desk.last_look()
    assert desk.erasures() == []
    assert desk.stored(again) == again


@pytest.mark.parametrize("is_verified", [False, True])
async def test_claims_of_the_address_end_where_it_was_verified(desk: Desk, is_verified: bool) -> None:
    """An address that was never verified may be that of whom the claim is."""
    user = await desk.user()
    await desk.user()
    if is_verified:
        await desk.mark_verified(ANAS)
    await desk.erase(Actor(user.id), PASSWORD)
    tables = desk.app.tables.notifications
    assert len(tables.links) == len(tables.claims) == (0 if is_verified else 1)


async def test_live_bookings_are_cancelled_as_their_customer_would_and_the_line_is_served(desk: Desk) -> None:
    user = await desk.user()
    ana, app = Actor(user.id), desk.app
    events = [await app.event(1, **PRICED), await app.event(1), await app.event(1), await app.event(1)]
    held, confirmed = await app.book(events[0], ana), await app.book(events[1], ana)
    await app.book(events[2], BEN)
    waiting, other = await app.book(events[2], ana), await app.book(events[1], CLEO)
    own = await app.book(events[3], ana)
    await app.cancel(own, ana)
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.status(held, confirmed, waiting, other) == ["cancelled", "cancelled", "cancelled", "confirmed"]
    facts = await app.facts(events[1])
    assert [each.kind for each in facts][-2:] == ["BookingCancelled", "BookingPromoted"]
    assert {app.tables.bookings[each.id].customer_id for each in (held, confirmed, waiting)} == {user.id}


async def test_what_was_paid_is_refunded_later(desk: Desk) -> None:
    user = await desk.user()
    booking = await desk.app.pay(await desk.app.book(await desk.app.event(1, **PRICED), Actor(user.id)))
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.app.tables.bookings[booking.id].payment_status is PaymentStatus.REFUND_PENDING
    await desk.app.sweep()
    assert desk.app.tables.bookings[booking.id].payment_status is PaymentStatus.REFUNDED


# Refusals.


async def test_only_the_right_password_erases_and_wrong_ones_count_as_failed_sign_ins(desk: Desk) -> None:
    user = await desk.user()
    with pytest.raises(InvalidRequest) as refused:
        await desk.erase(Actor(user.id), "")
    assert [each.path for each in refused.value.errors] == [("current_password",)]
    for _ in range(10):
        with pytest.raises(NotAllowed):
            await desk.erase(Actor(user.id), "wrong", "192.0.2.7")
    with pytest.raises(TooManyRequests):
        await desk.erase(Actor(user.id), PASSWORD, "192.0.2.7")
    assert desk.stored(user) == user


async def test_an_api_key_does_not_erase_its_owner(desk: Desk) -> None:
    user = await desk.user()
    with pytest.raises(NotAllowed):
        await desk.erase(Actor(user.id, scope=KeyScope(KeyRole.ORGANIZER)), PASSWORD)
    assert desk.stored(user) == user


@pytest.mark.parametrize("status", [EventStatus.ON_SALE, EventStatus.PAUSED])
async def test_who_organizes_a_live_event_stays_and_nothing_changes(desk: Desk, status: EventStatus) -> None:
    """It is looked for before bookings that bind."""
    user = await desk.user()
    booking = await bound(desk, user)
    event_id = await desk.organized(user)
    if status is EventStatus.PAUSED:
        await desk.app.edit(event_id, Actor(user.id), status=status)
    before = repr(desk.app.tables.users), repr(desk.app.tables.bookings)
    with pytest.raises(StillOrganizing):
        await desk.erase(Actor(user.id), PASSWORD)
    await desk.app.edit(event_id, Actor(user.id), status=EventStatus.COMPLETED)
    with pytest.raises(BookingsBind) as refused:
        await desk.erase(Actor(user.id), PASSWORD)
    assert refused.value.members == {"booking_id": str(booking.id)}
    assert (repr(desk.app.tables.users), repr(desk.app.tables.bookings)) == before
    assert desk.erasures() == []


async def bound(desk: Desk, user: User) -> Booking:
    """A booking whose deadline is over."""
    event_id = await desk.app.event(
        starts_at=START, ends_at=START + timedelta(hours=2), cancellation_deadline_hours=800
    )
    return await desk.app.book(event_id, Actor(user.id))


async def test_a_booking_binds_until_its_event_is_over_and_stays(desk: Desk) -> None:
    user = await desk.user()
    booking, other = await bound(desk, user), await desk.app.book(await desk.app.event(), Actor(user.id))
    desk.app.clock.time = START + timedelta(hours=1)
    with pytest.raises(BookingsBind):
        await desk.erase(Actor(user.id), PASSWORD)
    assert desk.status(booking, other) == ["confirmed", "confirmed"]
    desk.app.clock.time = START + timedelta(hours=2)
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.status(booking, other) == ["confirmed", "cancelled"]


async def test_holders_of_the_accounts_tickets_are_forgotten_step_by_step(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish_erasure, "AT_ONCE", 2)
    user, app = await desk.user(), desk.app
    stays = [await bound(desk, user) for _ in range(2)]
    ends = await app.book(await app.event(), Actor(user.id))
    others = await app.book(ends.event_id, BEN)
    for booking, actor in ((stays[0], Actor(user.id)), (stays[1], ORGANIZER), (ends, ORGANIZER), (others, BEN)):
        id_ = ticket_id(booking.id, booking.first_ticket_number or 0)
        await app.name_ticket(TicketChanges(booking_id=booking.id, ticket_id=id_, actor=actor, holder_name="Grace"))
    app.clock.time = START + timedelta(hours=2)
    await desk.erase(Actor(user.id), PASSWORD)
    await app.sweep()
    names = {each.booking_id: each.holder_name for rows in app.tables.tickets.values() for each in rows.values()}
    assert names == {stays[0].id: None, stays[1].id: None, ends.id: None, others.id: "Grace"}
    await app.check_promises()


async def test_drafts_and_webhooks_end_and_closed_events_stay(desk: Desk) -> None:
    user = await desk.user()
    draft, closed = await desk.organized(user, EventStatus.DRAFT), await desk.organized(user)
    await desk.app.edit(closed, Actor(user.id), status=EventStatus.COMPLETED)
    webhook = Webhook(
        id=desk.app.ids.new(), organizer_id=user.id, url="https://x.example", secret="s", event_id=None, created_at=NOW
    )
    desk.app.tables.notifications.webhooks[webhook.id] = webhook
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.app.tables.notifications.webhooks == {}
    statuses = {each.id: each.status for each in desk.app.tables.events.values()}
    assert statuses == {draft: EventStatus.CANCELLED, closed: EventStatus.COMPLETED}


# At the same time, and after failures.


async def test_what_the_account_does_until_its_tokens_are_refused_ends_at_the_last_look(desk: Desk) -> None:
    user = await desk.user()
    ana, app = Actor(user.id), desk.app
    await desk.erase(Actor(user.id), PASSWORD)
    await app.sweep()
    booking = await desk.booked_with_a_key(ana, "key")
    own = await desk.organized(user)
    of_another = await app.book(own, BEN)
    late = await bound(desk, user)
    await desk.last_look()
    assert desk.status(booking, of_another) == ["cancelled", "cancelled"]
    assert desk.status(late) == ["confirmed"], "it can no longer be cancelled, even by its customer"
    assert app.tables.events[own].status is EventStatus.CANCELLED
    assert app.tables.responses == {}
    assert desk.erasures() == []
    assert not (await app.sweep()).was_due


async def test_many_bookings_end_in_bounded_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish_erasure, "AT_ONCE", 2)
    monkeypatch.setattr(finish_erasure, "RESPONSES_AT_ONCE", 2)
    user = await desk.user()
    ana = Actor(user.id)
    bookings = [await desk.booked_with_a_key(ana, f"key {number}") for number in range(5)]
    bookings += [await desk.app.book(await desk.app.event(), ana) for _ in range(2)]
    drafts = [await desk.organized(user, EventStatus.DRAFT) for _ in range(3)]
    left = []
    await desk.erase(Actor(user.id), PASSWORD)
    for _ in range(4):
        events = [desk.app.tables.events[each].status for each in drafts]
        live = desk.status(*bookings).count("confirmed")
        left.append((live, events.count(EventStatus.DRAFT), len(desk.app.tables.responses)))
        await desk.app.sweep()
    assert left == [(5, 1, 3), (3, 0, 1), (1, 0, 0), (0, 0, 0)]


async def test_what_a_failure_leaves_the_sweep_does(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    user = await desk.user()
    booking = await desk.app.book(await desk.app.event(), Actor(user.id))

    desk.app.faults.plan(Step.COMMIT, None, None, Unavailable())
    await desk.erase(Actor(user.id), PASSWORD)
    assert f"The erasure of account {user.id} is continued in the background" in caplog.text
    assert (desk.status(booking), desk.erasures()) == (["confirmed"], [user.id])
    assert (await desk.app.sweep()).erasures == 0, "the request may still do it"
    desk.app.clock.time += TAKEN_OVER_AFTER
    swept = await desk.app.sweep()
    assert (swept.erasures, swept.was_due) == (1, True)
    assert desk.status(booking) == ["cancelled"]


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_an_unanswered_commit_erases_once(desk: Desk, step: Step) -> None:
    user = await desk.user()
    booking = await desk.app.book(await desk.app.event(), Actor(user.id))
    desk.app.faults.plan(step, None, OutcomeUnknown())
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.status(booking) == ["cancelled"]
    assert desk.stored(user).erased_at == NOW


async def test_an_account_that_is_changed_or_gone_meanwhile_is_not_erased(desk: Desk) -> None:
    user = await desk.user()
    for changes, refusal in (
        ({"password_hash": "another"}, NotAllowed),
        ({"email": "new@example.org"}, NotAllowed),
        ({"disabled_at": NOW}, InvalidToken),
        ({"erased_at": NOW}, InvalidToken),
    ):
        reached, opened = desk.app.faults.gate(Step.BEGIN, skip=1)
        erasing = asyncio.ensure_future(desk.erase(Actor(user.id), PASSWORD))
        await reached.wait()
        desk.app.tables.users[user.id] = replace(user, **changes)
        opened.set()
        with pytest.raises(refusal):
            await erasing
        assert desk.stored(user) == replace(user, **changes)
        desk.app.tables.users[user.id] = user
    without = replace(user, email=None)
    desk.app.tables.users[user.id] = without
    await desk.erase(Actor(user.id), PASSWORD)
    assert desk.stored(user) == erased(user, NOW)


async def test_an_erasure_beside_bookings_and_promotions_leaves_no_ticket_idle(desk: Desk) -> None:
    user = await desk.user()
    event_id = await desk.app.event(3)
    first = await desk.app.book(event_id, Actor(user.id), 3)
    others = [await desk.app.book(event_id, each) for each in (BEN, CLEO, ORGANIZER)]
    await asyncio.gather(
        desk.erase(Actor(user.id), PASSWORD), desk.app.cancel(others[0], BEN), desk.app.cancel(first, Actor(user.id))
    )
    assert desk.status(first, *others) == ["cancelled", "cancelled", "confirmed", "confirmed"]
    assert BookingStatus.WAITLISTED not in {each.status for each in desk.app.tables.bookings.values()}

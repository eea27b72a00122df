"""Disabling and enabling accounts in waiting lists: at once where possible, and in the background after any failure."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background import review_accounts
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings import review_account
from boxoffice.application.bookings.review_account import REVIEWED_FOR
from boxoffice.application.operators.disable_user import DisableUser, EnableUser
from boxoffice.application.operators.grant_role import GrantRole
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.repositories import AccountReview
from boxoffice.domain.booking import Booking
from boxoffice.domain.refusals import NotFound
from boxoffice.domain.user import Actor, Role, User
from tests.application.fake_app import ANA, BEN, NOW, FakeApp

EMAIL = "cleo@example.org"


class Desk:
    """One customer's account, on an application."""

    def __init__(self, app: FakeApp) -> None:
        self.app = app
        self.user = User(id=app.ids.new(), name="Cleo", email=EMAIL, password_hash="", created_at=NOW)
        self.cleo = Actor(self.user.id)
        self.disable = DisableUser(app.storage, app.clock, app.review_account)
        self.enable = EnableUser(app.storage, app.clock, app.review_account)
        app.tables.users[self.user.id] = self.user
        app.tables.emails[EMAIL] = self.user.id

    async def waits(self, events: int = 1) -> list[Booking]:
        """Let the customer wait for sold-out events."""
        found = []
        for _ in range(events):
            event_id = await self.app.event(1)
            await self.app.book(event_id, ANA)
            found.append(await self.app.book(event_id, self.cleo))
        return found

    def suspended(self) -> list[bool]:
        """Whether each booking of the customer is suspended."""
        tables = self.app.tables
        return [tables.bookings[each].is_suspended for each in tables.of_customer[self.user.id]]

    async def sweep(self, after: timedelta = timedelta(0)) -> int:
        """Let time pass and run a round of the background review."""
        self.app.clock.time += after
        return await self.app.review_accounts()

    @property
    def review(self) -> AccountReview | None:
        """The review of the account."""
        return self.app.tables.reviews.get(self.user.id)


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """The desk on a fresh application."""
    return Desk(app)


@pytest.mark.parametrize("by_id", [False, True])
async def test_what_waits_is_passed_over_while_the_account_is_disabled(desk: Desk, by_id: bool) -> None:
    account = str(desk.user.id) if by_id else f" {EMAIL.upper()} "
    (waiting,) = await desk.waits()
    bens = await desk.app.book(waiting.event_id, BEN)
    await desk.disable(account)
    assert desk.suspended() == [True]
    anas = next(each for each in desk.app.tables.bookings.values() if each.customer_id == ANA.user_id)
    await desk.app.cancel(anas)
    assert desk.app.tables.bookings[bens.id].status == "confirmed"
    await desk.enable(account)
    assert desk.suspended() == [False]
    await desk.app.cancel(bens)
    assert desk.app.tables.bookings[waiting.id].status == "confirmed"
    assert (await VerifyPromises(desk.app.storage, desk.app.clock)()).breaches == []


async def test_an_account_without_an_address_is_named_by_its_id(desk: Desk) -> None:
    grant = GrantRole(desk.app.storage, desk.app.clock)
    assert (await grant(str(desk.user.id), Role.ADMIN)).role is Role.ADMIN
    for call in (desk.disable, desk.enable, lambda account: grant(account, Role.ADMIN)):
        with pytest.raises(NotFound, match="id"):
            await call(str(UUID(int=1)))


@pytest.mark.parametrize("step", [Step.LOCK, Step.READ])
async def test_what_fails_at_once_the_background_does(desk: Desk, step: Step, caplog: pytest.LogCaptureFixture) -> None:
    await desk.waits()
    # The first lock is that of the account.
    desk.app.faults.plan(step, *([None] if step is Step.LOCK else []), Unavailable("The database does not answer."))
    assert (await desk.disable(EMAIL)).disabled_at == NOW
    assert desk.suspended() == [False]
    assert str(desk.user.id) in caplog.text
    assert EMAIL not in caplog.text
    assert await desk.sweep() == 1
    assert desk.suspended() == [True]


async def test_a_booking_by_an_older_token_is_passed_over_too(desk: Desk) -> None:
    await desk.waits()
    await desk.disable(EMAIL)
    event_id = await desk.app.event(1)
    await desk.app.book(event_id, ANA)
    await desk.app.book(event_id, desk.cleo)
    assert desk.suspended() == [True, False]
    assert await desk.sweep() == 1
    assert desk.suspended() == [True, True]


async def test_the_account_is_reviewed_for_a_while_and_then_forgotten(desk: Desk) -> None:
    await desk.waits()
    await desk.disable(EMAIL)
    rounds = 0
    while (review := desk.review) is not None:
        desk.app.clock.time = review.due_at
        assert await desk.sweep() == 1
        assert await desk.sweep() == 0, "it is not due yet"
        rounds += 1
    assert desk.app.clock.time == NOW + REVIEWED_FOR
    assert rounds == REVIEWED_FOR / review_accounts.REVIEWED_EVERY + 1


async def test_the_last_change_of_several_counts(desk: Desk) -> None:
    await desk.waits()
    desk.app.faults.plan(Step.READ, *[Unavailable("The database does not answer.")] * 3)
    await desk.disable(EMAIL)
    await desk.enable(EMAIL)
    await desk.disable(EMAIL)
    assert await desk.sweep() == 1
    assert desk.suspended() == [True]
    await desk.enable(EMAIL)
    assert desk.suspended() == [False]
    assert (await VerifyPromises(desk.app.storage, desk.app.clock)()).breaches == []


async def test_a_review_that_ends_does_not_end_a_newer_one(desk: Desk) -> None:
    await desk.disable(EMAIL)
    desk.app.clock.time = NOW + REVIEWED_FOR
    reached, opened = desk.app.faults.gate(Step.READ, skip=1)
    ending = asyncio.ensure_future(desk.sweep())
    await reached.wait()
    await desk.enable(EMAIL)
    opened.set()
    await ending
    assert desk.review is not None
    assert desk.review.until == NOW + 2 * REVIEWED_FOR


async def test_many_events_follow_in_bounded_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_account, "AT_ONCE", 2)
    await desk.waits(5)
    await desk.disable(EMAIL)
    assert sum(desk.suspended()) == 2
    await desk.sweep()
    assert sum(desk.suspended()) == 4
    await desk.sweep()
    assert sum(desk.suspended()) == 5
    assert desk.review is not None
    assert desk.review.due_at > NOW, "nothing is left for now"


async def test_one_locked_event_delays_no_other(desk: Desk) -> None:
    await desk.waits(2)
    other = User(id=desk.app.ids.new(), name="Dan", email="dan@example.org", password_hash="", created_at=NOW)
    desk.app.tables.users[other.id] = other
    desk.app.tables.reviews[other.id] = AccountReview(other.id, NOW, NOW)
    desk.app.faults.plan(Step.LOCK, None, Unavailable("locked"))
    await desk.disable(EMAIL)
    assert desk.suspended() == [False, True]
    desk.app.faults.plan(Step.LOCK, Unavailable("locked"))
    with pytest.raises(Unavailable):
        await desk.sweep()
    assert other.id not in desk.app.tables.reviews
    assert await desk.sweep() == 1
    assert desk.suspended() == [True, True]


async def test_an_account_that_is_gone_is_forgotten(desk: Desk) -> None:
    gone = UUID(int=5)
    desk.app.tables.reviews[gone] = AccountReview(gone, NOW, NOW)
    swept = await desk.app.sweep()
    assert swept.accounts == 1
    assert desk.app.tables.reviews == {}

"""Booking for another person: their account is found, or made with the booking or not at all."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.bookings.book_for_other import BookForOther, BookingForOther, Person
from boxoffice.application.limits.allowances import Allowance
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable
from boxoffice.application.ports.idempotency import IdempotentRequest, Replayed
from boxoffice.domain.booking import Booking
from boxoffice.domain.refusals import (
    AlreadyBooked,
    ExceedsCapacity,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Refusal,
    TooManyRequests,
)
from boxoffice.domain.user import Actor, User
from boxoffice.domain.verification import LinkPurpose
from tests.application.fake_app import BEN, NOW, ORGANIZER, FakeApp, once

ANAS = "ana@example.org"


class Desk:
    """One process of a service, with mails, at whose desk the organizer sits."""

    def __init__(self, app: FakeApp, allowance: Allowance | None = None, *, mails: bool = True) -> None:
        self.app = app
        self._use_case = BookForOther(
            app.turnstile,
            app.storage.account_queries,
            app.duties,
            LinkMails(app.ids, are_sent=mails),
            app.clock,
            app.ids,
            allowance,
        )

    async def book(
        self,
        event_id: UUID,
        email: str = ANAS,
        *,
        name: str = "Ana",
        actor: Actor = ORGANIZER,
        key: IdempotentRequest[Booking] | None = None,
        **values: Any,
    ) -> Booking:
        person = Person(name=name, email=email)
        wanted = BookingForOther(booking_id=self.app.ids.new(), event_id=event_id, actor=actor, person=person, **values)
        return await self._use_case(wanted, key)

    @property
    def users(self) -> list[User]:
        """All accounts."""
        return list(self.app.tables.users.values())

    async def mailed(self) -> list[tuple[str, UUID]]:
        """The addresses to which mails with links are queued, each with its account."""
        links = await self.app.storage.notification_queries.due_links(self.app.clock.now(), 100)
        assert all(each.purpose is LinkPurpose.VERIFY for each in links)
        return sorted((each.email, each.user_id) for each in links)


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    """A desk at an empty storage."""
    return Desk(app)


async def with_account(desk: Desk, **values: Any) -> User:
    user = User(id=desk.app.ids.new(), name="Ana A.", email=ANAS, password_hash="x", created_at=NOW, **values)
    async with desk.app.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        await unit_of_work.commit()
    return user


async def test_who_has_no_account_gets_one_without_a_password(desk: Desk) -> None:
    event_id = await desk.app.event()
    booking = await desk.book(event_id, " Ana@Example.org ", name=" Ana ", quantity=2)
    assert booking.quantity == 2
    assert desk.users == [User(id=booking.customer_id, name="Ana", email=ANAS, password_hash=None, created_at=NOW)]
    assert await desk.mailed() == [(ANAS, booking.customer_id)]
    with pytest.raises(AlreadyBooked):
        await desk.book(event_id, name="Another")
    assert [each.name for each in desk.users] == ["Ana"]


async def test_without_a_mail_server_there_is_no_mail(app: FakeApp) -> None:
    desk = Desk(app, mails=False)
    await desk.book(await app.event())
    assert len(desk.users) == 1
    assert await desk.mailed() == []


async def test_an_account_keeps_its_name_and_gets_no_mail(desk: Desk) -> None:
    user = await with_account(desk)
    assert (await desk.book(await desk.app.event(), name="Somebody else")).customer_id == user.id
    assert desk.users == [user]
    assert await desk.mailed() == []


async def test_nothing_is_booked_for_a_disabled_account(desk: Desk) -> None:
    await with_account(desk, disabled_at=NOW)
    with pytest.raises(NotAllowed, match="this person"):
        await desk.book(await desk.app.event())


@pytest.mark.parametrize(
    ("refusal", "values"),
    [
        (NotAllowed, {"actor": BEN}),
        (ExceedsCapacity, {"quantity": 4}),
        (InvalidRequest, {"email": "ana"}),
        (InvalidRequest, {"name": " "}),
        (InvalidRequest, {"quantity": 0}),
    ],
)
async def test_a_refused_booking_leaves_no_account_and_no_mail(
    desk: Desk, refusal: type[Refusal], values: dict[str, Any]
) -> None:
    event_id = await desk.app.event(3)
    with pytest.raises(refusal):
        await desk.book(event_id, **values)
    with pytest.raises(NotFound):
        await desk.book(desk.app.ids.new())
    assert desk.users == []
    assert await desk.mailed() == []


async def test_several_desks_make_one_account(desk: Desk) -> None:
    other = Desk(FakeApp(desk.app.storage.another(), desk.app.ids))
    events = [await desk.app.event() for _ in range(3)]
    found = await asyncio.gather(
        *(at.book(event_id) for event_id in events for at in (desk, desk, other)), return_exceptions=True
    )
    booked = [each for each in found if isinstance(each, Booking)]
    assert sorted(each.event_id for each in booked) == events
    assert all(isinstance(each, Booking | AlreadyBooked) for each in found), found
    assert [each.id for each in desk.users] == [booked[0].customer_id]
    assert {each.customer_id for each in booked} == {booked[0].customer_id}
    assert await desk.mailed() == [(ANAS, booked[0].customer_id)]
    await desk.app.check_promises()


@pytest.mark.parametrize(
    ("step", "failure"),
    [(Step.COMMIT, Retryable()), (Step.COMMIT, OutcomeUnknown()), (Step.COMMITTED, OutcomeUnknown())],
)
async def test_a_commit_that_fails_makes_nothing_twice(desk: Desk, step: Step, failure: Exception) -> None:
    event_id, key = await desk.app.event(), once(actor=ORGANIZER)
    desk.app.faults.plan(step, failure)
    booking = await desk.book(event_id, key=key)
    with pytest.raises(Replayed):
        await desk.book(event_id, key=key)
    assert [each.id for each in desk.users] == [booking.customer_id]
    assert await desk.mailed() == [(ANAS, booking.customer_id)]
    assert len(desk.app.tables.bookings) == 1


async def test_a_key_belongs_to_the_one_who_books(desk: Desk) -> None:
    event_id, key = await desk.app.event(), once(actor=ORGANIZER)
    first, second = await asyncio.gather(
        desk.book(event_id, key=key), desk.book(event_id, key=key), return_exceptions=True
    )
    assert isinstance(first, Booking)
    assert isinstance(second, Replayed)
    assert [each.id for each in desk.users] == [first.customer_id]
    await desk.app.book(await desk.app.event(), Actor(first.customer_id))


async def test_a_user_makes_so_many_accounts_in_a_day(app: FakeApp) -> None:
    desk, event_id = Desk(app, Allowance(2)), await app.event(9)
    await desk.book(event_id, "1@example.org")
    await desk.book(event_id, "2@example.org")
    for _ in range(2):
        with pytest.raises(TooManyRequests):
            await desk.book(event_id, "3@example.org")
    assert (await desk.book(await app.event(), "2@example.org")).customer_id == desk.users[1].id
    assert len(desk.users) == 2

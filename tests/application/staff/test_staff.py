"""The staff of an event: appointing, changing and dismissing, and what each may do from then on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.pay_booking import Bill
from boxoffice.application.bookings.queries import ListPayments, ReadBooking
from boxoffice.application.events.queries import ReadChanges
from boxoffice.application.payments.grant_refund import Grant
from boxoffice.application.payments.queries import ListEventPayments
from boxoffice.application.payments.settle_refund import Settlement
from boxoffice.application.ports.accounts.staff import Colleague
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Retryable
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.application.staff.appoint_member import AppointMember, NewMember
from boxoffice.application.staff.change_member import ChangeMember
from boxoffice.application.staff.dismiss_member import DismissMember
from boxoffice.application.staff.queries import ListStaff
from boxoffice.domain.decisions import staff as rules
from boxoffice.domain.decisions.organize import AddTicketType, EditTicketType
from boxoffice.domain.event import EventStatus
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.policy import StaffRole
from boxoffice.domain.refusals import (
    AlreadyStaff,
    CancellationClosed,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotOnSale,
    TooManyStaff,
)
from boxoffice.domain.tickets.ticket_type import TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.user import Actor, User
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ADMIN, ANA, BEN, CLEO, DAN, NOW, ORGANIZER, STRANGER, FakeApp, later, once

DRAFT: Final = EventStatus.DRAFT
NOWHERE: Final = UUID(int=1)
HELPERS: Final = {StaffRole.MANAGER: BEN, StaffRole.DESK: CLEO, StaffRole.DOOR: DAN}
EUR_25: Final = Money(2_500, "EUR")


class Office:
    """The use cases of a staff, and accounts for people."""

    def __init__(self, app: FakeApp, *, only_verified: bool = False) -> None:
        storage, duties = app.storage, app.duties
        self.app = app
        self.appoint_member = AppointMember(storage, duties, app.clock, app.ids, only_verified=only_verified)
        self.change_member = ChangeMember(storage, duties)
        self.dismiss_member = DismissMember(storage, duties)
        self.list_staff = ListStaff(storage.event_queries, storage.staff_queries, duties)

    async def account(self, actor: Actor, *, verified: bool = False) -> str:
        """Make an account, and return its address."""
        address = f"user{actor.user_id.int}@example.org"
        user = User(
            id=actor.user_id,
            name="Ada",
            email=address,
            password_hash="hash",
            created_at=NOW,
            verified_at=NOW if verified else None,
        )

        async def add(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.users.add(user)

        await in_transaction(self.app.storage, add)
        return address

    async def change_account(self, actor: Actor, **fields: Any) -> None:
        """Change an account, whatever the rules say."""

        async def change(unit_of_work: UnitOfWork) -> None:
            user = await unit_of_work.users.lock(actor.user_id)
            assert user is not None
            await unit_of_work.users.save(replace(user, **fields))

        await in_transaction(self.app.storage, change)

    async def appoint(
        self, event_id: UUID, person: Actor, role: StaffRole = StaffRole.DESK, actor: Actor = ORGANIZER
    ) -> Colleague:
        """Appoint someone who has no account yet."""
        command = NewMember(event_id=event_id, actor=actor, email=await self.account(person), role=role)
        return await self.appoint_member(command)

    async def roles(self, event_id: UUID) -> dict[UUID, StaffRole]:
        """Who works for an event."""
        page = await self.list_staff(event_id, ORGANIZER)
        return {each.user.id: each.member.role for each in page.items}


@pytest.fixture
def office(app: FakeApp) -> Office:
    return Office(app)


def _new(event_id: UUID, email: str, actor: Actor = ORGANIZER, role: StaffRole = StaffRole.DESK) -> NewMember:
    return NewMember(event_id=event_id, actor=actor, email=email, role=role)


# Appointing, changing and dismissing.


async def test_people_are_appointed_changed_and_dismissed(office: Office) -> None:
    event_id = await office.app.event()
    for role, person in HELPERS.items():
        colleague = await office.appoint(event_id, person, role)
        assert (colleague.user.id, colleague.member.role) == (person.user_id, role)
    assert await office.roles(event_id) == {person.user_id: role for role, person in HELPERS.items()}

    changed = await office.change_member(event_id, BEN.user_id, StaffRole.DOOR, ADMIN)
    assert (changed.user.id, changed.member.role) == (BEN.user_id, StaffRole.DOOR)
    await office.dismiss_member(event_id, CLEO.user_id, ORGANIZER)

    assert await office.roles(event_id) == {BEN.user_id: StaffRole.DOOR, DAN.user_id: StaffRole.DOOR}
    for again in (
        lambda: office.dismiss_member(event_id, CLEO.user_id, ORGANIZER),
        lambda: office.change_member(event_id, CLEO.user_id, StaffRole.DOOR, ORGANIZER),
        lambda: office.change_member(event_id, STRANGER.user_id, StaffRole.DOOR, ORGANIZER),
    ):
        with pytest.raises(NotFound):
            await again()
    assert len(await office.app.facts(event_id)) == 1


async def test_a_staff_is_listed_in_pages(office: Office) -> None:
    event_id = await office.app.event()
    for person in (CLEO, ANA, BEN):
        await office.appoint(event_id, person)
    first = await office.list_staff(event_id, ADMIN, limit=2)
    assert [each.user.id for each in first.items] == [ANA.user_id, BEN.user_id]
    last = await office.list_staff(event_id, ADMIN, limit=2, after=first.next)
    assert ([each.user.id for each in last.items], last.next) == ([CLEO.user_id], None)


async def test_nobody_is_appointed_twice_and_the_organizer_never(office: Office) -> None:
    event_id = await office.app.event()
    ana, organizer = await office.account(ANA), await office.account(ORGANIZER)
    await office.appoint_member(_new(event_id, ana.upper()))
    for email in (ana, organizer):
        for actor in (ORGANIZER, ADMIN):
            with pytest.raises(AlreadyStaff):
                await office.appoint_member(_new(event_id, email, actor, StaffRole.MANAGER))
    assert await office.roles(event_id) == {ANA.user_id: StaffRole.DESK}


async def test_only_people_with_an_account_are_appointed(office: Office) -> None:
    event_id = await office.app.event()
    with pytest.raises(NotFound):
        await office.appoint_member(_new(event_id, "unknown@example.org"))
    with pytest.raises(InvalidRequest):
        await office.appoint_member(_new(event_id, "no address"))
    assert await office.roles(event_id) == {}


async def test_where_mails_are_sent_only_verified_addresses_are_found(app: FakeApp) -> None:
    office = Office(app, only_verified=True)
    event_id = await app.event()
    with pytest.raises(NotFound):
        await office.appoint_member(_new(event_id, await office.account(ANA)))
    await office.appoint_member(_new(event_id, await office.account(BEN, verified=True)))
    assert await office.roles(event_id) == {BEN.user_id: StaffRole.DESK}


async def test_an_address_that_was_given_up_since_finds_nobody(office: Office) -> None:
    event_id = await office.app.event()
    email = await office.account(ANA)
    reached, opened = office.app.faults.gate(Step.BEGIN)
    appointing = asyncio.create_task(office.appoint_member(_new(event_id, email)))
    await reached.wait()
    await office.change_account(ANA, email="another@example.org")
    opened.set()
    with pytest.raises(NotFound):
        await appointing
    assert await office.roles(event_id) == {}


async def test_an_event_has_a_bounded_staff(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules.MOST_STAFF == 100
    monkeypatch.setattr(rules, "MOST_STAFF", 2)
    event_id, other = await office.app.event(), await office.app.event()
    await office.appoint(event_id, ANA)
    await office.appoint(event_id, BEN)
    cleo = await office.account(CLEO)
    with pytest.raises(TooManyStaff, match="2 people"):
        await office.appoint_member(_new(event_id, cleo))
    await office.appoint_member(_new(other, cleo))
    await office.dismiss_member(event_id, ANA.user_id, ORGANIZER)
    await office.appoint_member(_new(event_id, cleo))
    assert set(await office.roles(event_id)) == {BEN.user_id, CLEO.user_id}


async def test_of_concurrent_appointments_of_a_person_one_succeeds(office: Office) -> None:
    event_id = await office.app.event()
    email = await office.account(ANA)
    appointing = [office.appoint_member(_new(event_id, email, role=role)) for role in StaffRole]
    found = await asyncio.gather(*appointing, return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["AlreadyStaff", "AlreadyStaff", "Colleague"]
    assert len(await office.roles(event_id)) == 1


async def test_an_appointment_that_conflicts_is_tried_again(office: Office) -> None:
    event_id = await office.app.event()
    email = await office.account(ANA)
    office.app.faults.plan(Step.COMMIT, Conflict("another process appointed them"))
    assert (await office.appoint_member(_new(event_id, email))).user.id == ANA.user_id
    assert len(await office.roles(event_id)) == 1


async def test_an_appointment_without_an_answer_is_not_made_twice(office: Office) -> None:
    event_id = await office.app.event()
    email = await office.account(ANA)
    for step, failure in ((Step.COMMITTED, OutcomeUnknown()), (Step.COMMIT, Retryable())):
        office.app.faults.plan(step, failure)
        assert (await office.appoint_member(_new(event_id, email))).user.id == ANA.user_id
        office.app.faults.plan(step, failure)
        await office.dismiss_member(event_id, ANA.user_id, ORGANIZER)
        assert await office.roles(event_id) == {}


async def test_an_appointment_has_one_effect_per_key(office: Office) -> None:
    event_id = await office.app.event()
    command = _new(event_id, await office.account(ANA))
    key = once(actor=ORGANIZER)
    first, second = await asyncio.gather(
        office.appoint_member(command, key), office.appoint_member(command, key), return_exceptions=True
    )
    assert {type(first), type(second)} == {Colleague, Replayed}
    await office.dismiss_member(event_id, ANA.user_id, ORGANIZER)
    with pytest.raises(Replayed):
        await office.appoint_member(command, key)
    assert await office.roles(event_id) == {}


async def test_a_refusal_that_waiting_does_not_change_is_kept_for_a_key(office: Office) -> None:
    event_id = await office.app.event()
    await office.appoint(event_id, ANA)
    command = _new(event_id, f"user{ANA.user_id.int}@example.org")
    with pytest.raises(AlreadyStaff):
        await office.appoint_member(command, once("known", actor=ORGANIZER))
    unknown = _new(event_id, "unknown@example.org")
    with pytest.raises(NotFound):
        await office.appoint_member(unknown, once("unknown", actor=ORGANIZER))
    with pytest.raises(Replayed) as replayed:
        await office.appoint_member(command, once("known", actor=ORGANIZER))
    assert b"AlreadyStaff" in replayed.value.response.payload
    with pytest.raises(NotFound):
        await office.appoint_member(unknown, once("unknown", actor=ORGANIZER))


@pytest.mark.parametrize("status", [EventStatus.ON_SALE, DRAFT])
async def test_only_the_organizer_and_admins_say_who_works_for_an_event(office: Office, status: EventStatus) -> None:
    event_id = await office.app.event(status=status)
    email = await office.account(ANA)
    refusals: dict[Actor, type[Exception]] = {STRANGER: NotFound if status is DRAFT else NotAllowed}
    for role, person in HELPERS.items():
        await office.appoint(event_id, person, role)
        refusals[person] = NotAllowed
    before = await office.roles(event_id)
    acts: list[Callable[[Actor], Awaitable[Any]]] = [
        lambda actor: office.appoint_member(_new(event_id, email, actor)),
        lambda actor: office.list_staff(event_id, actor),
        lambda actor: office.change_member(event_id, actor.user_id, StaffRole.MANAGER, actor),
        lambda actor: office.dismiss_member(event_id, actor.user_id, actor),
    ]
    for actor, refusal in refusals.items():
        for act in acts:
            with pytest.raises(refusal):
                await act(actor)
    assert await office.roles(event_id) == before
    with pytest.raises(NotFound):
        await office.list_staff(NOWHERE, ADMIN)


# What the staff may do.


async def _of_desk(office: Office, event_id: UUID, booking_id: UUID, actor: Actor) -> None:
    app, storage, duties = office.app, office.app.storage, office.app.duties
    events, bookings, payments = storage.event_queries, storage.booking_queries, storage.payment_queries
    assert (await app.read_booking(booking_id, actor)).booking.id == booking_id
    assert (await app.list_event_bookings(event_id, actor)).items
    await app.read_waiting_list(event_id, actor)
    assert (await ListEventPayments(events, payments, duties)(event_id, actor)).items
    assert await ListPayments(bookings, payments, duties)(booking_id, actor)


async def test_a_role_holds_for_the_next_call(office: Office) -> None:
    app = office.app
    event_id = await app.event(price=EUR_25, starts_at=later(days=1), cancellation_deadline_hours=100)
    booking, other = await app.book(event_id, ANA), await app.book(event_id, STRANGER)
    await office.appoint(event_id, CLEO, StaffRole.DOOR)
    cash = Bill(booking_id=booking.id, actor=CLEO, method=PaymentMethod.CASH)
    for act in (
        lambda: app.pay_booking(cash),
        lambda: app.cancel_booking.by_id(booking.id, CLEO),
        lambda: app.read_booking(booking.id, CLEO),
    ):
        with pytest.raises(NotFound):
            await act()

    await office.change_member(event_id, CLEO.user_id, StaffRole.DESK, ORGANIZER)

    await app.pay_booking(cash)
    await _of_desk(office, event_id, booking.id, CLEO)
    cancellation = await app.cancel_booking.by_id(booking.id, CLEO)
    assert cancellation.refund == EUR_25
    payments = ListPayments(app.storage.booking_queries, app.storage.payment_queries, app.duties)
    _, refund = await payments(booking.id, CLEO)
    settled = await app.settle_refund(Settlement(booking_id=booking.id, payment_id=refund.id, actor=CLEO))
    assert settled.settled_by == CLEO.user_id
    with pytest.raises(NotAllowed):
        await app.edit(event_id, CLEO, name="Blues night")
    with pytest.raises(NotAllowed):
        await app.grant_refund(Grant(booking_id=other.id, actor=CLEO, amount=EUR_25, reason="A pillar"))

    await office.dismiss_member(event_id, CLEO.user_id, ORGANIZER)

    for again in (
        lambda: app.cancel_booking.by_id(other.id, CLEO),
        lambda: app.read_booking(other.id, CLEO),
    ):
        with pytest.raises(NotFound):
            await again()


async def test_a_manager_edits_pauses_refunds_and_reads_the_facts_and_does_not_end_the_event(office: Office) -> None:
    app = office.app
    event_id = await app.event(price=EUR_25, status=DRAFT)
    await office.appoint(event_id, BEN, StaffRole.MANAGER)
    (type_id,) = await app.type_ids(event_id)
    for status in (EventStatus.ON_SALE, EventStatus.PAUSED, EventStatus.ON_SALE):
        assert (await app.edit(event_id, BEN, status=status)).event.status is status
    changed = TicketTypeChanges(name="Stalls")
    await app.change_event(EditTicketType(event_id=event_id, actor=BEN, ticket_type_id=type_id, changes=changed))
    spec = TicketTypeSpec(name="Balcony", total_tickets=1, price=EUR_25)
    added = AddTicketType(event_id=event_id, actor=BEN, ticket_type_id=app.ids.new(), spec=spec)
    assert len((await app.change_event(added)).ticket_types) == 2
    booking = await app.book(event_id, ANA, 1, type_id)
    await app.pay_booking(Bill(booking_id=booking.id, actor=ANA, method=PaymentMethod.CARD, token="tok_ok"))
    await app.grant_refund(Grant(booking_id=booking.id, actor=BEN, amount=EUR_25, reason="A pillar in the view"))
    assert await ReadChanges(app.storage.event_queries, app.duties)(event_id, BEN)
    for status in (EventStatus.COMPLETED, EventStatus.CANCELLED):
        with pytest.raises(NotAllowed):
            await app.edit(event_id, BEN, status=status)


async def test_a_draft_is_visible_to_its_staff_and_not_on_sale(office: Office) -> None:
    event_id = await office.app.event(status=DRAFT)
    for role, person in HELPERS.items():
        with pytest.raises(NotFound):
            await office.app.read_event(event_id, person)
        await office.appoint(event_id, person, role)
        assert (await office.app.read_event(event_id, person)).event.id == event_id
        with pytest.raises(NotOnSale):
            await office.app.book(event_id, person)
    for actor in (STRANGER, None):
        with pytest.raises(NotFound):
            await office.app.read_event(event_id, actor)
    with pytest.raises(NotFound):
        await office.app.book(event_id, STRANGER)


async def test_to_their_own_bookings_helpers_are_customers(office: Office) -> None:
    app = office.app
    event_id = await app.event(price=EUR_25, starts_at=later(days=1), cancellation_deadline_hours=100)
    await office.appoint(event_id, BEN, StaffRole.MANAGER)
    booking = await app.book(event_id, BEN)
    with pytest.raises(NotAllowed):
        await app.pay_booking(Bill(booking_id=booking.id, actor=BEN, method=PaymentMethod.CASH))
    await app.pay_booking(Bill(booking_id=booking.id, actor=BEN, method=PaymentMethod.CARD, token="tok_ok"))
    with pytest.raises(CancellationClosed):
        await app.cancel_booking.by_id(booking.id, BEN)
    with pytest.raises(NotAllowed):
        await app.grant_refund(Grant(booking_id=booking.id, actor=BEN, amount=EUR_25, reason="A pillar in the view"))


async def test_customers_are_never_looked_up_in_a_staff(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    app = office.app
    event_id = await app.event(price=EUR_25)
    booking = await app.book(event_id, ANA)
    asked: list[UUID] = []

    async def role(of_event: UUID, _: UUID) -> None:
        asked.append(of_event)

    monkeypatch.setattr(app.storage.staff_queries, "role", role)
    read = app.read_booking
    for act in _customers_acts(app, event_id, booking.id, read):
        await act()
    assert asked == []
    with pytest.raises(NotFound):
        await read((await app.book(event_id, BEN)).id, ANA)
    assert asked == [event_id]


def _customers_acts(app: FakeApp, event_id: UUID, booking_id: UUID, read: ReadBooking) -> list[Callable[[], Any]]:
    card = Bill(booking_id=booking_id, actor=ANA, method=PaymentMethod.CARD, token="tok_ok")
    return [
        lambda: app.read_event(event_id, None),
        lambda: app.read_event(event_id, ANA),
        lambda: app.book(event_id, CLEO),
        lambda: read(booking_id, ANA),
        lambda: app.pay_booking(card),
        lambda: app.cancel_booking.by_id(booking_id, ANA),
        lambda: app.read_event(event_id, ORGANIZER),
        lambda: app.list_event_bookings(event_id, ORGANIZER),
    ]

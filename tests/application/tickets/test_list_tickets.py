"""Tickets with their codes and holders, who sees them, and what a change leaves behind."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory.steps import Step
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.tickets.list_tickets import ReadBookedEvent
from boxoffice.application.tickets.name_ticket import TicketChanges
from boxoffice.domain.booking import Booking
from boxoffice.domain.refusals import NotFound
from boxoffice.domain.tickets.ticket import TicketStatus, ticket_id
from boxoffice.domain.user import User
from tests.application.fake_app import ANA, BEN, NOW, ORGANIZER, STRANGER, FakeApp


async def booked(quantity: int = 2) -> tuple[FakeApp, Booking]:
    """A booking of Ana's, whose account has a name."""
    app = FakeApp()
    app.tables.users[ANA.user_id] = User(
        id=ANA.user_id, name="Ana", email="ana@example.org", password_hash=None, created_at=NOW
    )
    return app, await app.book(await app.event(3), ANA, quantity)


async def test_each_place_has_a_ticket_with_its_customers_name_and_a_code_that_holds() -> None:
    app, booking = await booked()
    listed = await app.list_tickets(booking.id, ANA)
    key = await app.ticket_codes.public_key(booking.event_id)
    for number, ticket in zip((1, 2), listed, strict=True):
        assert (ticket.id, ticket.number) == (ticket_id(booking.id, number), number)
        assert (ticket.holder_name, ticket.status, ticket.checked_in_at) == ("Ana", TicketStatus.VALID, None)
        read = app.ticket_codes.read(ticket.code)
        assert read is not None
        assert (read.event_id, read.ticket_id, read.serial) == (booking.event_id, ticket.id, 1)
        assert app.ticket_codes.holds(read, key)
    assert await app.list_tickets(booking.id, ORGANIZER) == listed
    assert await app.list_tickets.one(booking.id, listed[1].id, ANA) == listed[1]
    assert (await ReadBookedEvent(app.storage.booking_queries, app.duties)(booking.id, ANA)).booking == booking


async def test_strangers_see_neither_tickets_nor_the_booked_event() -> None:
    app, booking = await booked()
    for call in (
        app.list_tickets(booking.id, STRANGER),
        app.list_tickets(UUID(int=1), ANA),
        app.list_tickets.one(booking.id, ticket_id(booking.id, 3), ANA),
        app.list_tickets.one(booking.id, ticket_id(UUID(int=1), 2), ANA),
        ReadBookedEvent(app.storage.booking_queries, app.duties)(booking.id, STRANGER),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_name_and_a_new_code_come_back_and_are_kept() -> None:
    app, booking = await booked()
    first, second = await app.list_tickets(booking.id, ANA)
    changes = TicketChanges(booking_id=booking.id, ticket_id=second.id, actor=ANA, holder_name="Grace")
    named = await app.name_ticket(changes)
    assert (named.holder_name, named.code) == ("Grace", second.code)
    reissued = await app.name_ticket(replace(changes, holder_name=None, reissue=True))
    assert (reissued.holder_name, reissued.code != second.code) == ("Grace", True)
    assert await app.list_tickets(booking.id, ANA) == [first, reissued]
    await app.check_promises()
    with pytest.raises(NotFound):
        await app.name_ticket(replace(changes, actor=BEN))
    with pytest.raises(NotFound):
        await app.name_ticket(replace(changes, booking_id=UUID(int=1)))


async def test_a_name_that_may_have_been_committed_is_given_again_and_a_code_only_once() -> None:
    app, booking = await booked(1)
    (ticket,) = await app.list_tickets(booking.id, ANA)
    changes = TicketChanges(booking_id=booking.id, ticket_id=ticket.id, actor=ANA, holder_name="Grace")
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert (await app.name_ticket(changes)).holder_name == "Grace"
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await app.name_ticket(replace(changes, reissue=True))
    (row,) = app.tables.tickets[booking.id].values()
    assert (row.holder_name, row.serial) == ("Grace", 2)
    await app.check_promises()


async def test_once_its_customers_account_is_erased_a_ticket_has_the_name_that_it_was_given_or_none() -> None:
    app, booking = await booked(1)
    app.tables.users.clear()
    (ticket,) = await app.list_tickets(booking.id, ORGANIZER)
    assert ticket.holder_name is None


async def test_void_tickets_stay_listed_and_who_waits_has_none() -> None:
    app, booking = await booked(3)
    waiting = await app.book(booking.event_id, BEN, 3)
    assert await app.list_tickets(waiting.id, BEN) == []
    await app.cancel(booking)
    assert [(each.number, each.status) for each in await app.list_tickets(booking.id, ANA)] == [
        (number, TicketStatus.VOID) for number in (1, 2, 3)
    ]
    assert [each.number for each in await app.list_tickets(waiting.id, BEN)] == [4, 5, 6]


async def test_tickets_that_are_not_numbered_yet_are_not_said_to_be_none() -> None:
    app, booking = await booked()
    app.tables.bookings[booking.id] = replace(booking, first_ticket_number=None)
    with pytest.raises(Unavailable, match="no numbers yet"):
        await app.list_tickets(booking.id, ANA)


async def test_verifying_finds_a_ticket_that_its_facts_do_not_tell_of() -> None:
    app, booking = await booked(1)
    (ticket,) = await app.list_tickets(booking.id, ANA)
    await app.name_ticket(TicketChanges(booking_id=booking.id, ticket_id=ticket.id, actor=ANA, reissue=True))
    await app.check_promises()
    app.tables.tickets[booking.id][1] = replace(app.tables.tickets[booking.id][1], serial=3)
    verified = await VerifyPromises(app.storage, app.clock)()
    assert [each.what for each in verified.breaches] == [f"booking {booking.id}: its tickets are not as its facts say"]

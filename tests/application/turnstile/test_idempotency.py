"""Idempotency: the same key again changes nothing and returns the stored response."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.pay_booking import PaymentUnknown
from boxoffice.application.ports.errors import OutcomeUnknown
from boxoffice.application.ports.idempotency import IdempotentRequest, Replayed, Response
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import AddTicketType
from boxoffice.domain.refusals import (
    AlreadyBooked,
    IdempotencyKeyReused,
    NotOnSale,
)
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, ORGANIZER, FakeApp, once


def book(app: FakeApp, event_id: Any, key: IdempotentRequest[Any], actor: Any = ANA) -> Any:
    """Book with a key."""
    return app.book_ticket(Book(booking_id=app.ids.new(), event_id=event_id, actor=actor), key)


async def count(app: FakeApp, event_id: Any) -> int:
    """How many bookings an event has."""
    return len(await app.storage.booking_queries.bookings_of_event(event_id, None, None, 1_000))


async def test_a_key_has_one_effect_and_one_response_for_all_processes(app: FakeApp) -> None:
    event_id = await app.event(100)
    results = await asyncio.gather(*(book(app, event_id, once()) for _ in range(50)), return_exceptions=True)
    (booking,) = [each for each in results if not isinstance(each, Replayed)]
    with pytest.raises(Replayed) as again:
        await book(FakeApp(app.storage, app.ids), event_id, once())
    expected = Response(str(booking).encode())
    assert all(each.response == expected for each in [*results, again.value] if isinstance(each, Replayed))
    assert await count(app, event_id) == 1


async def test_the_same_key_with_another_request_is_refused(app: FakeApp) -> None:
    event_id = await app.event(3)
    booking = await book(app, event_id, once())
    command = Cancel(event_id=event_id, actor=ANA, booking_id=booking.id)
    with pytest.raises(IdempotencyKeyReused):
        await app.cancel_booking(command, once(request="cancel"))
    assert await app.statuses([booking]) == ["confirmed"]


async def test_a_refusal_of_the_state_is_kept(app: FakeApp) -> None:
    event_id = await app.event(3)
    booking = await book(app, event_id, once())
    with pytest.raises(AlreadyBooked):
        await book(app, event_id, once("other"))
    await app.cancel(booking)
    with pytest.raises(Replayed) as again:
        await book(app, event_id, once("other"))
    assert again.value.response.payload.startswith(b"!")


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_commit_that_was_not_answered_has_one_effect(app: FakeApp, step: Step) -> None:
    event_id = await app.event(3)
    app.faults.plan(step, OutcomeUnknown())
    await book(app, event_id, once())
    with pytest.raises(Replayed):
        await book(app, event_id, once())
    assert await count(app, event_id) == 1
    await app.check_promises()


async def test_the_same_key_on_two_events_from_two_processes_has_one_effect(app: FakeApp) -> None:
    other = FakeApp(app.storage, app.ids)
    first, second = await app.event(3), await app.event(3)
    app.storage.fault = app.faults
    reached, opened = app.faults.gate(Step.COMMIT)
    slow = asyncio.ensure_future(book(app, first, once(request="first")))
    await reached.wait()
    await book(other, second, once(request="second"))
    opened.set()
    with pytest.raises(IdempotencyKeyReused):
        await slow
    assert [await count(app, first), await count(app, second)] == [0, 1]


async def test_every_command_may_have_a_key(app: FakeApp) -> None:
    command = app.initialization()
    event_id = (await app.initialize_event(command, once("new", actor=ORGANIZER))).event.id
    with pytest.raises(Replayed):
        await app.initialize_event(command, once("new", actor=ORGANIZER))
    spec = TicketTypeSpec(name="Balcony", total_tickets=4)
    add = AddTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=app.ids.new(), spec=spec)
    await app.change_event(add, once("add", actor=ORGANIZER))
    with pytest.raises(Replayed):
        await app.change_event(add, once("add", actor=ORGANIZER))
    booking = await app.book(event_id, ANA, 1, command.ticket_types[0][0])
    await app.cancel_booking.by_id(booking.id, ANA, once("cancel"))
    with pytest.raises(Replayed):
        await app.cancel_booking.by_id(booking.id, ANA, once("cancel"))


async def test_a_refusal_that_may_pass_is_not_stored(app: FakeApp) -> None:
    event_id = await app.event(3, sales_open_at=app.clock.now() + timedelta(hours=1))
    with pytest.raises(NotOnSale):
        await book(app, event_id, once())
    app.clock.time += timedelta(hours=1)
    assert (await book(app, event_id, once())).status == "confirmed"


async def test_the_response_of_a_payment_is_stored_when_its_outcome_is_known(app: FakeApp) -> None:
    event_id = await app.event(3, price=Money(2_500, "EUR"), payment_window_minutes=30)
    booking = await app.book(event_id, ANA)
    app.gateway.is_silent = True
    with pytest.raises(PaymentUnknown):
        await app.pay(booking, once=once())
    app.gateway.is_silent = False
    assert (await app.pay(booking, once=once())).payment_status == "taken"
    with pytest.raises(Replayed):
        await app.pay(booking, once=once())
    assert app.gateway.asked == ["charge", "find"]

"""The limits of a customer within one transaction: each command finds what was decided before it."""

import asyncio
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.cancel_booking import Cancellation
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.refusals import AlreadyBooked, InvalidRequest, LimitExceeded, NotFound
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, FakeApp, later

ROWS = (TicketTypeSpec(name="A", total_tickets=9), TicketTypeSpec(name="B", total_tickets=9))
PRICED = tuple(TicketTypeSpec(name=name, total_tickets=9, price=Money(100, "EUR")) for name in "AB")


async def until_wait(app: FakeApp, number: int) -> None:
    while app.turnstile.waiting < number:  # noqa: ASYNC110 (the turns of the loop are all that happens)
        await asyncio.sleep(0)


async def of_event(app: FakeApp, event_id: UUID) -> Cancellation:
    """Ana cancels her one booking of an event by the event's id."""
    return await app.cancel_booking(Cancel(event_id=event_id, actor=ANA))


async def test_bookings_of_other_types_count_toward_the_limit(app: FakeApp) -> None:
    event_id = await app.event(types=ROWS, max_tickets_per_customer=5)
    first, second = await app.type_ids(event_id)
    await app.book(event_id, ANA, 3, first)
    with pytest.raises(LimitExceeded):
        await app.book(event_id, ANA, 3, second)
    assert (await app.book(event_id, ANA, 2, second)).quantity == 2
    together = await asyncio.gather(
        app.book(event_id, BEN, 3, first), app.book(event_id, BEN, 3, second), return_exceptions=True
    )
    assert [type(each) for each in together] == [Booking, LimitExceeded]
    await app.check_promises()


async def test_cancelled_and_lapsed_bookings_do_not_count(app: FakeApp) -> None:
    event_id = await app.event(types=PRICED, max_tickets_per_customer=2, payment_window_minutes=5)
    first, second = await app.type_ids(event_id)
    stored = await app.book(event_id, ANA, 2, first)
    refused, _, booked, again = await asyncio.gather(
        app.book(event_id, ANA, 2, second),
        app.cancel(stored),
        app.book(event_id, ANA, 1, second),
        app.book(event_id, ANA, 1, first),
        return_exceptions=True,
    )
    assert isinstance(refused, LimitExceeded)
    assert isinstance(booked, Booking)
    assert isinstance(again, Booking)
    app.clock.time = later(minutes=5)
    new = await asyncio.gather(app.book(event_id, ANA, 1, second), app.book(event_id, ANA, 1, first))
    assert await app.statuses([booked, again, *new]) == ["expired", "expired", "held", "held"]
    await app.check_promises()


async def test_tickets_of_a_late_payment_count_again(app: FakeApp) -> None:
    event_id = await app.event(types=PRICED, max_tickets_per_customer=2, payment_window_minutes=5)
    other = await app.event()
    first, second = await app.type_ids(event_id)
    held = await app.book(event_id, ANA, 2, first)
    asked, may_answer = app.gateway.gate()
    paying = asyncio.ensure_future(app.pay(held))
    await asked.wait()
    app.clock.time = later(minutes=5)
    await app.promote(event_id)
    assert await app.statuses([held]) == ["expired"]
    reached, opened = app.faults.gate(Step.COMMIT)
    before = asyncio.ensure_future(app.book(other, BEN))
    await reached.wait()
    may_answer.set()
    await until_wait(app, 1)
    bookings = asyncio.gather(
        app.book(event_id, ANA, 1, first), app.book(event_id, ANA, 1, second), return_exceptions=True
    )
    await until_wait(app, 3)
    commits = app.faults.count(Step.COMMIT)
    opened.set()
    assert (await paying).status is BookingStatus.CONFIRMED
    assert [type(each) for each in await bookings] == [AlreadyBooked, LimitExceeded]
    await before
    assert app.faults.count(Step.COMMIT) == commits + 1, "in one transaction"
    await app.check_promises()


async def test_by_the_events_id_the_one_live_booking_is_cancelled(app: FakeApp) -> None:
    event_id = await app.event(types=ROWS)
    first, second = await app.type_ids(event_id)
    one = await app.book(event_id, ANA, 1, first)
    other, several, _, last, none = await asyncio.gather(
        app.book(event_id, ANA, 1, second),
        of_event(app, event_id),
        app.cancel(one),
        of_event(app, event_id),
        of_event(app, event_id),
        return_exceptions=True,
    )
    assert isinstance(other, Booking)
    assert isinstance(several, InvalidRequest)
    assert isinstance(last, Cancellation)
    assert last.booking.id == other.id
    assert isinstance(none, NotFound)
    await app.check_promises()

"""The rules for one customer hold within a transaction too: each command finds what was decided before it."""

import asyncio
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.cancel_booking import Cancellation
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.event import TicketTypeSpec
from boxoffice.domain.refusals import AlreadyBooked, InvalidRequest, LimitExceeded, NotFound, PaymentWindowClosed
from boxoffice.domain.values.money import Money
from tests.application.world import ANA, BEN, World, later

ROWS = (TicketTypeSpec(name="A", total_tickets=9), TicketTypeSpec(name="B", total_tickets=9))
PRICED = tuple(TicketTypeSpec(name=name, total_tickets=9, price=Money(100, "EUR")) for name in "AB")


@pytest.fixture
def world() -> World:
    return World()


async def kinds(world: World, event_id: UUID) -> list[UUID]:
    return [each.id for each in (await world.state(event_id)).ticket_types]


async def until_wait(world: World, number: int) -> None:
    while world.turnstile.waiting < number:  # noqa: ASYNC110 (the turns of the loop are all that happens)
        await asyncio.sleep(0)


async def of_event(world: World, event_id: UUID) -> Cancellation:
    """Ana cancels her one booking of an event, without its id."""
    return await world.cancel_booking(Cancel(event_id=event_id, actor=ANA))


async def test_bookings_of_other_types_count_whether_they_are_stored_or_new(world: World) -> None:
    event_id = await world.event(types=ROWS, max_tickets_per_customer=5)
    first, second = await kinds(world, event_id)
    await world.book(event_id, ANA, 3, first)
    with pytest.raises(LimitExceeded):
        await world.book(event_id, ANA, 3, second)
    assert (await world.book(event_id, ANA, 2, second)).quantity == 2
    together = await asyncio.gather(
        world.book(event_id, BEN, 3, first), world.book(event_id, BEN, 3, second), return_exceptions=True
    )
    assert [type(each) for each in together] == [Booking, LimitExceeded]
    await world.hold_to_the_facts(event_id)


async def test_the_booking_of_a_type_is_named_whether_it_is_stored_or_new(world: World) -> None:
    event_id = await world.event(types=ROWS)
    first, second = await kinds(world, event_id)
    stored = await world.book(event_id, ANA, 1, first)
    new, *refused = await asyncio.gather(
        world.book(event_id, ANA, 1, second),
        world.book(event_id, ANA, 1, first),
        world.book(event_id, ANA, 1, second),
        return_exceptions=True,
    )
    assert isinstance(new, Booking)
    assert [each.members for each in refused if isinstance(each, AlreadyBooked)] == [
        {"bookingId": str(stored.id)},
        {"bookingId": str(new.id)},
    ]


async def test_what_is_cancelled_counts_no_more(world: World) -> None:
    event_id = await world.event(types=ROWS, max_tickets_per_customer=2)
    first, second = await kinds(world, event_id)
    stored = await world.book(event_id, ANA, 2, first)
    refused, _, booked, again = await asyncio.gather(
        world.book(event_id, ANA, 2, second),
        world.cancel(stored),
        world.book(event_id, ANA, 1, second),
        world.book(event_id, ANA, 1, first),
        return_exceptions=True,
    )
    assert isinstance(refused, LimitExceeded)
    assert isinstance(booked, Booking)
    assert isinstance(again, Booking)
    await world.hold_to_the_facts(event_id)


async def test_what_lapsed_counts_no_more(world: World) -> None:
    event_id = await world.event(types=PRICED, max_tickets_per_customer=2, payment_window_minutes=5)
    first, second = await kinds(world, event_id)
    held = await world.book(event_id, ANA, 2, first)
    assert held.status is BookingStatus.HELD
    world.clock.time = later(minutes=5)
    booked, again = await asyncio.gather(world.book(event_id, ANA, 1, second), world.book(event_id, ANA, 1, first))
    assert await world.statuses([held, booked, again]) == ["expired", "held", "held"]
    await world.hold_to_the_facts(event_id)


async def test_tickets_that_a_late_payment_brings_back_count_again(world: World) -> None:
    event_id = await world.event(types=PRICED, max_tickets_per_customer=2, payment_window_minutes=5)
    other = await world.event()
    first, second = await kinds(world, event_id)
    held = await world.book(event_id, ANA, 2, first)
    asked, may_answer = world.gateway.gate()
    paying = asyncio.ensure_future(world.pay(held))
    await asked.wait()
    world.clock.time = later(minutes=5)
    await world.promote(event_id)
    assert await world.statuses([held]) == ["expired"]
    reached, opened = world.faults.gate(Step.COMMIT)
    before = asyncio.ensure_future(world.book(other, BEN))
    await reached.wait()
    may_answer.set()
    await until_wait(world, 1)
    bookings = asyncio.gather(
        world.book(event_id, ANA, 1, first), world.book(event_id, ANA, 1, second), return_exceptions=True
    )
    await until_wait(world, 3)
    commits = world.faults.count(Step.COMMIT)
    opened.set()
    assert (await paying).status is BookingStatus.CONFIRMED
    assert [type(each) for each in await bookings] == [AlreadyBooked, LimitExceeded]
    await before
    assert world.faults.count(Step.COMMIT) == commits + 1, "in one transaction"
    await world.hold_to_the_facts(event_id)


async def test_a_late_payment_brings_nothing_back_beyond_the_limit(world: World) -> None:
    event_id = await world.event(types=PRICED, max_tickets_per_customer=2, payment_window_minutes=5)
    first, second = await kinds(world, event_id)
    held = await world.book(event_id, ANA, 2, first)
    world.clock.time = later(minutes=5)
    await world.book(event_id, ANA, 1, second)
    with pytest.raises(PaymentWindowClosed):
        await world.pay(held)
    await world.hold_to_the_facts(event_id)


async def test_an_event_alone_names_the_one_booking_of_it(world: World) -> None:
    event_id = await world.event(types=ROWS)
    first, second = await kinds(world, event_id)
    one = await world.book(event_id, ANA, 1, first)
    other, several, _, last, none = await asyncio.gather(
        world.book(event_id, ANA, 1, second),
        of_event(world, event_id),
        world.cancel(one),
        of_event(world, event_id),
        of_event(world, event_id),
        return_exceptions=True,
    )
    assert isinstance(other, Booking)
    assert isinstance(several, InvalidRequest)
    assert isinstance(last, Cancellation)
    assert last.booking.id == other.id
    assert isinstance(none, NotFound)
    await world.hold_to_the_facts(event_id)

"""Giving a part of a booking back through the turnstile."""

import asyncio
from datetime import timedelta

import pytest

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings.give_back_tickets import TicketsToReturn
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.draws.draw import Admission
from boxoffice.domain.event import WaitingListPolicy
from boxoffice.domain.refusals import ExceedsBooking, NotFound, Refusal
from boxoffice.domain.tickets.ticket import ticket_id
from boxoffice.domain.user import Actor
from tests.application.fake_app import ANA, BEN, CLEO, FakeApp, customer, once


async def test_many_at_once_give_back_exactly_what_there_is() -> None:
    """In one batch each sees what the others have left; one ticket stays, because all would be a cancellation."""
    app = FakeApp()
    event_id = await app.event(5)
    booking = await app.book(event_id, ANA, 5)
    waiting = [await app.book(event_id, Actor(app.ids.new())) for _ in range(5)]
    parts = [app.give_back_tickets(TicketsToReturn(booking.id, 1), ANA) for _ in range(6)]
    answers = await asyncio.gather(*parts, return_exceptions=True)
    given_back = [each for each in answers if not isinstance(each, BaseException)]
    assert sum(each.promoted_count for each in given_back) == len(given_back) == 4
    assert [type(each) for each in answers if isinstance(each, BaseException)] == [ExceedsBooking] * 2
    stored: Booking = app.tables.bookings[booking.id]
    assert (stored.quantity, stored.returned) == (1, 4)
    confirmed = [app.tables.bookings[each.id].status.value for each in waiting]
    assert confirmed == ["confirmed"] * 4 + ["waitlisted"]
    assert (await VerifyPromises(app.storage, app.clock)()).breaches == []


async def test_chosen_tickets_of_one_batch_are_void_once() -> None:
    app = FakeApp()
    booking = await app.book(await app.event(4), ANA, 4)
    part = TicketsToReturn(booking.id, 1, [ticket_id(booking.id, 2)])
    answers = await asyncio.gather(*(app.give_back_tickets(part, ANA) for _ in range(2)), return_exceptions=True)
    assert [isinstance(each, Refusal) for each in answers] == [False, True]
    assert isinstance(answers[1], NotFound)


async def test_a_key_gives_back_once() -> None:
    app = FakeApp()
    booking = await app.book(await app.event(4), ANA, 4)
    await app.give_back_tickets(TicketsToReturn(booking.id, 1), ANA, once("part"))
    with pytest.raises(Replayed):
        await app.give_back_tickets(TicketsToReturn(booking.id, 1), ANA, once("part"))
    assert app.tables.bookings[booking.id].quantity == 3


async def test_only_who_may_cancel_it_gives_a_part_back() -> None:
    app = FakeApp()
    booking = await app.book(await app.event(4), ANA, 4)
    for actor, booking_id in ((BEN, booking.id), (ANA, app.ids.new())):
        with pytest.raises(NotFound):
            await app.give_back_tickets(TicketsToReturn(booking_id, 1), actor)


async def test_who_still_waits_sees_the_place() -> None:
    """Those before it ask for five tickets; what this or an earlier decision saved counts."""
    app = FakeApp()
    event_id = await app.event(4)
    await app.book(event_id, CLEO, 4)
    first, booking = await app.book(event_id, ANA, 4), await app.book(event_id, BEN, 4)
    kept = once("place", actor=BEN)
    _, answer = await asyncio.gather(
        app.give_back_tickets(TicketsToReturn(first.id, 1), ANA),
        app.give_back_tickets(TicketsToReturn(booking.id, 1), BEN, kept),
    )
    assert (answer.booking.quantity, answer.booking.place) == (3, Place(2, 3))
    stored = app.tables.responses[kept.key][1]
    assert b"Place(position=2, tickets_ahead=3)" in stored.response.payload


async def test_the_answer_shows_what_a_later_step_does() -> None:
    """So many wait before it that the first step does not load it, but it alone fits the free ticket."""
    app = FakeApp()
    event_id = await app.event(4, waiting_list_policy=WaitingListPolicy.FILL)
    await app.book(event_id, ANA, 3)
    for number in range(6):
        await app.book(event_id, customer(number), 2)
    booking = await app.book(event_id, BEN, 3)
    answer = await app.give_back_tickets(TicketsToReturn(booking.id, 2), BEN)
    assert (answer.booking.status, answer.booking.quantity, answer.booking.place) == ("confirmed", 1, None)
    assert answer.promoted_count == 1


async def test_before_the_draw_there_is_no_place() -> None:
    app = FakeApp()
    event_id = await app.event(4, admission=Admission.DRAW, draw_closes_at=app.clock.now() + timedelta(days=1))
    entry = await app.book(event_id, ANA, 3)
    answer = await app.give_back_tickets(TicketsToReturn(entry.id, 1), ANA)
    assert (answer.booking.status, answer.booking.quantity, answer.booking.place) == ("waitlisted", 2, None)

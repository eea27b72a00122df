"""The bound for overtakes, with what the turnstile loads for it."""

import asyncio

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.user import Actor
from tests.application.fake_app import ANA, BEN, CLEO, ORGANIZER, FakeApp


async def test_cancellations_of_one_batch_serve_as_many_as_may_overtake() -> None:
    app = FakeApp()
    event_id = await app.event(5, waiting_list_policy=WaitingListPolicy.FILL, max_overtakes=2)
    taken = [await app.book(event_id, Actor(app.ids.new())) for _ in range(5)]
    line = [await app.book(event_id, Actor(app.ids.new()), quantity) for quantity in (5, 1, 1, 1)]
    await asyncio.gather(*(app.cancel(each) for each in taken[:4]))
    confirmed = [app.tables.bookings[each.id].status is BookingStatus.CONFIRMED for each in line]
    assert confirmed == [False, True, True, False]
    assert (await app.book(event_id, Actor(app.ids.new()))).status is BookingStatus.WAITLISTED
    assert (await VerifyPromises(app.storage, app.clock)()).breaches == []


async def test_the_answer_to_a_pause_knows_that_one_ticket_would_overtake() -> None:
    """Whom a pause leaves first in line is loaded in a further step, and the sizes of who waits are known after it."""
    app = FakeApp()
    event_id = await app.event(8, waiting_list_policy=WaitingListPolicy.FILL, max_overtakes=2)
    await app.book(event_id, ANA, 5)
    await app.book(event_id, BEN, 4)
    await app.book(event_id, CLEO, 1)
    paused = await app.edit(event_id, status=EventStatus.PAUSED)
    assert not paused.is_sold_out(app.clock.now())
    assert paused == await app.read_event(event_id, ORGANIZER)

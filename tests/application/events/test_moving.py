"""Moving or completing an event changes its holds in the same transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import EventStatus
from boxoffice.domain.values.money import Money
from tests.application.fake_app import NOW, FakeApp

WINDOW = timedelta(hours=10)
START = NOW + timedelta(days=9)
SOON = NOW + timedelta(hours=1)


async def held(app: FakeApp, size: int) -> UUID:
    """An event all of whose tickets are held."""
    minutes = WINDOW // timedelta(minutes=1)
    event_id = await app.event(size, price=Money(500, "EUR"), payment_window_minutes=minutes, starts_at=START)
    await app.crowd(event_id, size)
    return event_id


async def expiries(app: FakeApp, event_id: UUID) -> set[datetime | None]:
    """When its holds lapse."""
    return {
        each.expires_at for each in await app.storage.booking_queries.bookings_of_event(event_id, None, None, 1_000)
    }


async def test_holds_are_shortened_in_the_transaction_that_moves_the_start(app: FakeApp) -> None:
    event_id = await held(app, 3)
    assert await expiries(app, event_id) == {NOW + WINDOW}
    for starts_at in (SOON, START):
        assert not (await app.edit(event_id, starts_at=starts_at)).event.is_unsettled
        assert await expiries(app, event_id) == {SOON}
    assert not (await app.edit(event_id, status=EventStatus.COMPLETED)).event.is_unsettled
    assert len(await app.storage.booking_queries.bookings_of_event(event_id, BookingStatus.EXPIRED, None, 10)) == 3

"""Moving and completing an event in one transaction with what follows for its holds."""

from datetime import timedelta
from typing import Any

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.organize import Edit
from boxoffice.domain.decisions.settle import STEP
from boxoffice.domain.event import EventChanges, EventStatus
from boxoffice.domain.values.money import Money

from .world import NOW, ORGANIZER, World

WINDOW = timedelta(hours=10)
START = NOW + timedelta(days=9)


async def held(world: World, size: int) -> Any:
    """An event all of whose tickets are held."""
    event_id = await world.event(
        size, price=Money(500, "EUR"), payment_window_minutes=WINDOW // timedelta(minutes=1), starts_at=START
    )
    await world.crowd(event_id, size)
    return event_id


async def change(world: World, event_id: Any, **changes: Any) -> Any:
    """The event right after an edit."""
    command = Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(**changes))
    return (await world.change_event(command)).event


async def expiries(world: World, event_id: Any) -> set[Any]:
    """When its bookings lapse."""
    return {
        each.expires_at for each in await world.storage.booking_queries.bookings_of_event(event_id, None, None, 1_000)
    }


async def test_holds_are_shortened_in_the_transaction_that_moves_the_start() -> None:
    world = World()
    event_id = await held(world, 3)
    assert await expiries(world, event_id) == {NOW + WINDOW}
    moved = await change(world, event_id, starts_at=NOW + timedelta(hours=1))
    assert not moved.is_unsettled
    assert await expiries(world, event_id) == {NOW + timedelta(hours=1)}
    assert not (await change(world, event_id, starts_at=START)).is_unsettled
    assert await expiries(world, event_id) == {NOW + timedelta(hours=1)}


async def test_what_does_not_fit_into_a_step_follows_behind_the_answer() -> None:
    world = World()
    event_id = await held(world, STEP + 1)
    assert (await change(world, event_id, starts_at=NOW + timedelta(hours=1))).is_unsettled
    await world.turnstile.close()
    assert await expiries(world, event_id) == {NOW + timedelta(hours=1)}


async def test_completing_ends_holds_in_the_same_transaction() -> None:
    world = World()
    event_id = await held(world, 3)
    assert not (await change(world, event_id, status=EventStatus.COMPLETED)).is_unsettled
    found = await world.storage.booking_queries.bookings_of_event(event_id, BookingStatus.EXPIRED, None, 10)
    assert len(found) == 3

"""The bound for overtakes: what a storage keeps of them, through the turnstile."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, edit
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, NewIds, StorageDriver, new_id

CONFIRMED, WAITLISTED = BookingStatus.CONFIRMED, BookingStatus.WAITLISTED


class Office:
    """Commands about one event, through a turnstile."""

    def __init__(self, driver: StorageDriver, state: EventState) -> None:
        self.driver, self.event_id, self._types = driver, state.event.id, [each.id for each in state.ticket_types]
        self._turnstile = Turnstile(driver.storage, SettableClock(NOW), NewIds())

    async def book(self, quantity: int, kind: int = 0) -> Booking:
        command = Book(
            booking_id=new_id(),
            event_id=self.event_id,
            actor=Actor(new_id()),
            quantity=quantity,
            ticket_type_id=self._types[kind],
        )
        needs = LoadSpec(event_id=self.event_id, customer_id=command.customer_id)
        return (await self._turnstile.admit(command, needs, book)).outcome

    async def cancel(self, booking: Booking) -> None:
        command = Cancel(event_id=self.event_id, actor=Actor(booking.customer_id), booking_id=booking.id)
        needs = LoadSpec(event_id=self.event_id, booking_id=booking.id, settles=True)
        await self._turnstile.admit(command, needs, cancel)

    async def edit(self, **changes: Any) -> None:
        command = Edit(event_id=self.event_id, actor=ORGANIZER, changes=EventChanges(**changes))
        needs = LoadSpec(event_id=self.event_id, settles=True, sizes=True)
        await self._turnstile.admit(command, needs, edit)

    async def overtakes(self) -> list[tuple[int, ...]]:
        """As they are stored."""
        read = await self.driver.storage.event_queries.events_by_id([self.event_id])
        async with self.driver.storage.begin() as unit_of_work:
            locked = await unit_of_work.events.lock([LoadSpec(event_id=self.event_id)])
        assert read[self.event_id].ticket_types == locked[self.event_id].ticket_types
        return [each.overtakes for each in read[self.event_id].ticket_types]

    async def statuses(self, bookings: list[Booking]) -> list[BookingStatus]:
        async with self.driver.storage.begin() as unit_of_work:
            found = await unit_of_work.events.bookings([each.id for each in bookings])
        by_id: dict[UUID, Booking] = {each.id: each for each in found}
        return [by_id[each.id].status for each in bookings]

    async def check(self) -> None:
        assert (await VerifyPromises(self.driver.storage, SettableClock(NOW))()).breaches == []


@pytest.fixture
async def office(driver: StorageDriver) -> Office:
    details: dict[str, Any] = {"waiting_list_policy": WaitingListPolicy.FILL, "max_overtakes": 2}
    return Office(driver, await driver.initialize(6, 6, **details))


async def test_overtakes_are_kept_until_they_count_for_nobody(office: Office) -> None:
    taken = [await office.book(1) for _ in range(6)]
    line = [await office.book(quantity) for quantity in (6, 1, 1, 1)]
    await office.book(6, kind=1)
    await office.cancel(taken[0])
    assert await office.overtakes() == [(2,), ()]
    await asyncio.gather(*(office.cancel(each) for each in taken[1:4]))
    assert await office.overtakes() == [(2, 3), ()]
    assert await office.statuses(line) == [WAITLISTED, CONFIRMED, CONFIRMED, WAITLISTED]
    assert (await office.book(1)).status is WAITLISTED
    await office.check()
    await office.edit(max_overtakes=3)
    assert await office.overtakes() == [(2, 3, 4), ()]
    await office.edit(status=EventStatus.PAUSED)
    await office.cancel(line[0])
    assert await office.overtakes() == [(), ()]
    await office.check()


async def test_without_a_bound_they_are_forgotten_and_counted_anew(office: Office) -> None:
    taken = [await office.book(1) for _ in range(6)]
    line = [await office.book(quantity) for quantity in (6, 1, 1, 1)]
    await asyncio.gather(office.cancel(taken[0]), office.cancel(taken[1]))
    await office.edit(max_overtakes=None)
    assert await office.overtakes() == [(), ()]
    await office.edit(max_overtakes=0)
    await office.cancel(taken[2])
    assert await office.statuses(line) == [WAITLISTED, CONFIRMED, CONFIRMED, WAITLISTED]
    await office.edit(max_overtakes=1_000)
    assert await office.overtakes() == [(4,), ()]
    newcomers = await asyncio.gather(*(office.cancel(taken[3]), office.book(1), office.book(1)))
    assert [each.status for each in newcomers if each] == [CONFIRMED, WAITLISTED]
    assert await office.overtakes() == [(4, 4), ()]
    await office.check()

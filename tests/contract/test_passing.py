"""How many a promotion passes over, and what made room for it, through a turnstile on every storage."""

import asyncio
from uuid import UUID

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, edit
from boxoffice.domain.decisions.settle import Settle, settle
from boxoffice.domain.event import WaitingListPolicy
from boxoffice.domain.facts import BookingPromoted, Fact
from boxoffice.domain.user import Actor
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, NewIds, StorageDriver, new_id

FILL = WaitingListPolicy.FILL


class Line:
    """One event whose tickets are taken, with a waiting list of these quantities."""

    def __init__(self, driver: StorageDriver) -> None:
        self._driver = driver
        self._turnstile = Turnstile(driver.storage, SettableClock(NOW), NewIds())
        self.event_id = new_id()

    async def begin(self, total: int, quantities: list[int]) -> tuple[list[Booking], list[Booking]]:
        state = await self._driver.initialize(total, waiting_list_policy=FILL, max_tickets_per_customer=1_000)
        self.event_id = state.event.id
        taken = await asyncio.gather(*(self.book(1) for _ in range(total)))
        return list(taken), list(await asyncio.gather(*map(self.book, quantities)))

    async def book(self, quantity: int) -> Booking:
        command = Book(booking_id=new_id(), event_id=self.event_id, actor=Actor(new_id()), quantity=quantity)
        needs = LoadSpec(event_id=self.event_id, customer_id=command.customer_id)
        return (await self._turnstile.admit(command, needs, book)).outcome

    async def cancel(self, *bookings: Booking) -> None:
        commands = [
            Cancel(event_id=self.event_id, actor=Actor(each.customer_id), booking_id=each.id) for each in bookings
        ]
        needs = [LoadSpec(event_id=self.event_id, booking_id=each.booking_id, settles=True) for each in commands]
        await asyncio.gather(*(self._turnstile.admit(*each, cancel) for each in zip(commands, needs, strict=True)))

    async def facts(self) -> list[Fact]:
        async with self._driver.storage.begin() as unit_of_work:
            return await unit_of_work.events.facts(self.event_id, 0, 1_000)

    async def promotions(self) -> list[tuple[int, int | None, UUID | None]]:
        """Each with its queue number, how many it passed over, and the booking whose fact made room for it."""
        facts = await self.facts()
        found = [fact.what for fact in facts if isinstance(fact.what, BookingPromoted)]
        return [
            (
                each.queue_number,
                each.passed_over,
                facts[(each.caused_by or 0) - 1].booking_id if each.caused_by else None,
            )
            for each in found
        ]

    async def check(self) -> None:
        assert (await VerifyPromises(self._driver.storage, SettableClock(NOW))()).breaches == []


async def test_those_that_are_passed_over_are_counted_although_they_are_not_loaded(driver: StorageDriver) -> None:
    line = Line(driver)
    # More than one block of queue numbers, see the index of places.
    taken, waiting = await line.begin(6, [*[3] * 120, 2, 1, 3, 2, 1])
    await line.cancel(taken[0])
    assert await line.promotions() == [(122, 121, taken[0].id)]
    await line.cancel(waiting[5])
    await line.cancel(taken[1], taken[2])
    await line.cancel(taken[3])
    found = await line.promotions()
    assert found[1:] == [(125, 122, taken[1].id), (121, 119, taken[3].id)]
    await line.check()


async def test_newcomers_and_leavers_of_a_batch_are_counted_too(driver: StorageDriver) -> None:
    line = Line(driver)
    taken, waiting = await line.begin(4, [3, 3, 2])
    joined = await asyncio.gather(line.book(3), line.cancel(waiting[0]), line.book(1), line.cancel(taken[0]))
    assert joined[0] is not None
    assert await line.promotions() == [(5, 3, taken[0].id)]
    await line.check()


async def test_what_made_room_is_kept_from_one_transaction_to_the_next(driver: StorageDriver) -> None:
    line = Line(driver)
    await line.begin(1, [1])
    needs = LoadSpec(event_id=line.event_id, sizes=True)
    command = Edit(event_id=line.event_id, actor=ORGANIZER, changes=EventChanges(total_tickets=2))
    await driver.decide(needs, lambda inventory: edit(inventory, command, NOW))
    assert await rooms(driver, line) == [4]
    needs = LoadSpec(event_id=line.event_id, settles=True)
    await driver.decide(needs, lambda inventory: settle(inventory, Settle(line.event_id), NOW))
    promoted = (await line.facts())[-1].what
    assert isinstance(promoted, BookingPromoted)
    assert (promoted.caused_by, promoted.passed_over) == (4, 0)
    assert await rooms(driver, line) == [None]
    await line.check()


async def rooms(driver: StorageDriver, line: Line) -> list[int | None]:
    """The facts that made room, as they are stored."""
    read = await driver.storage.event_queries.events_by_id([line.event_id])
    async with driver.storage.begin() as unit_of_work:
        locked = await unit_of_work.events.lock([LoadSpec(event_id=line.event_id)])
    assert read[line.event_id].ticket_types == locked[line.event_id].ticket_types
    return [each.room_made_by for each in read[line.event_id].ticket_types]

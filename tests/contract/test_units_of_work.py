"""A unit of work excludes others, is all or nothing, and lets go of what it held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict, StorageFailure
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import Storage, UnitOfWork
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.inventory import Decision
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor, User

from .storage_driver import EMAIL, NOW, StorageDriver, booking_command, new_id, new_user, take


async def book_within(unit_of_work: UnitOfWork, command: Book, batch_id: UUID | None = None) -> Booking:
    """Book without a look at what the customer has already."""
    needs = LoadSpec(event_id=command.event_id)
    return await take(unit_of_work, needs, lambda inventory: book(inventory, command, NOW), batch_id=batch_id)


@asynccontextmanager
async def locked(driver: StorageDriver, *states: EventState) -> AsyncIterator[UnitOfWork]:
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id) for state in states])
        yield unit_of_work


async def test_what_was_not_committed_is_not_there(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    booking = await driver.book(state, commits=False)
    assert await driver.storage.booking_queries.booking(booking.id) is None
    assert await driver.read(state) == state
    assert len(await driver.storage.event_queries.facts(state.event.id, 0, 10)) == 1


async def test_readers_neither_wait_for_a_lock_nor_see_what_is_not_committed_yet(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    async with driver.storage.begin() as unit_of_work:
        booking = await book_within(unit_of_work, booking_command(state))
        async with asyncio.timeout(30):
            assert await driver.read(state) == state
            assert await driver.storage.booking_queries.booking(booking.id) is None
        await unit_of_work.commit()
    assert (await driver.read(state)).ticket_types[0].taken == 1
    assert await driver.stored(booking) == booking


async def test_a_lock_makes_the_next_one_wait_and_see(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    async with driver.storage.begin() as unit_of_work:
        await book_within(unit_of_work, booking_command(state))
        second = asyncio.create_task(driver.book(state))
        # It must not get through, however long one waits.
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.commit()
    assert (await second).status is BookingStatus.WAITLISTED
    assert (await driver.read(state)).event.last_seq == 3


async def test_many_at_once_take_each_ticket_once(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    booked = await asyncio.gather(*(driver.book(state) for _ in range(8)))
    assert sorted(booking.status for booking in booked) == ["confirmed"] * 3 + ["waitlisted"] * 5
    assert sorted(booking.queue_number or 0 for booking in booked) == [0, 0, 0, 1, 2, 3, 4, 5]
    assert (await driver.read(state)).event.last_seq == 9


async def test_locks_asked_for_in_any_order_do_not_deadlock(driver: StorageDriver) -> None:
    states = [await driver.initialize(100) for _ in range(3)]

    async def lock(order: int) -> None:
        async with locked(driver, *states[::order]):
            pass

    # All of them stop in the middle, where one that came from the other end would hold what they want next.
    async with locked(driver, states[1]):
        waiting = [asyncio.create_task(lock(order)) for order in (1, -1) * 2]
        await asyncio.wait(waiting, timeout=0.1)
    await asyncio.gather(*waiting)


async def test_a_cancelled_unit_of_work_lets_go(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    is_locked = asyncio.Event()

    async def hold() -> None:
        async with driver.storage.begin() as unit_of_work:
            await book_within(unit_of_work, booking_command(state))
            is_locked.set()
            await asyncio.Event().wait()

    # More often than there are connections.
    for _ in range(20):
        is_locked.clear()
        task = asyncio.create_task(hold())
        await is_locked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await driver.book(state)).status is BookingStatus.CONFIRMED
    assert (await driver.read(state)).event.last_seq == 2


async def test_one_cancelled_while_it_waits_leaves_nothing_behind(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    async with locked(driver, state):
        waiting = asyncio.create_task(driver.book(state))
        await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
    booking = await driver.book(state)
    assert await driver.storage.booking_queries.bookings_of_event(state.event.id, None, None, 9) == [booking]


async def test_cancelled_reads_do_not_mix_up_rows(driver: StorageDriver) -> None:
    states = [await driver.initialize(1, name=f"Night {number}") for number in range(10)]
    for number in range(30):
        task = asyncio.create_task(driver.read(states[number % 10]))
        await asyncio.wait([task], timeout=number / 10_000)
        task.cancel()
        await asyncio.wait([task])
    assert await asyncio.gather(*(driver.read(state) for state in states)) == states


async def test_a_second_live_booking_of_a_ticket_type_conflicts(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    first = await driver.book(state)
    blind = booking_command(state, customer_id=first.customer_id)

    async def book_blindly() -> None:
        async with driver.storage.begin() as unit_of_work:
            await book_within(unit_of_work, blind)
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await book_blindly()
    assert await driver.storage.booking_queries.booking(blind.booking_id) is None
    assert (await driver.read(state)).ticket_types[0].taken == 1
    await driver.cancel(first)
    await book_blindly()


async def test_cancelling_and_booking_again_in_one_transaction_is_no_conflict(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    first = await driver.book(state)
    again = booking_command(state, customer_id=first.customer_id)
    async with driver.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, customer_id=first.customer_id, whole=True)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        cancelled = cancel(inventory, Cancel(event_id=state.event.id, actor=Actor(first.customer_id)), NOW)
        booked = book(replace(cancelled.inventory, bookings=(), of_customers=()), again, NOW)
        await unit_of_work.events.save([cancelled, booked], new_id())
        await unit_of_work.commit()
    found = await driver.storage.booking_queries.bookings_of_customer(first.customer_id, None, None, 9)
    assert [each.status for each in found] == [BookingStatus.CONFIRMED, BookingStatus.CANCELLED]


async def test_more_taken_than_there_are_conflicts(driver: StorageDriver) -> None:
    state = await driver.initialize(1)

    def oversell(decision: Decision[Booking]) -> Decision[Booking]:
        types = tuple(replace(each, taken=2) for each in decision.inventory.ticket_types)
        inventory = replace(decision.inventory, ticket_types=types)
        return replace(decision, inventory=inventory, changed_ticket_types=types)

    command = booking_command(state)
    with pytest.raises(Conflict):
        await driver.decide(LoadSpec(event_id=state.event.id), lambda each: oversell(book(each, command, NOW)))
    assert await driver.read(state) == state


async def test_after_a_conflict_nothing_is_committed(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    first = await driver.book(state)
    user = new_user()

    async def carry_on() -> None:
        async with driver.storage.begin() as unit_of_work:
            await unit_of_work.users.add(user)
            with suppress(StorageFailure):
                await book_within(unit_of_work, booking_command(state, customer_id=first.customer_id))
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await carry_on()
    assert await driver.storage.account_queries.user_by_email(EMAIL) is None


async def test_after_a_statement_that_failed_nothing_is_committed(driver: StorageDriver) -> None:
    there, user = new_user(), new_user("other@example.org")

    async def add(*users: User) -> None:
        async with driver.storage.begin() as unit_of_work:
            for each in users:
                with suppress(StorageFailure):
                    await unit_of_work.users.add(each)
            await unit_of_work.commit()

    await add(there)
    with pytest.raises(Conflict):
        await add(user, there)
    assert await driver.storage.account_queries.user_by_email("other@example.org") is None


async def holds(driver: StorageDriver, last: dict[UUID, int], batch_id: UUID) -> bool:
    return await driver.do(lambda unit: unit.events.was_committed(last, batch_id))


async def test_a_mark_is_found_where_it_was_committed(driver: StorageDriver) -> None:
    state, other = await driver.initialize(9), await driver.initialize(3)
    batch_id, lost = new_id(), new_id()
    async with driver.storage.begin() as unit_of_work:
        inventory = (await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        for _ in range(2):
            decision = book(inventory, booking_command(state), NOW)
            await unit_of_work.events.save([decision], batch_id)
            inventory = decision.inventory
        await unit_of_work.commit()
    await driver.book(state, batch_id=lost, commits=False)
    event_id, seq = state.event.id, state.event.last_seq + 2
    for last, wanted, is_found in [
        ({event_id: seq}, batch_id, True),
        ({other.event.id: 1, event_id: seq, new_id(): seq}, batch_id, True),
        ({event_id: seq} | {new_id(): seq for _ in range(50)}, batch_id, True),
        ({other.event.id: 1}, batch_id, False),
        ({event_id: seq - 2}, batch_id, False),
        ({event_id: seq + 1}, batch_id, False),
        ({event_id: seq}, lost, False),
        ({event_id: seq + 1}, lost, False),
        ({new_id(): seq}, batch_id, False),
        ({}, batch_id, False),
    ]:
        assert await holds(driver, last, wanted) is is_found
    await driver.book(state)
    assert await holds(driver, {event_id: seq}, batch_id), "behind the facts of others"


async def test_looking_for_a_mark_waits_for_the_transaction_that_may_write_it(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    batch_id = new_id()
    async with driver.storage.begin() as unit_of_work:
        await book_within(unit_of_work, booking_command(state), batch_id)
        looking = asyncio.create_task(holds(driver, {state.event.id: state.event.last_seq + 1}, batch_id))
        assert not (await asyncio.wait([looking], timeout=0.3))[0]
        await unit_of_work.commit()
    assert await looking


async def test_a_storage_is_ready(storage: Storage) -> None:
    await storage.check_ready()

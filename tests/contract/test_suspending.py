"""Suspended bookings and the reviews of accounts, on every storage."""

from datetime import timedelta

from msgspec.structs import replace

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import ClosingQuery, LoadSpec, WaitingListQuery
from boxoffice.application.ports.repositories import AccountReview
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.suspend import ResumeWaiting, SuspendWaiting, resume_waiting, suspend_waiting
from boxoffice.domain.event import WaitingListPolicy
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import User
from tests.settable_clock import SettableClock

from .storage_driver import NOW, StorageDriver, new_id, new_user, take

AFTER = NOW + timedelta(minutes=1)


async def suspend(unit_of_work: UnitOfWork, booking: Booking) -> None:
    command = SuspendWaiting(event_id=booking.event_id, customer_id=booking.customer_id)
    await take(unit_of_work, needs_of(booking), lambda inventory: suspend_waiting(inventory, command, NOW))


async def resume(unit_of_work: UnitOfWork, booking: Booking) -> None:
    command = ResumeWaiting(event_id=booking.event_id, customer_id=booking.customer_id)
    await take(unit_of_work, needs_of(booking), lambda inventory: resume_waiting(inventory, command, NOW))


def needs_of(booking: Booking) -> LoadSpec:
    return LoadSpec(event_id=booking.event_id, customer_id=booking.customer_id, whole=True, settles=True)


async def breaches(driver: StorageDriver) -> list[str]:
    return [each.what for each in (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches]


async def positions(driver: StorageDriver, state: EventState) -> list[int | None]:
    waiting = await driver.storage.booking_queries.waiting_list(state.event.id, None, None, 10)
    for each in waiting:
        assert (await driver.stored(each)).place == each.place
    return [each.queue_number for each in waiting]


async def test_it_leaves_the_list_and_stands_at_its_number_again(driver: StorageDriver) -> None:
    state = await driver.initialize(1, waiting_list_policy=WaitingListPolicy.FILL)
    _, first, second, third = await driver.book_many(state, [1] * 4)
    await driver.do(lambda unit: suspend(unit, first))
    await driver.do(lambda unit: suspend(unit, second))
    assert await positions(driver, state) == [3]
    kept = await driver.stored(first)
    assert (kept.status, kept.queue_number, kept.is_suspended, kept.place) == (BookingStatus.WAITLISTED, 1, True, None)
    counters = (await driver.read(state)).ticket_types[0]
    assert (counters.waiting, counters.waiting_tickets) == (1, 1)
    assert await breaches(driver) == []
    await driver.do(lambda unit: resume(unit, first))
    await driver.do(lambda unit: resume(unit, second))
    assert await positions(driver, state) == [1, 2, 3]
    assert (await driver.stored(third)).place == Place(3, 2)
    assert await driver.stored(first) == replace(first, place=Place(1, 0))
    assert await breaches(driver) == []


async def test_one_transaction_sees_what_it_suspended_and_resumed(driver: StorageDriver) -> None:
    state = await driver.initialize(2)
    _, first, second, third = await driver.book_many(state, [2, 1, 2, 1])
    type_id, event_id = state.ticket_types[0].id, state.event.id
    await driver.do(lambda unit: suspend(unit, first))
    steps = ((True, first), (False, second), (True, second), (False, third))

    async def work(unit: UnitOfWork) -> list[list[int | None]]:
        found = []
        locked = await unit.events.lock([needs_of(each) for each in (first, second, third)])
        inventory, bookings = locked[event_id], {each.id: each for each in locked[event_id].bookings}
        for is_back, booking in steps:
            inventory = replace(inventory, bookings=tuple(bookings.values()))
            resuming = ResumeWaiting(event_id=event_id, customer_id=booking.customer_id)
            suspending = SuspendWaiting(event_id=event_id, customer_id=booking.customer_id)
            decision = (
                resume_waiting(inventory, resuming, NOW) if is_back else suspend_waiting(inventory, suspending, NOW)
            )
            await unit.events.save([decision], new_id())
            inventory = decision.inventory
            bookings |= {change.after.id: change.after for change in decision.changed}
            lists = await unit.events.waiting_lists([WaitingListQuery(type_id, None, 5)])
            found.append([each.queue_number for each in lists[type_id].head])
        return found

    assert await driver.do(work) == [[1, 2, 3], [1, 3], [1, 2, 3], [1, 2]]
    assert await positions(driver, state) == [1, 2]
    assert await breaches(driver) == []


async def test_it_is_live_and_ends_with_its_event(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    holder, waiting = await driver.book_many(state, [1, 1])
    await driver.do(lambda unit: suspend(unit, waiting))
    async with driver.storage.begin() as unit_of_work:
        events = unit_of_work.events
        inventory = (await events.lock([needs_of(waiting)]))[state.event.id]
        assert [each.id for each in inventory.of_customers] == [waiting.id]
        assert [(each.id, each.is_suspended) for each in inventory.bookings] == [(waiting.id, True)]
        for waiting_only, expected in ((True, {waiting.id}), (False, {holder.id, waiting.id})):
            closing = await events.closing([ClosingQuery(state.event.id, waiting_only, 5)])
            assert {each.id for each in closing[state.event.id]} == expected


async def test_bookings_of_a_customer_to_suspend_or_resume(driver: StorageDriver) -> None:
    customer_id = new_id()
    states = [await driver.initialize(1) for _ in range(4)]
    bookings = []
    for number, state in enumerate(states):
        await driver.book(state)
        bookings.append(await driver.book(state, customer_id=customer_id if number else None))
    own = [replace(each, place=None) for each in bookings[1:]]
    await driver.do(lambda unit: suspend(unit, own[1]))
    queries = driver.storage.booking_queries
    assert await queries.waitlisted_of_customer(customer_id, 9, suspended=False) == [own[0], own[2]]
    assert await queries.waitlisted_of_customer(customer_id, 1, suspended=False) == [own[0]]
    assert await queries.waitlisted_of_customer(customer_id, 9, suspended=True) == [replace(own[1], is_suspended=True)]


def review(user: User, due_in: int = 0) -> AccountReview:
    return AccountReview(user.id, AFTER, NOW + timedelta(seconds=due_in))


async def test_reviews_come_when_they_are_due_and_end(driver: StorageDriver) -> None:
    users = [new_user(f"{number}@example.org") for number in range(3)]
    first, second, third = (review(user, due_in) for user, due_in in zip(users, (2, 1, 0), strict=True))

    async def put(unit: UnitOfWork) -> None:
        for each in (first, second, replace(third, due_at=AFTER), third):
            await unit.users.put_review(each)

    async def finish(unit: UnitOfWork) -> None:
        await unit.users.finish_review(second, None)
        await unit.users.finish_review(first, AFTER)
        await unit.users.finish_review(replace(third, until=NOW), None)
        await unit.users.finish_review(AccountReview(new_id(), NOW, NOW), AFTER)

    await driver.do(put)
    queries = driver.storage.account_queries
    assert await queries.due_reviews(NOW + timedelta(seconds=1), 5) == [third, second]
    assert await queries.due_reviews(AFTER, 2) == [third, second]
    await driver.do(finish)
    assert await queries.due_reviews(AFTER, 5) == [third, replace(first, due_at=AFTER)], "a newer review stays"


async def test_bookings_that_contradict_their_account_are_found(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    await driver.book(state)
    user = new_user()
    waiting = await driver.book(state, customer_id=user.id)
    what = "1 bookings whose suspension contradicts their accounts"

    async def add(unit: UnitOfWork) -> None:
        await unit.users.add(replace(user, disabled_at=NOW))

    async def enable(unit: UnitOfWork) -> None:
        await unit.users.save(user)

    await driver.do(add)
    assert await breaches(driver) == [what]
    await driver.do(lambda unit: suspend(unit, waiting))
    assert await breaches(driver) == []
    await driver.do(enable)
    assert await breaches(driver) == [what]
    await driver.do(lambda unit: unit.users.put_review(review(user)))
    assert await breaches(driver) == [], "it is about to follow"

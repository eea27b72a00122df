"""What a transaction promises: it excludes others, it is all or nothing, it lets go of what it held."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict, StorageFailure
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import Storage
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.inventory import Decision
from boxoffice.domain.user import Actor, User

from .box_office import NOW, BoxOffice, booking_command, new_digests, new_id, new_session, new_user, take


async def test_what_was_committed_is_there(office: BoxOffice) -> None:
    state = await office.initialize(3)
    booking = await office.book(state)
    found = await office.storage.booking_queries.booking(booking.id)
    assert found is not None
    assert found.booking == booking


async def test_what_was_not_committed_is_not(office: BoxOffice) -> None:
    state = await office.initialize(3)
    booking = await office.book(state, commits=False)
    assert await office.storage.booking_queries.booking(booking.id) is None
    assert await office.read(state) == state
    assert len(await office.storage.event_queries.facts(state.event.id, 0, 10)) == 1


async def test_an_error_rolls_back_everything(office: BoxOffice) -> None:
    state = await office.initialize(1)
    first = await office.book(state)
    user = new_user()

    async def fail() -> None:
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.users.add(user)
            command = booking_command(state)
            await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await office.storage.account_queries.user_by_email(user.email) is None
    assert (await office.read(state)).ticket_types[0].waiting == 0
    assert await office.storage.booking_queries.waiting_list(state.event.id, None, None, 10) == []
    assert [
        each.id for each in await office.storage.booking_queries.bookings_of_event(state.event.id, None, None, 10)
    ] == [first.id]


async def test_nobody_sees_what_is_not_committed_yet(office: BoxOffice) -> None:
    state = await office.initialize(3)
    async with office.storage.begin() as unit_of_work:
        command = booking_command(state)
        await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
        assert await office.read(state) == state
        assert await office.storage.booking_queries.booking(command.booking_id) is None
        await unit_of_work.commit()
    assert (await office.read(state)).ticket_types[0].taken == 1


async def test_a_lock_makes_the_next_one_wait_and_see(office: BoxOffice) -> None:
    state = await office.initialize(1)

    async with office.storage.begin() as unit_of_work:
        command = booking_command(state)
        await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
        second = asyncio.create_task(office.book(state))
        # It must not get through, however long one waits.
        assert not (await asyncio.wait([second], timeout=0.3))[0]
        await unit_of_work.commit()

    assert (await second).status is BookingStatus.WAITLISTED
    assert (await office.read(state)).event.last_seq == 3


async def test_many_at_once_take_each_ticket_once(office: BoxOffice) -> None:
    state = await office.initialize(3)
    booked = await asyncio.gather(*(office.book(state) for _ in range(8)))
    assert sorted(booking.status for booking in booked) == ["confirmed"] * 3 + ["waitlisted"] * 5
    assert sorted(booking.queue_number or 0 for booking in booked) == [0, 0, 0, 1, 2, 3, 4, 5]
    assert (await office.read(state)).event.last_seq == 9


async def test_locks_in_any_order_do_not_stand_in_each_others_way(office: BoxOffice) -> None:
    states = [await office.initialize(100) for _ in range(3)]

    async def lock(order: int) -> None:
        needs = [LoadSpec(event_id=state.event.id) for state in states]
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.events.lock(needs[::order])

    await asyncio.gather(*(lock(order) for order in (1, -1) * 3))


async def test_locks_in_any_order_behind_one_that_is_held_do_not_either(office: BoxOffice) -> None:
    states = [await office.initialize(100) for _ in range(3)]
    needs = [LoadSpec(event_id=state.event.id) for state in states]

    async def lock(order: int) -> None:
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.events.lock(needs[::order])

    async with office.storage.begin() as unit_of_work:
        # All of them stop in the middle, where whoever came from the other end would have what they want next.
        await unit_of_work.events.lock(needs[1:2])
        waiting = [asyncio.create_task(lock(order)) for order in (1, -1) * 2]
        await asyncio.wait(waiting, timeout=0.1)
    await asyncio.gather(*waiting)


async def test_a_cancelled_unit_of_work_lets_go(office: BoxOffice) -> None:
    state = await office.initialize(1)
    is_locked = asyncio.Event()

    async def hold() -> None:
        async with office.storage.begin() as unit_of_work:
            command = booking_command(state)
            await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
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
    assert (await office.book(state)).status is BookingStatus.CONFIRMED
    assert (await office.read(state)).event.last_seq == 2


async def test_one_cancelled_while_waiting_leaves_nothing_behind(office: BoxOffice) -> None:
    state = await office.initialize(5)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        waiting = asyncio.create_task(office.book(state))
        await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
    booking = await office.book(state)
    assert [
        each.id for each in await office.storage.booking_queries.bookings_of_event(state.event.id, None, None, 9)
    ] == [booking.id]


async def test_reads_are_cancelled_without_mixing_up_rows(office: BoxOffice) -> None:
    states = [await office.initialize(1, name=f"Night {number}") for number in range(10)]
    for number in range(30):
        task = asyncio.create_task(office.read(states[number % 10]))
        await asyncio.wait([task], timeout=number / 10_000)
        task.cancel()
        await asyncio.wait([task])
    assert await asyncio.gather(*(office.read(state) for state in states)) == states


async def test_reading_waits_for_no_lock(office: BoxOffice) -> None:
    state = await office.initialize(3)
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        async with asyncio.timeout(30):
            assert await office.read(state) == state


async def test_a_second_live_booking_of_a_ticket_type_conflicts(office: BoxOffice) -> None:
    state = await office.initialize(3)
    first = await office.book(state)
    blind = booking_command(state, customer_id=first.customer_id)

    async def book_blindly() -> None:
        async with office.storage.begin() as unit_of_work:
            # Nobody loads what the customer has already.
            await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, blind, NOW))
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await book_blindly()
    assert await office.storage.booking_queries.booking(blind.booking_id) is None
    assert (await office.read(state)).ticket_types[0].taken == 1
    await office.cancel(first)
    await book_blindly()


async def test_cancelling_and_booking_again_in_one_transaction_is_no_conflict(office: BoxOffice) -> None:
    state = await office.initialize(3)
    first = await office.book(state)
    again = booking_command(state, customer_id=first.customer_id)
    async with office.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, customer_id=first.customer_id, whole=True)
        inventory = (await unit_of_work.events.lock([needs]))[state.event.id]
        command = Cancel(event_id=state.event.id, actor=Actor(first.customer_id))
        cancelled = cancel(inventory, command, NOW)
        booked = book(replace(cancelled.inventory, bookings=(), of_customers=()), again, NOW)
        await unit_of_work.events.save([cancelled, booked], new_id())
        await unit_of_work.commit()
    found = await office.storage.booking_queries.bookings_of_customer(first.customer_id, None, None, 9)
    assert [each.status for each in found] == [BookingStatus.CONFIRMED, BookingStatus.CANCELLED]


async def test_more_taken_than_there_are_conflicts(office: BoxOffice) -> None:
    state = await office.initialize(1)

    def oversell(decision: Decision[Booking]) -> Decision[Booking]:
        types = tuple(replace(each, taken=2) for each in decision.inventory.ticket_types)
        inventory = replace(decision.inventory, ticket_types=types)
        return replace(decision, inventory=inventory, changed_ticket_types=types)

    command = booking_command(state)
    with pytest.raises(Conflict):
        await office.decide(
            LoadSpec(event_id=state.event.id), lambda inventory: oversell(book(inventory, command, NOW))
        )
    assert await office.read(state) == state


async def test_after_a_conflict_nothing_is_committed(office: BoxOffice) -> None:
    state = await office.initialize(3)
    first = await office.book(state)
    user = new_user()
    blind = booking_command(state, customer_id=first.customer_id)

    async def carry_on() -> None:
        async with office.storage.begin() as unit_of_work:
            await unit_of_work.users.add(user)
            with suppress(StorageFailure):
                await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda each: book(each, blind, NOW))
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await carry_on()
    assert await office.storage.account_queries.user_by_email(user.email) is None


async def test_after_a_statement_that_failed_nothing_is_committed(office: BoxOffice) -> None:
    there, user = new_user(), new_user("other@example.org")

    async def add(*users: User) -> None:
        async with office.storage.begin() as unit_of_work:
            for each in users:
                with suppress(StorageFailure):
                    await unit_of_work.users.add(each)
            await unit_of_work.commit()

    await add(there)
    with pytest.raises(Conflict):
        await add(user, there)
    assert await office.storage.account_queries.user_by_email(user.email) is None


async def test_a_booking_that_stands_already_conflicts(office: BoxOffice) -> None:
    state = await office.initialize(3)
    command = booking_command(state)
    needs = LoadSpec(event_id=state.event.id)
    await office.decide(needs, lambda inventory: book(inventory, command, NOW))
    with pytest.raises(Conflict):
        await office.decide(needs, lambda inventory: book(inventory, command, NOW))


async def test_marks_are_found_where_they_were_committed(office: BoxOffice) -> None:
    state, other = await office.initialize(3), await office.initialize(3)
    mark, lost = new_id(), new_id()
    await office.book(state, mark=mark)
    await office.book(state, mark=lost, commits=False)

    async def holds(last: dict[UUID, int], mark: UUID) -> bool:
        async with office.storage.begin() as unit_of_work:
            return await unit_of_work.events.was_committed(last, mark)

    event_id, seq = state.event.id, state.event.last_seq + 1
    assert await holds({event_id: seq}, mark)
    assert await holds({other.event.id: 1, event_id: seq, new_id(): seq}, mark)
    assert await holds({event_id: seq} | {new_id(): seq for _ in range(50)}, mark)
    assert not await holds({other.event.id: 1}, mark)
    assert not await holds({event_id: seq - 1}, mark)
    assert not await holds({event_id: seq + 1}, mark)
    assert not await holds({event_id: seq}, lost)
    assert not await holds({event_id: seq + 1}, lost)
    assert not await holds({new_id(): seq}, mark)
    assert not await holds({}, mark)


async def test_a_mark_is_found_behind_others_and_where_a_transaction_saved_twice(office: BoxOffice) -> None:
    state = await office.initialize(9)
    mark, seq = new_id(), state.event.last_seq
    async with office.storage.begin() as unit_of_work:
        inventory = (await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        for command in (booking_command(state), booking_command(state)):
            decision = book(inventory, command, NOW)
            await unit_of_work.events.save([decision], mark)
            inventory = decision.inventory
        await unit_of_work.commit()
    await office.book(state, mark=new_id())
    async with office.storage.begin() as unit_of_work:
        assert await unit_of_work.events.was_committed({state.event.id: seq + 2}, mark)
        assert not await unit_of_work.events.was_committed({state.event.id: seq + 3}, mark)


async def test_looking_for_a_mark_waits_for_the_transaction_that_may_write_it(office: BoxOffice) -> None:
    state = await office.initialize(3)
    mark = new_id()

    async def holds() -> bool:
        async with office.storage.begin() as unit_of_work:
            return await unit_of_work.events.was_committed({state.event.id: state.event.last_seq + 1}, mark)

    async with office.storage.begin() as unit_of_work:
        command = booking_command(state)
        needs = LoadSpec(event_id=state.event.id)
        await take(unit_of_work, needs, lambda inventory: book(inventory, command, NOW), mark=mark)
        looking = asyncio.create_task(holds())
        assert not (await asyncio.wait([looking], timeout=0.3))[0]
        await unit_of_work.commit()
    assert await looking


async def test_a_storage_is_ready(storage: Storage) -> None:
    await storage.check_ready()


async def test_accounts_and_sessions_go_with_their_transaction(office: BoxOffice) -> None:
    user = new_user()
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        await unit_of_work.users.add_session(new_session(user), new_digests(), NOW)
    assert await office.account(user.id, None) is None

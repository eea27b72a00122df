"""The turnstile: one lock, many commands, one commit; each answered once, whatever the storage does."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step, unit_of_work
from boxoffice.adapters.memory.unit_of_work import MemoryEventRepository
from boxoffice.application.bookings.cancel_booking import Cancellation
from boxoffice.application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile import command_queue
from boxoffice.application.turnstile.batch import SAVED_FIRST, SAVED_TOGETHER
from boxoffice.application.turnstile.command_queue import ATTEMPTS, MOST_WAITING, Bounds
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.settle import STEP
from boxoffice.domain.event import EventStatus, TicketTypeSpec, WaitingListPolicy
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.refusals import (
    AlreadyBooked,
    AlreadyCancelled,
    CapacityBelowTaken,
    ExceedsCapacity,
    NotFound,
    NotOnSale,
    Refusal,
)
from tests.application.world import ANA, BEN, CLEO, DAN, EVE, ORGANIZER, World, customer

NOWHERE = UUID(int=77)


async def outcomes(*calls: Awaitable[Any]) -> list[Any]:
    """What came of each: the value, or the type of what was raised."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def queued(world: World, *calls: Awaitable[Any]) -> list["asyncio.Task[Any]"]:
    """Start calls in this order until each of them waits in the queue."""
    tasks = []
    for call in calls:
        before = len(world.turnstile._front.queue)
        task = asyncio.ensure_future(call)
        tasks.append(task)
        await asyncio.sleep(0)
        assert len(world.turnstile._front.queue) == before + 1
    return tasks


async def stopped(world: World, step: Step, event_id: UUID) -> tuple["asyncio.Task[Any]", asyncio.Event]:
    """A first booking whose transaction stands still at this step, and what lets it go on."""
    reached, opened = world.faults.gate(step)
    first = asyncio.ensure_future(world.book(event_id, customer(999)))
    await reached.wait()
    return first, opened


def named(world: World, event_id: UUID, booking_id: UUID) -> Awaitable[Cancellation]:
    """Ana cancels the booking with this id, of the event with that one."""
    return world.cancel_booking(Cancel(event_id=event_id, actor=ANA, booking_id=booking_id))


# Together.


async def test_a_lone_command_goes_at_once(world: World) -> None:
    event_id = await world.event()
    world.faults.steps.clear()
    booking = await world.book(event_id, ANA)
    assert booking.status is BookingStatus.CONFIRMED
    assert world.faults.steps == [Step.BEGIN, Step.LOCK, Step.SAVE, Step.COMMIT, Step.COMMITTED]


async def test_all_that_arrived_while_a_transaction_ran_share_the_next_one(world: World) -> None:
    events = [await world.event(2) for _ in range(3)]
    first, opened = await stopped(world, Step.COMMIT, events[0])
    tasks = await queued(world, *(world.book(events[each % 3], customer(each)) for each in range(9)))
    commits = world.faults.count(Step.COMMIT)
    assert not any(task.done() for task in [first, *tasks])
    opened.set()
    await asyncio.gather(first, *tasks)
    assert world.faults.count(Step.COMMIT) == commits + 1
    for event_id in events:
        await world.hold_to_the_facts(event_id)


async def test_nobody_is_answered_before_the_commit(world: World) -> None:
    event_id = await world.event()
    for step in (Step.COMMIT, Step.COMMITTED):
        reached, opened = world.faults.gate(step)
        task = asyncio.ensure_future(world.book(event_id, customer(len(step))))
        await reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        opened.set()
        await task


async def test_commands_are_decided_in_the_order_in_which_they_arrived(world: World) -> None:
    event_id = await world.event(3)
    first, opened = await stopped(world, Step.LOCK, event_id)
    tasks = await queued(world, *(world.book(event_id, customer(each)) for each in range(5)))
    opened.set()
    bookings = [await first, *await asyncio.gather(*tasks)]
    assert [booking.status.value for booking in bookings] == ["confirmed"] * 3 + ["waitlisted"] * 3
    assert [booking.place.position for booking in bookings[3:]] == [1, 2, 3]
    facts = await world.facts(event_id)
    assert [fact.booking_id for fact in facts[1:]] == [booking.id for booking in bookings]


async def test_a_transaction_takes_so_many_commands_at_most() -> None:
    world = World(bounds=Bounds(most_together=2))
    event_id = await world.event(9)
    first, opened = await stopped(world, Step.COMMIT, event_id)
    tasks = await queued(world, *(world.book(event_id, customer(each)) for each in range(5)))
    opened.set()
    await asyncio.gather(first, *tasks)
    assert world.faults.count(Step.COMMITTED) == 1 + 1 + 3


@pytest.mark.parametrize("others", [2, SAVED_TOGETHER])
async def test_a_full_transaction_saves_what_is_decided_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """And each command finds what was decided before it, saved or not. The last go with COMMIT."""
    saves: list[tuple[int, bool]] = []
    save = MemoryEventRepository.save

    async def watched(
        self: MemoryEventRepository, decisions: Sequence[Decision[Any]], mark: UUID, *, more_follow: bool = False
    ) -> None:
        saves.append((len(decisions), more_follow))
        await save(self, decisions, mark, more_follow=more_follow)

    commands = SAVED_FIRST + others
    world = World(bounds=Bounds(least_waiting=MOST_WAITING, most_together=commands))
    event_id = await world.event(commands - 1)
    monkeypatch.setattr(MemoryEventRepository, "save", watched)
    booked = await outcomes(*(world.book(event_id, customer(number)) for number in range(commands)))
    assert saves == [(SAVED_FIRST, True), (others, False)]
    assert [each.queue_number for each in booked[-2:]] == [None, 1]


async def test_a_refusal_fails_its_own_command_only(world: World) -> None:
    event_id = await world.event(2)
    commits = world.faults.count(Step.COMMITTED)
    results = await outcomes(
        world.book(event_id, ANA),
        world.book(event_id, BEN, 3),
        world.book(NOWHERE, CLEO),
        world.book(event_id, DAN),
    )
    assert results[1:3] == [ExceedsCapacity, NotFound]
    assert [results[0].status, results[3].status] == [BookingStatus.CONFIRMED] * 2
    assert world.faults.count(Step.COMMITTED) == commits + 1


async def test_a_batch_of_refusals_writes_nothing(world: World) -> None:
    event_id = await world.event(2)
    saves = world.faults.count(Step.SAVE)
    assert await outcomes(world.book(event_id, ANA, 3), world.book(event_id, BEN, 4)) == [ExceedsCapacity] * 2
    assert world.faults.count(Step.SAVE) == saves


async def test_a_command_that_breaks_fails_alone(world: World) -> None:
    event_id = await world.event(3)

    def broken(inventory: Inventory, command: object, now: datetime) -> Decision[None]:
        raise ZeroDivisionError

    async def break_down() -> None:
        await world.turnstile.admit(None, LoadSpec(event_id=event_id), broken)

    commits = world.faults.count(Step.COMMITTED)
    results = await outcomes(world.book(event_id, ANA), break_down(), world.book(event_id, BEN))
    assert results[1] is ZeroDivisionError
    assert [results[0].status, results[2].status] == [BookingStatus.CONFIRMED] * 2
    assert world.faults.count(Step.COMMITTED) == commits + 1


# What a command sees of those before it in the same transaction.


async def test_a_customer_who_books_twice_at_once_gets_one_booking(world: World) -> None:
    event_id = await world.event(3)
    first, second = await asyncio.gather(world.book(event_id, ANA), world.book(event_id, ANA), return_exceptions=True)
    assert isinstance(first, Booking)
    assert isinstance(second, AlreadyBooked)
    assert second.members == {"bookingId": str(first.id)}
    await world.hold_to_the_facts(event_id)


async def test_a_customer_who_cancels_and_books_at_once_has_a_new_booking(world: World) -> None:
    event_id = await world.event(1)
    old = await world.book(event_id, ANA)
    cancelled, again, late = await asyncio.gather(
        world.cancel(old), world.book(event_id, ANA), world.book(event_id, BEN)
    )
    assert cancelled.booking.status is BookingStatus.CANCELLED
    assert (again.status, late.status) == (BookingStatus.CONFIRMED, BookingStatus.WAITLISTED)
    assert again.id != old.id
    await world.hold_to_the_facts(event_id)


async def test_who_books_and_cancels_at_once_has_nothing(world: World) -> None:
    event_id = await world.event(1)
    booking_id = world.ids.new()
    command = Book(booking_id=booking_id, event_id=event_id, actor=ANA)
    booked, cancelled = await asyncio.gather(world.book_ticket(command), named(world, event_id, booking_id))
    assert booked.id == cancelled.booking.id == booking_id
    assert (await world.state(event_id)).ticket_types[0].available == 1
    await world.hold_to_the_facts(event_id)


async def test_three_cancels_at_once_free_the_tickets_once(world: World) -> None:
    event_id = await world.event(2)
    booking = await world.book(event_id, ANA, 2)
    line = await world.crowd(event_id, 3)
    results = await outcomes(*(world.cancel(booking) for _ in range(3)))
    assert results[0].promoted_count == 2
    assert results[1:] == [AlreadyCancelled] * 2
    assert await world.statuses(line) == ["confirmed", "confirmed", "waitlisted"]
    await world.hold_to_the_facts(event_id)


async def test_ten_cancels_at_once_serve_the_first_ten_in_line(world: World) -> None:
    event_id = await world.event(10)
    holders = await world.crowd(event_id, 10)
    line = await world.crowd(event_id, 15, first=100)
    loads = world.faults.count(Step.LOAD)
    cancelled = await asyncio.gather(*(world.cancel(each) for each in holders))
    assert [each.promoted_count for each in cancelled] == [1] * 10
    assert await world.statuses(line) == ["confirmed"] * 10 + ["waitlisted"] * 5
    assert world.faults.count(Step.LOAD) == loads + 1, "one look at the line for all of them"
    await world.hold_to_the_facts(event_id)


async def test_a_booking_that_was_promoted_in_the_batch_is_cancelled_in_it(world: World) -> None:
    event_id = await world.event(1)
    holder, first, second = [await world.book(event_id, who) for who in (ANA, BEN, CLEO)]
    results = await asyncio.gather(world.cancel(holder), world.cancel(first), world.book(event_id, BEN))
    assert [results[0].promoted_count, results[1].promoted_count] == [1, 1]
    assert await world.statuses([holder, first, second]) == ["cancelled", "cancelled", "confirmed"]
    assert results[2].status is BookingStatus.WAITLISTED
    await world.hold_to_the_facts(event_id)


async def test_who_joined_in_the_batch_is_served_in_it(world: World) -> None:
    event_id = await world.event(1)
    holder = await world.book(event_id, ANA)
    waiting, cancelled = await asyncio.gather(world.book(event_id, BEN), world.cancel(holder))
    assert waiting.status is BookingStatus.WAITLISTED, "as it was when it was decided"
    assert cancelled.promoted_count == 1
    assert await world.statuses([waiting]) == ["confirmed"]
    await world.hold_to_the_facts(event_id)


async def test_an_edit_sees_what_the_batch_decided_before(world: World) -> None:
    event_id = await world.event(5)
    results = await outcomes(
        world.book(event_id, ANA, 3),
        world.edit(event_id, total_tickets=2),
        world.book(event_id, BEN, 4),
        world.edit(event_id, total_tickets=3),
        world.edit(event_id, total_tickets=4),
        world.book(event_id, CLEO, 5),
    )
    assert results[1] is CapacityBelowTaken
    assert results[3] is CapacityBelowTaken, "somebody waits for four"
    assert results[4].ticket_types[0].total_tickets == 4
    assert results[5] is ExceedsCapacity
    await world.hold_to_the_facts(event_id)


async def test_who_comes_after_a_pause_in_the_batch_is_refused(world: World) -> None:
    event_id = await world.event(5)
    results = await outcomes(
        world.book(event_id, ANA), world.edit(event_id, status=EventStatus.PAUSED), world.book(event_id, BEN)
    )
    assert results[2] is NotOnSale
    await world.hold_to_the_facts(event_id)


async def test_commands_of_one_batch_on_several_events_do_not_mix(world: World) -> None:
    one, other = await world.event(1), await world.event(1)
    holder = await world.book(one, ANA)
    results = await outcomes(
        world.book(other, ANA), world.book(one, BEN), world.cancel(holder), world.book(other, BEN), world.book(one, ANA)
    )
    assert [each.status.value for index, each in enumerate(results) if index != 2] == [
        "confirmed",
        "waitlisted",
        "waitlisted",
        "waitlisted",
    ]
    for event_id in (one, other):
        await world.hold_to_the_facts(event_id)


async def test_a_booking_named_with_another_event_is_not_found(world: World) -> None:
    one, other = await world.event(1), await world.event(1)
    booking = await world.book(one, ANA)
    results = await outcomes(named(world, other, booking.id), named(world, NOWHERE, booking.id))
    assert results == [NotFound, NotFound]
    assert await world.statuses([booking]) == ["confirmed"]


async def test_an_event_may_be_booked_in_the_batch_that_makes_it(world: World) -> None:
    ahead = await world.event(1)
    first, opened = await stopped(world, Step.COMMIT, ahead)
    event_id = world.ids.new()
    making, booking = await queued(world, world.event(1, event_id=event_id), world.book(event_id, ANA))
    opened.set()
    await asyncio.gather(first, making)
    assert (await booking).status is BookingStatus.CONFIRMED
    await world.hold_to_the_facts(event_id)


# When the storage refuses or fails.


async def test_a_batch_that_the_schema_refuses_is_redone_one_by_one(world: World) -> None:
    event_id = await world.event(5)
    taken = await world.book(event_id, ANA)
    poisoned = Book(booking_id=taken.id, event_id=event_id, actor=BEN)
    results = await outcomes(
        world.book(event_id, CLEO), world.book_ticket(poisoned), world.book(event_id, DAN), world.book(event_id, EVE, 6)
    )
    assert results[1] is Conflict
    assert results[3] is ExceedsCapacity
    assert [results[0].status, results[2].status] == [BookingStatus.CONFIRMED] * 2
    assert (await world.state(event_id)).ticket_types[0].taken == 3
    await world.hold_to_the_facts(event_id)


async def test_an_event_id_that_is_taken_fails_alone(world: World) -> None:
    event_id = await world.event(5)
    results = await outcomes(world.event(1, event_id=event_id), world.book(event_id, ANA))
    assert results[0] is Conflict
    assert results[1].status is BookingStatus.CONFIRMED
    await world.hold_to_the_facts(event_id)


async def test_a_failure_that_nobody_foresaw_is_told_to_whom_it_concerns(world: World) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.SAVE, OSError("batch"), None, OSError("second"), None)
    results = await outcomes(*(world.book(event_id, customer(each)) for each in range(3)))
    assert [results[0].status, results[1], results[2].status] == [
        BookingStatus.CONFIRMED,
        OSError,
        BookingStatus.CONFIRMED,
    ]
    await world.hold_to_the_facts(event_id)


@pytest.mark.parametrize("step", [Step.BEGIN, Step.LOCK, Step.LOAD, Step.SAVE, Step.COMMIT])
@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
async def test_a_transaction_that_was_undone_is_run_again(world: World, step: Step, times: int) -> None:
    event_id = await world.event(1)
    holder = await world.book(event_id, ANA)
    waiting = await world.book(event_id, BEN)
    world.faults.plan(step, *[Retryable()] * times)
    assert (await world.cancel(holder)).promoted_count == 1
    assert await world.statuses([holder, waiting]) == ["cancelled", "confirmed"]
    await world.hold_to_the_facts(event_id)


async def test_a_transaction_is_run_again_so_often_and_not_more(world: World) -> None:
    event_id = await world.event(1)
    world.faults.plan(Step.COMMIT, *[Retryable()] * ATTEMPTS)
    assert await outcomes(world.book(event_id, ANA)) == [Unavailable]
    assert len(await world.facts(event_id)) == 1
    assert (await world.book(event_id, ANA)).status is BookingStatus.CONFIRMED


async def test_each_attempt_reads_the_clock_and_marks_anew(world: World) -> None:
    event_id = await world.event(1)
    marks = []
    plain = world.ids.new

    def noted() -> UUID:
        marks.append(plain())
        return marks[-1]

    world.ids.new = noted  # type: ignore[method-assign]
    world.faults.plan(Step.SAVE, Retryable(), Retryable())
    await world.book(event_id, ANA)
    assert len(set(marks)) == 1 + 3, "the booking's id and a mark for each attempt"


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_commit_that_was_never_answered_is_looked_up_and_never_done_twice(world: World, is_there: bool) -> None:
    event_id = await world.event(2)
    holder = await world.book(event_id, ANA, 2)
    line = await world.crowd(event_id, 3)
    world.faults.plan(Step.COMMITTED if is_there else Step.COMMIT, OutcomeUnknown())
    saves = world.faults.count(Step.SAVE)
    results = await outcomes(world.cancel(holder), world.book(event_id, DAN), world.book(event_id, BEN, 9))
    assert (results[0].promoted_count, results[0].booking.id) == (2, holder.id)
    assert results[1].status is BookingStatus.WAITLISTED
    assert results[2] is ExceedsCapacity
    assert world.faults.count(Step.SAVE) == saves + (1 if is_there else 2)
    assert await world.statuses([holder, *line, results[1]]) == [
        "cancelled",
        "confirmed",
        "confirmed",
        "waitlisted",
        "waitlisted",
    ]
    await world.hold_to_the_facts(event_id)


async def test_a_new_event_whose_commit_was_never_answered_is_looked_up_too(world: World) -> None:
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    event_id = await world.event(2)
    assert len(await world.facts(event_id)) == 1


async def test_refusals_whose_commit_was_never_answered_are_decided_again(world: World) -> None:
    event_id = await world.event(2)
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert await outcomes(world.book(event_id, ANA, 3)) == [ExceedsCapacity]


@pytest.mark.parametrize("failure", [Retryable(), Unavailable(), Conflict(), OutcomeUnknown()])
async def test_looking_up_a_lost_commit_goes_on_until_there_is_an_answer(world: World, failure: Exception) -> None:
    event_id = await world.event(2)
    holder = await world.book(event_id, ANA)
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    world.faults.plan(Step.BEGIN, None, failure, failure)
    results = await outcomes(world.cancel(holder), world.book(event_id, BEN))
    assert results[0].booking.status is BookingStatus.CANCELLED
    assert results[1].status is BookingStatus.CONFIRMED
    await world.hold_to_the_facts(event_id)


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_cannot_be_looked_up_is_never_done_again(world: World, is_there: bool) -> None:
    event_id = await world.event(2)
    world.faults.plan(Step.COMMITTED if is_there else Step.COMMIT, OutcomeUnknown())
    world.faults.plan(Step.LOCK, None, OSError("no such thing"))
    assert await outcomes(*(world.book(event_id, who) for who in (ANA, BEN))) == [Unavailable] * 2
    assert (await world.state(event_id)).ticket_types[0].taken == (2 if is_there else 0)


@pytest.mark.parametrize("looks_in_vain", [1, 2])
async def test_a_lost_commit_that_arrives_late_is_not_done_again(
    world: World, monkeypatch: pytest.MonkeyPatch, looks_in_vain: int
) -> None:
    """As in a cluster, whose other nodes learn of a commit a little later; whoever wrote meanwhile is undone there."""
    event_id = await world.event(2)
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    world.faults.plan(Step.COMMIT, None, Retryable())
    holds = MemoryEventRepository.holds
    looks = 0

    async def look(inventories: MemoryEventRepository, last: Mapping[UUID, int], mark: UUID) -> bool:
        nonlocal looks
        looks += 1
        return looks > looks_in_vain and await holds(inventories, last, mark)

    monkeypatch.setattr(MemoryEventRepository, "holds", look)
    booking = await world.book(event_id, ANA)
    assert booking.status is BookingStatus.CONFIRMED
    assert looks == looks_in_vain + 1
    assert await world.statuses([booking]) == ["confirmed"]
    await world.hold_to_the_facts(event_id)


async def test_an_outcome_that_stays_unknown_is_given_up_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event_id = await world.event(2)
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    world.faults.plan(Step.BEGIN, None, *[Unavailable()] * 1_000_000)
    monkeypatch.setattr(command_queue, "DEADLINE", 0.02)
    assert await outcomes(world.book(event_id, ANA)) == [Unavailable]


async def test_when_the_storage_is_away_everybody_is_told_also_those_who_wait(world: World) -> None:
    event_id = await world.event(5)
    first, opened = await stopped(world, Step.LOCK, event_id)
    tasks = await queued(world, *(world.book(event_id, customer(each)) for each in range(3)))
    world.faults.plan(Step.LOCK, Unavailable("away", retry_after=7))
    opened.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 4
    assert {result.retry_after for result in results if isinstance(result, Unavailable)} == {7}
    assert (await world.book(event_id, ANA)).status is BookingStatus.CONFIRMED, "and goes on when it is back"


async def test_a_storage_that_goes_away_while_a_batch_is_redone_keeps_what_was_answered(world: World) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.SAVE, OSError("batch"), None, Unavailable())
    results = await outcomes(*(world.book(event_id, customer(each)) for each in range(3)))
    assert results[0].status is BookingStatus.CONFIRMED
    assert results[1:] == [Unavailable] * 2
    await world.hold_to_the_facts(event_id)


async def test_a_storage_that_does_not_answer_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event_id = await world.event(5)
    monkeypatch.setattr(command_queue, "DEADLINE", 0.02)
    first, _ = await stopped(world, Step.LOCK, event_id)
    assert await outcomes(first) == [Unavailable]
    assert await outcomes(world.book(event_id, ANA)) != [Unavailable]


async def test_beyond_the_bound_of_the_queue_the_caller_is_told_to_try_again() -> None:
    world = World(bounds=Bounds(most_waiting=2))
    event_id = await world.event(5)
    first, opened = await stopped(world, Step.LOCK, event_id)
    tasks = await queued(world, world.book(event_id, ANA), world.book(event_id, BEN))
    with pytest.raises(Unavailable, match="Too many"):
        await world.book(event_id, CLEO)
    opened.set()
    assert [booking.status for booking in await asyncio.gather(first, *tasks)] == [BookingStatus.CONFIRMED] * 3
    assert (await world.book(event_id, CLEO)).status is BookingStatus.CONFIRMED


# When somebody else holds an event for too long.


async def test_who_wants_another_event_is_served_all_the_same(world: World) -> None:
    held, other = await world.event(5), await world.event(5)
    world.faults.plan(Step.LOCK, Locked([held]))
    results = await outcomes(world.book(held, ANA), world.book(other, ANA), world.book(held, BEN))
    assert [results[0], results[2]] == [Locked] * 2
    assert results[1].status is BookingStatus.CONFIRMED
    assert (await world.state(held)).ticket_types[0].taken == 0
    await world.hold_to_the_facts(other)


async def test_of_those_who_wait_they_alone_are_told_who_want_what_is_held(world: World) -> None:
    held, other = await world.event(5), await world.event(5)
    world.faults.plan(Step.LOCK, Locked([held]))
    first, opened = await stopped(world, Step.LOCK, held)
    waiting = await queued(world, world.book(other, ANA), world.book(held, ANA), world.book(other, BEN))
    opened.set()
    results = await outcomes(first, *waiting)
    assert [results[0], results[2]] == [Locked] * 2
    assert [results[1].status, results[3].status] == [BookingStatus.CONFIRMED] * 2
    await world.hold_to_the_facts(other)


async def at_the_side(world: World) -> tuple[UUID, UUID, "asyncio.Task[Any]", asyncio.Event]:
    """A held event, another one, a booking of the held one that waits at the side, and what sets the event free."""
    held, other = await world.event(5), await world.event(5)
    world.faults.plan(Step.LOCK, Locked([held]))
    assert await outcomes(world.book(held, ANA)) == [Locked]
    reached, opened = world.faults.gate(Step.LOCK)
    waiting = asyncio.ensure_future(world.book(held, ANA))
    await reached.wait()
    return held, other, waiting, opened


async def test_nobody_waits_behind_those_who_want_what_is_held(world: World) -> None:
    held, other, waiting, opened = await at_the_side(world)
    assert (await world.book(other, ANA)).status is BookingStatus.CONFIRMED
    world.turnstile.settle_soon(held)
    assert (await world.book(other, BEN)).status is BookingStatus.CONFIRMED
    assert not waiting.done()
    opened.set()
    assert (await waiting).status is BookingStatus.CONFIRMED
    for event_id in (held, other):
        await world.settled(event_id)
        await world.hold_to_the_facts(event_id)


async def test_when_it_is_free_again_everybody_passes_as_before_and_in_order(world: World) -> None:
    held, other, waiting, opened = await at_the_side(world)
    behind = [asyncio.ensure_future(world.book(held, customer(each))) for each in range(3)]
    world.turnstile.settle_soon(held)
    await asyncio.sleep(0)
    reached, free = world.faults.gate(Step.BEGIN)
    in_front = asyncio.ensure_future(world.book(other, ANA))
    await reached.wait()
    opened.set()
    booked = [await waiting]
    newcomer = asyncio.ensure_future(world.book(held, BEN))
    await asyncio.sleep(0)
    assert not any(task.done() for task in [*behind, newcomer])
    free.set()
    booked += [*await asyncio.gather(*behind), await newcomer]
    assert [fact.booking_id for fact in (await world.facts(held))[1:]] == [booking.id for booking in booked]
    assert (await in_front).status is BookingStatus.CONFIRMED
    await world.settled(held)
    assert not world.turnstile._held_elsewhere
    await world.hold_to_the_facts(held)


async def test_what_is_still_held_is_said_again_and_to_nobody_else(world: World) -> None:
    held, other, waiting, opened = await at_the_side(world)
    behind = asyncio.ensure_future(world.book(held, BEN))
    await asyncio.sleep(0)
    world.faults.plan(Step.LOCK, Locked([held]))
    opened.set()
    assert await outcomes(waiting, behind) == [Locked] * 2
    assert (await world.book(other, ANA)).status is BookingStatus.CONFIRMED
    assert (await world.book(held, ANA)).status is BookingStatus.CONFIRMED


async def test_who_has_stood_by_is_answered_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_queue, "DEADLINE_OF_BYSTANDERS", 0.02)
    held, other = await world.event(5), await world.event(5)
    world.faults.plan(Step.LOCK, Locked([held]))
    first, opened = await stopped(world, Step.LOCK, held)
    (waiting,) = await queued(world, world.book(other, ANA))
    world.faults.gate(Step.SAVE)
    opened.set()
    assert await outcomes(first, waiting) == [Locked, Unavailable]


async def test_where_nobody_can_say_what_is_held_everybody_is_told(world: World) -> None:
    one, other = await world.event(5), await world.event(5)
    world.faults.plan(Step.LOCK, Locked())
    assert await outcomes(world.book(one, ANA), world.book(other, ANA)) == [Locked] * 2
    assert (await world.book(other, ANA)).status is BookingStatus.CONFIRMED


async def test_closing_lets_those_at_the_side_through_too(world: World) -> None:
    held, _, waiting, opened = await at_the_side(world)
    behind = asyncio.ensure_future(world.book(held, BEN))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(world.turnstile.close())
    await asyncio.sleep(0)
    assert not closing.done()
    opened.set()
    await closing
    assert [task.result().status for task in (waiting, behind)] == [BookingStatus.CONFIRMED] * 2


async def test_a_lock_that_cannot_be_had_names_its_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_of_work, "LOCK_WAIT", 0.02)
    held, other = await world.event(5), await world.event(5)
    async with world.storage.begin() as somebody_else:
        await somebody_else.events.lock([LoadSpec(event_id=held)])
        results = await outcomes(world.book(other, ANA), world.book(held, ANA), world.book(NOWHERE, ANA))
        assert (results[0].status, *results[1:]) == (BookingStatus.CONFIRMED, Locked, NotFound)
    assert (await world.book(held, ANA)).status is BookingStatus.CONFIRMED


# Those who go away.


async def test_a_command_whose_caller_went_away_in_the_queue_is_not_executed(world: World) -> None:
    event_id = await world.event(5)
    first, opened = await stopped(world, Step.LOCK, event_id)
    gone, stays = await queued(world, world.book(event_id, ANA), world.book(event_id, BEN))
    gone.cancel()
    opened.set()
    await asyncio.gather(first, stays)
    assert await outcomes(gone) == [asyncio.CancelledError]
    assert (await world.state(event_id)).ticket_types[0].taken == 2


async def test_a_queue_of_callers_who_all_went_away_is_no_transaction(world: World) -> None:
    event_id = await world.event(5)
    first, opened = await stopped(world, Step.LOCK, event_id)
    tasks = await queued(world, world.book(event_id, ANA), world.book(event_id, BEN))
    for task in tasks:
        task.cancel()
    opened.set()
    await first
    begun = world.faults.count(Step.BEGIN)
    await world.settled(event_id)
    assert world.faults.count(Step.BEGIN) == begun
    assert (await world.state(event_id)).ticket_types[0].taken == 1


async def test_a_caller_who_goes_away_during_the_transaction_spoils_it_for_nobody(world: World) -> None:
    event_id = await world.event(5)
    reached, opened = world.faults.gate(Step.SAVE)
    gone, stays = [asyncio.ensure_future(world.book(event_id, who)) for who in (ANA, BEN)]
    await reached.wait()
    gone.cancel()
    opened.set()
    assert (await stays).status is BookingStatus.CONFIRMED
    assert (await world.state(event_id)).ticket_types[0].taken == 2
    await world.hold_to_the_facts(event_id)


async def test_closing_lets_everybody_through_who_waits_and_nobody_after_them(world: World) -> None:
    event_id = await world.event(5)
    first, opened = await stopped(world, Step.LOCK, event_id)
    waiting = await queued(world, world.book(event_id, ANA))
    closing = asyncio.ensure_future(world.turnstile.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="shutting down"):
        await world.book(event_id, BEN)
    world.turnstile.settle_soon(event_id)
    assert len(world.turnstile._front.queue) == 1, "a step is left for the next start"
    opened.set()
    await closing
    assert [task.result().status for task in (first, *waiting)] == [BookingStatus.CONFIRMED] * 2
    with pytest.raises(Unavailable):
        await world.book(event_id, BEN)


async def test_closing_what_stands_still_is_done_at_once(world: World) -> None:
    await world.turnstile.close()
    await world.turnstile.close()


async def test_when_the_process_is_torn_down_those_inside_are_told(world: World) -> None:
    event_id = await world.event(5)
    first, _ = await stopped(world, Step.LOCK, event_id)
    waiting = await queued(world, world.book(event_id, ANA))
    runner = world.turnstile._front.runner
    assert runner is not None
    runner.cancel()
    assert await outcomes(first, *waiting) == [Unavailable, Unavailable]
    await asyncio.wait([runner])
    assert (await world.book(event_id, ANA)).status is BookingStatus.CONFIRMED


# Bounded transactions, and what follows behind the answer.


async def crowded(world: World, line: int, **details: Any) -> tuple[UUID, list[Booking]]:
    """One ticket taken, and a line of so many behind it."""
    event_id = await world.event(1, **details)
    await world.book(event_id, ANA)
    return event_id, await world.crowd(event_id, line)


@pytest.mark.parametrize("policy", list(WaitingListPolicy))
async def test_more_tickets_than_one_step_serves_follow_behind_the_answer(
    world: World, policy: WaitingListPolicy
) -> None:
    event_id, line = await crowded(world, 2 * STEP + 10, waiting_list_policy=policy)
    commits = world.faults.count(Step.COMMITTED)
    _, opened = world.faults.gate(Step.BEGIN, skip=1)
    told = await world.edit(event_id, total_tickets=2 * STEP + 6)
    assert world.faults.count(Step.COMMITTED) == commits + 1
    assert await world.statuses(line) == ["confirmed"] * STEP + ["waitlisted"] * (STEP + 10)
    opened.set()
    assert told.event.is_unsettled
    assert told.ticket_types[0].taken == 1 + STEP
    assert told.is_sold_out(world.clock.now())
    await world.settled(event_id)
    assert world.faults.count(Step.COMMITTED) == commits + 3
    assert await world.statuses(line) == ["confirmed"] * (2 * STEP + 5) + ["waitlisted"] * 5
    await world.hold_to_the_facts(event_id)


@pytest.mark.parametrize("policy", list(WaitingListPolicy))
async def test_who_comes_while_the_line_is_still_served_stands_behind_it(
    world: World, policy: WaitingListPolicy
) -> None:
    event_id, line = await crowded(world, STEP + 5, waiting_list_policy=policy)
    _, newcomer = await asyncio.gather(world.edit(event_id, total_tickets=STEP + 20), world.book(event_id, BEN))
    assert newcomer.status is BookingStatus.WAITLISTED
    await world.settled(event_id)
    assert await world.statuses([*line, newcomer]) == ["confirmed"] * (STEP + 6)
    await world.hold_to_the_facts(event_id)


async def test_a_cancelled_event_lets_everybody_go_behind_the_answer(world: World) -> None:
    event_id, line = await crowded(world, 2 * STEP + 5)
    commits = world.faults.count(Step.COMMITTED)
    _, opened = world.faults.gate(Step.BEGIN, skip=1)
    told = await world.edit(event_id, status=EventStatus.CANCELLED)
    assert (told.event.status, told.event.is_unsettled) == (EventStatus.CANCELLED, True)
    statuses = await world.statuses(line)
    assert statuses.count("waitlisted") == STEP + 6
    trying = asyncio.ensure_future(world.cancel(line[-1]))
    opened.set()
    assert await outcomes(trying) == [AlreadyCancelled]
    await world.settled(event_id)
    assert set(await world.statuses(line)) == {"cancelled"}
    assert world.faults.count(Step.COMMITTED) >= commits + 3
    await world.hold_to_the_facts(event_id)


async def test_a_completed_event_lets_those_go_who_wait(world: World) -> None:
    event_id, line = await crowded(world, STEP + 5)
    await world.edit(event_id, status=EventStatus.COMPLETED)
    state = await world.settled(event_id)
    assert set(await world.statuses(line)) == {"cancelled"}
    assert state.ticket_types[0].taken == 1
    await world.hold_to_the_facts(event_id)


async def test_a_batch_that_has_moved_a_whole_step_leaves_the_rest_for_the_next_in_order(world: World) -> None:
    event_id, line = await crowded(world, STEP)
    other = await world.event(3)
    commits = world.faults.count(Step.COMMITTED)
    first, opened = await stopped(world, Step.COMMIT, other)
    tasks = await queued(
        world,
        world.edit(event_id, total_tickets=STEP + 1),
        world.book(other, BEN),
        world.book(other, CLEO),
        world.book(other, DAN),
    )
    opened.set()
    await first
    edited, *booked = await asyncio.gather(*tasks)
    assert edited.ticket_types[0].taken == STEP + 1
    assert [booking.status.value for booking in booked] == ["confirmed", "confirmed", "waitlisted"]
    assert world.faults.count(Step.COMMITTED) == commits + 3
    assert set(await world.statuses(line)) == {"confirmed"}


async def test_those_who_were_left_for_the_next_go_before_those_who_came_later(world: World) -> None:
    event_id, _ = await crowded(world, STEP)
    other = await world.event(2)
    first, opened = await stopped(world, Step.COMMIT, other)
    tasks = await queued(world, world.edit(event_id, total_tickets=STEP + 1), world.book(other, BEN))
    reached, open_step = world.faults.gate(Step.SAVE)
    opened.set()
    await reached.wait()
    tasks += await queued(world, world.book(other, CLEO))
    open_step.set()
    _, before, after = await asyncio.gather(*tasks)
    assert (before.status, after.status) == (BookingStatus.CONFIRMED, BookingStatus.WAITLISTED)
    assert (await first).status is BookingStatus.CONFIRMED


async def crash_behind(world: World, event_id: UUID, **changes: Any) -> World:
    """Edit an event, end the process right behind the answer, and be the next process on its storage."""
    reached, _ = world.faults.gate(Step.COMMIT, skip=1)
    await world.edit(event_id, **changes)
    await reached.wait()
    runner = world.turnstile._front.runner
    assert runner is not None
    runner.cancel()
    await asyncio.wait([runner])
    after = World(world.storage, ids=world.ids)
    assert (await after.state(event_id)).event.is_unsettled
    return after


@pytest.mark.parametrize("status", [None, EventStatus.CANCELLED])
async def test_what_a_crash_left_undone_is_resumed(world: World, status: EventStatus | None) -> None:
    event_id, line = await crowded(world, 2 * STEP + 5)
    changes: dict[str, Any] = {"total_tickets": 3 * STEP} if status is None else {"status": status}
    after = await crash_behind(world, event_id, **changes)
    assert await after.resume() == 1
    await after.settled(event_id)
    assert set(await after.statuses(line)) == {"confirmed" if status is None else "cancelled"}
    await after.hold_to_the_facts(event_id)
    assert await after.resume() == 0


async def test_a_command_on_an_event_that_was_left_undone_takes_it_up_too(world: World) -> None:
    event_id, line = await crowded(world, STEP + 5)
    after = await crash_behind(world, event_id, total_tickets=STEP + 4)
    await after.book(event_id, EVE)
    await after.settled(event_id)
    assert await after.statuses(line) == ["confirmed"] * (STEP + 3) + ["waitlisted"] * 2


async def test_a_cancel_on_an_event_that_was_left_undone_serves_what_is_left(world: World) -> None:
    event_id, line = await crowded(world, STEP + 5)
    after = await crash_behind(world, event_id, total_tickets=STEP + 4)
    cancelled = await after.cancel(line[0])
    assert cancelled.promoted_count == 4
    assert await after.statuses(line) == ["cancelled"] + ["confirmed"] * (STEP + 3) + ["waitlisted"]
    assert not (await after.state(event_id)).event.is_unsettled


async def test_an_edit_that_changes_nothing_goes_on_with_what_was_left_undone(world: World) -> None:
    event_id, line = await crowded(world, STEP + 5)
    after = await crash_behind(world, event_id, total_tickets=STEP + 6)
    told = await after.edit(event_id)
    assert (told.event.is_unsettled, told.event.version) == (False, 2)
    assert set(await after.statuses(line)) == {"confirmed"}


async def test_promoting_on_its_own_is_not_done_before_the_line_is_served(world: World) -> None:
    event_id, line = await crowded(world, 2 * STEP + 5)
    after = await crash_behind(world, event_id, total_tickets=3 * STEP)
    reached, opened = after.faults.gate(Step.BEGIN, skip=1)
    promoting = asyncio.ensure_future(after.promote(event_id))
    await reached.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not promoting.done()
    opened.set()
    await promoting
    assert set(await after.statuses(line)) == {"confirmed"}


async def test_all_that_was_left_undone_is_found_however_much_it_is(world: World) -> None:
    for number in range(250):
        world.storage._tables.unsettled[UUID(int=number)] = None
    assert await world.resume() == 250
    assert len(world.turnstile._front.queue) == 250
    await world.idle()


async def test_a_step_that_was_turned_away_may_be_asked_for_again(world: World) -> None:
    event_id = await world.event(1)
    first, opened = await stopped(world, Step.LOCK, event_id)
    world.turnstile.settle_soon(event_id)
    world.faults.plan(Step.LOCK, Unavailable())
    opened.set()
    assert await outcomes(first) == [Unavailable]
    world.turnstile.settle_soon(event_id)
    assert len(world.turnstile._front.queue) == 1
    await world.settled(event_id)


async def test_promoting_on_its_own_goes_on_until_nobody_more_can_be_served(world: World) -> None:
    event_id, line = await crowded(world, 2 * STEP + 5)
    after = await crash_behind(world, event_id, total_tickets=3 * STEP)
    promoted = await after.promote(event_id)
    assert STEP <= promoted <= STEP + 5, "steps behind an answer may serve the rest first"
    assert set(await after.statuses(line)) == {"confirmed"}
    assert await after.promote(event_id) == 0
    with pytest.raises(NotFound):
        await after.promote(NOWHERE)


async def test_steps_behind_an_answer_are_asked_for_once(world: World) -> None:
    event_id = await world.event(1)
    first, opened = await stopped(world, Step.LOCK, event_id)
    for _ in range(5):
        world.turnstile.settle_soon(event_id)
    assert len(world.turnstile._front.queue) == 1
    opened.set()
    await first
    await world.settled(event_id)
    world.turnstile.settle_soon(event_id)
    assert len(world.turnstile._front.queue) == 1
    await world.settled(event_id)


async def test_a_step_of_an_event_that_does_not_exist_is_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    event_id = await world.event(1)
    world.turnstile.settle_soon(NOWHERE)
    assert (await world.book(event_id, ANA)).status is BookingStatus.CONFIRMED
    assert caplog.records == []


async def test_a_step_that_the_storage_refuses_is_left_for_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    event_id, _ = await crowded(world, STEP + 5)
    world.faults.plan(Step.SAVE, None, None, Unavailable())
    await world.edit(event_id, total_tickets=STEP + 6)
    await world.idle()
    assert (await world.state(event_id)).event.is_unsettled
    assert caplog.records == []
    assert await world.resume() == 1
    await world.settled(event_id)


async def test_a_step_that_breaks_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    event_id, _ = await crowded(world, STEP + 5)
    world.faults.plan(Step.SAVE, None, None, ZeroDivisionError())
    await world.edit(event_id, total_tickets=STEP + 6)
    await world.idle()
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [(logging.ERROR, True)]


async def test_an_event_that_cannot_be_settled_is_not_tried_for_ever(world: World) -> None:
    event_id = await world.event(1)
    booking = await world.book(event_id, ANA)
    tables = world.storage._tables
    # A counter that tells of a booking which is not there: nothing can be closed, although something should be.
    only = next(iter(tables.ticket_types[event_id].values()))
    tables.ticket_types[event_id][only.id] = replace(only, waiting=1, waiting_tickets=1)
    commits = world.faults.count(Step.COMMITTED)
    told = await world.edit(event_id, status=EventStatus.CANCELLED)
    await world.idle()
    assert told.event.is_unsettled
    assert world.faults.count(Step.COMMITTED) == commits + 1
    assert await world.statuses([booking]) == ["cancelled"]
    assert await world.promote(event_id) == 0


# Lines that were loaded too narrowly.


async def test_a_new_policy_in_the_batch_has_the_line_loaded_again(world: World) -> None:
    event_id = await world.event(4)
    holder = await world.book(event_id, ANA, 4)
    big, pair = await world.book(event_id, BEN, 3), await world.book(event_id, CLEO, 2)
    _, _, cancelled = await asyncio.gather(
        world.edit(event_id, waiting_list_policy=WaitingListPolicy.FILL, total_tickets=5),
        world.edit(event_id, total_tickets=4),
        world.cancel(holder),
    )
    assert cancelled.promoted_count == 1
    assert await world.statuses([big, pair]) == ["confirmed", "waitlisted"]
    _, left = await asyncio.gather(
        world.edit(event_id, waiting_list_policy=WaitingListPolicy.STRICT), world.cancel(big)
    )
    assert left.promoted_count == 1
    await world.hold_to_the_facts(event_id)


async def test_more_tickets_in_the_batch_than_the_line_was_loaded_for(world: World) -> None:
    event_id = await world.event(2, waiting_list_policy=WaitingListPolicy.FILL)
    holder = await world.book(event_id, ANA, 2)
    await world.edit(event_id, total_tickets=6)
    taken = await world.book(event_id, EVE, 4)
    line = [await world.book(event_id, who, quantity) for who, quantity in [(BEN, 6), (CLEO, 3), (DAN, 1)]]
    await asyncio.gather(world.edit(event_id, total_tickets=7), world.cancel(holder))
    assert await world.statuses([*line, taken]) == ["waitlisted", "waitlisted", "confirmed", "confirmed"]
    await asyncio.gather(world.cancel(taken), world.edit(event_id, total_tickets=9))
    assert await world.statuses(line) == ["confirmed", "waitlisted", "confirmed"]
    await world.hold_to_the_facts(event_id)


async def test_several_types_are_served_side_by_side(world: World) -> None:
    event_id = await world.event(
        types=[TicketTypeSpec(name="Stalls", total_tickets=1), TicketTypeSpec(name="Balcony", total_tickets=1)]
    )
    stalls, balcony = [each.id for each in (await world.state(event_id)).ticket_types]
    holders = [await world.book(event_id, ANA, 1, kind) for kind in (stalls, balcony)]
    line = [await world.book(event_id, who, 1, kind) for who in (BEN, CLEO) for kind in (stalls, balcony)]
    await asyncio.gather(*(world.cancel(each) for each in holders))
    assert await world.statuses(line) == ["confirmed", "confirmed", "waitlisted", "waitlisted"]
    await world.edit(event_id, status=EventStatus.PAUSED)
    for each in line[:2]:
        await world.cancel(each)
    assert await world.statuses(line[2:]) == ["waitlisted"] * 2
    await world.edit(event_id, status=EventStatus.ON_SALE)
    assert await world.statuses(line[2:]) == ["confirmed"] * 2
    await world.hold_to_the_facts(event_id)


async def test_the_organizer_cancels_beside_customers(world: World) -> None:
    event_id = await world.event(1)
    holder = await world.book(event_id, ANA)
    first, second = await world.book(event_id, BEN), await world.book(event_id, CLEO)
    results = await outcomes(world.cancel(holder, ORGANIZER), world.cancel(holder), world.cancel(first, CLEO))
    assert results[0].promoted_count == 1
    assert results[1:] == [AlreadyCancelled, NotFound]
    assert await world.statuses([first, second]) == ["confirmed", "waitlisted"]
    assert issubclass(results[1], Refusal)

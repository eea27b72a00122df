"""The turnstile: one lock, many commands, one commit; each answered once, however the storage fails."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step, transaction
from boxoffice.adapters.memory.repositories import MemoryEventRepository
from boxoffice.application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile import command_queue
from boxoffice.application.turnstile.command_queue import ATTEMPTS
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.settle import STEP
from boxoffice.domain.event import EventStatus
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.refusals import (
    CapacityBelowTaken,
    ExceedsCapacity,
    NotFound,
    NotOnSale,
)
from tests.application.fake_app import ANA, BEN, CLEO, DAN, EVE, FakeApp, customer

NOWHERE = UUID(int=77)


async def outcomes(*calls: Awaitable[Any]) -> list[Any]:
    """The result of each: the value, or the type of the exception."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def queued(app: FakeApp, *calls: Awaitable[Any]) -> list["asyncio.Task[Any]"]:
    """Start calls in this order; each waits in the queue."""
    tasks = []
    for call in calls:
        before = app.turnstile.waiting
        tasks.append(asyncio.ensure_future(call))
        await asyncio.sleep(0)
        assert app.turnstile.waiting == before + 1
    return tasks


async def stopped(app: FakeApp, step: Step, event_id: UUID) -> tuple["asyncio.Task[Any]", asyncio.Event]:
    """A first booking whose transaction stops at this step, and the event that lets it go on."""
    reached, opened = app.faults.gate(step)
    first = asyncio.ensure_future(app.book(event_id, customer(999)))
    await reached.wait()
    return first, opened


# Together.


async def test_a_lone_command_does_not_wait(app: FakeApp) -> None:
    event_id = await app.event()
    app.faults.steps.clear()
    booking = await app.book(event_id, ANA)
    assert booking.status is BookingStatus.CONFIRMED
    assert app.faults.steps == [Step.BEGIN, Step.LOCK, Step.SAVE, Step.COMMIT, Step.COMMITTED]


async def test_commands_that_arrive_during_a_transaction_share_the_next_one_in_their_order(app: FakeApp) -> None:
    events = [await app.event(2) for _ in range(3)]
    first, opened = await stopped(app, Step.COMMIT, events[0])
    tasks = await queued(app, *(app.book(events[each % 3], customer(each)) for each in range(9)))
    commits = app.faults.count(Step.COMMIT)
    assert not any(task.done() for task in [first, *tasks])
    opened.set()
    bookings = [await first, *await asyncio.gather(*tasks)]
    assert app.faults.count(Step.COMMIT) == commits + 1
    facts = await app.facts(events[0])
    assert [fact.booking_id for fact in facts[1:]] == [each.id for each in bookings if each.event_id == events[0]]
    await app.check_promises()


async def test_commands_are_answered_after_the_commit(app: FakeApp) -> None:
    event_id = await app.event()
    for step in (Step.COMMIT, Step.COMMITTED):
        reached, opened = app.faults.gate(step)
        task = asyncio.ensure_future(app.book(event_id, customer(len(step))))
        await reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        opened.set()
        await task


async def test_a_command_that_is_refused_or_breaks_fails_alone(app: FakeApp) -> None:
    event_id = await app.event(2)

    def broken(inventory: Inventory, command: object, now: datetime) -> Decision[None]:
        raise ZeroDivisionError

    async def break_down() -> None:
        await app.turnstile.admit(None, LoadSpec(event_id=event_id), broken)

    commits = app.faults.count(Step.COMMITTED)
    results = await outcomes(
        app.book(event_id, ANA),
        app.book(event_id, BEN, 3),
        app.book(NOWHERE, CLEO),
        break_down(),
        app.book(event_id, DAN),
    )
    assert results[1:4] == [ExceedsCapacity, NotFound, ZeroDivisionError]
    assert [results[0].status, results[4].status] == [BookingStatus.CONFIRMED] * 2
    assert app.faults.count(Step.COMMITTED) == commits + 1
    saves = app.faults.count(Step.SAVE)
    assert await outcomes(app.book(event_id, ANA, 3), app.book(event_id, BEN, 4)) == [ExceedsCapacity] * 2
    assert app.faults.count(Step.SAVE) == saves, "a batch of refusals writes nothing"


# What a command sees of those before it in the same transaction. The tests of histories have all interleavings.


async def test_an_edit_sees_what_the_batch_decided_before(app: FakeApp) -> None:
    event_id = await app.event(5)
    results = await outcomes(
        app.book(event_id, ANA, 3),
        app.edit(event_id, total_tickets=2),
        app.book(event_id, BEN, 4),
        app.edit(event_id, total_tickets=3),
        app.edit(event_id, total_tickets=4),
        app.book(event_id, CLEO, 5),
        app.edit(event_id, status=EventStatus.PAUSED),
        app.book(event_id, DAN),
    )
    assert results[1] is CapacityBelowTaken
    assert results[3] is CapacityBelowTaken, "a booking waits for four"
    assert results[4].ticket_types[0].total_tickets == 4
    assert results[5] is ExceedsCapacity
    assert results[7] is NotOnSale
    await app.check_promises()


# When the storage refuses or fails.


async def test_a_batch_that_the_schema_refuses_is_redone_one_by_one(app: FakeApp) -> None:
    event_id = await app.event(5)
    taken = await app.book(event_id, ANA)
    poisoned = Book(booking_id=taken.id, event_id=event_id, actor=BEN)
    results = await outcomes(
        app.book(event_id, CLEO),
        app.book_ticket(poisoned),
        app.event(1, event_id=event_id),
        app.book(event_id, DAN),
        app.book(event_id, EVE, 6),
    )
    assert results[1:3] == [Conflict, Conflict]
    assert results[4] is ExceedsCapacity
    assert [results[0].status, results[3].status] == [BookingStatus.CONFIRMED] * 2
    assert (await app.state(event_id)).ticket_types[0].taken == 3
    await app.check_promises()


async def test_an_unexpected_failure_fails_only_the_commands_that_cause_it(app: FakeApp) -> None:
    event_id = await app.event(5)
    app.faults.plan(Step.SAVE, OSError("batch"), None, OSError("second"), None)
    results = await outcomes(*(app.book(event_id, customer(each)) for each in range(3)))
    assert results[1] is OSError
    assert [results[0].status, results[2].status] == [BookingStatus.CONFIRMED] * 2
    app.faults.plan(Step.SAVE, OSError("batch"), None, Unavailable())
    results = await outcomes(*(app.book(event_id, customer(each)) for each in range(10, 13)))
    assert results[0].status is BookingStatus.CONFIRMED
    assert results[1:] == [Unavailable] * 2
    await app.check_promises()


@pytest.mark.parametrize("step", [Step.BEGIN, Step.LOCK, Step.LOAD, Step.SAVE, Step.COMMIT])
@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
async def test_a_transaction_that_was_undone_is_run_again(app: FakeApp, step: Step, times: int) -> None:
    event_id = await app.event(1)
    holder = await app.book(event_id, ANA)
    waiting = await app.book(event_id, BEN)
    app.faults.plan(step, *[Retryable()] * times)
    assert (await app.cancel(holder)).promoted_count == 1
    assert await app.statuses([holder, waiting]) == ["cancelled", "confirmed"]
    await app.check_promises()


async def test_the_number_of_attempts_is_bounded_and_each_has_a_mark_of_its_own(app: FakeApp) -> None:
    event_id = await app.event(1)
    app.faults.plan(Step.COMMIT, *[Retryable()] * ATTEMPTS)
    assert await outcomes(app.book(event_id, ANA)) == [Unavailable]
    assert len(await app.facts(event_id)) == 1
    first = app.ids.new()
    app.faults.plan(Step.SAVE, Retryable(), Retryable())
    assert (await app.book(event_id, ANA)).status is BookingStatus.CONFIRMED
    assert app.ids.new().int == first.int + 1 + 1 + 3, "the booking's id and a mark for each attempt"


@pytest.mark.parametrize("is_there", [True, False])
async def test_an_unanswered_commit_is_looked_up_and_never_done_twice(app: FakeApp, is_there: bool) -> None:
    event_id = await app.event(2)
    holder = await app.book(event_id, ANA, 2)
    line = await app.crowd(event_id, 3)
    app.faults.plan(Step.COMMITTED if is_there else Step.COMMIT, OutcomeUnknown())
    saves = app.faults.count(Step.SAVE)
    results = await outcomes(app.cancel(holder), app.book(event_id, DAN), app.book(event_id, BEN, 9))
    assert (results[0].promoted_count, results[0].booking.id) == (2, holder.id)
    assert results[1].status is BookingStatus.WAITLISTED
    assert results[2] is ExceedsCapacity
    assert app.faults.count(Step.SAVE) == saves + (1 if is_there else 2)
    assert await app.statuses([holder, *line, results[1]]) == [
        "cancelled",
        "confirmed",
        "confirmed",
        "waitlisted",
        "waitlisted",
    ]
    await app.check_promises()


@pytest.mark.parametrize("failure", [Retryable(), Unavailable(), Conflict(), OutcomeUnknown()])
async def test_an_unanswered_commit_is_looked_up_until_the_storage_answers(app: FakeApp, failure: Exception) -> None:
    event_id = await app.event(2)
    holder = await app.book(event_id, ANA)
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    app.faults.plan(Step.BEGIN, None, failure, failure)
    results = await outcomes(app.cancel(holder), app.book(event_id, BEN))
    assert results[0].booking.status is BookingStatus.CANCELLED
    assert results[1].status is BookingStatus.CONFIRMED
    await app.check_promises()


@pytest.mark.parametrize("is_there", [True, False])
async def test_an_unanswered_commit_that_cannot_be_looked_up_is_never_done_again(app: FakeApp, is_there: bool) -> None:
    event_id = await app.event(2)
    app.faults.plan(Step.COMMITTED if is_there else Step.COMMIT, OutcomeUnknown())
    app.faults.plan(Step.LOCK, None, OSError("no such thing"))
    assert await outcomes(*(app.book(event_id, who) for who in (ANA, BEN))) == [Unavailable] * 2
    assert (await app.state(event_id)).ticket_types[0].taken == (2 if is_there else 0)


@pytest.mark.parametrize("looks_in_vain", [1, 2])
async def test_an_unanswered_commit_that_arrives_late_is_not_done_again(
    app: FakeApp, monkeypatch: pytest.MonkeyPatch, looks_in_vain: int
) -> None:
    """As in a cluster whose other nodes learn of a commit later and undo what was written meanwhile."""
    event_id = await app.event(2)
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    app.faults.plan(Step.COMMIT, None, Retryable())
    holds = MemoryEventRepository.was_committed
    looks = 0

    async def look(inventories: MemoryEventRepository, last: Mapping[UUID, int], mark: UUID) -> bool:
        nonlocal looks
        looks += 1
        return looks > looks_in_vain and await holds(inventories, last, mark)

    monkeypatch.setattr(MemoryEventRepository, "was_committed", look)
    booking = await app.book(event_id, ANA)
    assert booking.status is BookingStatus.CONFIRMED
    assert looks == looks_in_vain + 1
    assert await app.statuses([booking]) == ["confirmed"]
    await app.check_promises()


async def test_a_storage_that_does_not_answer_is_given_up(app: FakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    event_id = await app.event(5)
    monkeypatch.setattr(command_queue, "DEADLINE", 0.02)
    first, _ = await stopped(app, Step.LOCK, event_id)
    assert await outcomes(first) == [Unavailable]
    assert (await app.book(event_id, ANA)).status is BookingStatus.CONFIRMED
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    app.faults.plan(Step.BEGIN, None, *[Unavailable()] * 1_000_000)
    assert await outcomes(app.book(event_id, BEN)) == [Unavailable]


# When another process holds an event for too long.


async def test_a_held_event_fails_only_the_commands_for_it(app: FakeApp) -> None:
    held, other = await app.event(5), await app.event(5)
    app.faults.plan(Step.LOCK, Locked([held]))
    first, opened = await stopped(app, Step.LOCK, held)
    waiting = await queued(app, app.book(other, ANA), app.book(held, ANA), app.book(other, BEN))
    opened.set()
    results = await outcomes(first, *waiting)
    assert [results[0], results[2]] == [Locked] * 2
    assert [results[1].status, results[3].status] == [BookingStatus.CONFIRMED] * 2
    app.faults.plan(Step.LOCK, Locked([held]))
    results = await outcomes(app.book(held, ANA), app.book(other, CLEO), app.book(held, BEN))
    assert [results[0], results[2]] == [Locked] * 2
    assert results[1].status is BookingStatus.CONFIRMED, "in the same batch"
    await app.check_promises()


async def at_the_side(app: FakeApp) -> tuple[UUID, UUID, "asyncio.Task[Any]", asyncio.Event]:
    """A held event, another one, a booking of the held one in the side queue, and what sets the event free."""
    held, other = await app.event(5), await app.event(5)
    app.faults.plan(Step.LOCK, Locked([held]))
    assert await outcomes(app.book(held, ANA)) == [Locked]
    reached, opened = app.faults.gate(Step.LOCK)
    waiting = asyncio.ensure_future(app.book(held, ANA))
    await reached.wait()
    return held, other, waiting, opened


async def test_commands_for_other_events_do_not_wait_behind_a_held_one(app: FakeApp) -> None:
    held, other, waiting, opened = await at_the_side(app)
    assert (await app.book(other, ANA)).status is BookingStatus.CONFIRMED
    app.turnstile.settle_soon(held)
    assert (await app.book(other, BEN)).status is BookingStatus.CONFIRMED
    assert not waiting.done()
    opened.set()
    assert (await waiting).status is BookingStatus.CONFIRMED
    for event_id in (held, other):
        await app.settled(event_id)
        await app.check_promises()


async def test_commands_for_a_held_event_keep_their_order_when_it_is_free_again(app: FakeApp) -> None:
    held, other, waiting, opened = await at_the_side(app)
    behind = [asyncio.ensure_future(app.book(held, customer(each))) for each in range(3)]
    app.turnstile.settle_soon(held)
    await asyncio.sleep(0)
    reached, free = app.faults.gate(Step.BEGIN)
    in_front = asyncio.ensure_future(app.book(other, ANA))
    await reached.wait()
    opened.set()
    booked = [await waiting]
    newcomer = asyncio.ensure_future(app.book(held, BEN))
    await asyncio.sleep(0)
    assert not any(task.done() for task in [*behind, newcomer])
    free.set()
    booked += [*await asyncio.gather(*behind), await newcomer]
    assert [fact.booking_id for fact in (await app.facts(held))[1:]] == [booking.id for booking in booked]
    assert (await in_front).status is BookingStatus.CONFIRMED
    await app.settled(held)
    await app.check_promises()


async def test_where_the_held_event_is_unknown_the_whole_batch_fails(app: FakeApp) -> None:
    one, other = await app.event(5), await app.event(5)
    app.faults.plan(Step.LOCK, Locked())
    assert await outcomes(app.book(one, ANA), app.book(other, ANA)) == [Locked] * 2
    assert (await app.book(other, ANA)).status is BookingStatus.CONFIRMED


async def test_a_lock_that_cannot_be_had_names_its_event(app: FakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "LOCK_WAIT", 0.02)
    held, other = await app.event(5), await app.event(5)
    async with app.storage.begin() as other_process:
        await other_process.events.lock([LoadSpec(event_id=held)])
        results = await outcomes(app.book(other, ANA), app.book(held, ANA), app.book(NOWHERE, ANA))
        assert (results[0].status, *results[1:]) == (BookingStatus.CONFIRMED, Locked, NotFound)
    assert (await app.book(held, ANA)).status is BookingStatus.CONFIRMED


# Callers that disappear.


async def test_a_command_whose_caller_is_cancelled_in_the_queue_is_not_executed(app: FakeApp) -> None:
    event_id = await app.event(5)
    first, opened = await stopped(app, Step.LOCK, event_id)
    gone, stays = await queued(app, app.book(event_id, ANA), app.book(event_id, BEN))
    gone.cancel()
    opened.set()
    await asyncio.gather(first, stays)
    assert await outcomes(gone) == [asyncio.CancelledError]
    assert (await app.state(event_id)).ticket_types[0].taken == 2
    reached, opened = app.faults.gate(Step.LOCK)
    second = asyncio.ensure_future(app.book(event_id, CLEO))
    await reached.wait()
    for task in await queued(app, app.book(event_id, DAN), app.book(event_id, EVE)):
        task.cancel()
    begun = app.faults.count(Step.BEGIN)
    opened.set()
    await second
    await app.idle()
    assert app.faults.count(Step.BEGIN) == begun, "a queue without callers is no transaction"


async def test_closing_executes_waiting_commands_and_refuses_later_ones(app: FakeApp) -> None:
    await FakeApp().turnstile.close()
    event_id = await app.event(5)
    first, opened = await stopped(app, Step.LOCK, event_id)
    waiting = await queued(app, app.book(event_id, ANA))
    closing = asyncio.ensure_future(app.turnstile.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="shutting down"):
        await app.book(event_id, BEN)
    app.turnstile.settle_soon(event_id)
    assert app.turnstile.waiting == 1, "a step is left for the next start"
    opened.set()
    await closing
    assert [task.result().status for task in (first, *waiting)] == [BookingStatus.CONFIRMED] * 2
    with pytest.raises(Unavailable):
        await app.book(event_id, BEN)


async def test_when_the_event_loop_cancels_its_tasks_pending_commands_fail(app: FakeApp) -> None:
    event_id = await app.event(5)
    first, _ = await stopped(app, Step.LOCK, event_id)
    waiting = await queued(app, app.book(event_id, ANA))
    for task in asyncio.all_tasks() - {asyncio.current_task(), first, *waiting}:
        task.cancel()
    assert await outcomes(first, *waiting) == [Unavailable, Unavailable]
    await app.idle()
    assert (await app.book(event_id, ANA)).status is BookingStatus.CONFIRMED


# Bounded transactions, and steps after the answer.


async def crowded(app: FakeApp, line: int, **details: Any) -> tuple[UUID, list[Booking]]:
    """One ticket is taken, and so many bookings wait."""
    event_id = await app.event(1, **details)
    await app.book(event_id, ANA)
    return event_id, await app.crowd(event_id, line)


async def test_after_a_whole_step_the_rest_of_a_batch_is_decided_in_the_next_in_order(app: FakeApp) -> None:
    event_id, line = await crowded(app, STEP)
    other = await app.event(3)
    commits = app.faults.count(Step.COMMITTED)
    first, opened = await stopped(app, Step.COMMIT, other)
    tasks = await queued(
        app,
        app.edit(event_id, total_tickets=STEP + 1),
        app.book(other, BEN),
        app.book(other, CLEO),
        app.book(other, DAN),
    )
    opened.set()
    await first
    edited, *booked = await asyncio.gather(*tasks)
    assert edited.ticket_types[0].taken == STEP + 1
    assert [booking.status.value for booking in booked] == ["confirmed", "confirmed", "waitlisted"]
    assert app.faults.count(Step.COMMITTED) == commits + 3
    assert set(await app.statuses(line)) == {"confirmed"}


async def crash_behind(app: FakeApp, event_id: UUID, **changes: Any) -> FakeApp:
    """Edit an event; the process ends right after the answer. Returns the next process on its storage."""
    app.faults.plan(Step.BEGIN, None, Unavailable())
    await app.edit(event_id, **changes)
    await app.idle()
    after = FakeApp(app.storage, ids=app.ids)
    assert (await after.state(event_id)).event.is_unsettled
    return after


@pytest.mark.parametrize("status", [None, EventStatus.CANCELLED])
async def test_steps_that_a_crash_left_are_resumed(app: FakeApp, status: EventStatus | None) -> None:
    event_id, line = await crowded(app, 2 * STEP + 5)
    changes: dict[str, Any] = {"total_tickets": 3 * STEP} if status is None else {"status": status}
    after = await crash_behind(app, event_id, **changes)
    assert await after.resume() == 1
    await after.settled(event_id)
    assert set(await after.statuses(line)) == {"confirmed" if status is None else "cancelled"}
    await after.check_promises()
    assert await after.resume() == 0


async def test_promoting_an_event_returns_after_its_last_step(app: FakeApp) -> None:
    event_id, line = await crowded(app, 2 * STEP + 5)
    after = await crash_behind(app, event_id, total_tickets=3 * STEP)
    reached, opened = after.faults.gate(Step.BEGIN, skip=1)
    promoting = asyncio.ensure_future(after.promote(event_id))
    await reached.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not promoting.done()
    opened.set()
    assert STEP <= await promoting <= STEP + 5, "steps after an answer may promote the rest first"
    assert set(await after.statuses(line)) == {"confirmed"}
    assert await after.promote(event_id) == 0
    with pytest.raises(NotFound):
        await after.promote(NOWHERE)


async def test_an_event_has_one_step_in_the_queue(app: FakeApp) -> None:
    event_id = await app.event(1)
    first, opened = await stopped(app, Step.LOCK, event_id)
    for _ in range(5):
        app.turnstile.settle_soon(event_id)
    assert app.turnstile.waiting == 1
    app.faults.plan(Step.LOCK, Unavailable())
    opened.set()
    assert await outcomes(first) == [Unavailable]
    for _ in range(2):
        app.turnstile.settle_soon(event_id)
        assert app.turnstile.waiting == 1, "after a failure, and after a success"
        await app.settled(event_id)


@pytest.mark.parametrize(("failure", "logged"), [(Unavailable(), []), (ZeroDivisionError(), [logging.ERROR])])
async def test_a_step_that_fails_is_left_for_later(
    app: FakeApp, caplog: pytest.LogCaptureFixture, failure: Exception, logged: list[int]
) -> None:
    event_id, _ = await crowded(app, STEP + 5)
    app.turnstile.settle_soon(NOWHERE)
    app.faults.plan(Step.SAVE, None, None, failure)
    await app.edit(event_id, total_tickets=STEP + 6)
    await app.idle()
    assert (await app.state(event_id)).event.is_unsettled
    assert [record.levelno for record in caplog.records if record.exc_info] == logged
    assert len(caplog.records) == len(logged)
    assert await app.resume() == 1
    await app.settled(event_id)


async def test_an_event_that_cannot_be_settled_is_not_tried_forever(app: FakeApp) -> None:
    event_id = await app.event(1)
    booking = await app.book(event_id, ANA)
    tables = app.tables
    # The counter of the waiting list is wrong: nothing can be closed, although something should be.
    only = next(iter(tables.ticket_types[event_id].values()))
    tables.ticket_types[event_id][only.id] = replace(only, waiting=1, waiting_tickets=1)
    commits = app.faults.count(Step.COMMITTED)
    edited = await app.edit(event_id, status=EventStatus.CANCELLED)
    await app.idle()
    assert edited.event.is_unsettled
    assert app.faults.count(Step.COMMITTED) == commits + 1
    assert await app.statuses([booking]) == ["cancelled"]
    assert await app.promote(event_id) == 0


# Waiting lists of which too little was loaded.

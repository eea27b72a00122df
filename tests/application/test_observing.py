"""What whoever watches the turnstile is told: each transaction once, and why others came to nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background.verify_promises import PROMISES, NoteVerdict, Verdict
from boxoffice.application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.observability import Backlog, BatchStats, Overload, Trouble, Verified
from boxoffice.application.turnstile.command_queue import ATTEMPTS
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.refusals import AlreadyBooked
from boxoffice.domain.replay import Breach
from tests.application.world import ANA, BEN, CLEO, NOW, World, customer


class Watcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.arrived = 0
        self.batches: list[Sequence[object]] = []
        self.is_inside = False
        self.passages: list[BatchStats] = []
        self.failures: list[tuple[Trouble, int]] = []
        self.overloads: list[Overload] = []

    def arriving(self) -> object:
        self.arrived += 1
        return self.arrived

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:
        self.batches.append(marks)
        return self._inside()

    def passed(self, passage: BatchStats) -> None:
        assert self.is_inside
        self.passages.append(passage)

    def failed(self, trouble: Trouble, commands: int) -> None:
        assert self.is_inside
        self.failures.append((trouble, commands))

    def overloaded(self, queue: Overload) -> None:
        self.overloads.append(queue)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        assert not self.is_inside
        self.is_inside = True
        try:
            yield
        finally:
            self.is_inside = False


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def world(watcher: Watcher) -> World:
    return World(observer=watcher)


async def test_each_transaction_is_told_once_with_what_it_recorded(world: World, watcher: Watcher) -> None:
    event_id = await world.event(2)
    watcher.passages.clear()
    await world.book(event_id, ANA)
    reached, opened = world.faults.gate(Step.COMMIT)
    first = asyncio.ensure_future(world.book(event_id, BEN))
    await reached.wait()
    others = [asyncio.ensure_future(world.book(event_id, who)) for who in (CLEO, ANA, customer(1))]
    await asyncio.sleep(0)
    assert world.turnstile.waiting == 3
    opened.set()
    await asyncio.gather(first, *others, return_exceptions=True)
    assert world.turnstile.waiting == 0
    assert [passage.commands for passage in watcher.passages] == [1, 1, 3]
    booked = [[one.status for each in passage.decisions for one in each.booked] for passage in watcher.passages]
    assert booked == [[BookingStatus.CONFIRMED], [BookingStatus.CONFIRMED], [BookingStatus.WAITLISTED] * 2]
    assert [list(map(type, passage.refused)) for passage in watcher.passages] == [[], [], [AlreadyBooked]]
    assert watcher.failures == []


async def test_a_promotion_is_told_with_the_cancellation_that_made_it(world: World, watcher: Watcher) -> None:
    event_id = await world.event(1)
    booking = await world.book(event_id, ANA)
    await world.book(event_id, BEN)
    watcher.passages.clear()
    await world.cancel(booking)
    (passage,) = watcher.passages
    changes = [(change.after.status, change.is_promotion) for each in passage.decisions for change in each.changed]
    assert changes == [(BookingStatus.CANCELLED, False), (BookingStatus.CONFIRMED, True)]


async def test_a_batch_comes_with_the_marks_of_its_commands(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    reached, opened = world.faults.gate(Step.LOCK)
    watcher.batches.clear()
    watcher.arrived = 0
    first = asyncio.ensure_future(world.book(event_id, ANA))
    await reached.wait()
    others = [asyncio.ensure_future(world.book(event_id, customer(each))) for each in range(3)]
    await asyncio.sleep(0)
    world.turnstile.settle_soon(event_id)
    opened.set()
    await asyncio.gather(first, *others)
    assert watcher.batches == [[1], [2, 3, 4, None]]


async def test_the_lock_takes_part_of_the_time(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    watcher.passages.clear()
    loop = asyncio.get_running_loop()
    reached, opened = world.faults.gate(Step.LOCK)
    booking = asyncio.ensure_future(world.book(event_id, ANA))
    await reached.wait()
    loop.call_later(0.05, opened.set)
    await booking
    (passage,) = watcher.passages
    assert 0.04 < passage.lock_seconds <= passage.seconds


async def test_an_event_that_is_new_needs_no_lock(world: World, watcher: Watcher) -> None:
    await world.event(5)
    assert [passage.lock_seconds for passage in watcher.passages] == [0.0]


@pytest.mark.parametrize(
    ("step", "failure", "trouble"),
    [
        (Step.LOCK, Retryable(), Trouble.UNDONE),
        (Step.COMMIT, OutcomeUnknown(), Trouble.UNKNOWN),
        (Step.COMMITTED, OutcomeUnknown(), Trouble.UNKNOWN),
        (Step.SAVE, Conflict(), Trouble.CONFLICT),
        (Step.COMMIT, Conflict(), Trouble.CONFLICT),
    ],
)
async def test_what_is_done_again_is_told_with_its_cause(
    world: World, watcher: Watcher, step: Step, failure: Exception, trouble: Trouble
) -> None:
    event_id = await world.event(5)
    watcher.passages.clear()
    world.faults.plan(step, failure)
    await world.book(event_id, ANA)
    assert watcher.failures == [(trouble, 1)]
    assert [passage.commands for passage in watcher.passages] == [1]
    assert [len(passage.decisions) for passage in watcher.passages] == [1]


async def test_a_mistake_is_told(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.SAVE, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await world.book(event_id, ANA)
    assert watcher.failures == [(Trouble.ERROR, 1)]


async def test_an_event_that_somebody_holds_is_told(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.LOCK, Locked([event_id]))
    with pytest.raises(Locked):
        await world.book(event_id, ANA)
    assert watcher.failures == [(Trouble.LOCKED, 1)]


async def test_a_database_that_is_away_is_told(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.BEGIN, Unavailable("away"))
    with pytest.raises(Unavailable):
        await world.book(event_id, ANA)
    assert watcher.failures == [(Trouble.AWAY, 1)]


async def test_one_that_is_undone_again_and_again_is_told_as_often(world: World, watcher: Watcher) -> None:
    event_id = await world.event(5)
    world.faults.plan(Step.LOCK, *[Retryable()] * ATTEMPTS)
    with pytest.raises(Unavailable):
        await world.book(event_id, ANA)
    assert watcher.failures == [(Trouble.UNDONE, 1)] * ATTEMPTS + [(Trouble.AWAY, 1)]


async def test_what_became_of_each_promise_is_noted(world: World) -> None:
    await NoteVerdict(world.storage, world.clock)(Verdict(2, 3, 4, [Breach(5, "late"), Breach(5, "later")]))
    noted = await world.storage.statistics.verified()
    assert noted == [Verified(promise, 2 if promise == 5 else 0, NOW) for promise in PROMISES]


@pytest.mark.parametrize(
    ("since", "age"), [(None, 0.0), (NOW - timedelta(seconds=90), 90.0), (NOW + timedelta(seconds=1), 0.0)]
)
def test_a_backlog_is_as_old_as_its_oldest(since: datetime | None, age: float) -> None:
    assert Backlog(1, since).age(NOW) == age

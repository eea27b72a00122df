"""What the turnstile reports to its observer: each transaction once, and why others failed."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background.verify_promises import PROMISES, NoteVerdict, Verdict
from boxoffice.application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.observability import Backlog, Trouble, Verified
from boxoffice.application.turnstile.command_queue import ATTEMPTS
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.refusals import AlreadyBooked
from boxoffice.domain.replay.event_replay import Breach
from tests.application.fake_app import ANA, BEN, CLEO, NOW, FakeApp, customer


async def test_each_transaction_is_reported_once_with_its_decisions(app: FakeApp) -> None:
    event_id = await app.event(2)
    app.watcher.passages.clear()
    await app.book(event_id, ANA)
    reached, opened = app.faults.gate(Step.COMMIT)
    first = asyncio.ensure_future(app.book(event_id, BEN))
    await reached.wait()
    others = [asyncio.ensure_future(app.book(event_id, who)) for who in (CLEO, ANA, customer(1))]
    await asyncio.sleep(0)
    assert app.turnstile.waiting == 3
    opened.set()
    await asyncio.gather(first, *others, return_exceptions=True)
    assert app.turnstile.waiting == 0
    assert [passage.commands for passage in app.watcher.passages] == [1, 1, 3]
    booked = [[one.status for each in passage.decisions for one in each.booked] for passage in app.watcher.passages]
    assert booked == [[BookingStatus.CONFIRMED], [BookingStatus.CONFIRMED], [BookingStatus.WAITLISTED] * 2]
    assert [list(map(type, passage.refused)) for passage in app.watcher.passages] == [[], [], [AlreadyBooked]]
    assert app.watcher.failures == []


async def test_the_time_of_the_lock_is_part_of_the_whole(app: FakeApp) -> None:
    event_id = await app.event(5)
    assert [passage.lock_seconds for passage in app.watcher.passages] == [0.0], "a new event needs no lock"
    app.watcher.passages.clear()
    loop = asyncio.get_running_loop()
    reached, opened = app.faults.gate(Step.LOCK)
    booking = asyncio.ensure_future(app.book(event_id, ANA))
    await reached.wait()
    loop.call_later(0.05, opened.set)
    await booking
    (passage,) = app.watcher.passages
    assert 0.04 < passage.lock_seconds <= passage.seconds


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
async def test_a_transaction_that_is_repeated_is_reported_with_its_cause(
    app: FakeApp, step: Step, failure: Exception, trouble: Trouble
) -> None:
    event_id = await app.event(5)
    app.watcher.passages.clear()
    app.faults.plan(step, failure)
    await app.book(event_id, ANA)
    assert app.watcher.failures == [(trouble, 1)]
    assert [passage.commands for passage in app.watcher.passages] == [1]
    assert [len(passage.decisions) for passage in app.watcher.passages] == [1]


@pytest.mark.parametrize(
    ("failures", "reported"),
    [
        ([ZeroDivisionError()] * 2, [Trouble.ERROR]),
        ([Locked([UUID(int=1_000_000)])], [Trouble.LOCKED]),
        ([Unavailable("away")], [Trouble.AWAY]),
        ([Retryable()] * ATTEMPTS, [*[Trouble.UNDONE] * ATTEMPTS, Trouble.AWAY]),
    ],
    ids=["error", "locked", "away", "undone"],
)
async def test_a_transaction_that_fails_is_reported_with_its_cause(
    app: FakeApp, failures: list[Exception], reported: list[Trouble]
) -> None:
    event_id = await app.event(5, event_id=UUID(int=1_000_000))
    app.faults.plan(Step.LOCK, *failures)
    with pytest.raises((ZeroDivisionError, Unavailable)):
        await app.book(event_id, ANA)
    assert app.watcher.failures == [(trouble, 1) for trouble in reported]


async def test_the_verdict_on_each_promise_is_stored(app: FakeApp) -> None:
    await NoteVerdict(app.storage, app.clock)(Verdict(2, 3, 4, [Breach(5, "late"), Breach(5, "later")]))
    noted = await app.storage.statistics.verified()
    assert noted == [Verified(promise, 2 if promise == 5 else 0, NOW) for promise in PROMISES]


@pytest.mark.parametrize(
    ("since", "age"), [(None, 0.0), (NOW - timedelta(seconds=90), 90.0), (NOW + timedelta(seconds=1), 0.0)]
)
def test_a_backlog_is_as_old_as_its_oldest(since: datetime | None, age: float) -> None:
    assert Backlog(1, since).age(NOW) == age


async def test_without_an_observer_nothing_is_reported() -> None:
    app = FakeApp(observer=None)
    event_id = await app.event(5)
    app.faults.plan(Step.LOCK, Retryable())
    assert (await app.book(event_id, ANA)).status is BookingStatus.CONFIRMED

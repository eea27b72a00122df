"""Limits on requests: a sliding minute, in bounded memory, shared by processes without a round trip per request."""

import asyncio
from datetime import UTC, datetime

import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.limits.rate_limits import (
    AT_ONCE,
    UNSHARED_DIVISOR,
    Counter,
    Limit,
    RequestLimits,
    ShareCounts,
)
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.refusals import TooManyRequests
from tests.application.fake_app import CountedIds, FakeApp
from tests.settable_clock import SettableClock

FEW = Limit("few", 10)
MANY = Limit("many", 200)
OTHERS = Limit("others", 200)


BEGINNING = datetime.fromtimestamp(60 * 31_000_000, UTC)
"""The beginning of a minute."""


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(BEGINNING)


def let_through(counter: Counter, subject: str, attempts: int) -> int:
    """How many of so many attempts pass before one is refused."""
    through = 0
    for _ in range(attempts):
        try:
            counter(subject)
        except TooManyRequests:
            break
        through += 1
    return through


def refused_for(counter: Counter, subject: str) -> int:
    with pytest.raises(TooManyRequests) as refusal:
        counter(subject)
    return refusal.value.retry_after


def test_each_subject_has_the_whole_limit(clock: SettableClock) -> None:
    counter, few = Counter(MANY, clock.seconds), MANY.most // UNSHARED_DIVISOR
    assert sum(let_through(counter, "ada", 1) for _ in range(few)) == few
    counter("ben")
    assert let_through(counter, "ada", 1_000) == MANY.most - few
    assert let_through(counter, "ben", 1_000) == MANY.most - 1


@pytest.mark.parametrize("phase", [0.0, 31.5, 59.9])
@pytest.mark.parametrize("used", [0, 7, 10])
def test_a_request_passes_after_retry_after_and_not_much_earlier(clock: SettableClock, phase: float, used: int) -> None:
    counter = Counter(FEW, clock.seconds)
    assert let_through(counter, "ada", used) == used
    if used < FEW.most:
        clock.travel(seconds=60)
        # What lies in the minute before counts less and less.
    clock.travel(seconds=phase)
    let_through(counter, "ada", 50)
    for _ in range(5):
        seconds = refused_for(counter, "ada")
        assert 1 <= seconds <= 120
        if seconds > 2:
            clock.travel(seconds=seconds - 2)
            assert refused_for(counter, "ada") <= 2
            clock.travel(seconds=2)
        else:
            clock.travel(seconds=seconds)
        assert let_through(counter, "ada", 50) >= 1


def test_no_sliding_minute_has_many_more_requests_than_the_limit(clock: SettableClock) -> None:
    counter = Counter(MANY, clock.seconds)
    passed: list[float] = []
    for _ in range(5_000):
        try:
            counter("ada")
        except TooManyRequests:
            pass
        else:
            passed.append(clock.seconds())
        clock.travel(seconds=0.05)
    for begins in passed:
        assert sum(begins <= each < begins + 60 for each in passed) <= 1.25 * MANY.most
    # 250 seconds are a bit more than four minutes.
    assert len(passed) > 3.5 * MANY.most


def test_the_limit_is_free_again_after_two_minutes_or_when_the_clock_is_set_back(clock: SettableClock) -> None:
    counter = Counter(MANY, clock.seconds)
    clock.travel(seconds=59.9)
    assert let_through(counter, "ada", 1_000) == 200
    clock.travel(seconds=0.2)
    assert let_through(counter, "ada", 1_000) <= 1, "at the seam of two minutes"
    for seconds in (120, -3_600):
        clock.travel(seconds=seconds)
        assert let_through(counter, "ada", 1_000) == 200


def test_the_number_of_counted_subjects_is_bounded(clock: SettableClock) -> None:
    counter = Counter(FEW, clock.seconds, most_subjects=100)
    let_through(counter, "ada", 10)
    for number in range(100):
        let_through(counter, f"stranger {number}", 3)
    assert let_through(counter, "ada", 10) == 10, "the oldest was forgotten"
    for number in range(99):
        counter(f"stranger {number}")
    refused_for(counter, "ada")
    assert len(counter.take_unshared(1_000)) == 100


def test_subjects_that_send_little_displace_no_one_that_sends_much(clock: SettableClock) -> None:
    counter = Counter(MANY, clock.seconds, most_subjects=100)
    let_through(counter, "ada", 1_000)
    let_through(counter, "ben", 10)
    for number in range(100):
        counter(f"stranger {number}")
    assert let_through(counter, "ben", 1_000) == MANY.most, "those that send little are forgotten together"
    refused_for(counter, "ada")


class Processes:
    """Processes on one storage in memory, each with its counts."""

    def __init__(self, clock: SettableClock, processes: int, *limits: Limit) -> None:
        self.storage = MemoryStorage()
        ids = CountedIds()
        self.limits = [RequestLimits(clock.seconds, limits=limits) for _ in range(processes)]
        self.shares = [ShareCounts(each, self.storage, ids) for each in self.limits]

    async def share(self) -> None:
        """Two rounds of each, so that the first one gets the counts of the last."""
        for _ in range(2):
            for share in self.shares:
                await share()


async def test_processes_share_one_limit(clock: SettableClock) -> None:
    service = Processes(clock, 4, MANY)
    through = [0, 0, 0, 0]
    for _ in range(20):
        for number, limits in enumerate(service.limits):
            through[number] += let_through(limits[MANY], "ada", 5)
        await asyncio.gather(*(share() for share in service.shares))
        await service.share()
    assert 200 <= sum(through) <= 200 + 3 * (5 + MANY.most // UNSHARED_DIVISOR)
    clock.travel(seconds=20)
    for limits in service.limits:
        # The others have the rest of what is not worth telling.
        assert let_through(limits[MANY], "ada", 200) <= MANY.most // UNSHARED_DIVISOR


@pytest.mark.parametrize("is_first_used_again", [False, True])
async def test_another_process_learns_of_the_last_second_of_the_minute_before(
    clock: SettableClock, is_first_used_again: bool
) -> None:
    service = Processes(clock, 2, MANY)
    first, second = (limits[MANY] for limits in service.limits)
    clock.travel(seconds=59.9)
    let_through(first, "ada", 1_000)
    clock.travel(seconds=0.2)
    if is_first_used_again:
        first("ben")
    await service.share()
    let_through(second, "ada", 15)
    await service.share()
    assert let_through(second, "ada", 1_000) == 0


async def test_while_the_database_is_away_requests_are_counted_and_shared_later(clock: SettableClock) -> None:
    service = Processes(clock, 2, MANY)
    first, second = (limits[MANY] for limits in service.limits)
    await service.share()

    async def away(step: Step) -> None:
        raise Unavailable("away")

    service.storage.fault = away
    assert let_through(first, "ada", 190) == 190
    with pytest.raises(Unavailable):
        await service.shares[0]()
    service.storage.fault = None
    let_through(second, "ada", 11)
    await service.share()
    assert let_through(second, "ada", 1_000) == 0


async def test_a_round_shares_a_bounded_number_of_counts(clock: SettableClock) -> None:
    service = Processes(clock, 1, FEW)
    for number in range(AT_ONCE + 10):
        let_through(service.limits[0][FEW], str(number), 2)
    assert [await service.shares[0]() for _ in range(3)] == [AT_ONCE, 10, 0]


async def test_counts_are_stored_without_names_for_two_minutes(clock: SettableClock) -> None:
    app = FakeApp()
    limits = RequestLimits(clock.seconds, limits=[FEW])
    share = ShareCounts(limits, app.storage, app.ids)
    for _ in range(5):
        let_through(limits[FEW], "192.0.2.7", 5)
        await share()
        clock.travel(seconds=60)
    assert len(app.tables.counts) <= 3
    assert all(key.bytes != b"192.0.2.7" and len(key.bytes) == 16 for _, key, _ in app.tables.counts)


def test_counts_that_could_not_be_shared_are_kept_within_bounds(clock: SettableClock) -> None:
    counter = Counter(MANY, clock.seconds, most_subjects=2)
    for subject in ("ada", "ben", "cleo"):
        let_through(counter, subject, 50)
        counter.put_back(counter.take_unshared(10))
    untold = counter.take_unshared(10)
    let_through(counter, "dan", 50)
    counter.put_back(untold)
    untold = counter.take_unshared(10)
    assert len(untold) == 2
    counter.put_back(untold)
    clock.travel(seconds=180)
    let_through(counter, "ben", 50)
    assert [each.subject for each in counter.take_unshared(10)] == ["ben"], "older counts no longer matter"

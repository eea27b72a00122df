"""Limits on requests: a sliding minute, in bounded memory, shared by processes without a round trip for a request."""

import asyncio

import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.limits.rate_limits import (
    AT_ONCE,
    NOT_WORTH_TELLING,
    Counter,
    Limit,
    RequestLimits,
    ShareCounts,
)
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.refusals import TooManyRequests
from tests.application.world import CountedIds

FEW = Limit("few", 10)
MANY = Limit("many", 200)
OTHERS = Limit("others", 200)


class Watch:
    """Shows the seconds that it was set to: at first the beginning of a minute."""

    def __init__(self) -> None:
        self.seconds = 60.0 * 31_000_000

    def __call__(self) -> float:
        return self.seconds

    def travel(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def let_through(counter: Counter, subject: str, attempts: int) -> int:
    """How many of these get through; those that do come first."""
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


def test_as_many_as_the_limit_says_and_each_subject_for_itself(watch: Watch) -> None:
    counter = Counter(FEW, watch)
    assert let_through(counter, "ada", 50) == 10
    assert let_through(counter, "ben", 50) == 10
    watch.travel(30)
    assert refused_for(counter, "ada") > 0


def test_nothing_is_forgotten_of_whoever_begins_slowly(watch: Watch) -> None:
    counter, few = Counter(MANY, watch), MANY.most // NOT_WORTH_TELLING
    assert sum(let_through(counter, "ada", 1) for _ in range(few)) == few
    counter("ben")
    assert let_through(counter, "ada", 1_000) == MANY.most - few


@pytest.mark.parametrize("sent", [1, MANY.most // NOT_WORTH_TELLING, MANY.most // 2, MANY.most])
def test_the_minute_before_counts_whether_much_or_little_was_sent(watch: Watch, sent: int) -> None:
    counter = Counter(MANY, watch)
    assert let_through(counter, "ada", sent) == sent
    watch.travel(60)
    assert let_through(counter, "ada", 1_000) == MANY.most - sent
    watch.travel(120)
    assert let_through(counter, "ada", 1_000) == MANY.most


@pytest.mark.parametrize("phase", [0.0, 10.0, 31.5, 57.9, 59.9])
@pytest.mark.parametrize("used", [0, 7, 10])
def test_whoever_waits_as_told_gets_through_and_not_much_earlier(watch: Watch, phase: float, used: int) -> None:
    counter = Counter(FEW, watch)
    assert let_through(counter, "ada", used) == used
    if used < FEW.most:
        watch.travel(60)
        # What lies in the minute before counts less and less.
    watch.travel(phase)
    let_through(counter, "ada", 50)
    for _ in range(5):
        seconds = refused_for(counter, "ada")
        assert 1 <= seconds <= 120
        if seconds > 2:
            watch.travel(seconds - 2)
            assert refused_for(counter, "ada") <= 2
            watch.travel(2)
        else:
            watch.travel(seconds)
        assert let_through(counter, "ada", 50) >= 1


def test_a_limit_that_was_used_up_at_once_is_there_again_after_a_minute(watch: Watch) -> None:
    counter = Counter(FEW, watch)
    watch.travel(20)
    let_through(counter, "ada", 10)
    assert refused_for(counter, "ada") == 41


def test_no_minute_has_many_more_than_the_limit_wherever_it_begins(watch: Watch) -> None:
    counter = Counter(MANY, watch)
    passed: list[float] = []
    for _ in range(5_000):
        try:
            counter("ada")
        except TooManyRequests:
            pass
        else:
            passed.append(watch.seconds)
        watch.travel(0.05)
    for begins in passed:
        assert sum(begins <= each < begins + 60 for each in passed) <= 1.25 * MANY.most
    # Whoever is refused is let through again as time goes by: 250 seconds are a bit more than four minutes.
    assert len(passed) > 3.5 * MANY.most


def test_a_burst_at_the_seam_of_two_minutes_is_no_way_around(watch: Watch) -> None:
    counter = Counter(MANY, watch)
    watch.travel(59.9)
    assert let_through(counter, "ada", 1_000) == 200
    watch.travel(0.2)
    assert let_through(counter, "ada", 1_000) <= 1


def test_after_two_quiet_minutes_nothing_is_left(watch: Watch) -> None:
    counter = Counter(FEW, watch)
    let_through(counter, "ada", 10)
    watch.travel(120)
    assert let_through(counter, "ada", 50) == 10


def test_a_clock_that_is_set_back_holds_nobody_up_for_long(watch: Watch) -> None:
    counter = Counter(FEW, watch)
    watch.travel(3_600)
    let_through(counter, "ada", 10)
    watch.travel(-3_600)
    assert let_through(counter, "ada", 50) == 10


def test_memory_is_bounded_however_many_come(watch: Watch) -> None:
    counter = Counter(FEW, watch, most_subjects=100)
    for _ in range(3):
        for number in range(1_000):
            let_through(counter, f"stranger {number}", 3)
        watch.travel(60)
    assert len(counter._tallies) <= 100
    assert len(counter._minute_before) <= 100
    assert len(counter._untold) <= 300
    # Those that came last are still counted.
    let_through(counter, "ada", 10)
    for number in range(99):
        counter(f"stranger {number}")
    refused_for(counter, "ada")


def test_memory_is_bounded_however_many_come_who_send_little(watch: Watch) -> None:
    counter = Counter(MANY, watch, most_subjects=100)
    let_through(counter, "ada", 1_000)
    for _ in range(2):
        for number in range(1_000):
            let_through(counter, f"stranger {number}", 3)
            assert len(counter._few) <= 100
        refused_for(counter, "ada")
        watch.travel(1)
    assert len(counter._tallies) == 1, "strangers forget nobody who sends much"
    watch.travel(60)
    counter("ben")
    assert len(counter._few_before) <= 100


class Office:
    """Processes over one storage in memory, each with its counts."""

    def __init__(self, watch: Watch, processes: int, *limits: Limit) -> None:
        self.storage = MemoryStorage()
        self.steps: list[Step] = []
        ids = CountedIds()
        self.limits = [RequestLimits(watch, limits=limits) for _ in range(processes)]
        self.shares = [ShareCounts(each, self.storage, ids) for each in self.limits]

    async def share(self) -> None:
        """A round of each, and another one, so that the first has heard of the last."""
        for _ in range(2):
            for share in self.shares:
                await share()


async def test_processes_keep_to_one_limit_together(watch: Watch) -> None:
    office = Office(watch, 4, MANY)
    through = [0, 0, 0, 0]
    for _ in range(20):
        for number, limits in enumerate(office.limits):
            through[number] += let_through(limits[MANY], "ada", 5)
        await office.share()
    assert 200 <= sum(through) <= 200 + 3 * (5 + MANY.most // NOT_WORTH_TELLING)
    watch.travel(20)
    for limits in office.limits:
        # Those who did not hear of it from themselves have the rest of what is not worth telling.
        assert let_through(limits[MANY], "ada", 200) <= MANY.most // NOT_WORTH_TELLING


async def test_the_bound_on_what_gets_through_in_the_worst_case(watch: Watch) -> None:
    processes = 8
    office = Office(watch, processes, MANY)
    unheard = MANY.most // NOT_WORTH_TELLING
    # All but one stay just below what they tell; the one takes the whole limit.
    through = sum(let_through(limits[MANY], "ada", unheard) for limits in office.limits[1:])
    await office.share()
    through += let_through(office.limits[0][MANY], "ada", 1_000)
    await office.share()
    # Each other one hears of it in the round after its next request.
    through += sum(let_through(limits[MANY], "ada", 1) for limits in office.limits[1:])
    await office.share()
    assert through == MANY.most + (processes - 1) * (unheard + 1)
    assert sum(let_through(limits[MANY], "ada", 1_000) for limits in office.limits) == 0


async def test_another_process_knows_of_the_minute_before(watch: Watch) -> None:
    office = Office(watch, 2, MANY)
    first, second = (limits[MANY] for limits in office.limits)
    watch.travel(50)
    assert let_through(first, "ada", 1_000) == 200
    await office.share()
    watch.travel(12)
    assert let_through(second, "ada", 15) == 15
    await office.share()
    assert let_through(second, "ada", 1_000) == 0


@pytest.mark.parametrize("has_somebody_come_since", [False, True])
async def test_what_came_in_the_last_second_of_a_minute_is_told_too(
    watch: Watch, has_somebody_come_since: bool
) -> None:
    office = Office(watch, 2, MANY)
    first, second = (limits[MANY] for limits in office.limits)
    watch.travel(59.9)
    let_through(first, "ada", 1_000)
    watch.travel(0.2)
    if has_somebody_come_since:
        first("ben")
    await office.share()
    let_through(second, "ada", 15)
    await office.share()
    assert let_through(second, "ada", 1_000) == 0


async def test_limits_and_subjects_do_not_mix(watch: Watch) -> None:
    office = Office(watch, 2, MANY, OTHERS)
    first, second = office.limits
    assert let_through(first[MANY], "ada", 150) == 150
    let_through(second[MANY], "ada", 11)
    await office.share()
    assert let_through(second[OTHERS], "ada", 1_000) == 200
    assert let_through(second[MANY], "ben", 1_000) == 200
    assert let_through(second[MANY], "ada", 1_000) == 200 - 150 - 11


async def test_a_quiet_service_asks_the_database_once_a_minute(watch: Watch) -> None:
    office = Office(watch, 1, MANY)
    begun = 0

    async def count(step: Step) -> None:
        nonlocal begun
        begun += step is Step.BEGIN

    office.storage.fault = count
    for _ in range(30):
        # What is not worth telling is not told.
        let_through(office.limits[0][MANY], str(watch.seconds), 10)
        await office.shares[0]()
        watch.travel(2)
    assert begun == 1
    await office.shares[0]()
    assert begun == 2


async def test_a_request_waits_for_no_database(watch: Watch) -> None:
    office = Office(watch, 1, MANY)

    async def away(step: Step) -> None:
        raise Unavailable("away")

    office.storage.fault = away
    let_through(office.limits[0][MANY], "ada", 150)
    with pytest.raises(Unavailable):
        await office.shares[0]()
    assert let_through(office.limits[0][MANY], "ada", 1_000) == 50


async def test_what_could_not_be_told_is_told_later(watch: Watch) -> None:
    office = Office(watch, 2, MANY)
    first, second = (limits[MANY] for limits in office.limits)
    await office.share()
    is_away = True

    async def fault(step: Step) -> None:
        if is_away:
            raise Unavailable("away")

    office.storage.fault = fault
    let_through(first, "ada", 190)
    with pytest.raises(Unavailable):
        await office.shares[0]()
    is_away = False
    let_through(second, "ada", 11)
    await office.share()
    assert let_through(second, "ada", 1_000) == 0


async def test_a_round_is_bounded(watch: Watch) -> None:
    office = Office(watch, 1, FEW)
    for number in range(AT_ONCE + 10):
        let_through(office.limits[0][FEW], str(number), 2)
    assert await office.shares[0]() == AT_ONCE
    assert await office.shares[0]() == 10
    assert await office.shares[0]() == 0


async def test_old_counts_are_forgotten(watch: Watch) -> None:
    office = Office(watch, 1, FEW)
    for _ in range(5):
        let_through(office.limits[0][FEW], "ada", 5)
        await office.share()
        watch.travel(60)
    assert len(office.storage._tables.counts) <= 3


async def test_nobody_is_named_in_the_database(watch: Watch) -> None:
    office = Office(watch, 1, FEW)
    let_through(office.limits[0][FEW], "192.0.2.7", 5)
    await office.share()
    ((_, key, _),) = office.storage._tables.counts
    assert key.bytes != b"192.0.2.7"
    assert len(key.bytes) == 16


async def test_rounds_of_many_processes_at_once(watch: Watch) -> None:
    office = Office(watch, 6, MANY)
    for limits in office.limits:
        let_through(limits[MANY], "ada", 30)
    await asyncio.gather(*(share() for share in office.shares))
    await office.share()
    for _ in range(2):
        assert sum(let_through(limits[MANY], "ada", 5) for limits in office.limits) <= 6 * 5
        await office.share()
    assert sum(let_through(limits[MANY], "ada", 10) for limits in office.limits) == 0


def test_counts_of_a_minute_that_counts_nowhere_are_told_to_nobody(watch: Watch) -> None:
    counter = Counter(MANY, watch)
    let_through(counter, "ada", 50)
    watch.travel(180)
    let_through(counter, "ben", 50)
    (told,) = counter.take_untold(10)
    assert told.subject == "ben"
    assert counter.take_untold(10) == []


def test_what_could_not_be_told_is_kept_within_bounds(watch: Watch) -> None:
    counter = Counter(MANY, watch, most_subjects=2)
    for subject in ("ada", "ben", "cleo"):
        let_through(counter, subject, 50)
        counter.give_back(counter.take_untold(10))
    told = counter.take_untold(10)
    let_through(counter, "dan", 50)
    counter.give_back(told)
    assert len(counter.take_untold(10)) == 2

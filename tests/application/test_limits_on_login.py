"""After ten failures in a quarter of an hour, an account is closed to the address that they came from."""

import asyncio
from collections.abc import Hashable
from datetime import timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.accounts.log_in import Credentials, LogIn, SignedIn
from boxoffice.application.accounts.login_throttle import (
    MOST_OF_ACCOUNT,
    MOST_OF_ADDRESS,
    MOST_REMEMBERED,
    FailedLogins,
    LogInWithinLimits,
)
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.repositories import Failures
from boxoffice.application.ports.security import Token
from boxoffice.domain.refusals import InvalidRequest, TooManyRequests, WrongCredentials
from tests.application.world import NOW, SetClock

RIGHT = "correct horse battery"
HOME = "192.0.2.7"


class Door(LogIn):
    """Lets in whoever knows the password; `waiting` attempts look at their passwords side by side."""

    def __init__(self) -> None:
        self.looks = 0
        self.looking = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, credentials: Credentials, address: Hashable = None) -> SignedIn:
        async with self.looking:
            self.looks += 1
            self.looking.notify_all()
        await self.may_answer.wait()
        if credentials.password != RIGHT:
            raise WrongCredentials
        return SignedIn(Token("access", 900), "refresh")

    async def is_looked_at(self, times: int) -> None:
        """Until so many attempts stand side by side."""
        async with self.looking:
            await self.looking.wait_for(lambda: self.looks >= times)


class Entrance:
    """The door of some processes over one storage."""

    def __init__(self, *, processes: int = 1) -> None:
        self.clock = SetClock()
        self.storage = MemoryStorage()
        self.door = Door()
        self.processes = [
            LogInWithinLimits(self.door, FailedLogins(self.storage, self.clock)) for _ in range(processes)
        ]

    async def attempt(
        self, password: str, *, email: str = "ada@example.org", address: Hashable = HOME, process: int = 0
    ) -> str:
        try:
            await self.processes[process](Credentials(email=email, password=password), address)
        except (WrongCredentials, TooManyRequests) as refusal:
            return refusal.code
        return "in"

    async def fail(self, times: int, *, email: str = "ada@example.org", address: Hashable = HOME) -> None:
        for _ in range(times):
            assert await self.attempt("wrong", email=email, address=address) == "wrong-credentials"


@pytest.fixture
def entrance() -> Entrance:
    return Entrance()


async def test_after_ten_failures_for_an_account_from_an_address_the_right_password_is_refused_too(
    entrance: Entrance,
) -> None:
    await entrance.fail(10)
    assert await entrance.attempt("wrong") == "too-many-requests"
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    assert await entrance.attempt(RIGHT, email=" ADA@example.org") == "too-many-requests"
    assert await entrance.attempt(RIGHT, address="198.51.100.2") == "in", "from elsewhere"
    assert await entrance.attempt(RIGHT, email="ben@example.org") == "in", "another account from there"


async def test_an_account_alone_is_closed_after_a_hundred_failures(entrance: Entrance) -> None:
    for number in range(MOST_OF_ACCOUNT):
        assert await entrance.attempt(RIGHT, address="198.51.100.1") == "in"
        await entrance.fail(1, address=f"192.0.2.{number}")
    assert await entrance.attempt(RIGHT, address="198.51.100.2") == "too-many-requests"
    assert await entrance.attempt(RIGHT, email="ADA@EXAMPLE.ORG", address="198.51.100.3") == "too-many-requests"
    assert await entrance.attempt(RIGHT, email="ben@example.org", address="198.51.100.2") == "in"


async def test_an_address_is_closed_after_three_hundred_failures(entrance: Entrance) -> None:
    for number in range(MOST_OF_ADDRESS):
        assert await entrance.attempt(RIGHT) == "in"
        await entrance.fail(1, email=f"nobody{number}@example.org")
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    assert await entrance.attempt(RIGHT, address="198.51.100.2") == "in"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:DB8:1:2::/64".lower(), True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        (("a", "place"), ("a", "place"), True),
    ],
)
async def test_a_network_of_64_bits_is_one_address(
    entrance: Entrance, one: Hashable, other: Hashable, is_same: bool
) -> None:
    await entrance.fail(10, address=one)
    assert (await entrance.attempt(RIGHT, address=other) == "too-many-requests") is is_same


async def test_what_is_kept_of_an_address_stays_small_and_counts_a_quarter_of_an_hour(entrance: Entrance) -> None:
    for number in range(MOST_OF_ADDRESS):
        await entrance.fail(1, email=f"nobody{number}@example.org")
        entrance.clock.time += timedelta(seconds=2)
    kept = entrance.storage._tables.failures
    assert max(map(len, kept.values())) <= 16
    (of_address,) = [each for each in kept.values() if sum(minute.number for minute in each) == MOST_OF_ADDRESS]
    credentials = Credentials(email="ada@example.org", password=RIGHT)
    with pytest.raises(TooManyRequests) as refusal:
        await entrance.processes[0](credentials, HOME)
    # Until the first minute of them counts no more.
    assert (
        timedelta(seconds=refusal.value.retry_after) == of_address[0].at + timedelta(minutes=15) - entrance.clock.time
    )
    entrance.clock.time = of_address[0].at + timedelta(minutes=15) - timedelta(microseconds=1)
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    entrance.clock.time += timedelta(microseconds=1)
    assert await entrance.attempt(RIGHT) == "in"


async def test_a_clock_that_is_behind_does_not_make_failures_older(entrance: Entrance) -> None:
    for number in range(20):
        await entrance.fail(1, address=f"192.0.2.{number}")
        entrance.clock.time -= timedelta(seconds=10)
    (of_account,) = [each for each in entrance.storage._tables.failures.values() if each[0].number == 20]
    assert of_account == (Failures(NOW, 20),)


async def test_every_spelling_of_an_address_counts_for_the_same_account(entrance: Entrance) -> None:
    typed = ["jo@fa\u00df.example", "jo@xn--fa-hia.example", "Jo@fa\u00df.example.", "\u200bjo@fa\u00df.example"]
    for number in range(10):
        await entrance.fail(1, email=typed[number % 4])
    for each in typed:
        assert await entrance.attempt("wrong", email=each) == "too-many-requests"
    await entrance.fail(1, email="jo@fass.example")
    for number in range(MOST_OF_ACCOUNT - 10):
        await entrance.fail(1, email=typed[number % 4], address=f"203.0.113.{number}")
    for each in typed:
        assert await entrance.attempt("wrong", email=each, address="198.51.100.1") == "too-many-requests"
    await entrance.fail(1, email="jo@fass.example", address="198.51.100.1")


async def test_nine_failures_close_nothing(entrance: Entrance) -> None:
    await entrance.fail(9)
    assert await entrance.attempt(RIGHT) == "in"


async def test_a_success_forgives_nothing(entrance: Entrance) -> None:
    for _ in range(3):
        await entrance.fail(3)
        assert await entrance.attempt(RIGHT) == "in"
    await entrance.fail(1)
    assert await entrance.attempt(RIGHT) == "too-many-requests"


async def test_it_opens_when_the_first_of_the_ten_is_a_quarter_of_an_hour_old(entrance: Entrance) -> None:
    for _ in range(10):
        await entrance.fail(1)
        entrance.clock.time += timedelta(minutes=1)
    credentials = Credentials(email="ada@example.org", password=RIGHT)
    with pytest.raises(TooManyRequests) as refusal:
        await entrance.processes[0](credentials, HOME)
    assert refusal.value.retry_after == 5 * 60
    entrance.clock.time += timedelta(minutes=5) - timedelta(microseconds=1)
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    entrance.clock.time += timedelta(microseconds=1)
    assert await entrance.attempt(RIGHT) == "in"
    # The other nine still count.
    await entrance.fail(1)
    assert await entrance.attempt(RIGHT) == "too-many-requests"


async def test_refused_attempts_are_no_failures(entrance: Entrance) -> None:
    await entrance.fail(10)
    for _ in range(20):
        entrance.clock.time += timedelta(seconds=44)
        assert await entrance.attempt("wrong") == "too-many-requests"
    entrance.clock.time += timedelta(seconds=20)
    assert await entrance.attempt(RIGHT) == "in"


async def test_all_processes_see_a_failure_at_once() -> None:
    entrance = Entrance(processes=3)
    for number in range(10):
        assert await entrance.attempt("wrong", process=number % 3) == "wrong-credentials"
    for process in range(3):
        assert await entrance.attempt(RIGHT, process=process) == "too-many-requests"


async def test_attempts_side_by_side_are_told_no_more_than_ten_times() -> None:
    entrance = Entrance(processes=3)
    entrance.door.may_answer.clear()
    attempts = [asyncio.create_task(entrance.attempt("wrong", process=number % 3)) for number in range(60)]
    await entrance.door.is_looked_at(60)
    entrance.door.may_answer.set()
    told = await asyncio.gather(*attempts)
    assert told.count("wrong-credentials") == 10
    assert told.count("too-many-requests") == 50


async def test_the_right_one_behind_ten_wrong_ones_is_not_told() -> None:
    entrance = Entrance(processes=2)
    entrance.door.may_answer.clear()
    last = asyncio.create_task(entrance.attempt(RIGHT, process=1))
    await entrance.door.is_looked_at(1)
    other = Entrance()
    other.storage, other.clock = entrance.storage, entrance.clock
    other.processes = [LogInWithinLimits(other.door, FailedLogins(entrance.storage, entrance.clock))]
    await other.fail(10)
    entrance.door.may_answer.set()
    assert await last == "too-many-requests"


async def test_once_closed_no_password_is_looked_at_and_no_database_asked(entrance: Entrance) -> None:
    await entrance.fail(10)
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    looks, steps = entrance.door.looks, []

    async def note(step: Step) -> None:
        steps.append(step)

    entrance.storage.fault = note
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    assert (entrance.door.looks, steps) == (looks, [])


async def test_what_is_no_address_is_refused_and_not_counted(entrance: Entrance) -> None:
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            await entrance.attempt("wrong", email="not an address")
    assert await entrance.attempt(RIGHT) == "in"


async def test_nobody_is_let_in_while_failures_cannot_be_counted(entrance: Entrance) -> None:
    async def away(step: Step) -> None:
        raise Unavailable("away")

    entrance.storage.fault = away
    for password in ("wrong", RIGHT):
        with pytest.raises(Unavailable):
            await entrance.attempt(password)


async def test_a_clock_that_was_ahead_closes_nothing_for_long(entrance: Entrance) -> None:
    entrance.clock.time += timedelta(hours=1)
    await entrance.fail(10)
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    entrance.clock.time -= timedelta(hours=1)
    assert await entrance.attempt(RIGHT) == "in"


async def test_old_failures_are_forgotten(entrance: Entrance) -> None:
    await entrance.fail(2)
    failed_logins = FailedLogins(entrance.storage, entrance.clock)
    entrance.clock.time += timedelta(minutes=15)
    await failed_logins.forget()
    assert len(entrance.storage._tables.failures) == 3
    entrance.clock.time += timedelta(microseconds=1)
    await failed_logins.forget()
    assert entrance.storage._tables.failures == {}


async def test_what_a_process_remembers_is_bounded(entrance: Entrance) -> None:
    failed_logins = FailedLogins(entrance.storage, entrance.clock)
    for number in range(MOST_REMEMBERED + 50):
        failed_logins._remember(UUID(int=number), entrance.clock.time)
    assert len(failed_logins._closed) == MOST_REMEMBERED


async def test_without_a_limit_there_is_none(entrance: Entrance) -> None:
    entrance.processes = [LogInWithinLimits(entrance.door, None)]
    await entrance.fail(50)
    assert await entrance.attempt(RIGHT) == "in"

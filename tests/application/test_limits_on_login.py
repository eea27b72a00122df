"""Ten failures in a quarter of an hour, for one account or from one address: then nobody signs in there any more."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.failures import Unavailable
from boxoffice.application.limits_on_login import MOST_REMEMBERED, FailedLogins, LogInWithinLimits
from boxoffice.application.log_in import Credentials, LogIn, SignedIn
from boxoffice.application.ports import Token
from boxoffice.domain.refusals import InvalidRequest, TooManyRequests, WrongCredentials
from tests.application.world import SetClock

RIGHT = "correct horse battery"
HOME = "192.0.2.7"


class Door(LogIn):
    """Lets in whoever knows the password; `waiting` attempts look at their passwords side by side."""

    def __init__(self) -> None:
        self.looks = 0
        self.looking = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, credentials: Credentials) -> SignedIn:
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
        self, password: str, *, email: str = "ada@example.org", address: str = HOME, process: int = 0
    ) -> str:
        try:
            await self.processes[process](Credentials(email=email, password=password), address)
        except (WrongCredentials, TooManyRequests) as refusal:
            return refusal.code
        return "in"

    async def fail(self, times: int, *, email: str = "ada@example.org", address: str = HOME) -> None:
        for _ in range(times):
            assert await self.attempt("wrong", email=email, address=address) == "wrong-credentials"


@pytest.fixture
def entrance() -> Entrance:
    return Entrance()


async def test_after_ten_failures_for_an_account_the_right_password_is_refused_too(entrance: Entrance) -> None:
    for number in range(10):
        await entrance.fail(1, address=f"192.0.2.{number}")
    assert await entrance.attempt("wrong", address="198.51.100.1") == "too-many-requests"
    assert await entrance.attempt(RIGHT, address="198.51.100.2") == "too-many-requests"
    assert await entrance.attempt(RIGHT, email=" ADA@example.org", address="198.51.100.3") == "too-many-requests"
    assert await entrance.attempt(RIGHT, email="ben@example.org", address="198.51.100.2") == "in"


async def test_after_ten_failures_from_an_address_it_is_closed_to_everybody_there(entrance: Entrance) -> None:
    for number in range(10):
        await entrance.fail(1, email=f"nobody{number}@example.org")
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    assert await entrance.attempt(RIGHT, address="198.51.100.2") == "in"


async def test_every_spelling_of_an_address_counts_for_the_same_account(entrance: Entrance) -> None:
    typed = ["jo@fa\u00df.example", "jo@xn--fa-hia.example", "Jo@fa\u00df.example.", "\u200bjo@fa\u00df.example"]
    for number in range(10):
        await entrance.fail(1, email=typed[number % 4], address=f"192.0.2.{number}")
    for each in typed:
        assert await entrance.attempt("wrong", email=each, address="198.51.100.1") == "too-many-requests"
    await entrance.fail(1, email="jo@fass.example", address="198.51.100.2")


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
    assert len(entrance.storage._tables.failures) == 2
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

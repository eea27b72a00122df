"""After ten failures in 15 minutes, an account is closed to the address that they came from."""

import asyncio
from collections.abc import Hashable
from datetime import timedelta

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.log_in import Credentials, LogIn, SignedIn
from boxoffice.application.accounts.login_throttle import (
    MOST_OF_ACCOUNT,
    MOST_OF_ADDRESS,
    FailedLogins,
    LogInWithinLimits,
)
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.repositories import Failures
from boxoffice.application.ports.security import Token
from boxoffice.domain.refusals import InvalidRequest, TooManyRequests, WrongCredentials
from tests.application.fake_app import NOW, FakeApp

RIGHT = "correct horse battery"
HOME = "192.0.2.7"


class Door(LogIn):
    """Accepts the right password; a test lets several attempts check theirs side by side."""

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
        """Wait until so many attempts have begun."""
        async with self.looking:
            await self.looking.wait_for(lambda: self.looks >= times)


class Entrance:
    """The sign-in of two processes on one storage."""

    def __init__(self, app: FakeApp) -> None:
        self.app = app
        self.clock = app.clock
        self.storage = app.storage
        self.door = Door()
        self.processes = [LogInWithinLimits(self.door, FailedLogins(self.storage, self.clock)) for _ in range(2)]

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
def entrance(app: FakeApp) -> Entrance:
    return Entrance(app)


async def test_after_ten_failures_for_an_account_from_an_address_the_right_password_is_refused_too(
    entrance: Entrance,
) -> None:
    await entrance.fail(9)
    assert await entrance.attempt(RIGHT) == "in", "which forgives no failure"
    await entrance.fail(1)
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


async def test_failures_from_an_address_are_stored_by_the_minute_and_count_for_15_minutes(entrance: Entrance) -> None:
    for number in range(MOST_OF_ADDRESS):
        await entrance.fail(1, email=f"unknown{number}@example.org")
        entrance.clock.time += timedelta(seconds=2)
    kept = entrance.app.tables.failures
    assert max(map(len, kept.values())) <= 16
    (of_address,) = [each for each in kept.values() if sum(minute.number for minute in each) == MOST_OF_ADDRESS]
    credentials = Credentials(email="ada@example.org", password=RIGHT)
    with pytest.raises(TooManyRequests) as refusal:
        await entrance.processes[0](credentials, HOME)
    # Until their first minute no longer counts.
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
    (of_account,) = [each for each in entrance.app.tables.failures.values() if each[0].number == 20]
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


async def test_an_account_opens_when_the_first_of_the_ten_failures_is_15_minutes_old(entrance: Entrance) -> None:
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


async def test_all_processes_count_the_same_failures_also_side_by_side(entrance: Entrance) -> None:
    entrance.door.may_answer.clear()
    attempts = [asyncio.create_task(entrance.attempt("wrong", process=number % 2)) for number in range(60)]
    await entrance.door.is_looked_at(60)
    entrance.door.may_answer.set()
    codes = await asyncio.gather(*attempts)
    assert codes.count("wrong-credentials") == 10
    assert codes.count("too-many-requests") == 50
    for process in range(2):
        assert await entrance.attempt(RIGHT, process=process) == "too-many-requests"


async def test_a_right_password_that_is_checked_after_ten_failures_is_refused(entrance: Entrance) -> None:
    entrance.door.may_answer.clear()
    last = asyncio.create_task(entrance.attempt(RIGHT, process=1))
    await entrance.door.is_looked_at(1)
    await Entrance(entrance.app).fail(10)
    entrance.door.may_answer.set()
    assert await last == "too-many-requests"


async def test_once_closed_neither_hasher_nor_database_is_asked(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.accounts.login_throttle.MOST_REMEMBERED", 1)
    for email in ("ada@example.org", "ben@example.org"):
        await entrance.fail(10, email=email)
        assert await entrance.attempt(RIGHT, email=email) == "too-many-requests"
    looks = entrance.door.looks
    entrance.app.faults.steps.clear()
    assert await entrance.attempt(RIGHT, email="ben@example.org") == "too-many-requests"
    assert (entrance.door.looks, entrance.app.faults.steps) == (looks, [])
    assert await entrance.attempt(RIGHT) == "too-many-requests"
    assert entrance.door.looks == looks + 1, "the memory is bounded, and the database knows it"


async def test_a_malformed_address_is_refused_and_not_counted(entrance: Entrance) -> None:
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            await entrance.attempt("wrong", email="not an address")
    assert await entrance.attempt(RIGHT) == "in"


async def test_while_failures_cannot_be_counted_signing_in_is_unavailable(entrance: Entrance) -> None:
    for password in ("wrong", RIGHT):
        entrance.app.faults.plan(Step.BEGIN, Unavailable("away"))
        with pytest.raises(Unavailable):
            await entrance.attempt(password)


async def test_old_failures_are_forgotten(entrance: Entrance) -> None:
    await entrance.fail(2)
    failed_logins = FailedLogins(entrance.storage, entrance.clock)
    entrance.clock.time += timedelta(minutes=15)
    await failed_logins.forget()
    assert len(entrance.app.tables.failures) == 3
    entrance.clock.time += timedelta(microseconds=1)
    await failed_logins.forget()
    assert entrance.app.tables.failures == {}


async def test_without_limits_nothing_is_closed(entrance: Entrance) -> None:
    entrance.processes = [LogInWithinLimits(entrance.door, None)]
    await entrance.fail(50)
    assert await entrance.attempt(RIGHT) == "in"

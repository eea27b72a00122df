"""Limits of several processes over one database: as if they were one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from dependency_injector.providers import Object, Singleton

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.accounts.log_in import Credentials
from boxoffice.application.limits.rate_limits import NOT_WORTH_TELLING, READS, SIGN_INS
from boxoffice.domain.refusals import TooManyRequests, WrongCredentials
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.databases import migrated
from tests.faults.service import SERVE, Server
from tests.http.service import PASSWORD, SECRET, standing_clock
from tests.settable_clock import SettableClock

EMAIL = "ada@example.org"
HOME = "192.0.2.7"


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database."""
    if request.param == "sqlite":
        return migrated(f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}")
    return migrated(request.getfixturevalue("mysql_url"))


@pytest.fixture
async def processes(url: str) -> AsyncIterator[list[Container]]:
    """What three processes have each for itself, over one database and under one clock, and Ada's account."""
    clock = standing_clock()
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            container = make_container(Settings(database_url=url, jwt_secret=SECRET))
            container.clock.override(Object(clock))
            container.seconds.override(Object(clock.seconds))
            container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
            stack.push_async_callback(container.storage().close)
            found.append(container)
        await found[0].create_user()(Registration(name="Ada", email=EMAIL, password=PASSWORD))
        yield found


async def attempt(process: Container, password: str, email: str = EMAIL, address: str = HOME) -> str:
    try:
        await process.limited_log_in()(Credentials(email=email, password=password), address)
    except (WrongCredentials, TooManyRequests) as refusal:
        return refusal.code
    return "in"


async def test_attempts_side_by_side_are_told_no_more_than_ten_times(processes: list[Container]) -> None:
    told = await asyncio.gather(*(attempt(processes[number % 3], "wrong") for number in range(24)))
    assert told.count("wrong-credentials") == 10
    assert told.count("too-many-requests") == 14
    for process in processes:
        assert await attempt(process, PASSWORD) == "too-many-requests"
    assert await attempt(processes[0], PASSWORD, address="192.0.2.8") == "in"


async def test_an_address_is_closed_by_what_all_processes_saw(
    processes: list[Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.accounts.login_throttle.MOST_OF_ADDRESS", 10)
    told = await asyncio.gather(
        *(attempt(processes[number % 3], "wrong", f"nobody{number}@example.org") for number in range(15))
    )
    assert sorted(told) == ["too-many-requests"] * 5 + ["wrong-credentials"] * 10
    assert await attempt(processes[1], PASSWORD) == "too-many-requests"
    assert await attempt(processes[1], PASSWORD, address="192.0.2.8") == "in"


async def test_failures_that_do_not_reach_ten_close_nothing(processes: list[Container]) -> None:
    told = await asyncio.gather(*(attempt(processes[number % 3], "wrong") for number in range(9)))
    assert told == ["wrong-credentials"] * 9
    assert [await attempt(process, PASSWORD) for process in processes] == ["in"] * 3
    assert await attempt(processes[2], "wrong") == "wrong-credentials"
    assert await attempt(processes[0], PASSWORD) == "too-many-requests"


async def test_counts_of_all_processes_make_one(processes: list[Container]) -> None:
    through = 0
    at_once = READS.most // 120
    for _ in range(60):
        for process in processes:
            for _ in range(at_once):
                try:
                    process.request_limits()[READS]("ada")
                except TooManyRequests:
                    break
                through += 1
        await asyncio.gather(*(process.share_counts()() for process in processes))
    # What is not worth telling, and what the others let through before they heard.
    assert READS.most <= through <= READS.most + 2 * (READS.most // NOT_WORTH_TELLING + at_once)
    assert SIGN_INS.most < READS.most  # the counts of one limit are no other's
    for process in processes:
        process.request_limits()[SIGN_INS]("ada")


async def test_old_counts_and_failures_go(processes: list[Container], url: str) -> None:
    clock = processes[0].clock()
    assert isinstance(clock, SettableClock)
    for _ in range(SIGN_INS.most):
        processes[0].request_limits()[SIGN_INS](HOME)
    await attempt(processes[0], "wrong")
    assert await processes[0].share_counts()() == 1
    clock.travel(minutes=16)
    await processes[0].share_counts()()
    await processes[0].failed_logins().forget()
    assert await rows(processes[0], "request_counts") == await rows(processes[0], "login_failures") == 0


async def rows(process: Container, table: str) -> int:
    from sqlalchemy import text

    from boxoffice.adapters.sql.storage import SqlStorage

    storage = process.storage()
    assert isinstance(storage, SqlStorage)
    async with storage._reading.engine.connect() as connection:
        found = (await connection.execute(text(f"SELECT COUNT(*) FROM {table}"))).scalar_one()
    assert isinstance(found, int)
    return found


async def test_the_service_with_two_workers(url: str, tmp_path: Path) -> None:
    server = Server(url, tmp_path, settings={"RATE_LIMITS": "on"}, command=(*SERVE, "--workers", "2"))
    try:
        server.start()
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
            body = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
            assert (await http.post("/create-user", json=body)).status_code == 201
            wrong = {"email": EMAIL, "password": "wrong"}
            answers = await asyncio.gather(*(http.post("/login", json=wrong) for _ in range(16)))
            assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 6
            # New connections, so that both processes are asked.
            for _ in range(6):
                answer = await http.post("/login", json={"email": EMAIL, "password": PASSWORD})
                assert answer.status_code == 429
                assert 1 <= int(answer.headers["retry-after"]) <= 900
                assert json.loads(answer.content)["code"] == "too-many-requests"
    finally:
        server.kill()


class Noted:
    """A chore that says when it was done twice."""

    def __init__(self) -> None:
        self.times = 0
        self.is_done_again = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        if self.times > 1:
            self.is_done_again.set()

    forget = __call__


async def test_a_running_process_shares_its_counts_again_and_again() -> None:
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET))
    sharing, forgetting = Noted(), Noted()
    container.share_counts.override(Object(sharing))
    container.failed_logins.override(Object(forgetting))
    async with asyncio.timeout(60), running(container, share_every=0.001):
        await sharing.is_done_again.wait()
        assert forgetting.times == 1


async def test_without_limits_nothing_is_shared() -> None:
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False))
    sharing, forgetting, looking = Noted(), Noted(), Noted()
    container.share_counts.override(Object(sharing))
    container.failed_logins.override(Object(forgetting))
    container.resume_unsettled.override(Object(looking))
    async with asyncio.timeout(60), running(container, share_every=0.001, resume_every=0.001):
        await looking.is_done_again.wait()
    assert (sharing.times, forgetting.times) == (0, 0)

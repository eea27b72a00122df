"""Every wait of a request is bounded, and the inner ones end first: request, statement, lock, pool."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from dependency_injector.providers import Object
from sqlalchemy import text
from sqlalchemy.engine import make_url
from uvicorn.server import ServerState

from boxoffice.adapters.sql import mysql
from boxoffice.adapters.sql.migrate import check_version, upgrade
from boxoffice.adapters.sql.mysql import LOCK_WAIT_SECONDS, POOL_SECONDS, STATEMENT_LIMIT_SECONDS, MySQL
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.failures import Unavailable
from boxoffice.entrypoints.cli.serve import DRAIN_SECONDS
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http import connection
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.connection import ANSWER_SECONDS, Connection
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.wire.raw import Raw, request


def test_they_nest() -> None:
    """Whoever waits inside gives up first, so that it is told what it was that did not come."""
    assert DRAIN_SECONDS > ANSWER_SECONDS > STATEMENT_LIMIT_SECONDS > LOCK_WAIT_SECONDS > POOL_SECONDS > 0
    assert (ANSWER_SECONDS, STATEMENT_LIMIT_SECONDS, LOCK_WAIT_SECONDS, POOL_SECONDS) == (10, 5, 3, 1)


class Sleepy:
    """What never ends, unless it is called off."""

    def __init__(self) -> None:
        self.given_up = 0

    async def __call__(self, *_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up += 1


SLOW = {
    "GET": request("GET /health/ready HTTP/1.1", "X-Request-Id: slow"),
    "HEAD": request("HEAD /health/ready HTTP/1.1", "X-Request-Id: slow"),
    "POST": request("POST /login HTTP/1.1", "X-Request-Id: slow", body=b'{"email":"a@example.org","password":"x"}'),
}
FAST = request("GET /health/live HTTP/1.1")
BROKEN = request("POST /login HTTP/1.1", body=b"[]")


@asynccontextmanager
async def listening(sleepy: Sleepy) -> AsyncIterator[int]:
    """The service, asleep in places; on which port."""
    container = make_container(Settings(database_url="memory://"))
    # The storage lives as long as its container: the next one has its own.
    vars(container.storage())["check_ready"] = sleepy
    container.log_in.override(Object(sleepy))
    config = uvicorn.Config(create_app(container), http=Connection, log_config=None, proxy_headers=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for open_one in list(state.connections):
            open_one.transport.close()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.05)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("method", list(SLOW))
async def test_a_request_that_takes_too_long_is_a_problem_and_the_connection_goes_on(method: str) -> None:
    sleepy = Sleepy()
    async with listening(sleepy) as port, await Raw.connect(port) as raw:
        for _ in range(3):
            is_head = method == "HEAD"
            answer = await raw.ask(SLOW[method], is_head=is_head)
            assert (answer.status, answer.request_id, answer.headers["retry-after"]) == (503, "slow", "1")
            assert is_head or answer.code == "try-again"
            assert (await raw.ask(FAST)).status == 200
        assert sleepy.given_up == 3


@pytest.mark.usefixtures("short")
async def test_a_pipelined_request_has_its_own_time() -> None:
    async with listening(Sleepy()) as port, await Raw.connect(port) as raw:
        await raw.send(SLOW["GET"] * 2 + FAST)
        assert [answer.status if (answer := await raw.answer()) else None for _ in range(3)] == [503, 503, 200]


@pytest.mark.usefixtures("short")
async def test_the_time_of_a_body_to_arrive_is_not_counted() -> None:
    """A slow client's request has not arrived yet: another limit is for that."""
    async with listening(Sleepy()) as port, await Raw.connect(port) as slow, await Raw.connect(port) as other:
        await slow.send(BROKEN[:-1])
        # Another one's time runs out twice meanwhile, so this one's would have, too.
        for _ in range(2):
            assert (await other.ask(SLOW["GET"])).status == 503
        assert (await slow.ask(BROKEN[-1:])).code == "invalid-request"


async def test_the_server_itself_ends_a_statement_that_takes_too_long(
    mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a statement whose caller has long gone would keep its locks."""
    seconds = mariadb.execute(mysql_url, "SELECT @@global.max_statement_time")[0][0]
    assert float(str(seconds)) == 0, "or this shows nothing"
    database = MySQL()
    for engine in (database.writing(make_url(mysql_url)), database.reading(make_url(mysql_url))):
        async with engine.connect() as connected:
            limit = (await connected.execute(text("SELECT @@session.max_statement_time"))).scalar_one()
            assert float(limit) == STATEMENT_LIMIT_SECONDS
            await connected.execute(text("SET SESSION max_statement_time = 0.05"))
            with pytest.raises(Exception, match="max_statement_time") as failure:
                await connected.execute(text("SELECT SLEEP(30)"))
            assert database.diagnose(failure.value, committing=False) is not None
        await engine.dispose()


async def test_what_takes_long_by_its_nature_has_more_time(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at everything and changing the schema."""
    await upgrade(mysql_url)
    storage = SqlStorage(mysql_url)
    limits = []

    async def look(connected: Any) -> None:
        limits.append(float((await connected.execute(text("SELECT @@session.max_statement_time"))).scalar_one()))

    async with storage.begin() as unit:
        await unit._transaction.check(look)
    async with storage.snapshot() as snapshot:
        await snapshot._transaction.check(look)
    async with storage.begin() as unit:
        await unit._transaction.check(look)
    await storage.close()
    assert limits == [STATEMENT_LIMIT_SECONDS, mysql.LONG_STATEMENT_SECONDS, STATEMENT_LIMIT_SECONDS]
    engine = MySQL().unhurried(make_url(mysql_url))
    async with engine.connect() as connected:
        await look(connected)
        await check_version(connected)
    await engine.dispose()
    assert limits[-1] == mysql.LONG_STATEMENT_SECONDS


async def test_a_pool_that_is_used_up_is_waited_for_a_second(mysql_url: str) -> None:
    await upgrade(mysql_url)
    storage = SqlStorage(mysql_url)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        open_ones = [storage.begin() for _ in range(8)]
        for one in open_ones:
            await one.__aenter__()
        begun = loop.time()
        with pytest.raises(Unavailable, match="Too many requests"):
            await storage.begin().__aenter__()
        assert loop.time() - begun > POOL_SECONDS / 2
        for one in open_ones:
            await one.__aexit__(None, None, None)
    await storage.close()


def test_mysql_is_told_as_well() -> None:
    """No server of that kind is here: MariaDB skips what is for MySQL from 8.0 on, and the other way round."""
    said = mysql.session_for(STATEMENT_LIMIT_SECONDS)
    assert re.search(r"/\*!80000 , max_execution_time = 5000 \*/", said)
    assert re.search(r"/\*M!100600 [^*]*, max_statement_time = 5[ *,]", said)


def test_the_manual_names_them() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for seconds, what in ((10, "request"), (5, "statement"), (3, "lock"), (1, "pool")):
        assert re.search(rf"\| {what}[^|]*\| {seconds} s ", manual), what

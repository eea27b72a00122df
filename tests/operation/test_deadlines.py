"""Every wait of a request has a timeout: for its body, a statement, a lock and a connection of the pool."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects import mysql
from boxoffice.adapters.sql.dialects.mysql import (
    LOCK_WAIT_SECONDS,
    POOL_SECONDS,
    STATEMENT_LIMIT_SECONDS,
    MySQLDialect,
)
from boxoffice.adapters.sql.migrate import check_version, upgrade
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.entrypoints.cli.serve import DRAIN_SECONDS
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http import request
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.request import BODY_SECONDS
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.http.messages import Exchange


def test_they_nest() -> None:
    """The inner wait times out first, so the error names its cause."""
    assert DRAIN_SECONDS > BODY_SECONDS > STATEMENT_LIMIT_SECONDS > LOCK_WAIT_SECONDS > POOL_SECONDS > 0
    assert (BODY_SECONDS, STATEMENT_LIMIT_SECONDS, LOCK_WAIT_SECONDS, POOL_SECONDS) == (10, 5, 3, 1)


@pytest.fixture
async def app() -> AsyncIterator[Litestar]:
    container = make_container(Settings(database_url="memory://"))
    app = create_app(container)
    async with running(container):
        yield app


@pytest.mark.parametrize("parts", [(), (b'{"email":',)])
async def test_a_body_that_does_not_arrive_is_refused_in_time(
    app: Litestar, monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(request, "BODY_SECONDS", 0.05)
    exchange = Exchange(app, *parts)
    async with asyncio.timeout(30):
        await exchange.send("POST", "/login")
    assert (exchange.status, exchange.problem["code"]) == (400, "invalid-request")
    assert "arrives within" in exchange.problem["errors"][0]["detail"]


async def test_bodies_that_do_not_arrive_hold_up_no_other(app: Litestar) -> None:
    """Hundreds of unfinished bodies, more than any queue or pool has places."""
    waiting = [Exchange(app, b"{") for _ in range(500)]
    tasks = [asyncio.create_task(each.send("POST", "/login")) for each in waiting]
    async with asyncio.timeout(60):
        for each in waiting:
            await each.is_waited_for.wait()
        transport = httpx.ASGITransport(cast("Any", app))
        async with httpx.AsyncClient(transport=transport, base_url="http://boxoffice") as http:
            for path in ("/health/live", "/health/ready", "/events"):
                assert (await http.get(path)).status_code == 200
            body = {"name": "Ada", "email": "ada@example.org", "password": "correct horse battery"}
            assert (await http.post("/create-user", json=body)).status_code == 201
    assert not any(each.sent for each in waiting)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_refused_anyway_is_not_waited_for(app: Litestar) -> None:
    """Requests without a token, too large or not JSON are refused before their body arrives."""
    exchange = Exchange(app, b"{")
    await exchange.send("POST", "/book")
    assert exchange.status == 401
    exchange = Exchange(app)
    await exchange.send("POST", "/login", (b"content-length", b"65537"))
    assert exchange.status == 413
    exchange = Exchange(app)
    await exchange.send("POST", "/login", (b"content-encoding", b"gzip"))
    assert exchange.status == 415
    assert not exchange.is_waited_for.is_set()


async def test_the_server_itself_ends_a_statement_that_takes_too_long(
    mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a statement whose caller has gone would keep its locks."""
    seconds = mariadb.execute(mysql_url, "SELECT @@global.max_statement_time")[0][0]
    assert float(str(seconds)) == 0, "the server must have no limit of its own"
    database = MySQLDialect()
    for engine in (database.writing(make_url(mysql_url)), database.reading(make_url(mysql_url))):
        async with engine.connect() as connected:
            limit = (await connected.execute(text("SELECT @@session.max_statement_time"))).scalar_one()
            assert float(limit) == STATEMENT_LIMIT_SECONDS
            await connected.execute(text("SET SESSION max_statement_time = 0.05"))
            with pytest.raises(Exception, match="max_statement_time") as failure:
                await connected.execute(text("SELECT SLEEP(30)"))
            assert database.classify(failure.value, committing=False) is not None
        await engine.dispose()


async def test_what_takes_long_by_its_nature_has_more_time(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots and migrations have a longer timeout."""
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
    engine = MySQLDialect().long_running(make_url(mysql_url))
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
        units_of_work = [storage.begin() for _ in range(8)]
        for each in units_of_work:
            await each.__aenter__()
        begun = loop.time()
        with pytest.raises(Unavailable, match="Too many requests"):
            await storage.begin().__aenter__()
        assert loop.time() - begun > POOL_SECONDS / 2
        for each in units_of_work:
            await each.__aexit__(None, None, None)
    await storage.close()


def test_mysql_is_told_as_well() -> None:
    """Read the statement, because no MySQL server is at hand: each server skips the other's version comments."""
    statement = mysql.session_for(STATEMENT_LIMIT_SECONDS)
    assert re.search(r"/\*!80000 , max_execution_time = 5000 \*/", statement)
    assert re.search(r"/\*M!100600 [^*]*, max_statement_time = 5[ *,]", statement)


def test_the_manual_names_them() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for seconds, what in ((10, "body"), (5, "statement"), (3, "lock"), (1, "pool")):
        assert re.search(rf"\| {what}[^|]*\| {seconds} s ", manual), what

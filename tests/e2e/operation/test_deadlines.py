"""Every wait of a request has a timeout: for its body, a statement, a lock and a connection of the pool."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from boxoffice.adapters.sql.dialects import mysql
from boxoffice.adapters.sql.dialects.error_class import ErrorClass
from boxoffice.adapters.sql.dialects.mysql import (
    LOCK_WAIT_SECONDS,
    POOL_SECONDS,
    STATEMENT_LIMIT_SECONDS,
    MySQLDialect,
)
from boxoffice.adapters.sql.migrate import upgrade
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
from tests.entrypoints.http.messages import Exchange

# Not SLEEP, which MySQL ends without an error.
ENDLESS = (
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
    "SELECT COUNT(*) FROM n AS a, n AS b, n AS c, n AS d WHERE a.i + b.i + c.i + d.i > 0"
)


def test_timeouts_are_nested() -> None:
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


async def test_a_refused_request_is_answered_before_its_body_arrives(app: Litestar) -> None:
    """Requests without a token, too large or not JSON are refused before their body arrives."""
    for path, header, status in (
        ("/book", (b"x", b"y"), 401),
        ("/login", (b"content-length", b"65537"), 413),
        ("/login", (b"content-encoding", b"gzip"), 415),
    ):
        exchange = Exchange(app)
        await exchange.send("POST", path, header)
        assert exchange.status == status
        assert not exchange.is_waited_for.is_set()


@pytest.mark.parametrize(
    ("purpose", "seconds"),
    [
        ("writing", STATEMENT_LIMIT_SECONDS),
        ("reading", STATEMENT_LIMIT_SECONDS),
        ("listing", mysql.LIST_LIMIT_SECONDS),
        ("long_running", mysql.LONG_STATEMENT_SECONDS),
    ],
)
async def test_the_database_itself_ends_a_statement_that_takes_too_long(
    mysql_url: str, purpose: str, seconds: int
) -> None:
    """Otherwise a statement whose caller has gone would keep its locks. Snapshots and migrations have more time."""
    ((version,),) = mariadb.execute(mysql_url, "SELECT VERSION()")
    # MySQL's limit is in milliseconds, and for SELECT only.
    name, factor = ("max_statement_time", 1) if "MariaDB" in str(version) else ("max_execution_time", 1_000)
    assert mariadb.execute(mysql_url, f"SELECT @@global.{name} + 0e0") == [(0.0,)], "has a limit of its own"
    database = MySQLDialect()
    engine: AsyncEngine = getattr(database, purpose)(make_url(mysql_url))
    async with engine.connect() as connected:
        found = (await connected.execute(text(f"SELECT @@session.{name}"))).scalar_one()
        assert float(found) == seconds * factor
        await connected.execute(text(f"SET SESSION {name} = {0.05 * factor:g}"))
        with pytest.raises(Exception, match="interrupted") as failure:
            await connected.execute(text(ENDLESS))
        assert database.classify(failure.value, committing=False) is ErrorClass.UNAVAILABLE
    await engine.dispose()


async def test_a_command_waits_a_second_for_a_used_up_pool(mysql_url: str) -> None:
    await upgrade(mysql_url)
    storage = SqlStorage(mysql_url)
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(storage.begin())
        begun = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="Too many requests"):
            await stack.enter_async_context(storage.begin())
        assert asyncio.get_running_loop().time() - begun > POOL_SECONDS / 2
    await storage.close()


def test_the_manual_names_the_timeouts() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    for seconds, what in ((10, "body"), (5, "statement"), (3, "lock"), (1, "pool")):
        assert re.search(rf"\| {what}[^|]*\| {seconds} s ", manual), what

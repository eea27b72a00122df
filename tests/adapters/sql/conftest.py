"""Migrated databases for what only SQL promises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects.dialect import dialect_of
from boxoffice.adapters.sql.engine.pool import ConnectionPool
from boxoffice.adapters.sql.storage import SqlStorage
from tests.databases import migrated


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[SqlStorage]:
    storage = SqlStorage.from_url(url)
    try:
        yield storage
    finally:
        await storage.close()


@pytest.fixture
async def mysql_storage(migrated_mysql_url: str) -> AsyncIterator[SqlStorage]:
    """A storage on a database server, whose schema no test may change."""
    async with _opened(migrated_mysql_url) as storage:
        yield storage


@pytest.fixture
async def own_mysql_storage(mysql_url: str) -> AsyncIterator[SqlStorage]:
    """A storage on a database of the test's own, named by `mysql_url`, whose schema it may change."""
    async with _opened(migrated(mysql_url)) as storage:
        yield storage


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new, empty file."""
    return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"


@pytest.fixture
async def sqlite_storage(migrated_sqlite_url: str) -> AsyncIterator[SqlStorage]:
    """A storage on a new file."""
    async with _opened(migrated_sqlite_url) as storage:
        yield storage


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without a schema."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind without rows, whose schema no test may change."""
    url: str = request.getfixturevalue(f"migrated_{request.param}_url")
    return url


@pytest.fixture
async def any_storage(migrated_url: str) -> AsyncIterator[SqlStorage]:
    """A storage on each kind of database."""
    async with _opened(migrated_url) as storage:
        yield storage


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[ConnectionPool]:
    dialect = dialect_of(url)
    pool = ConnectionPool(dialect.writing(make_url(url)), dialect.send)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[ConnectionPool]:
    """A pool of connections to each kind of database, with the schema in it."""
    async with _pool(migrated_url) as pool:
        yield pool


@pytest.fixture
async def mysql_pool(migrated_mysql_url: str) -> AsyncIterator[ConnectionPool]:
    """A pool of connections to a database server, with the schema in it."""
    async with _pool(migrated_mysql_url) as pool:
        yield pool

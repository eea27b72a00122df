"""A migrated database of either kind, processes to work on it, and a look at what became of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import Settings
from tests import servers
from tests.faults.concurrency.app_driver import AppDriver
from tests.faults.concurrency.worker_pool import Process, WorkerPool


@asynccontextmanager
async def app_on(url: str) -> AsyncIterator[AppDriver]:
    """The application on a database, in the test's own process."""
    app = AppDriver(make_container(Settings(database_url=url)), url)
    try:
        yield app
    finally:
        await app.close()


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database."""
    if request.param == "sqlite":
        found: str = request.getfixturevalue("migrated_sqlite_url")
        return found
    return str(request.getfixturevalue("migrated_mysql_url"))


@pytest.fixture(params=[500, 1], ids=["together", "one-by-one"])
def together(request: pytest.FixtureRequest) -> int:
    """How many commands a process puts into one transaction; with 1, the turnstile batches nothing."""
    most: int = request.param
    return most


@pytest.fixture(scope="session")
def process_pool() -> Iterator[list[Process]]:
    """Processes that one test has left for the next."""
    pool: list[Process] = []
    yield pool
    for process in pool:
        process.kill()


@pytest.fixture
def workers(url: str, process_pool: list[Process]) -> Iterator[WorkerPool]:
    """Processes on the database."""
    workers = WorkerPool(url, process_pool)
    yield workers
    workers.dismiss()


@pytest.fixture
async def app(url: str) -> AsyncIterator[AppDriver]:
    """The application on the database, in the test's own process."""
    async with app_on(url) as app:
        yield app

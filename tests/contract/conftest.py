"""One storage after the other for the same suite; which one it is only this file knows."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.sql.tables import metadata
from boxoffice.application.ports import Storage
from tests import mariadb

from .box_office import BoxOffice


def _migrate(url: str) -> None:
    """In a thread, because fixtures may run beside a loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(upgrade(url))).result()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_mysql_url(mysql_admin_url: str) -> Iterator[str]:
    """A migrated database, one for all tests of a worker."""
    with mariadb.fresh_database(mysql_admin_url) as url:
        _migrate(url)
        yield url


@pytest.fixture(params=["memory", "sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage."""
    storage: Storage
    match request.param:
        case "memory":
            storage = MemoryStorage()
        case "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "boxoffice.db")
            storage = SqlStorage.from_url(f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}")
        case _:
            url = request.getfixturevalue("migrated_mysql_url")
            mariadb.execute(url, *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
            storage = SqlStorage.from_url(url)
    yield storage
    await storage.close()


@pytest.fixture
def office(storage: Storage) -> BoxOffice:
    """The storage with hands that use it."""
    return BoxOffice(storage)

"""One storage after the other for the same suite; which one it is only this file knows."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports import Storage
from tests.databases import emptied

from .box_office import BoxOffice


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
            storage = SqlStorage.from_url(emptied(request.getfixturevalue("migrated_mysql_url")))
    yield storage
    await storage.close()


@pytest.fixture
def office(storage: Storage) -> BoxOffice:
    """The storage with hands that use it."""
    return BoxOffice(storage)

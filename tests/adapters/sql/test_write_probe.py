"""A database that takes no writes is not ready; finding that out leaves nothing behind and costs little."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects.dialect import dialect_of
from boxoffice.adapters.sql.engine import transaction
from boxoffice.adapters.sql.engine.pool import ConnectionPool
from boxoffice.adapters.sql.engine.write_probe import SECONDS_BETWEEN, WriteProbe
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from tests.adapters.sql.recorded import by_hand


@contextmanager
def no_room() -> Iterator[None]:
    """This process can write to no file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_file_that_cannot_grow_is_not_ready_until_it_can(sqlite_storage: SqlStorage) -> None:
    storage = sqlite_storage
    failure: Unavailable | None = None
    with no_room():
        try:
            await storage.check_ready()
        except Unavailable as refused:
            failure = refused
    assert "cannot be read or written: check whether the disk is full" in str(failure)
    await storage.check_ready()


async def test_a_full_disk_is_not_ready(
    sqlite_storage: SqlStorage, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = sqlite_storage
    await storage.check_ready()
    found = os.statvfs(sqlite_url.removeprefix("sqlite+aiosqlite:///"))
    full = os.statvfs_result((*found[:4], 0, *found[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(Unavailable, match="The disk is full: make room"):
        await storage.check_ready()
    monkeypatch.undo()
    await storage.check_ready()


async def test_nothing_is_left(any_storage: SqlStorage, migrated_url: str) -> None:
    await any_storage.check_ready()
    assert await by_hand(migrated_url, "SELECT * FROM leases") == []


@pytest.mark.usefixtures("sqlite_storage")
async def test_it_writes_once_a_second_at_most(sqlite_url: str) -> None:
    now = [0.0]
    database = dialect_of(sqlite_url)
    connections = ConnectionPool(database.writing(make_url(sqlite_url)), database.send)
    probe = WriteProbe(connections, database.classify, *database.opening, seconds=lambda: now[0])
    watching = sqlite3.connect(sqlite_url.removeprefix("sqlite+aiosqlite:///"))

    def version() -> int:
        """Another number after each commit of another connection."""
        found: int = watching.execute("PRAGMA data_version").fetchone()[0]
        return found

    seen = [version()]
    for now[0] in (0.0, SECONDS_BETWEEN / 2, SECONDS_BETWEEN * 1.5):
        await probe()
        seen.append(version())
    assert seen[0] != seen[1] == seen[2] != seen[3]
    watching.close()
    await connections.close()


async def test_a_database_that_others_write_to_is_ready(
    sqlite_storage: SqlStorage, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "BEGIN_SECONDS", 0.0)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await sqlite_storage.check_ready()
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.usefixtures("sqlite_storage")
async def test_a_service_whose_connections_are_all_in_use_is_ready(sqlite_url: str) -> None:
    database = dialect_of(sqlite_url)
    connections = ConnectionPool(database.writing(make_url(sqlite_url)), database.send)
    held = [await connections.connect() for _ in range(8)]
    await WriteProbe(connections, database.classify, *database.opening)()
    for each in held:
        await each.close()
    await connections.close()

"""A disk that fills up under load, and has room again later.

The full counts: `.venv/bin/python -m pytest tests/faults/test_disk_full.py --long`.

Where this user may mount file systems, the database lies on a small one of its own. Elsewhere SQLite's files may not
grow beyond a limit of the process, and MariaDB's tables share a file with a greatest size, which takes a restart of the
server to change.
"""

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Final, Protocol

import pytest
from asyncmy.errors import Error

from tests import mariadb
from tests.concurrency.conftest import app_on
from tests.databases import migrated
from tests.faults.crowd import Crowd
from tests.faults.test_proxy import ANSWERED_WITHIN, applications, crowded, events, told_again, turned_away

MEGABYTE: Final = 1 << 20
ROOM: Final = 32 * MEGABYTE
"""What is left beside the data before it fills up."""


class Disk(Protocol):
    """Where a database lies."""

    def fill(self) -> None:
        """No room is left."""

    def free(self) -> None:
        """There is room again."""


class SmallFileSystem:
    """A file system of its own, in memory."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._ballast = path / "ballast"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True, capture_output=True)

    def fill(self) -> None:
        """See `Disk`."""
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            for piece in (64 * 1024, 4096):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(piece))

    def free(self) -> None:
        """See `Disk`."""
        self._ballast.unlink()

    def close(self) -> None:
        """Nothing of it is left."""
        subprocess.run(["umount", "-l", self._path], check=True, capture_output=True)


def may_mount() -> bool:
    """Whether this user may mount file systems here."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


class LimitOfFiles:
    """No file that this process writes grows beyond what it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """See `Disk`."""
        most = max(each.stat().st_size for each in self._path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, self._limits[1]))

    def free(self) -> None:
        """See `Disk`."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


class SmallMariaDB(mariadb.MariaDB):
    """A server whose data lie on a small disk; or else in one file with a greatest size."""

    def __init__(self, template_directory: Path, *, mounts: bool) -> None:
        super().__init__(template_directory)
        self._most_megabytes = 20
        self.file_system: SmallFileSystem | None = None
        if mounts:
            size = sum(each.stat().st_blocks * 512 for each in self._data.rglob("*"))
            shutil.rmtree(self._data)
            self._data.mkdir()
            self.file_system = SmallFileSystem(self._data, size + ROOM)
            shutil.copytree(template_directory, self._data, dirs_exist_ok=True)

    def _command(self, port: int) -> list[str]:
        file = f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{self._most_megabytes}M"
        return [*super()._command(port), *([] if self.file_system else ["--innodb-file-per-table=0", file])]

    @property
    def is_running(self) -> bool:
        """Whether the server has not given up."""
        return self._process is not None and self._process.poll() is None

    def give_more(self) -> None:
        """Let the file grow further; that takes a restart of the server."""
        self._most_megabytes += 16
        self.restart()

    def close(self) -> None:
        """As a server does; the disk goes too."""
        self.kill()
        if self.file_system is not None:
            self.file_system.close()
        super().close()


class OwnFileSystem:
    """A file system of the server's own. When it is full InnoDB may give up altogether, and is started again later."""

    def __init__(self, server: SmallMariaDB, file_system: SmallFileSystem) -> None:
        self._server = server
        self._file_system = file_system
        self.crashes = 0

    def fill(self) -> None:
        """See `Disk`."""
        self._file_system.fill()

    def free(self) -> None:
        """See `Disk`."""
        self._file_system.free()
        if not self._server.is_running:
            self.crashes += 1
            self._server.restart()


class OneFile:
    """All tables in one file, which may not grow until its server is started anew."""

    def __init__(self, server: SmallMariaDB, url: str) -> None:
        self._server = server
        self._url = url
        mariadb.execute(url, "CREATE TABLE ballast (data LONGBLOB NOT NULL) ENGINE = InnoDB")

    def fill(self) -> None:
        """See `Disk`."""
        for size in (256 * 1024, 12 * 1024, 1024):
            with suppress(Error):
                while True:
                    mariadb.execute(self._url, f"INSERT INTO ballast VALUES (REPEAT('x', {size}))")

    def free(self) -> None:
        """See `Disk`."""
        self._server.give_more()


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_template: Path) -> Iterator[tuple[str, Disk]]:
    """A database in a file, and the disk that it lies on."""
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = SmallFileSystem(folder, ROOM) if may_mount() else None
    shutil.copy(sqlite_template, folder / "boxoffice.db")
    limited = LimitOfFiles(folder)
    yield f"sqlite+aiosqlite:///{folder / 'boxoffice.db'}", mounted or limited
    limited.free()
    if mounted:
        mounted.close()


@pytest.fixture
def on_mariadb(mariadb_template: Path) -> Iterator[tuple[str, Disk]]:
    """A database on a server of its own, and the disk that it lies on."""
    with SmallMariaDB(mariadb_template, mounts=may_mount()) as server:
        mariadb.execute(server.admin_url, "CREATE DATABASE boxoffice CHARACTER SET utf8mb4")
        url = migrated(f"{server.admin_url}/boxoffice")
        yield url, OwnFileSystem(server, server.file_system) if server.file_system else OneFile(server, url)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["on_sqlite", pytest.param("on_mariadb", marks=pytest.mark.mysql)])
async def test_a_disk_that_is_full_for_a_while(
    request: pytest.FixtureRequest, place: str, times: Callable[[int, int], int]
) -> None:
    """Every answer is right or "try again"; once there is room, the same processes work on."""
    url, disk = request.getfixturevalue(place)
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(app_on(url))
        containers = await stack.enter_async_context(applications(url, 2))
        crowd = Crowd(containers, await events(office), Random(place))
        async with crowded(crowd, 6):
            for _ in range(times(1, 10)):
                await told_again(crowd)
                await asyncio.to_thread(disk.fill)
                # What there is room for within the database is still done; then it is full for everybody.
                for _ in range(times(20, 100)):
                    await turned_away(crowd)
                await asyncio.to_thread(disk.free)
                for _ in range(20):
                    await told_again(crowd)
        await crowd.check(office)
    assert crowd.turned_away >= times(20, 1_000)
    assert crowd.slowest < ANSWERED_WITHIN
    print(  # noqa: T201
        f"{type(disk).__name__}: {len(crowd.answered)} outcomes, {crowd.turned_away} times 503, "
        f"slowest answer {crowd.slowest:.2f} s, server crashed {getattr(disk, 'crashes', 0)} times"
    )

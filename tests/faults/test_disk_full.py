"""A disk that is full under load, and has room again later.

In full: `.venv/bin/python -m pytest tests/faults/test_disk_full.py --long`.

A user who may mount file systems puts the database on a small one. Otherwise SQLite's files may not grow beyond a limit
of the process, and the server's tables share a file with a maximum size, which the server reads when it starts.
"""

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import pytest
from asyncmy.errors import Error
from msgspec import Struct

from tests import mariadb, servers
from tests.databases import migrated
from tests.faults.load_clients import ANSWERED_WITHIN, LoadClients, applications, new_event
from tests.mariadb import MariaDB
from tests.mysql import MySQL

ROOM: Final = 128 << 20
"""Bytes that are free at first. InnoDB extends its system tablespace by 64 MiB at a time."""


class Disk(Struct, frozen=True):
    """A database on a disk that can be filled and freed."""

    url: str
    fill: Callable[[], None]
    free: Callable[[], None]


def may_mount() -> bool:
    """Return whether this user may mount file systems here."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@contextmanager
def file_system(path: Path, size: int) -> Iterator[None]:
    """Mount a file system in memory on this directory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True, capture_output=True)


def fill(path: Path) -> None:
    """Write into a file until its file system is full."""
    with path.open("wb", buffering=0) as ballast:
        for size in (64 * 1024, 4096):
            with suppress(OSError):
                while True:
                    ballast.write(bytes(size))


def sqlite(request: pytest.FixtureRequest) -> Iterator[Disk]:
    folder: Path = request.getfixturevalue("tmp_path") / "data"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder / 'boxoffice.db'}"
    template: Path = request.getfixturevalue("sqlite_template")
    if may_mount():
        with file_system(folder, ROOM):
            shutil.copy(template, folder / "boxoffice.db")
            yield Disk(url, lambda: fill(folder / "ballast"), (folder / "ballast").unlink)
        return
    shutil.copy(template, folder / "boxoffice.db")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        largest = max(each.stat().st_size for each in folder.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))

    def unlimit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    try:
        yield Disk(url, limit, unlimit)
    finally:
        unlimit()


class OneFile(MariaDB):
    """A server whose tables share one file with a maximum size."""

    most_megabytes = 28

    def command(self, port: int) -> list[str]:
        """Return the command line with the maximum size."""
        file = f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{self.most_megabytes}M"
        return [*super().command(port), "--innodb-file-per-table=0", file]

    def fill(self) -> None:
        """Insert rows until the file is full."""
        for size in (256 * 1024, 12 * 1024, 1024):
            with suppress(Error):
                while True:
                    mariadb.execute(self.admin_url, f"INSERT INTO boxoffice.ballast VALUES (REPEAT('x', {size}))")

    def free(self) -> None:
        """Start again with a larger file."""
        self.most_megabytes += 16
        self.restart()


class OneFileOfMySQL(OneFile, MySQL):
    """The same of MySQL, whose own command line it extends."""


def new_database(server: MariaDB) -> str:
    mariadb.execute(server.admin_url, "CREATE DATABASE boxoffice CHARACTER SET utf8mb4")
    return migrated(f"{server.admin_url}/boxoffice")


def on_server(request: pytest.FixtureRequest) -> Iterator[Disk]:
    template: Path = request.getfixturevalue("server_template")
    if not may_mount():
        with (OneFileOfMySQL if servers.KIND == "mysql" else OneFile)(template) as limited:
            url = new_database(limited)
            mariadb.execute(url, "CREATE TABLE ballast (data LONGBLOB NOT NULL) ENGINE = InnoDB")
            yield Disk(url, limited.fill, limited.free)
        return
    server = servers.server(template)
    size = sum(each.stat().st_blocks * 512 for each in server.data.rglob("*"))
    shutil.rmtree(server.data)
    server.data.mkdir()

    def free() -> None:
        (server.data / "ballast").unlink()
        if not server.is_running:  # InnoDB may abort on a full disk.
            server.restart()

    try:
        with file_system(server.data, size + ROOM):
            shutil.copytree(template, server.data, dirs_exist_ok=True)
            server.start()
            yield Disk(new_database(server), lambda: fill(server.data / "ballast"), free)
            server.kill()
    finally:
        server.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", [sqlite, pytest.param(on_server, marks=pytest.mark.mysql)])
async def test_a_disk_that_is_full_for_a_while(
    request: pytest.FixtureRequest,
    place: Callable[[pytest.FixtureRequest], Iterator[Disk]],
    times: Callable[[int, int], int],
) -> None:
    """Every answer is right or "try again"; once there is room, the same processes serve again."""
    with contextmanager(place)(request) as disk:
        async with applications(disk.url, disk.url) as containers:
            clients = LoadClients(containers, [await new_event(containers[0], total) for total in (5, 8, 2)], Random(1))
            async with clients.running(6):
                for _ in range(times(1, 10)):
                    await clients.until_acknowledged()
                    await asyncio.to_thread(disk.fill)
                    # The database still uses its own free space, and then refuses everything.
                    await clients.until_turned_away(times(20, 100))
                    await asyncio.to_thread(disk.free)
                    await clients.until_acknowledged(20)
            await clients.check(containers[0])
    assert clients.slowest < ANSWERED_WITHIN
    print(clients.figures())  # noqa: T201

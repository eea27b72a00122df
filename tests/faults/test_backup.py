"""Backups taken while tickets are booked, by the commands of the manual: restored, they are the past, and whole.

Ten backups of each kind of database under load, with figures:

    .venv/bin/python -m pytest tests/faults/test_backup.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.sql.schema.tables import facts
from boxoffice.entrypoints.harness.history import History
from tests import mariadb
from tests.databases import migrated
from tests.faults.clients import Client, Crowd, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge, stored
from tests.faults.service import Server, environment_for

_log = logging.getLogger(__name__)

_ROOT: Final = Path(__file__).parents[2]
_NAME: Final = "event-ticket-booking-service"

Rows = dict[UUID, list[Any]]


def manual() -> list[str]:
    """The commands of the manual: back up and restore SQLite, back up and restore MariaDB."""
    text = (_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def run(commands: str, directory: Path, environment: dict[str, str]) -> None:
    """As an operator types them, with `boxoffice` and `python3` those of this installation."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", commands],
        cwd=directory,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Sqlite:
    """The embedded database, with a secret of its own."""

    def __init__(self, directory: Path, template: Path) -> None:
        (directory / "data").mkdir()
        shutil.copy(template, directory / "data" / "boxoffice.db")
        self._directory = directory
        self.url = migrated(f"sqlite+aiosqlite:///{directory / 'data' / 'boxoffice.db'}")

    @property
    def secret(self) -> str:
        return (self._directory / "data" / "boxoffice.db.jwt-secret").read_text().strip()

    def back_up(self) -> None:
        for old in self._directory.glob("backup.*"):
            old.unlink()
        run(manual()[0], self._directory, environment_for(self.url, JWT_SECRET=None))

    def restore(self, number: int) -> tuple[str, Path]:
        """Where it is then, and from where it is served: another machine, so to say."""
        place = self._directory / f"restored{number}"
        (place / "data").mkdir(parents=True)
        for saved in self._directory.glob("backup.*"):
            shutil.copy(saved, place)
        url = f"sqlite+aiosqlite:///{place / 'data' / 'boxoffice.db'}"
        run(manual()[1], place, environment_for(url, JWT_SECRET=None))
        return url, place


class MariaDB:
    """A database by the name that the manual gives it, on a server of the test's own."""

    def __init__(self, directory: Path, server: mariadb.MariaDB) -> None:
        mariadb.execute(server.admin_url, f"CREATE DATABASE `{_NAME}` CHARACTER SET utf8mb4")
        self._directory = directory
        self._server = server
        self.url = migrated(f"{server.admin_url}/{_NAME}")
        self.secret = "Yw7-kQ2fLr9ZpXc4VbNm1sTd6HgJ0eRuI8oAa3WqE5y"
        url = make_url(server.admin_url)
        options = directory / ".my.cnf"
        options.touch(mode=0o600)
        options.write_text(
            f"[client]\nhost={url.host}\nport={url.port}\nuser={url.username}\npassword={url.password}\n"
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self._directory)}

    def back_up(self) -> None:
        run(manual()[2], self._directory, self._environment)

    def restore(self, number: int) -> tuple[str, Path]:
        mariadb.execute(self._server.admin_url, "DROP DATABASE IF EXISTS restored")
        run(manual()[3], self._directory, self._environment)
        return f"{self._server.admin_url}/restored", self._directory


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite | MariaDB:
    if request.param == "sqlite":
        return Sqlite(tmp_path, request.getfixturevalue("sqlite_template"))
    return MariaDB(tmp_path, request.getfixturevalue("own_mariadb"))


async def all_facts(url: str) -> Rows:
    """What happened, by event and in order."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            rows = (await connection.execute(select(facts).order_by(facts.c.event_id, facts.c.seq))).all()
    finally:
        await engine.dispose()
    return {event_id: list(of_event) for event_id, of_event in groupby(rows, key=lambda row: row.event_id)}


class Backup:
    """A restored backup, with what had been told when it began and when it ended."""

    def __init__(self, history: History, began: int, ended: int, rows: Rows) -> None:
        self._history = history
        self._began = began
        self._ended = ended
        self._rows = rows

    @property
    def told_meanwhile(self) -> int:
        """How much was acknowledged while it was taken."""
        return sum(entry.kind == "ok" for entry in self._history.entries[self._began : self._ended])

    def check(self, original: Rows) -> None:
        """It is the past: gapless from the first fact on, with all that was told before and nothing asked for later."""
        assert self._rows.keys() == original.keys()
        for event_id, rows in self._rows.items():
            assert rows == original[event_id][: len(rows)]
        there = {(row.booking_id, row.kind == "BookingCancelled") for rows in self._rows.values() for row in rows}
        for operation in self._history.operations():
            if operation.outcome is None or operation.outcome.booking_id is None:
                continue
            what = operation.outcome.booking_id, operation.call.name == "cancel"
            if operation.ended is not None and operation.ended < self._began:
                assert what in there, f"lost: {operation}"
            if operation.began >= self._ended:
                assert what not in there, f"from the future: {operation}"


async def book_on(server: Server, people: Sequence[Person], event_id: UUID) -> History:
    """New customers book, one after the other."""
    history, told = History(), Counter[str]()
    client = Client(0, server.port, history, told)
    for person in people:
        await client.book(person, event_id)
    client.close()
    assert told == {"201": len(people)}
    return history


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_a_backup_under_load_is_the_past(
    database: Sqlite | MariaDB, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    random = Random(3)
    is_embedded = isinstance(database, Sqlite)
    settings = {"JWT_SECRET": None if is_embedded else database.secret}
    servers = serve(database.url, 2, settings=settings)
    organizer, *people = await enrol(database.url, 45, secret=database.secret)
    late = people[40:]
    event_id = await initialize(servers[0].port, organizer, 30)
    crowd = Crowd(people[:40], event_id, [server.port for server in servers])
    backups = []
    for number in range(times(1, 10)):
        crowd.start()
        await crowd.until_served(servers[0].port, random.randint(20, 150))
        began = len(crowd.history)
        await asyncio.to_thread(database.back_up)
        ended = len(crowd.history)
        await crowd.until_served(servers[0].port, 20)
        await crowd.stop()
        url, place = await asyncio.to_thread(database.restore, number)
        backups.append(Backup(crowd.history, began, ended, await all_facts(url)))

        await judge(url, tmp_path, History())
        before = await stored(url, crowd.history)
        (restored,) = serve(url, 1, settings=settings, directory=place, name=f"restored{number}-")
        history = await book_on(restored, late, event_id)
        await judge(url, tmp_path, history, before=before)
        assert restored.complaints() == []
        assert restored.terminate() == 0

    original = await all_facts(database.url)
    for backup in backups:
        backup.check(original)
    meanwhile = [backup.told_meanwhile for backup in backups]
    _log.info("%s backups, %s outcomes told while they were taken", len(backups), meanwhile)
    assert sum(meanwhile) > 0
    await judge(database.url, tmp_path, crowd.history)

"""Backups taken under load by the commands of the manual: restored, they are a complete state of the past.

Ten backups of each kind of database, with figures:

    .venv/bin/python -m pytest tests/faults/test_backup.py --long --log-cli-level=INFO
"""

import asyncio
import logging
import os
import re
import shlex
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
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.sql.schema.tables import facts
from boxoffice.entrypoints.harness.history import History
from tests import accounts, mariadb, mysql
from tests.databases import migrated
from tests.faults.clients import Client, ClientGroup, Person, enrol, initialize
from tests.faults.conftest import Serve
from tests.faults.judge import judge, stored
from tests.faults.load_clients import applications, new_event
from tests.faults.service import Server, boxoffice, environment_for
from tests.servers import KIND
from tests.servers import server as new_server

_log = logging.getLogger(__name__)

SECRET: Final = "Yw7-kQ2fLr9ZpXc4VbNm1sTd6HgJ0eRuI8oAa3WqE5y"

Rows = dict[UUID, list[Any]]


def manual() -> list[str]:
    """Return the commands of the manual: back up and restore SQLite, back up MariaDB and MySQL, restore the same."""
    section = (
        accounts.MANUAL.read_text(encoding="utf-8").partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
    )
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def run(commands: str, directory: Path, environment: dict[str, str]) -> str:
    """Run commands as an operator does, with `boxoffice` and `python3` of this installation; return their errors."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", commands], cwd=directory, env={**environment, "PATH": path},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


class Database(Struct, frozen=True):
    """A database to back up. `restore` returns the URL of the copy, and the directory to serve it from."""

    url: str
    secret: Callable[[], str]
    setting: str | None
    """The secret as a setting; None: the service keeps its own."""
    back_up: Callable[[], object]
    restore: Callable[[int], tuple[str, Path]]


def sqlite(directory: Path, template: Path) -> Database:
    """Return the embedded database, which has its own secret."""
    (directory / "data").mkdir()
    shutil.copy(template, directory / "data" / "boxoffice.db")
    url = migrated(f"sqlite+aiosqlite:///{directory / 'data' / 'boxoffice.db'}")

    def back_up() -> None:
        for old in directory.glob("backup.*"):
            old.unlink()
        run(manual()[0], directory, environment_for(url, JWT_SECRET=None))

    def restore(number: int) -> tuple[str, Path]:
        place = directory / f"restored{number}"
        (place / "data").mkdir(parents=True)
        for saved in directory.glob("backup.*"):
            shutil.copy(saved, place)
        restored = f"sqlite+aiosqlite:///{place / 'data' / 'boxoffice.db'}"
        run(manual()[1], place, environment_for(restored, JWT_SECRET=None))
        return restored, place

    kept = directory / "data" / "boxoffice.db.jwt-secret"
    return Database(url, lambda: kept.read_text().strip(), None, back_up, restore)


_OF_KIND: Final = {"mariadb": (2, 4), "mysql": (3, 5)}[KIND]
"""Which of the commands back up and restore this run's kind of server."""

WITH_GTIDS: Final = {
    "mariadb": ["--log-bin=binlog", "--server-id=1"],
    "mysql": ["--log-bin=binlog", "--server-id=1", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
}[KIND]


def home_of(directory: Path, url: str) -> dict[str, str]:
    """Return the environment of a user of the machine whose programs connect to a server with this URL's account."""
    parts = make_url(url)
    directory.mkdir(exist_ok=True)
    options = directory / ".my.cnf"
    options.touch(mode=0o600)
    options.write_text(
        f"[client]\nhost={parts.host}\nport={parts.port}\nuser={parts.username}\npassword={parts.password}\n"
    )
    return {**os.environ, "HOME": str(directory), "PATH": f"{programs_in(directory)}{os.pathsep}{os.environ['PATH']}"}


def programs_in(directory: Path) -> Path:
    """Return a directory with MySQL's programs, which are not installed; empty for MariaDB."""
    place = directory / "bin"
    place.mkdir(exist_ok=True)
    for name in ("mysql", "mysqldump") if KIND == "mysql" else ():
        program = place / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(mysql.program(name))} "$@"\n')
        program.chmod(0o700)
    return place


def on_server(directory: Path, server: mariadb.MariaDB) -> Database:
    """Return a database with the name from the manual on a server of this test."""
    mariadb.execute(server.admin_url, f"CREATE DATABASE `{accounts.NAME}` CHARACTER SET utf8mb4")
    environment = home_of(directory, server.admin_url)
    back_up, restore_it = (manual()[number] for number in _OF_KIND)

    def restore(_: int) -> tuple[str, Path]:
        mariadb.execute(server.admin_url, "DROP DATABASE IF EXISTS restored")
        run(restore_it, directory, environment)
        return f"{server.admin_url}/restored", directory

    url = migrated(f"{server.admin_url}/{accounts.NAME}")
    return Database(url, lambda: SECRET, SECRET, lambda: run(back_up, directory, environment), restore)


@pytest.fixture(params=["sqlite", pytest.param(KIND, marks=pytest.mark.mysql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return sqlite(tmp_path, request.getfixturevalue("sqlite_template"))
    return on_server(tmp_path, request.getfixturevalue("own_server"))


@pytest.mark.slow
async def test_an_account_backs_up_and_its_copy_is_restored_on_any_server(
    server_template: Path, tmp_path: Path
) -> None:
    """On the server that it came from, with GTIDs, and on another one without."""
    back_up, restore = (manual()[number] for number in _OF_KIND)
    server, another = new_server(server_template), new_server(server_template)
    server.options += WITH_GTIDS
    with server, another:
        url_of = accounts.create(server.admin_url)
        accounts.create(another.admin_url)
        async with applications(migrated(url_of["migrating"])) as (container,):
            await new_event(container, 3)
        complaints = run(back_up, tmp_path, home_of(tmp_path / "serving", url_of["serving"]))
        assert complaints == "", "a timer would mail them every night"
        for place in (server, another):
            run(restore, tmp_path, home_of(tmp_path / "administrator", place.admin_url))
            accounts.grant_on_restored(place.admin_url)
            restored = accounts.url_of(place.admin_url, "serving", "restored")
            verified = boxoffice(restored, tmp_path, "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr
            assert "Checked 1 events" in verified.stdout
            assert await all_facts(restored) == await all_facts(url_of["serving"]) != {}
            migrating = accounts.url_of(place.admin_url, "migrating", "restored")
            mariadb.execute(migrating, "ALTER TABLE bookings ADD COLUMN of_later INT")


async def all_facts(url: str) -> Rows:
    """Return the facts by event, in order."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            rows = (await connection.execute(select(facts).order_by(facts.c.event_id, facts.c.seq))).all()
    finally:
        await engine.dispose()
    return {event_id: list(of_event) for event_id, of_event in groupby(rows, key=lambda row: row.event_id)}


def check_backup(history: History, began: int, ended: int, rows: Rows, original: Rows) -> None:
    """Check that a backup has the first facts of each event: all acknowledged before it began, none requested later."""
    assert rows.keys() == original.keys()
    for event_id, of_event in rows.items():
        assert of_event == original[event_id][: len(of_event)]
    found = {(row.booking_id, row.kind == "BookingCancelled") for of_event in rows.values() for row in of_event}
    for operation in history.operations():
        if operation.outcome is None or operation.outcome.booking_id is None:
            continue
        what = operation.outcome.booking_id, operation.call.name == "cancel"
        if operation.ended is not None and operation.ended < began:
            assert what in found, f"lost: {operation}"
        if operation.began >= ended:
            assert what not in found, f"from the future: {operation}"


async def book_on(server: Server, people: Sequence[Person], event_id: UUID) -> History:
    """Book for new customers, one after the other."""
    history, answers = History(), Counter[str]()
    client = Client(0, server.port, history, answers)
    for person in people:
        await client.book(person, event_id)
    client.close()
    assert answers == {"201": len(people)}
    return history


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_a_backup_under_load_is_the_past(
    database: Database, serve: Serve, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    random = Random(3)
    settings = {"JWT_SECRET": database.setting}
    servers = serve(database.url, 2, settings=settings)
    organizer, *people = await enrol(database.url, 45, secret=database.secret())
    event_id = await initialize(servers[0].port, organizer, 30)
    clients = ClientGroup(people[:40], event_id, [server.port for server in servers])
    backups = []
    for number in range(times(1, 10)):
        async with clients.running():
            await clients.until_served(servers[0].port, random.randint(20, 150))
            began = len(clients.history)
            await asyncio.to_thread(database.back_up)
            ended = len(clients.history)
            await clients.until_served(servers[0].port, 20)
        url, place = await asyncio.to_thread(database.restore, number)
        backups.append((began, ended, await all_facts(url)))

        await judge(url, tmp_path, History())
        before = await stored(url, clients.history)
        (restored,) = serve(url, 1, settings=settings, directory=place, name=f"restored{number}-")
        history = await book_on(restored, people[40:], event_id)
        await judge(url, tmp_path, history, before=before)
        assert restored.complaints() == []
        assert restored.terminate() == 0

    original = await all_facts(database.url)
    for began, ended, rows in backups:
        check_backup(clients.history, began, ended, rows, original)
    meanwhile = [
        sum(entry.kind == "ok" for entry in clients.history.entries[began:ended]) for began, ended, _ in backups
    ]
    _log.info("%s backups, outcomes while they were taken: %s", len(backups), meanwhile)
    assert sum(meanwhile) > 0
    await judge(database.url, tmp_path, clients.history)

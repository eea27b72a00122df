"""Migrations: by several processes at once, and broken off anywhere and run again.

The full counts: `.venv/bin/python -m pytest tests/faults/test_migrating.py --long`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.inventory import Inventory
from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.contract.storage_driver import StorageDriver
from tests.faults.proxy import Cut, proxied
from tests.faults.service import environment_for
from tests.sql.test_migrations import AtNow, fill_before_payments, on, upgrade_to


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    url: str = request.getfixturevalue("mysql_url")
    return url


class Before:
    """A database of the first version, with a line and a cancelled booking; what was in it is looked for later."""

    def __init__(self, url: str, inventory: Inventory, bookings: list[Booking]) -> None:
        self._url = url
        self._inventory = inventory
        self._bookings = bookings

    @classmethod
    async def made(cls, url: str) -> "Before":
        await upgrade_to(url, "0001")
        return cls(url, *await fill_before_payments(url))

    async def check(self) -> None:
        """Everything is there, and can be worked on."""
        await check_schema(self._url)
        storage = SqlStorage.from_url(self._url)
        try:
            for booking in self._bookings:
                found = await storage.booking_queries.booking(booking.id)
                assert found
                assert (found.booking.status, found.booking.customer_id) == (booking.status, booking.customer_id)
            (state,) = (await storage.event_queries.events_by_id([self._inventory.event.id])).values()
            await StorageDriver(storage).book(state)
            assert (await VerifyPromises(storage, AtNow())()).breaches == []
        finally:
            await storage.close()


async def check_schema(url: str) -> None:
    """It is this program's, to the last column, and nothing is left of the way there."""
    storage = SqlStorage.from_url(url)
    await storage.check_ready()
    await storage.close()

    def differences(connection: Connection) -> object:
        assert not inspect(connection).has_table("migration_steps")
        ours = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
            },
        )
        return compare_metadata(ours, metadata)

    assert await on(url, differences) == []


def migrating(url: str, directory: Path) -> "subprocess.Popen[str]":
    """`boxoffice migrate` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "boxoffice", "migrate"],
        cwd=directory,
        env={**os.environ, **environment_for(url)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
async def test_processes_migrate_at_once(empty_url: str, tmp_path: Path, times: Callable[[int, int], int]) -> None:
    """From the first version on, with data; from nothing on: tests/sql/test_migrations.py."""
    before = await Before.made(empty_url)
    processes = [migrating(empty_url, tmp_path) for _ in range(times(2, 4))]
    said = [await asyncio.to_thread(process.communicate, timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    await before.check()


# Counts the statements of every connection, and is gone in the middle of one.
_DIE_AT = """
import asyncio, os, signal, sys
from sqlalchemy import Engine, event
from boxoffice.adapters.sql.migrate import upgrade

left = int(sys.argv[2])

def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, sys.argv[3], count)
asyncio.run(upgrade(sys.argv[1]))
"""


async def died_at(url: str, statement: int, moment: str) -> bool:
    """Whether the migration was killed at that statement; otherwise it has come to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DIE_AT, url, str(statement), moment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode != 0


@pytest.mark.slow
async def test_a_migration_that_is_killed_is_run_again(empty_url: str, times: Callable[[int, int], int]) -> None:
    """`kill -9` before or after one of its statements, again and again, each time further on, until there is none."""
    random = Random(1)
    before = await Before.made(empty_url)
    kills, statement = 0, 3
    while await died_at(empty_url, statement, random.choice(["before_cursor_execute", "after_cursor_execute"])):
        kills += 1
        statement += random.randrange(1, times(25, 3))
    await upgrade(empty_url)
    await before.check()
    assert kills
    print(f"killed {kills} times")  # noqa: T201


@pytest.mark.slow
async def test_a_migration_that_loses_its_connection_says_so_and_is_run_again(
    mysql_url: str, times: Callable[[int, int], int]
) -> None:
    """Cut around its changes of the schema, one after the other, and anywhere else."""
    random = Random(1)
    async with proxied(mysql_url, random) as proxy:
        is_done = False
        while not is_done:
            around_a_change = random.random() < 0.8
            cuts = (Cut.BEFORE_CHANGE, Cut.AFTER_CHANGE) if around_a_change else (Cut.IN_A_QUESTION, Cut.IN_AN_ANSWER)
            packets = random.randrange(times(10, 2)) if around_a_change else random.randrange(100)
            cutting = asyncio.ensure_future(proxy.cut(random.choice(cuts), packets_before=packets))
            await asyncio.sleep(0)
            try:
                await migrate(Settings(database_url=proxy.url))
            except Unavailable:
                assert cutting.done()
            else:
                is_done = True
            cutting.cancel()
        await check_schema(mysql_url)
    assert proxy.cuts.total() > 2
    print(f"cut {dict(proxy.cuts)}")  # noqa: T201


async def test_a_table_of_somebody_else_is_left_alone(mysql_url: str) -> None:
    mariadb.execute(mysql_url, "CREATE TABLE facts (id INT PRIMARY KEY) ENGINE = InnoDB")
    for _ in range(2):
        with pytest.raises(Unavailable, match="table facts already"):
            await migrate(Settings(database_url=mysql_url))
    mariadb.execute(mysql_url, "DROP TABLE facts")
    await migrate(Settings(database_url=mysql_url))
    await check_schema(mysql_url)

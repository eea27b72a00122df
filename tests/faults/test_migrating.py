"""Migrations by several processes at once, and interrupted at any statement and run again.

In full: `.venv/bin/python -m pytest tests/faults/test_migrating.py --long`.
"""

import asyncio
import signal
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
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.inventory import Inventory
from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.adapters.sql.test_migrations import fill_before_payments, on, upgrade_to
from tests.faults.load_clients import applications, new_booking
from tests.faults.proxy import Cut, proxied
from tests.faults.service import boxoffice


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    url: str = request.getfixturevalue("mysql_url")
    return url


async def first_version(url: str) -> tuple[Inventory, list[Booking]]:
    """Create the first version of the schema, with a waiting list and a cancelled booking."""
    await upgrade_to(url, "0001")
    return await fill_before_payments(url)


async def check_migrated(url: str, inventory: Inventory, bookings: list[Booking]) -> None:
    """Check the schema, and that the data of the first version is there and can be changed."""
    await check_schema(url)
    async with applications(url) as (container,):
        storage = container.storage()
        for booking in bookings:
            found = await storage.booking_queries.booking(booking.id)
            assert found
            assert (found.booking.status, found.booking.customer_id) == (booking.status, booking.customer_id)
        (state,) = (await storage.event_queries.events_by_id([inventory.event.id])).values()
        await container.book_ticket()(new_booking(state))
        assert (await container.verify_promises()()).breaches == []


async def check_schema(url: str) -> None:
    """Check that the schema is this program's, without remains of the migration."""
    storage = SqlStorage.from_url(url)
    await storage.check_ready()
    await storage.close()

    def differences(connection: Connection) -> object:
        assert not inspect(connection).has_table("migration_steps")
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await on(url, differences) == []


@pytest.mark.slow
async def test_processes_migrate_at_once(empty_url: str, tmp_path: Path, times: Callable[[int, int], int]) -> None:
    """From the first version, with data; tests/adapters/sql/test_migrations.py migrates from nothing."""
    before = await first_version(empty_url)
    runs = [asyncio.to_thread(boxoffice, empty_url, tmp_path, "migrate") for _ in range(times(2, 4))]
    results = await asyncio.gather(*runs)
    assert [each.returncode for each in results] == [0] * len(results), results
    await check_migrated(empty_url, *before)


# Counts the statements of all connections, and kills itself before or after one of them.
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


@pytest.mark.slow
async def test_a_migration_that_is_killed_is_run_again(empty_url: str, times: Callable[[int, int], int]) -> None:
    """`kill -9` before or after a statement, again and again, each time later, until the migration completes."""
    random = Random(1)
    before = await first_version(empty_url)
    kills, statement = 0, 3
    while True:
        moment = random.choice(["before_cursor_execute", "after_cursor_execute"])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DIE_AT, empty_url, str(statement), moment, stderr=asyncio.subprocess.PIPE
        )
        _, message = await process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, message.decode()
        kills += 1
        statement += random.randrange(1, times(50, 3))
    assert kills
    await upgrade(empty_url)
    await check_migrated(empty_url, *before)
    print(f"killed {kills} times")  # noqa: T201


@pytest.mark.slow
async def test_a_migration_that_loses_its_connection_says_so_and_is_run_again(
    mysql_url: str, times: Callable[[int, int], int]
) -> None:
    """The connection is cut around one change of the schema after another, and in any other packet."""
    random = Random(1)
    async with proxied(mysql_url, random) as proxy:
        is_done = False
        while not is_done:
            around_a_change = random.random() < 0.8
            cuts = (Cut.BEFORE_CHANGE, Cut.AFTER_CHANGE) if around_a_change else (Cut.IN_A_REQUEST, Cut.IN_A_RESPONSE)
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


async def test_a_table_of_another_program_is_left_alone(mysql_url: str) -> None:
    mariadb.execute(mysql_url, "CREATE TABLE facts (id INT PRIMARY KEY) ENGINE = InnoDB")
    for _ in range(2):
        with pytest.raises(Unavailable, match="already has a table facts"):
            await migrate(Settings(database_url=mysql_url))
    mariadb.execute(mysql_url, "DROP TABLE facts")
    await migrate(Settings(database_url=mysql_url))
    await check_schema(mysql_url)

"""The schema: brought about once, whoever asks however often, and the same as the tables that the code uses."""

import asyncio
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.sql.migrate import head, upgrade
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.sql.tables import metadata
from boxoffice.application.failures import Unavailable

_UPGRADE = "import asyncio, sys; from boxoffice.adapters.sql.migrate import upgrade; asyncio.run(upgrade(sys.argv[1]))"


async def on(url: str, work: object) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


async def test_an_upgrade_may_be_repeated(empty_url: str) -> None:
    await upgrade(empty_url)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    await storage.check_ready()
    await storage.close()


async def test_upgrades_at_once_all_succeed(empty_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(4)))
    storage = SqlStorage.from_url(empty_url)
    await storage.check_ready()
    await storage.close()


def test_processes_upgrade_at_once(empty_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _UPGRADE, empty_url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors


async def test_the_migrations_lead_to_the_tables(empty_url: str) -> None:
    await upgrade(empty_url)

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert await on(empty_url, differences) == []


async def test_the_migrations_keep_every_check_and_computed_column(empty_url: str) -> None:
    await upgrade(empty_url)

    found: set[str] = set()
    computed: dict[str, bool] = {}

    def look(connection: Connection) -> None:
        inspector = inspect(connection)
        for table in metadata.tables:
            found.update(str(each["name"]) for each in inspector.get_check_constraints(table))
        for column in inspector.get_columns("bookings"):
            if "computed" in column:
                computed[column["name"]] = column["computed"].get("persisted", False)

    expected = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__ == "check_constraint"
    }
    await on(empty_url, look)
    assert expected <= found
    assert computed == {"live_customer_id": True}


async def test_without_a_schema_it_is_not_ready(empty_url: str) -> None:
    storage = SqlStorage.from_url(empty_url)
    with pytest.raises(Unavailable):
        await storage.check_ready()
    await storage.close()


async def test_at_another_version_it_is_not_ready(empty_url: str) -> None:
    await upgrade(empty_url)
    await on(empty_url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    storage = SqlStorage.from_url(empty_url)
    with pytest.raises(Unavailable, match=f"9999.*{head()}.*boxoffice migrate"):
        await storage.check_ready()
    await storage.close()


@pytest.mark.parametrize("url", ["postgresql+asyncpg://localhost/x", "mysql+pymysql://localhost/x", "sqlite:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not supported"):
        SqlStorage.from_url(url)

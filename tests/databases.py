"""Migrated and emptied databases for tests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb

_OF_MIGRATIONS: Final = {"alembic_version", "migration_steps"}


def migrated(url: str) -> str:
    """Migrate a database and return its URL. Runs in a thread, because fixtures may run beside an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(migrate(Settings(database_url=url)))).result()
    return url


def emptied(url: str) -> str:
    """Delete all rows of a database, also those of the payment sandbox, and return its URL."""
    tables = {str(name) for (name,) in mariadb.execute(url, "SHOW TABLES")} - _OF_MIGRATIONS
    mariadb.execute(url, "SET foreign_key_checks = 0", *(f"DELETE FROM {name}" for name in sorted(tables)))
    return url

"""Migrated and emptied databases for tests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb


def migrated(url: str) -> str:
    """Migrate a database and return its URL. Runs in a thread, because fixtures may run beside an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(migrate(Settings(database_url=url)))).result()
    return url


def emptied(url: str) -> str:
    """Delete all rows of a database and return its URL."""
    mariadb.execute(url, *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
    return url

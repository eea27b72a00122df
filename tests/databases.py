"""Databases with their schema, ready for a test."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.tables import metadata
from tests import mariadb


def migrate(url: str) -> None:
    """Bring a database to the program's schema; in a thread, because fixtures may run beside a loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(upgrade(url))).result()


def emptied(url: str) -> str:
    """The same database, with nothing in it but its schema."""
    mariadb.execute(url, *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
    return url

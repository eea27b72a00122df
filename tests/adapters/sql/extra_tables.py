"""Tables of a test's own in a database that it shares with other tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData

from boxoffice.adapters.sql.engine.pool import ConnectionPool


@asynccontextmanager
async def extra_tables(pool: ConnectionPool, *groups: MetaData) -> AsyncIterator[ConnectionPool]:
    """Create these tables beside those of the schema, and drop them afterwards."""
    async with pool.engine.begin() as connection:
        for group in groups:
            await connection.run_sync(group.create_all)
    yield pool
    async with pool.engine.begin() as connection:
        for group in groups:
            await connection.run_sync(group.drop_all)

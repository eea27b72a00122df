"""The driver below SQLAlchemy."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


def driver_of(connection: AsyncConnection) -> Any:
    """Return the driver's connection, to call it without SQLAlchemy's overhead."""
    sync_connection: Any = connection.sync_connection
    return sync_connection.connection.driver_connection

"""The schema's version: bring a database to it, and tell whether it is there."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, column, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from ...application.failures import Unavailable
from .database import database_of
from .migrations import steps
from .tables import metadata

_IN_STEPS = ("mysql", "mariadb")
"""Where a migration is not one transaction."""

_VERSION = select(column("version_num", String())).select_from(table("alembic_version"))


async def upgrade(url: str) -> None:
    """Bring a database to this program's version. Safe to run twice, by several processes at once, and to break off.

    Raises: ValueError for a URL that is not supported, Unavailable when somebody else migrates for minutes.
    """
    database = database_of(url)
    engine = database.unhurried(make_url(url))
    try:
        async with engine.connect() as connection, database.migrating(connection):
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def check_version(connection: AsyncConnection) -> None:
    """Raises: Unavailable when the schema is not this program's."""
    found = await connection.run_sync(_versions)
    if found != [head()]:
        raise Unavailable(
            f"The database's schema is at version {', '.join(found) or 'none'} and this program's is {head()}: "
            "run `boxoffice migrate`, or the newer program."
        )


@cache
def head() -> str:
    """The version that this program needs."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise RuntimeError("the package lacks its migrations")
    return newest


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes |= {"connection": connection, "metadata": metadata}
    in_steps = connection.dialect.name in _IN_STEPS and (
        _versions(connection) != [head()] or steps.are_left(connection)
    )
    if in_steps:
        steps.begin(connection)
    command.upgrade(config, "head")
    if in_steps:
        steps.end(connection)


def _versions(connection: Connection) -> Sequence[str]:
    return connection.execute(_VERSION).scalars().all() if inspect(connection).has_table("alembic_version") else []


def _config() -> Config:
    config = Config()
    # A per cent sign would be a reference in Alembic's settings.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

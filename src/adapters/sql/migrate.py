"""The schema's version: bring a database to it, and tell whether it is there."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, column, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ...application.ports.errors import Unavailable
from .dialects.dialect import database_of
from .engine.error_messages import reason_of_no_connection, refusal_of
from .migrations import steps
from .schema.tables import metadata

_IN_STEPS = ("mysql", "mariadb")
"""Where a migration is not one transaction."""

_VERSION = select(column("version_num", String())).select_from(table("alembic_version"))


Progress = Callable[[str], None]
"""Takes the version that a database is at now."""


async def upgrade(url: str, progress: Progress | None = None) -> None:
    """Bring a database to this program's version. Safe to run twice, by several processes at once, and to break off.

    Raises: ValueError for a URL that is not supported, Unavailable saying why where the database refuses, or is at a
    version that this program does not know, or another process migrates for minutes.
    """
    database = database_of(url)
    engine = database.unhurried(make_url(url))
    try:
        connection = await _connect(engine)
        try:
            async with database.migrating(connection):
                await connection.run_sync(_upgrade, progress)
        finally:
            await connection.close()
    except DBAPIError as error:
        raise Unavailable(refusal_of(error)) from error
    finally:
        await engine.dispose()


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    try:
        return await engine.connect()
    except (DBAPIError, OSError, EOFError) as error:
        raise Unavailable(reason_of_no_connection(error)) from error


async def check_version(connection: AsyncConnection) -> None:
    """Raises: Unavailable when the schema is not this program's."""
    found = await connection.run_sync(_versions)
    _check_known(found)
    if found != [head()]:
        raise Unavailable(
            f"The database's schema is at version {', '.join(found) or 'none'} and this program's is {head()}: "
            "run `boxoffice migrate`."
        )


def _check_known(found: Sequence[str]) -> None:
    """Raises: Unavailable when a version is none of this program's, so a newer program made it."""
    unknown = [version for version in found if version not in _known()]
    if unknown:
        raise Unavailable(
            f"The database's schema is at version {', '.join(unknown)}, which this program, at {head()}, lacks: "
            "a newer Boxoffice migrated it. Run that one, or restore a backup from before the migration."
        )


@cache
def _known() -> frozenset[str]:
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions())


@cache
def head() -> str:
    """The version that this program needs."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise RuntimeError("the package lacks its migrations")
    return newest


def _upgrade(connection: Connection, progress: Progress | None) -> None:
    def report(*, step: Any, **_: object) -> None:
        if progress is not None:
            progress(str(step.up_revision_id))

    _check_known(_versions(connection))
    config = _config()
    config.attributes |= {"connection": connection, "metadata": metadata, "on_version_apply": report}
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

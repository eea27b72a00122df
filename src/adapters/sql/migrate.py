"""Migrate a database to the schema of this program, and check its version."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, column, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ...application.ports.errors import Unavailable
from .dialects.dialect import SqlDialect, dialect_of
from .engine.error_messages import reason_of_no_connection, refusal_of
from .migrations import steps
from .migrations.addresses import AddressChanges
from .schema.tables import metadata

_VERSION = select(column("version_num", String())).select_from(table("alembic_version"))


Progress = Callable[[str], None]
"""Called with each version that the database has reached."""


async def upgrade(url: str, progress: Progress | None = None, dropped_addresses: Collection[UUID] = ()) -> None:
    """Migrate a database to this program's version. It may run twice, concurrently, and be interrupted.

    The accounts of `dropped_addresses` lose their e-mail address where the addresses get one spelling.

    Raises: ValueError for a URL that is not supported; Unavailable, with the reason, if the database refuses, has a
    version that this program does not know, or is being migrated by another process for minutes.
    """
    dialect = dialect_of(url)
    engine = dialect.long_running(make_url(url))
    try:
        connection = await _connect(engine)
        try:
            async with dialect.migration_lock(connection):
                await connection.run_sync(_upgrade, dialect, progress, dropped_addresses)
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
    """Raises: Unavailable unless the schema has this program's version."""
    found = await connection.run_sync(_versions)
    _check_known(found)
    if found != [head()]:
        raise Unavailable(
            f"The database's schema is at version {', '.join(found) or 'none'} and this program's is {head()}: "
            "run `boxoffice migrate`."
        )


def _check_known(found: Sequence[str]) -> None:
    """Raises: Unavailable if a version is unknown, so a newer program has migrated the database."""
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
    """Return the version that this program needs."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise RuntimeError("the package lacks its migrations")
    return newest


def _upgrade(
    connection: Connection, dialect: SqlDialect, progress: Progress | None, dropped_addresses: Collection[UUID]
) -> None:
    def report(*, step: Any, **_: object) -> None:
        if progress is not None:
            progress(str(step.up_revision_id))

    _check_known(_versions(connection))
    config = _config()
    config.attributes |= {"connection": connection, "metadata": metadata, "on_version_apply": report}
    address_changes = AddressChanges(dropped_addresses)
    config.attributes["address_changes"] = address_changes
    records_steps = dialect.commits_schema_changes and (_versions(connection) != [head()] or steps.are_left(connection))
    if records_steps:
        steps.begin(connection)
    command.upgrade(config, "head")
    if records_steps:
        steps.end(connection)
    if dropped_addresses and not address_changes.were_found:
        raise Unavailable("The addresses were migrated before, so no account has lost its address.")


def _versions(connection: Connection) -> Sequence[str]:
    return connection.execute(_VERSION).scalars().all() if inspect(connection).has_table("alembic_version") else []


def _config() -> Config:
    config = Config()
    # Alembic interpolates per cent signs.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("recursive_version_locations", "true")
    return config

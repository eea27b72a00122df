"""The differences between databases that the rest of the adapter depends on."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from sqlalchemy import Dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..schema.types import Guard, Result, Statement
from . import mariadb, mysql, sqlite
from .error_class import ErrorClass
from .features import Features

_MYSQL_NAMES: Final = frozenset({"mysql", "mariadb"})


class SqlDialect(Protocol):
    """A database product with its driver."""

    @property
    def opening(self) -> Sequence[str]:
        """The statements that begin a transaction that writes."""

    @property
    def guard(self) -> Guard | None:
        """What keeps a part of a transaction from being committed alone, where a server could do that."""

    @property
    def commits_schema_changes(self) -> bool:
        """Whether each statement that changes the schema commits, so that a migration may stop halfway."""

    @property
    def snapshot(self) -> Sequence[str]:
        """The statements that begin a read-only transaction on one consistent state."""

    def classify(self, error: BaseException, *, committing: bool) -> ErrorClass | None:
        """Classify a driver's error; see `ErrorClassifier`."""

    def writing(self, url: URL) -> AsyncEngine:
        """Return an engine for transactions."""

    def reading(self, url: URL) -> AsyncEngine:
        """Return an engine whose connections commit automatically and take no locks."""

    def listing(self, url: URL) -> AsyncEngine:
        """Return an engine as `reading` does, with few connections and a time limit for statements."""

    def long_running(self, url: URL) -> AsyncEngine:
        """Return an engine for statements that may take minutes: snapshots and migrations."""

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """Send statements in as few round trips as possible. Raises: DBAPIError, without the statements' values."""

    async def check_writable(self, connection: AsyncConnection) -> None:
        """Check, without writing, that writes are allowed. Raises: Unavailable."""

    async def purge(self, connection: AsyncConnection) -> None:
        """Remove deleted and replaced rows from the database's files, as far as that can be asked for now."""

    def migration_lock(self, connection: AsyncConnection) -> AbstractAsyncContextManager[None]:
        """Exclude other migrations until the context ends, which commits."""


def dialect_of(url: URL | str) -> SqlDialect:
    """Return the dialect of a database URL. Raises: ValueError for a URL that is not supported."""
    match make_url(url).drivername:
        case "mysql+asyncmy" | "mariadb+asyncmy":
            return mysql.MySQLDialect()
        case "sqlite+aiosqlite":
            return sqlite.SQLiteDialect()
        case name:
            raise ValueError(f"{name} is not supported; use mysql+asyncmy or sqlite+aiosqlite")


def features_of(dialect: Dialect) -> Features:
    """Return the features of a database. Whether it is MariaDB is known after the first connection.

    Raises: ValueError for a kind of database without features here.
    """
    name = dialect.name
    if name == "sqlite":
        return sqlite.FEATURES
    if name in _MYSQL_NAMES:
        return mariadb.FEATURES if getattr(dialect, "is_mariadb", False) else mysql.FEATURES
    raise ValueError(f"{name} has no features for bulk statements")

"""What a kind of database has to say for itself, so that the rest need not know which it is."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..engine.transaction import Trouble
from ..schema.types import Result, Statement
from . import mysql, sqlite


class Database(Protocol):
    """A kind of database."""

    @property
    def opening(self) -> Sequence[str]:
        """How a transaction that writes begins."""

    @property
    def snapshot(self) -> Sequence[str]:
        """How a transaction begins that sees everything as it is now."""

    def diagnose(self, error: BaseException, *, committing: bool) -> Trouble | None:
        """What an error means, as `Diagnosis` says."""

    def writing(self, url: URL) -> AsyncEngine:
        """Connections for transactions."""

    def reading(self, url: URL) -> AsyncEngine:
        """Connections that commit by themselves and take no locks."""

    def listing(self, url: URL) -> AsyncEngine:
        """A few connections as for reading, for lists and searches; the database ends a statement that takes long."""

    def unhurried(self, url: URL) -> AsyncEngine:
        """Connections for what may take minutes: looking at everything, changing the schema."""

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """Send statements in as few round trips as there may be. Raises: DBAPIError, which names no value."""

    async def check_writable(self, connection: AsyncConnection) -> None:
        """Raises: Unavailable when nothing may be written, found out without writing."""

    def migrating(self, connection: AsyncConnection) -> AbstractAsyncContextManager[None]:
        """Nobody else migrates meanwhile; committed at the end."""


def database_of(url: URL | str) -> Database:
    """The kind of database that a URL names. Raises: ValueError for one that is not supported."""
    match make_url(url).drivername:
        case "mysql+asyncmy" | "mariadb+asyncmy":
            return mysql.MySQL()
        case "sqlite+aiosqlite":
            return sqlite.SQLite()
        case name:
            raise ValueError(f"{name} is not supported; use mysql+asyncmy or sqlite+aiosqlite")

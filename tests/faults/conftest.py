"""Databases for the service, and processes that serve them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.databases import migrated
from tests.faults.service import Server, servers

Serve = Callable[..., list[Server]]


@pytest.fixture
def migrated_url(mysql_url: str) -> str:
    """A new database with its schema, on the server that all tests of the worker share."""
    return migrated(mysql_url)


@pytest.fixture
def own_migrated_url(own_mysql_url: str) -> str:
    """A new database with its schema, on `own_mariadb`: a server to kill."""
    return migrated(own_mysql_url)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A new database with its schema, in a file."""
    shutil.copy(sqlite_template, tmp_path / "boxoffice.db")
    return migrated(f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(url, number)`: so many servers of a database, ready; they end with the test."""
    with ExitStack() as stack:

        def start(database_url: str, number: int = 1, *, directory: Path = tmp_path, **options: Any) -> list[Server]:
            return stack.enter_context(servers(database_url, directory, number, **options))

        yield start

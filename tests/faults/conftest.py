"""Migrated databases, and processes that serve them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.databases import migrated
from tests.faults.service import Server, servers

Serve = Callable[..., list[Server]]


@pytest.fixture
def own_migrated_url(own_mysql_url: str) -> str:
    """Return a new, migrated database on `own_server`, which the test may kill."""
    return migrated(own_mysql_url)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts ready servers of a database, which end with the test."""
    with ExitStack() as stack:

        def start(database_url: str, number: int = 1, *, directory: Path = tmp_path, **options: Any) -> list[Server]:
            return stack.enter_context(servers(database_url, directory, number, **options))

        yield start

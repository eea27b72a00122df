"""A service in this process, and a collector of its traces and error reports."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.http.app import create_app
from tests.adapters.observability.collector import Collector, collecting
from tests.entrypoints.http.service_under_test import Client, new_user, served


@asynccontextmanager
async def serving(container: Container) -> AsyncIterator[Client]:
    """Run a service and return a client of a new user."""
    async with served(create_app(container), container) as http:
        yield await new_user(http, "ada@example.org")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector

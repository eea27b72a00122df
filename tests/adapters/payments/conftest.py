"""Ledgers of every kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.adapters.payments.ledger import SqlLedger

MYSQL = pytest.param("mysql", marks=pytest.mark.mysql)


def url_of(request: pytest.FixtureRequest, directory: Path) -> str | None:
    """Where a ledger of the fixture's kind is kept; None: in memory."""
    urls = {"memory": None, "sqlite": f"sqlite+aiosqlite:///{directory}/ledger.db"}
    return urls[request.param] if request.param in urls else str(request.getfixturevalue("mysql_url"))


@pytest.fixture(params=["memory", "sqlite", MYSQL])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where a ledger is kept; None: in memory."""
    return url_of(request, tmp_path)


@pytest.fixture(params=["sqlite", MYSQL])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger is kept that several processes share."""
    return str(url_of(request, tmp_path))


@pytest.fixture
async def sandbox(ledger_url: str | None) -> AsyncIterator[SandboxGateway]:
    """A sandbox on an empty ledger."""
    gateway = SandboxGateway(MemoryLedger() if ledger_url is None else SqlLedger(ledger_url))
    yield gateway
    await gateway.close()


@pytest.fixture
async def shared(shared_url: str) -> AsyncIterator[SandboxGateway]:
    """A sandbox on a ledger that other processes use too."""
    gateway = SandboxGateway(SqlLedger(shared_url))
    yield gateway
    await gateway.close()

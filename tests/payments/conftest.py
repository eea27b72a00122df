"""Ledgers of every kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.adapters.payments.ledger import SqlLedger


@pytest.fixture(params=["memory", "sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where a ledger is kept; None: in memory."""
    match request.param:
        case "memory":
            return None
        case "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("mysql_url")
    return url


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger is kept that several processes share."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("mysql_url")
    return url


@pytest.fixture
async def sandbox(ledger_url: str | None) -> AsyncIterator[SandboxGateway]:
    """A sandbox on an empty ledger."""
    gateway = SandboxGateway(MemoryLedger() if ledger_url is None else SqlLedger(ledger_url))
    yield gateway
    await gateway.close()

"""Readiness is the storage's and the process's, and the log has a line for each change and no more."""

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.readiness import Draining, Readiness
from boxoffice.entrypoints.settings import Settings


class Failing(MemoryStorage):
    """A storage that is not ready for a reason that a test sets."""

    reason: str | None = None

    async def check_ready(self) -> None:
        if self.reason is not None:
            raise Unavailable(self.reason)


async def ask(readiness: Readiness) -> str | None:
    """Return why it is not ready."""
    try:
        await readiness()
    except Unavailable as failure:
        return str(failure)
    return None


async def test_each_change_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    storage = Failing()
    readiness = Readiness(lambda: storage, Draining())
    for reason in (None, None, "full", "full", "full", "away", None, None, "full"):
        storage.reason = reason
        assert await ask(readiness) == reason
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Not ready: full"),
        ("WARNING", "Not ready: away"),
        ("INFO", "Ready again"),
        ("WARNING", "Not ready: full"),
    ]


async def test_a_process_that_is_about_to_end_is_not_ready_and_asks_nothing() -> None:
    container = make_container(Settings(database_url="memory://"))
    assert await ask(container.readiness()) is None
    container.draining().begin()
    assert await ask(container.readiness()) == "This process is about to end."

"""The service as it is run, behind a socket."""

from collections.abc import Iterator

import pytest

from tests.faults.service import Server
from tests.wire.people import People, sign_up


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`boxoffice serve` on its embedded database. Whatever is sent to it, it must not say that anything broke."""
    directory = tmp_path_factory.mktemp("wire")
    running = Server(f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}", directory).start()
    yield running
    assert running.is_ready()
    assert running.terminate() == 0
    said = running.log.read_text(encoding="utf-8", errors="replace")
    assert '"level": "error"' not in said, said[said.index('"level": "error"') - 2_000 :][:6_000]
    assert "Traceback" not in said
    assert "WebSocket" not in said


@pytest.fixture(scope="session")
def people(server: Server) -> People:
    """An organizer and a customer, signed in."""
    return sign_up(server.url)

"""The service as it is run, behind a socket."""

from collections.abc import Iterator

import pytest

from tests.e2e.wire import log
from tests.e2e.wire.people import People, sign_up
from tests.faults.service import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`boxoffice serve` on its embedded database. Whatever is sent to it, it must not say that anything broke."""
    directory = tmp_path_factory.mktemp("wire")
    running = Server(f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}", directory).start()
    yield running
    assert running.is_ready()
    assert running.terminate() == 0
    log.check(running.log)


@pytest.fixture(scope="session")
def people(server: Server) -> People:
    """An organizer and a customer, signed in."""
    return sign_up(server.url)

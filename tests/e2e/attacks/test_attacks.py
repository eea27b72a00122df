"""While one anonymous client attacks, others are served and memory stays bounded."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests.e2e.attacks.attack import Attack, under
from tests.e2e.attacks.kinds import ATTACKS
from tests.faults.clients import Person, enrol, initialize
from tests.faults.service import Server

pytestmark = pytest.mark.slow

PEOPLE: Final = 1_500
"""More customers than book during the attacks."""

ROUNDS: Final = 5
"""Minimum number of requests by others during an attack."""

ANSWERED_WITHIN: Final = 20.0
"""Timeout of a response, in seconds, on a busy machine."""

MOST_MEMORY: Final = 200 << 20
KEPT_MEMORY: Final = 120 << 20
"""Bytes that may stay allocated after an attack, because the allocator does not return them at once."""

LIVE: Final = b"GET /health/live HTTP/1.1\r\nHost: boxoffice\r\nConnection: close\r\n\r\n"


class Service(Struct, frozen=True):
    """The service, an event, and customers who have not booked."""

    server: Server
    event: str
    people: Iterator[Person]

    def memory(self) -> int:
        """Return the bytes that the service's processes have allocated."""
        return sum(map(_memory, (self.server.pid, *self.server.workers())))

    async def serves(self) -> None:
        """Check that another client is served, with retries after a 503. Raises: AssertionError, TimeoutError."""
        assert await _status(self.server.port, LIVE) == 200
        body = json.dumps({"eventId": self.event}).encode()
        head = (
            "POST /book HTTP/1.1\r\nHost: boxoffice\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {next(self.people).token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(ANSWERED_WITHIN):
            while (status := await _status(self.server.port, head.encode() + body)) == 503:
                pass
        assert status == 201


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory: Path = tmp_path_factory.mktemp("attacked")
    url = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"

    async def enrolled() -> list[Person]:
        await migrate(Settings(database_url=url))
        return await enrol(url, PEOPLE)

    people = asyncio.run(enrolled())
    server = Server(url, directory).start()
    try:
        event = asyncio.run(initialize(server.port, people[0], 1_000_000))
        yield Service(server, str(event), iter(people))
        assert not server.complaints()
    finally:
        server.kill()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_others_are_served_and_memory_is_bounded(service: Service, attack: Attack) -> None:
    await service.serves()
    before = service.memory()
    most, rounds = before, 0
    async with under(attack, service.server.port) as sending:
        while rounds < ROUNDS or not sending.done():
            await service.serves()
            most = max(most, service.memory())
            rounds += 1
        assert await sending > 0
    async with asyncio.timeout(60):
        while service.memory() - before > KEPT_MEMORY:
            await service.serves()
    assert most - before < MOST_MEMORY


async def _status(port: int, request: bytes) -> int:
    async with asyncio.timeout(ANSWERED_WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()


def _memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return 0

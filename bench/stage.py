"""A database, the services on it, customers who are signed in, and events for them."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.entrypoints.container import make_container, migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults.clients import Person, enrol, initialize
from tests.faults.service import Server, servers

from . import limit, usual
from .load import Plan, Seen

ROOT = Path(__file__).parents[1]
USUAL = (
    sys.executable,
    *("-m", "uvicorn", "bench.usual:app", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning", "--app-dir", str(ROOT)),
)
PLENTY = 1_000_000
"""Tickets: nobody waits."""


class Stage(Struct):
    """What a run needs: both services on the same server, their databases empty but for the customers."""

    url: str
    sqlite_url: str
    ours: Server
    on_sqlite: Server
    usual: Server
    people: list[Person]
    sqlite_people: list[Person]
    directory: Path

    async def event(self, *, tickets: int = PLENTY, on_sqlite: bool = False) -> UUID:
        """A new event of ours."""
        people = self.sqlite_people if on_sqlite else self.people
        server = self.on_sqlite if on_sqlite else self.ours
        return await initialize(server.port, people[0], tickets)

    def usual_event(self, *, tickets: int = PLENTY) -> UUID:
        """A new event for the usual way."""
        event_id = uuid7()
        mariadb.execute(self.url, f"INSERT INTO usual_events VALUES (x'{event_id.hex}', 'An evening', {tickets}, 0, 0)")
        return event_id

    def load(self, plan: Plan) -> Seen:
        """Run a plan in a process of its own."""
        path = self.directory / "plan.json"
        path.write_bytes(msgspec.json.encode(plan))
        found = subprocess.run(
            [sys.executable, "-m", "bench.load", str(path)], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        return msgspec.json.decode(found.stdout, type=Seen)

    def verify(self, *, on_sqlite: bool = False) -> None:
        """Every promise over the whole database. Raises: AssertionError when one is broken."""
        asyncio.run(_verify(self.sqlite_url if on_sqlite else self.url))


async def _verify(url: str) -> None:
    container = make_container(Settings(database_url=url))
    try:
        verdict = await container.verify_promises()()
        assert verdict.breaches == [], verdict.breaches[:3]
    finally:
        await container.storage().close()


@contextmanager
def stage(customers: int) -> Iterator[Stage]:
    """A stage with so many customers; everything is gone afterwards."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boxoffice-bench-")))
        database = stack.enter_context(mariadb.MariaDB(mariadb.template(directory)))
        url = stack.enter_context(mariadb.fresh_database(database.admin_url))
        sqlite_url = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"
        for each in (url, sqlite_url):
            asyncio.run(migrate(Settings(database_url=each)))
        mariadb.execute(url, *usual.SCHEMA, *limit.SCHEMA)
        people = asyncio.run(enrol(url, customers))
        sqlite_people = asyncio.run(enrol(sqlite_url, customers))
        # Logs go where production's go: to a file, a line for each request.
        (ours,) = stack.enter_context(servers(url, directory, 1, name="ours"))
        (on_sqlite,) = stack.enter_context(servers(sqlite_url, directory, 1, name="on_sqlite"))
        (usual_server,) = stack.enter_context(servers(url, directory, 1, name="usual", command=USUAL))
        yield Stage(url, sqlite_url, ours, on_sqlite, usual_server, people, sqlite_people, directory)

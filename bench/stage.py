"""The environment of a run: databases, services, signed-in customers and events."""

import asyncio
import http.client
import itertools
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.entrypoints.container import make_container, migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults.clients import Person, enrol, initialize
from tests.faults.service import SERVE, Server, servers

from . import cpu, databases, limit, use_cases, usual
from .load import Plan, Seen

ROOT: Final = Path(__file__).parents[1]
USUAL: Final = (
    sys.executable,
    *("-m", "uvicorn", "bench.usual:app", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning", "--app-dir", str(ROOT)),
)
PEER: Final = Path(__file__).parent / "peer"
"""The usual way in Node; `make bench` installs its packages."""

HOLDERS: Final = 30_000
"""Maximum customers who book beside earlier bookings, all of which have to be made first."""

TYPES: Final = 8
"""Ticket types of an event whose customers have bookings of all types but one."""


class Held(Struct, frozen=True):
    """An event, the ticket type to book, and the tokens of customers who have bookings of its other types."""

    event_id: UUID
    ticket_type_id: UUID
    tokens: Path


class House(Struct, frozen=True):
    """One service with its database and its signed-in customers."""

    server: Server
    url: str
    people: list[Person]
    tokens: Path
    organizers: Iterator[Person]
    """The same people in rotation: an organizer may have at most 200 events at once."""

    async def event(self, tickets: int = use_cases.PLENTY) -> UUID:
        """Create an event."""
        return await initialize(self.server.port, next(self.organizers), tickets)

    def event_of_holders(self, tickets: int) -> Held:
        """Create an event of several ticket types with `tickets` of the last, and bookings of all other types."""
        people = self.people[:HOLDERS]
        event_id, ticket_type_id = use_cases.hold_others(self.url, [each.id for each in people], TYPES, tickets)
        tokens = self.tokens.with_name(f"{self.tokens.name}, holders")
        tokens.write_text("\n".join(each.token for each in people))
        return Held(event_id, ticket_type_id, tokens)


def has_peer() -> bool:
    """Return whether the usual way in Node is installed."""
    return shutil.which("node") is not None and (PEER / "node_modules").is_dir()


class Stage(Struct, frozen=True):
    """The services of a run, with databases that contain only customers.

    All services except those on SQLite share one database. `in_two` and `in_four` run two and four processes, `logging`
    and `logging_on_sqlite` also write a log file. `peer` is None if Node or its packages are missing.
    """

    ours: House
    in_two: House
    in_four: House
    logging: House
    on_sqlite: House
    logging_on_sqlite: House
    usual: House
    peer: House | None
    database: mariadb.MariaDB
    database_kind: str
    directory: Path
    large_url: str
    """A separate database for an event with very many bookings."""

    def is_usual(self, house: House) -> bool:
        """Return whether this service is a baseline, in Python or in Node, with its own tables."""
        return house is self.usual or house is self.peer

    def usual_event(self, tickets: int = use_cases.PLENTY) -> UUID:
        """Create an event for the baselines."""
        event_id = uuid7()
        row = f"x'{event_id.hex}', 'An evening', {tickets}, 0, 0"
        mariadb.execute(self.usual.url, f"INSERT INTO usual_events VALUES ({row})")
        return event_id

    def load(self, plan: Plan, house: House) -> Seen:
        """Run a plan in a process of its own."""
        plan.processes = {"service": cpu.family(house.server.pid)}
        if not house.url.startswith("sqlite"):
            plan.processes["database"] = [self.database.pid]
        path = self.directory / "plan.json"
        path.write_bytes(msgspec.json.encode(plan))
        found = subprocess.run(
            [sys.executable, "-m", "bench.load", str(path)], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        return msgspec.json.decode(found.stdout, type=Seen)

    def load_and_look(self, plan: Plan, house: House) -> tuple[Seen, list[float]]:
        """Run a plan and measure the latency of `/health/live` in seconds, ten times a second, during the run.

        Raises: AssertionError, OSError if a health check fails.
        """
        is_over = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as thread:
            looking = thread.submit(_look, house.server.port, is_over)
            try:
                seen = self.load(plan, house)
            finally:
                is_over.set()
            return seen, looking.result()

    def verify(self) -> None:
        """Verify all promises over both databases. Raises: AssertionError when one is broken."""
        for house in (self.ours, self.on_sqlite):
            verify(house.url)


def _look(port: int, is_over: threading.Event) -> list[float]:
    took = []
    while not is_over.wait(0.1):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        begun = perf_counter()
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        took.append(perf_counter() - begun)
        connection.close()
    return took


def verify(url: str) -> None:
    """Verify all promises over a database. Raises: AssertionError when one is broken."""

    async def run() -> None:
        container = make_container(Settings(database_url=url))
        try:
            verdict = await container.verify_promises()()
            assert verdict.breaches == [], verdict.breaches[:3]
        finally:
            await container.storage().close()

    asyncio.run(run())


def allow_connections(number: int) -> None:
    """Raise the limit of open files for this process and its children. Raises: SystemExit if the system forbids it."""
    needed = number + 1_000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < needed:
        raise SystemExit(f"The benchmark needs {needed:,} open files: raise the limit (ulimit -Hn) of {most:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


@contextmanager
def stage(customers: int, database_kind: str) -> Iterator[Stage]:
    """Set up the environment with this many customers on a kind of database, and remove it afterwards."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boxoffice-bench-")))
        database = stack.enter_context(databases.started(database_kind, directory))
        url, large_url = (stack.enter_context(mariadb.fresh_database(database.admin_url)) for _ in range(2))
        sqlite_url = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"
        for each in (url, sqlite_url, large_url):
            asyncio.run(migrate(Settings(database_url=each)))
        mariadb.execute(url, *usual.SCHEMA, *limit.SCHEMA)

        def house(url: str, people: list[Person], name: str, *command: str, **settings: str) -> House:
            # With the request log, as in production.
            (server,) = stack.enter_context(servers(url, directory, 1, name=name, command=command, settings=settings))
            tokens = directory / f"tokens of {name}"
            tokens.write_text("\n".join(person.token for person in people))
            return House(server, url, people, tokens, itertools.cycle(people))

        people = asyncio.run(enrol(url, customers))
        people_on_sqlite = asyncio.run(enrol(sqlite_url, customers))
        log_file = str(directory / "service.log")
        log_file_on_sqlite = str(directory / "service on SQLite.log")
        node = shutil.which("node")
        yield Stage(
            ours=house(url, people, "ours", *SERVE),
            in_two=house(url, people, "in two", *SERVE, "--workers", "2"),
            in_four=house(url, people, "in four", *SERVE, "--workers", "4"),
            logging=house(url, people, "logging", *SERVE, LOG_FILE=log_file),
            on_sqlite=house(sqlite_url, people_on_sqlite, "on SQLite", *SERVE),
            logging_on_sqlite=house(
                sqlite_url, people_on_sqlite, "logging on SQLite", *SERVE, LOG_FILE=log_file_on_sqlite
            ),
            usual=house(url, people, "usual", *USUAL),
            peer=house(url, people, "peer", node, str(PEER / "server.js")) if node and has_peer() else None,
            database=database,
            database_kind=database_kind,
            directory=directory,
            large_url=large_url,
        )

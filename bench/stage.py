"""A database, the services on it, customers who are signed in, and events for them."""

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

from . import cpu, limit, use_cases, usual
from .load import Plan, Seen

ROOT: Final = Path(__file__).parents[1]
USUAL: Final = (
    sys.executable,
    *("-m", "uvicorn", "bench.usual:app", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning", "--app-dir", str(ROOT)),
)
PEER: Final = Path(__file__).parent / "peer"
"""The usual way in Node; `make bench` installs what it needs."""

SETTINGS: Final = ("SET GLOBAL innodb_buffer_pool_size = 1 << 30", "SET GLOBAL innodb_log_file_size = 256 << 20")
"""What a server of some size has; as small as the tests have it, a large event would be a test of the disk."""


HOLDERS: Final = 30_000
"""The most customers who book beside bookings that they hold already: each of these has to be made first."""

TYPES: Final = 8
"""Ticket types of an event in which customers hold bookings of all the others."""


class Held(Struct, frozen=True):
    """An event, its ticket type to be booked, and the tokens of customers who hold bookings of its other types."""

    event_id: UUID
    ticket_type_id: UUID
    tokens: Path


class House(Struct, frozen=True):
    """One service with what belongs to it: its database and the customers who are signed in."""

    server: Server
    url: str
    people: list[Person]
    tokens: Path
    organizers: Iterator[Person]
    """The same people, without end: nobody may have more than 200 events at once."""

    async def event(self, tickets: int = use_cases.PLENTY) -> UUID:
        """A new event of ours."""
        return await initialize(self.server.port, next(self.organizers), tickets)

    def event_of_holders(self, tickets: int) -> Held:
        """Make an event of several ticket types with so many tickets of the last, and bookings of all the others."""
        people = self.people[:HOLDERS]
        event_id, ticket_type_id = use_cases.hold_others(self.url, [each.id for each in people], TYPES, tickets)
        tokens = self.tokens.with_name(f"{self.tokens.name}, holders")
        tokens.write_text("\n".join(each.token for each in people))
        return Held(event_id, ticket_type_id, tokens)


def has_peer() -> bool:
    """Whether the usual way in Node can be run."""
    return shutil.which("node") is not None and (PEER / "node_modules").is_dir()


class Stage(Struct, frozen=True):
    """What a run needs: the services, their databases empty but for the customers.

    All but those on SQLite share one database. `in_two` and `in_four` are so many processes of the service, `logging`
    and `logging_on_sqlite` write a log file beside the console. `peer` is None where Node or its packages are missing.
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
    directory: Path
    large_url: str
    """A database of its own for an event with very many bookings."""

    def is_usual(self, house: House) -> bool:
        """Whether this is the usual way, in Python or in Node, with its own tables."""
        return house is self.usual or house is self.peer

    def usual_event(self, tickets: int = use_cases.PLENTY) -> UUID:
        """A new event for the usual way."""
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
        """The same, and the seconds after which `/health/live` answered meanwhile, ten times a second.

        Raises: AssertionError, OSError where it did not.
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
        """Every promise over both databases of the services. Raises: AssertionError when one is broken."""
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
    """Every promise over a whole database. Raises: AssertionError when one is broken."""

    async def run() -> None:
        container = make_container(Settings(database_url=url))
        try:
            verdict = await container.verify_promises()()
            assert verdict.breaches == [], verdict.breaches[:3]
        finally:
            await container.storage().close()

    asyncio.run(run())


def allow_connections(number: int) -> None:
    """Let this process and all that it starts open so many connections. Raises: SystemExit where the system forbids."""
    needed = number + 1_000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < needed:
        raise SystemExit(f"A process must be allowed {needed:,} open files: raise the limit (ulimit -Hn) of {most:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


@contextmanager
def stage(customers: int) -> Iterator[Stage]:
    """A stage with so many customers; everything is gone afterwards."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boxoffice-bench-")))
        database = stack.enter_context(mariadb.MariaDB(mariadb.template(directory)))
        mariadb.execute(database.admin_url, *SETTINGS)
        url, large_url = (stack.enter_context(mariadb.fresh_database(database.admin_url)) for _ in range(2))
        sqlite_url = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"
        for each in (url, sqlite_url, large_url):
            asyncio.run(migrate(Settings(database_url=each)))
        mariadb.execute(url, *usual.SCHEMA, *limit.SCHEMA)

        def house(url: str, people: list[Person], name: str, *command: str, **settings: str) -> House:
            # Logs go where production's go: to a file, a line for each request.
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
            directory=directory,
            large_url=large_url,
        )

"""What every suite may ask for: MariaDB, and each kind of storage, by the name of a fixture."""

import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.storage import Storage
from tests import mariadb
from tests.databases import emptied, migrated
from tests.leaks import Watch, leaks_in_files

MYSQL_FIXTURES: Final = frozenset(
    {
        "mariadb_template",
        "mariadb_server",
        "mysql_admin_url",
        "mysql_url",
        "migrated_mysql_url",
        "own_mariadb",
        "own_mysql_url",
    }
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="try as often as `make torture` does, not as `make test`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server, so that `-m 'not mysql'` is true to its word."""
    for item in items:
        if MYSQL_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.mysql)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither by what runs here nor by any process of the service that a test starts: looked at when all is over."""
    watch = Watch()
    watch.begin()
    yield
    watch.end()
    found = watch.found + leaks_in_files(tmp_path_factory.getbasetemp())
    assert not found, "\n".join(found[:20])


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that runs in this process sets up its logs, which are not the next test's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """How often to try: the first number in `make test`, the second in `make torture`."""
    is_long: bool = pytestconfig.getoption("--long")
    return lambda short, full: full if is_long else short


@pytest.fixture(scope="session")
def mariadb_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised data directory, one for all workers of the run."""
    if os.environ.get(mariadb.URL_VARIABLE) and not mariadb.is_installed():
        pytest.skip(
            f"needs a server of its own; the one of {mariadb.URL_VARIABLE} is not ours to kill, and no mariadbd here"
        )
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    try:
        return mariadb.template(directory)
    except mariadb.MariaDBMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def mariadb_server(mariadb_template: Path) -> Iterator[mariadb.MariaDB]:
    """This worker's server. Do not kill or pause it: others' databases are on it. `own_mariadb` is for that."""
    with mariadb.MariaDB(mariadb_template) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_admin_url(request: pytest.FixtureRequest) -> str:
    """A server on which databases may be made: the one that BOXOFFICE_TEST_MYSQL_URL names, or this worker's own."""
    named = os.environ.get(mariadb.URL_VARIABLE)
    if named:
        return named
    server: mariadb.MariaDB = request.getfixturevalue("mariadb_server")
    return server.admin_url


@pytest.fixture
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new, empty database, dropped after the test.

    Asked for by `request.getfixturevalue`, it needs the mark said: `pytest.param("mysql", marks=pytest.mark.mysql)`.
    """
    if request.node.get_closest_marker("mysql") is None:
        pytest.fail(
            "mark what asks for mysql_url by getfixturevalue: pytest.param(…, marks=pytest.mark.mysql)", pytrace=False
        )
    with mariadb.fresh_database(request.getfixturevalue("mysql_admin_url")) as url:
        yield url


@pytest.fixture
def own_mariadb(request: pytest.FixtureRequest) -> Iterator[mariadb.MariaDB]:
    """A server of the test's own, to kill, pause and restart."""
    with mariadb.MariaDB(request.getfixturevalue("mariadb_template")) as server:
        yield server


@pytest.fixture
def own_mysql_url(own_mariadb: mariadb.MariaDB) -> str:
    """The URL of an empty database on `own_mariadb`; it goes with the server."""
    mariadb.execute(own_mariadb.admin_url, "CREATE DATABASE boxoffice CHARACTER SET utf8mb4")
    return f"{own_mariadb.admin_url}/boxoffice"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrated(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_mysql_url(mysql_admin_url: str) -> Iterator[str]:
    """A migrated database, one for all tests of a worker; `databases.emptied` empties it."""
    with mariadb.fresh_database(mysql_admin_url) as url:
        migrated(url)
        yield url


@pytest.fixture(params=["memory", "sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage, one kind after the other; which one it is the tests do not know."""
    storage: Storage
    match request.param:
        case "memory":
            storage = MemoryStorage()
        case "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "boxoffice.db")
            storage = SqlStorage.from_url(f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}")
        case _:
            storage = SqlStorage.from_url(emptied(request.getfixturevalue("migrated_mysql_url")))
    yield storage
    await storage.close()

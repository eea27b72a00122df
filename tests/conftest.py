"""Fixtures of all suites: MariaDB servers and databases, and each kind of storage."""

import gc
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.storage import Storage
from tests import long, mariadb, mysql, servers
from tests.databases import emptied, migrated
from tests.leaks import Watch, leaks_in_files

_OTHER_TEMPLATE: Final = {"mariadb": "mysql_template", "mysql": "mariadb_template"}[servers.KIND]

MYSQL_FIXTURES: Final = frozenset(
    {
        "mariadb_template",
        "mysql_template",
        "server_template",
        "database_server",
        "mysql_admin_url",
        "mysql_url",
        "shared_mysql_url",
        "migrated_mysql_url",
        "own_server",
        "own_mysql_url",
    }
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="repeat as often as `make torture` does, not as `make test`")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--long"):
        long.be_long()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from modules and tests: it would look again and again at what lives to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests whose fixtures need a server, and deselect those of MariaDB or MySQL alone in a run of the other."""
    others = [item for item in items if _OTHER_TEMPLATE in getattr(item, "fixturenames", ())]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        if MYSQL_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.mysql)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run if this process, or a process of the service that a test starts, has logged a secret."""
    watch = Watch()
    watch.begin()
    yield
    watch.end()
    found = watch.found + leaks_in_files(tmp_path_factory.getbasetemp())
    assert not found, "\n".join(found[:20])


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Restore the log handlers, because commands that run in this process replace them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Return the number of repetitions: the first number in `make test`, the second in `make torture`."""
    is_long: bool = pytestconfig.getoption("--long")
    return lambda short, full: full if is_long else short


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that all workers of the run share."""
    directory = tmp_path_factory.getbasetemp()
    return directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory


def _template(make: Callable[[Path], Path], directory: Path, *, is_installed: bool) -> Path:
    """Return a template of servers; skip where only another server is named, and fail where there is none."""
    if os.environ.get(mariadb.URL_VARIABLE) and not is_installed:
        pytest.skip(f"needs a server to stop; {mariadb.URL_VARIABLE} names one that is not ours")
    try:
        return make(directory)
    except servers.MISSING as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def mariadb_template(run_directory: Path) -> Path:
    """Return an initialised data directory of MariaDB, one for all workers of the run."""
    return _template(mariadb.template, run_directory, is_installed=mariadb.is_installed())


@pytest.fixture(scope="session")
def mysql_template(run_directory: Path) -> Path:
    """Return an initialised data directory of MySQL, one for all workers of the run."""
    return _template(mysql.template, run_directory, is_installed=mysql.is_installed())


@pytest.fixture(scope="session")
def server_template(run_directory: Path) -> Path:
    """Return an initialised data directory of this run's kind of server, one for all workers of the run."""
    return _template(servers.template, run_directory, is_installed=servers.are_installed())


@pytest.fixture(scope="session")
def database_server(server_template: Path) -> Iterator[mariadb.MariaDB]:
    """Return this worker's server. Do not stop it: other databases are on it. `own_server` is for that."""
    with servers.server(server_template) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_admin_url(request: pytest.FixtureRequest) -> str:
    """Return a server on which databases may be created: the one named in the environment, or this worker's own."""
    named = os.environ.get(mariadb.URL_VARIABLE)
    if named:
        return named
    server: mariadb.MariaDB = request.getfixturevalue("database_server")
    return server.admin_url


@pytest.fixture
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a new, empty database, dropped after the test.

    Tests that request it by `getfixturevalue` need the mark: `pytest.param("mysql", marks=pytest.mark.mysql)`.
    """
    if request.node.get_closest_marker("mysql") is None:
        pytest.fail(
            "tests that request mysql_url by getfixturevalue need pytest.param(…, marks=pytest.mark.mysql)",
            pytrace=False,
        )
    with mariadb.fresh_database(request.getfixturevalue("mysql_admin_url")) as url:
        yield url


@pytest.fixture
def own_server(server_template: Path) -> Iterator[mariadb.MariaDB]:
    """Return a server of the test's own, to kill, pause and restart."""
    with servers.server(server_template) as server:
        yield server


@pytest.fixture
def own_mysql_url(own_server: mariadb.MariaDB) -> str:
    """Return the URL of an empty database on `own_server`, removed with the server."""
    mariadb.execute(own_server.admin_url, "CREATE DATABASE boxoffice CHARACTER SET utf8mb4")
    return f"{own_server.admin_url}/boxoffice"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrated(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def migrated_sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a new, migrated SQLite file."""
    shutil.copy(sqlite_template, tmp_path / "boxoffice.db")
    return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"


@pytest.fixture(scope="session")
def shared_mysql_url(mysql_admin_url: str) -> Iterator[str]:
    """Return the URL of a migrated database that all tests of a worker share. Use `migrated_mysql_url`."""
    with mariadb.fresh_database(mysql_admin_url) as url:
        yield migrated(url)


@pytest.fixture
def migrated_mysql_url(shared_mysql_url: str) -> str:
    """Return the URL of a migrated database without rows, whose schema the test must not change."""
    return emptied(shared_mysql_url)


@pytest.fixture(params=["memory", "sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
async def storage(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Storage]:
    """Return an empty storage of each kind. Tests must not depend on the kind, and no statement may cause a warning."""
    storage: Storage
    match request.param:
        case "memory":
            storage = MemoryStorage()
        case "sqlite":
            storage = SqlStorage.from_url(request.getfixturevalue("migrated_sqlite_url"))
        case _:
            storage = SqlStorage.from_url(request.getfixturevalue("migrated_mysql_url"))
    yield storage
    await storage.close()
    assert [each.getMessage() for each in caplog.get_records("call") if each.name == "asyncmy"] == []

"""Liveness has no conditions; readiness depends on the database, the right to write to it and its schema."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from boxoffice.adapters.sql.migrate import head
from tests import mariadb
from tests.databases import migrated
from tests.faults.service import Server, servers
from tests.mariadb import MariaDB

NEWER = "lacks: a newer Boxoffice migrated it. Run that one, or restore a backup from before the migration."


def ask(server: Server, path: str) -> tuple[int, str]:
    """Return the status code, and the status or the problem code of the body."""
    answer = httpx.get(f"{server.url}{path}", timeout=60)
    body = answer.json()
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    return answer.status_code, body["status"] if answer.status_code == 200 else body["code"]


@contextmanager
def read_only(database: MariaDB, url: str) -> Iterator[None]:
    mariadb.execute(database.admin_url, "SET GLOBAL read_only = ON")
    yield
    mariadb.execute(database.admin_url, "SET GLOBAL read_only = OFF")


@contextmanager
def of_another_version(database: MariaDB, url: str) -> Iterator[None]:
    (found,) = mariadb.execute(url, "SELECT version_num FROM alembic_version")
    mariadb.execute(url, "UPDATE alembic_version SET version_num = 'newer'")
    yield
    mariadb.execute(url, f"UPDATE alembic_version SET version_num = '{found[0]}'")


@contextmanager
def hanging(database: MariaDB, url: str) -> Iterator[None]:
    database.pause()
    yield
    database.resume()


@contextmanager
def there_again(database: MariaDB, url: str) -> Iterator[None]:
    """Restart the database: dead connections of the pool do not affect readiness."""
    database.restart()
    yield


@contextmanager
def away(database: MariaDB, url: str) -> Iterator[None]:
    database.kill()
    yield
    database.start()


@pytest.mark.slow
def test_readiness_is_lost_and_comes_back_and_liveness_stays(
    own_mariadb: MariaDB, own_mysql_url: str, tmp_path: Path
) -> None:
    troubles: list[tuple[Callable[[MariaDB, str], AbstractContextManager[None]], str | None]] = [
        (read_only, "The database is read-only: point the service at its primary, or set read_only = OFF."),
        (
            of_another_version,
            f"The database's schema is at version newer, which this program, at {head()}, {NEWER}",
        ),
        (hanging, "The database does not answer."),
        (there_again, None),
        (away, "The database cannot be reached: nothing listens on its host and port. Start it, or correct both."),
    ]
    with servers(migrated(own_mysql_url), tmp_path, 1) as (server,):
        for trouble, message in troubles:
            assert ask(server, "/health/ready") == (200, "ready")
            with trouble(own_mariadb, own_mysql_url):
                if message is None:
                    continue
                assert ask(server, "/health/ready") == (503, "try-again")
                assert f"Not ready: {message}" in {line["event"] for line in server.logged()}
                assert ask(server, "/health/live") == (200, "live")
        assert ask(server, "/health/ready") == (200, "ready")
        assert not server.complaints()

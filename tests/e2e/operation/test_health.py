"""Liveness has no conditions; readiness depends on the database, the right to write to it and its schema."""

from collections.abc import Callable
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


@pytest.mark.slow
def test_readiness_is_lost_and_comes_back_and_liveness_stays(
    own_server: MariaDB, own_mysql_url: str, tmp_path: Path
) -> None:
    def sql(statement: str) -> Callable[[], object]:
        return lambda: mariadb.execute(own_server.admin_url, statement)

    version = "UPDATE boxoffice.alembic_version SET version_num ="
    troubles = [
        (
            sql("SET GLOBAL read_only = ON"),
            sql("SET GLOBAL read_only = OFF"),
            "The database is read-only: point the service at its primary, or set read_only = OFF.",
        ),
        (
            sql(f"{version} 'newer'"),
            sql(f"{version} '{head()}'"),
            f"The database's schema is at version newer, which this program, at {head()}, {NEWER}",
        ),
        (own_server.pause, own_server.resume, "The database does not answer."),
        (
            own_server.kill,
            own_server.start,
            "The database cannot be reached: nothing listens on its host and port. Start it, or correct both.",
        ),
    ]
    with servers(migrated(own_mysql_url), tmp_path, 1) as (server,):
        for begin, end, message in troubles:
            assert ask(server, "/health/ready") == (200, "ready")
            begin()
            assert ask(server, "/health/ready") == (503, "try-again")
            assert f"Not ready: {message}" in {line["event"] for line in server.logged()}
            assert ask(server, "/health/live") == (200, "live")
            end()
        assert ask(server, "/health/ready") == (200, "ready")
        own_server.restart()  # Dead connections of the pool do not affect readiness.
        assert ask(server, "/health/ready") == (200, "ready")
        assert not server.complaints()

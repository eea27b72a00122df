"""The throwaway servers do what the tests that lean on them believe."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests import mariadb
from tests.mariadb import MariaDB


def test_a_fresh_database_is_empty(mysql_url: str) -> None:
    assert mariadb.execute(mysql_url, "SHOW TABLES") == []


def test_no_two_databases_are_the_same_and_each_is_dropped(mysql_admin_url: str) -> None:
    with mariadb.fresh_database(mysql_admin_url) as one, mariadb.fresh_database(mysql_admin_url) as other:
        names = {make_url(one).database, make_url(other).database}
        assert len(names) == 2
        assert names <= _databases(mysql_admin_url)
    assert not names & _databases(mysql_admin_url)


def test_a_fresh_database_can_be_asked_for_inside_a_loop(mysql_url: str) -> None:
    async def ask() -> list[tuple[object, ...]]:
        return mariadb.execute(mysql_url, "SELECT 1")

    assert asyncio.run(ask()) == [(1,)]


def test_the_server_is_durable(mysql_admin_url: str) -> None:
    assert mariadb.execute(mysql_admin_url, "SELECT @@innodb_flush_log_at_trx_commit") == [(1,)]


def test_the_server_listens_on_loopback_only_and_wants_a_password(mariadb_server: MariaDB) -> None:
    assert mariadb.execute(mariadb_server.admin_url, "SELECT @@bind_address") == [("127.0.0.1",)]
    without = make_url(mariadb_server.admin_url)
    for user in ("boxoffice", "root", ""):
        with pytest.raises(Exception, match=r"Access denied|1045|1698"):
            mariadb.execute(f"mysql+asyncmy://{user}@127.0.0.1:{without.port}/", "SELECT 1")


def test_what_was_committed_outlives_a_kill(own_mariadb: MariaDB, own_mysql_url: str) -> None:
    mariadb.execute(own_mysql_url, "CREATE TABLE kept (id INT PRIMARY KEY)", "INSERT INTO kept VALUES (7)")
    before = own_mariadb.pid

    own_mariadb.restart()

    assert own_mariadb.pid != before
    assert mariadb.execute(own_mysql_url, "SELECT id FROM kept") == [(7,)]


def test_a_killed_server_is_gone(own_mariadb: MariaDB, own_mysql_url: str) -> None:
    own_mariadb.kill()

    with pytest.raises(RuntimeError, match="does not run"):
        _ = own_mariadb.pid
    with pytest.raises(Exception, match=r"Can't connect|2003"):
        mariadb.execute(own_mysql_url, "SELECT 1")


def test_a_paused_server_goes_on_where_it_was(own_mariadb: MariaDB, own_mysql_url: str) -> None:
    own_mariadb.pause()
    own_mariadb.resume()

    assert mariadb.execute(own_mysql_url, "SELECT 1") == [(1,)]


def test_a_closed_server_leaves_nothing_behind(mariadb_template: Path) -> None:
    with MariaDB(mariadb_template) as server:
        pid = server.pid
        assert server.directory.exists()

    assert not server.directory.exists()
    assert not _lives(pid)


@pytest.mark.mysql
def test_a_server_dies_with_the_tests_however_they_end(mariadb_template: Path) -> None:
    """SIGKILL runs no teardown: the pipe's end is what the server dies of."""
    tests = subprocess.Popen(
        [sys.executable, "-c", _START_AND_HANG, str(mariadb_template)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert tests.stdout is not None
    with tests.stdout:
        pid, directory = tests.stdout.readline().split()
        assert _lives(int(pid))
        tests.send_signal(signal.SIGKILL)
        tests.wait(timeout=10)
    _eventually(lambda: not _lives(int(pid)))
    for left in sorted(Path(directory).rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    Path(directory).rmdir()


_START_AND_HANG = """
import sys, time
from pathlib import Path
from tests.mariadb import MariaDB

server = MariaDB(Path(sys.argv[1])).start()
print(server.pid, server.directory, flush=True)
time.sleep(600)
"""


def _databases(url: str) -> set[object]:
    return {row[0] for row in mariadb.execute(url, "SHOW DATABASES")}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A process that has ended but was not waited for is still listed.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)

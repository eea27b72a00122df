"""The temporary MariaDB servers of the tests: durable, private, and gone when the tests end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests import mariadb
from tests.mariadb import MariaDB

ROOT = Path(__file__).parents[2]

START_AND_HANG = """
import sys, time
from pathlib import Path
from tests.mariadb import MariaDB

server = MariaDB(Path(sys.argv[1])).start()
print(server.pid, server.directory, flush=True)
time.sleep(600)
"""


def test_each_database_is_new_and_dropped_afterwards(mysql_admin_url: str) -> None:
    def databases() -> set[object]:
        return {row[0] for row in mariadb.execute(mysql_admin_url, "SHOW DATABASES")}

    with mariadb.fresh_database(mysql_admin_url) as one, mariadb.fresh_database(mysql_admin_url) as other:
        names = {make_url(one).database, make_url(other).database}
        assert len(names) == 2
        assert names <= databases()
        assert mariadb.execute(one, "SHOW TABLES") == []
    assert not names & databases()


def test_a_query_can_be_run_beside_an_event_loop(mysql_url: str) -> None:
    async def ask() -> list[tuple[object, ...]]:
        return mariadb.execute(mysql_url, "SELECT 1")

    assert asyncio.run(ask()) == [(1,)]


def test_the_server_is_durable_and_private(database_server: MariaDB) -> None:
    settings = "SELECT @@innodb_flush_log_at_trx_commit, @@bind_address"
    assert mariadb.execute(database_server.admin_url, settings) == [(1, "127.0.0.1")]
    for user in ("boxoffice", "root", ""):
        with pytest.raises(Exception, match=r"Access denied|1045|1698"):
            mariadb.execute(f"mysql+asyncmy://{user}@127.0.0.1:{database_server.port}/", "SELECT 1")


def test_committed_rows_survive_a_kill_and_a_closed_server_leaves_no_files(mariadb_template: Path) -> None:
    with MariaDB(mariadb_template) as server:
        create = "CREATE DATABASE d", "CREATE TABLE d.kept (id INT PRIMARY KEY)", "INSERT INTO d.kept VALUES (7)"
        mariadb.execute(server.admin_url, *create)
        before = server.pid
        server.kill()
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.pid
        with pytest.raises(Exception, match=r"Can't connect|2003"):
            mariadb.execute(server.admin_url, "SELECT 1")
        server.start()
        assert server.pid != before
        server.pause()
        server.resume()
        assert mariadb.execute(server.admin_url, "SELECT id FROM d.kept") == [(7,)]
        pid = server.pid
    assert not server.directory.exists()
    assert not is_alive(pid)


@pytest.mark.mysql
def test_a_server_ends_with_the_tests_even_if_they_are_killed(mariadb_template: Path) -> None:
    """SIGKILL runs no teardown, but it closes the pipe that the server's watcher reads."""
    command = [sys.executable, "-c", START_AND_HANG, str(mariadb_template)]
    tests = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert tests.stdout is not None
    with tests.stdout:
        pid, directory = tests.stdout.readline().split()
        assert is_alive(int(pid))
        tests.send_signal(signal.SIGKILL)
        tests.wait(timeout=10)
    deadline = time.monotonic() + 10
    while is_alive(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for left in sorted(Path(directory).rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    Path(directory).rmdir()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A process that has ended but was not waited for is still listed.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False

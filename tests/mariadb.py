"""Temporary MariaDB servers on loopback, which end with the test run even if it is killed."""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

import asyncmy
from sqlalchemy.engine import URL, make_url

URL_VARIABLE: Final = "BOXOFFICE_TEST_MYSQL_URL"
HOW_TO_GET_ONE: Final = (
    "No MariaDB server here: run tools/mariadb.sh, or set "
    f"{URL_VARIABLE}=mysql+asyncmy://user:password@host:3306/ (a user who may create databases)"
)

_SEARCH_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_READY_WITHIN: Final = 60.0  # seconds; recovery after a crash is slow on a loaded machine

# Durable as in production, but small, because several servers run at once.
_SETTINGS: Final = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--max-connections=400",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
)

# `exec` replaces the shell by the server, so `$$` is the server's process. The background process waits for the end of
# a pipe that only the tests hold open, and kills the server when they end, even if they are killed.
DIE_WITH_ME: Final = 'exec 3<&0; (read -r _ <&3; kill -9 $$) 2>/dev/null & exec "$@" 3<&- </dev/null'

BETWEEN_LOOKS: Final = 0.15
"""Seconds between two reads of the open transactions. InnoDB refreshes its list only if it was not read for 0.1 s."""


class MariaDBMissing(RuntimeError):
    """MariaDB is not installed, and no other server is configured."""


def program(name: str) -> str:
    """Return the path of a MariaDB program, also from directories that PATH may lack. Raises: MariaDBMissing."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise MariaDBMissing(HOW_TO_GET_ONE)
    return path


def is_installed() -> bool:
    """Return whether servers can be started on this machine."""
    return all(shutil.which(name, path=_SEARCH_PATH) for name in ("mariadbd", "mariadb-install-db"))


def as_user() -> Sequence[str]:
    """Return the option with which root may run a server; none for other users."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def made_once(made: Path, make: Callable[[Path], Path]) -> Path:
    """Return a directory, which the first process that calls makes below an empty one and renames."""
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(Path(tempfile.mkdtemp(prefix=f"{made.name}-", dir=made.parent))).rename(made)
    return made


def initialise(command: Sequence[str]) -> None:
    """Run the program that initialises a data directory. Raises: RuntimeError with its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def template(directory: Path) -> Path:
    """Return an initialised data directory below `directory` to copy, created by the first process that calls."""
    return made_once(directory / "mariadb-template", _initialised)


def _initialised(directory: Path) -> Path:
    # A separate directory, because a starting server deletes temporary tables that it finds.
    data, scratch = directory / "data", directory / "scratch"
    data.mkdir(mode=0o700)
    scratch.mkdir()
    initialise(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            *as_user(),
            f"--datadir={data}",
            f"--tmpdir={scratch}",
            "--skip-name-resolve",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
        ]
    )
    return data


class MariaDB:
    """One server with data of its own, which can be killed and started again on the same data and port.

    Its user has all rights, and connects from 127.0.0.1 with a random password.
    """

    def __init__(self, template_directory: Path, *, password: str | None = None) -> None:
        """Copy the data directory, and set the user's password."""
        # Not below pytest's directories, because a socket's path has at most 107 bytes.
        self.directory: Final = Path(tempfile.mkdtemp(prefix="boxoffice-mariadb-"))
        self.data = self.directory / "data"
        shutil.copytree(template_directory, self.data)
        self._password = password or secrets.token_hex(16)
        self.init_file = self.directory / "init.sql"
        self.init_file.touch(mode=0o600)
        self.init_file.write_text(
            f"{self.user_statement(self._password)};\n"
            "GRANT ALL PRIVILEGES ON *.* TO boxoffice@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self.options: list[str] = []
        """More options of the command line, which win."""
        self.log: Final = self.directory / "server.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """Return the server's URL without a database: `mysql+asyncmy://…@127.0.0.1:port`."""
        url = URL.create(
            "mysql+asyncmy", username="boxoffice", password=self._password, host="127.0.0.1", port=self.port
        )
        return url.render_as_string(hide_password=False)

    @property
    def pid(self) -> int:
        """Return the id of the server's process. Raises: RuntimeError when it does not run."""
        if self._process is None or not self.is_running:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether the process exists, in any state."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start on a free port, or on the previous port, and return when the server answers connections.

        Raises: RuntimeError with the server's log after a minute.
        """
        if self._process is not None:
            raise RuntimeError("the server is already running")
        attempts = 1 if self.port else 5  # another process may take a free port before the server does
        for attempt in range(attempts):
            port = self.port or _free_port()
            self._process = self._spawn(port)
            if self._is_answering(port):
                self.port = port
                return self
            self.kill()
            if attempt + 1 == attempts or "Address already in use" not in self._log_end():
                break
        raise RuntimeError(f"{type(self).__name__} did not start:\n{self._log_end()}")

    def user_statement(self, password: str) -> str:
        """Return the SQL that creates the user."""
        return f"CREATE OR REPLACE USER boxoffice@'127.0.0.1' IDENTIFIED BY '{password}'"

    def command(self, port: int) -> list[str]:
        """Return the command line, which subclasses may extend."""
        return [
            program("mariadbd"),
            "--no-defaults",
            *as_user(),
            *_SETTINGS,
            f"--datadir={self.data}",
            f"--tmpdir={self.directory}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--port={port}",
            f"--init-file={self.init_file}",
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of the process, which subclasses may extend."""
        return dict(os.environ)

    def _spawn(self, port: int) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(  # in its own session, so Ctrl-C reaches pytest alone, which then ends the server
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *self.command(port), *self.options],
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_answering(self, port: int) -> bool:
        """Wait for a greeting, which the server sends only after it has run the init file."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    # A server that is still starting accepts connections but stays silent or closes them.
                    if connection.recv(1) and self._process.poll() is None:
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End the server with SIGTERM, as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=_READY_WITHIN)
        self.kill()

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a crash does. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=30)

    def restart(self) -> None:
        """Kill the server and start it again on the same data and port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop the process, which keeps its connections but answers none."""
        os.kill(self.pid, signal.SIGSTOP)
        # Wait until all threads have stopped; until then some may still answer.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Continue a paused process."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the server and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run each statement in its own transaction, and return the rows of the last one.

    Runs in a thread with its own event loop, so it can be called beside a running loop.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(_execute(make_url(url), statements))).result()


async def _execute(url: URL, statements: Sequence[str]) -> list[tuple[object, ...]]:
    connection = await asyncmy.connect(
        host=url.host or "127.0.0.1",
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        db=url.database or None,
        autocommit=True,
    )
    try:
        rows: list[tuple[object, ...]] = []
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
                rows = list(await cursor.fetchall())
        return rows
    finally:
        await connection.ensure_closed()


@contextmanager
def fresh_database(admin_url: str) -> Iterator[str]:
    """Return the URL of a new, empty database, dropped afterwards."""
    name = f"boxoffice_test_{uuid4().hex}"
    execute(admin_url, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        # A transaction left open by a test blocks the DROP: fail after 20 s instead of the default of a day.
        execute(admin_url, "SET SESSION lock_wait_timeout = 20", f"DROP DATABASE IF EXISTS `{name}`")

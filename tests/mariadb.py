"""Throwaway MariaDB servers: private, on loopback, gone with the test run, whatever ends it."""

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
from collections.abc import Iterator, Sequence
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
_READY_WITHIN: Final = 60.0  # seconds; a second is usual, a loaded machine after a crash needs more

# Durable as in production; small otherwise, since several run side by side.
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

# The server replaces the shell; what stays behind waits for the end of a pipe that only the tests hold open, so that
# the server dies with them even when they are killed. `$$` is the shell's process, which is the server's after `exec`.
DIE_WITH_ME: Final = 'exec 3<&0; (read -r _ <&3; kill -9 $$) 2>/dev/null & exec "$@" 3<&- </dev/null'

BETWEEN_LOOKS: Final = 0.15
"""Seconds between two looks at open transactions. InnoDB makes its list of them anew when nobody has looked at it for a
tenth of a second, and whoever asks more often gets the same list for ever.
"""


class MariaDBMissing(RuntimeError):
    """There is no server to start and none was named."""


def program(name: str) -> str:
    """Where a program of MariaDB's is: servers are not on everybody's path. Raises: MariaDBMissing."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise MariaDBMissing(HOW_TO_GET_ONE)
    return path


def is_installed() -> bool:
    """Whether servers can be started here."""
    return all(shutil.which(name, path=_SEARCH_PATH) for name in ("mariadbd", "mariadb-install-db"))


def _as_user() -> Sequence[str]:
    return ("--user=root",) if os.geteuid() == 0 else ()


def template(directory: Path) -> Path:
    """An initialised data directory below `directory` to copy; made once, whichever process comes first."""
    made = directory / "mariadb-template"
    with (directory / "mariadb-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="mariadb-", dir=directory))
            # Of its own: a server that starts removes what it takes for temporary tables of one that died.
            scratch = Path(tempfile.mkdtemp(prefix="mariadb-", dir=directory))
            installed = subprocess.run(
                [
                    program("mariadb-install-db"),
                    "--no-defaults",
                    *_as_user(),
                    f"--datadir={unfinished}",
                    f"--tmpdir={scratch}",
                    "--skip-name-resolve",
                    "--skip-test-db",
                    "--innodb-log-file-size=16M",
                ],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if installed.returncode != 0:
                raise RuntimeError(f"mariadb-install-db failed:\n{installed.stdout}\n{installed.stderr}")
            unfinished.rename(made)
    return made


class MariaDB:
    """One private server: `start` it, `kill` it (as `kill -9` does), `start` it again on the same data and port.

    Its user may do everything and is let in from 127.0.0.1 with a random password only.
    """

    def __init__(self, template_directory: Path, *, password: str | None = None) -> None:
        """A copy of the data directory, owned by a user with this password, or with a random one."""
        # Not below pytest's folders: a socket's path has room for 107 bytes.
        self.directory: Final = Path(tempfile.mkdtemp(prefix="boxoffice-mariadb-"))
        self._data = self.directory / "data"
        shutil.copytree(template_directory, self._data)
        self._password = password or secrets.token_hex(16)
        self._init_file = self.directory / "init.sql"
        self._init_file.touch(mode=0o600)
        self._init_file.write_text(
            f"CREATE OR REPLACE USER boxoffice@'127.0.0.1' IDENTIFIED BY '{self._password}';\n"
            "GRANT ALL PRIVILEGES ON *.* TO boxoffice@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self.log: Final = self.directory / "server.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """The server, no database named: `mysql+asyncmy://…@127.0.0.1:port`."""
        url = URL.create(
            "mysql+asyncmy", username="boxoffice", password=self._password, host="127.0.0.1", port=self.port
        )
        return url.render_as_string(hide_password=False)

    @property
    def pid(self) -> int:
        """The server's process.

        Raises: RuntimeError when it does not run.
        """
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def start(self) -> Self:
        """Start on a free port, or on the port of the time before, and return once connections are answered.

        Raises: RuntimeError with the server's log when that takes longer than a minute.
        """
        if self._process is not None:
            raise RuntimeError("the server runs already")
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
        raise RuntimeError(f"MariaDB did not start:\n{self._log_end()}")

    def _command(self, port: int) -> list[str]:
        return [
            program("mariadbd"),
            "--no-defaults",
            *_as_user(),
            *_SETTINGS,
            f"--datadir={self._data}",
            f"--tmpdir={self.directory}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--port={port}",
            f"--init-file={self._init_file}",
        ]

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _spawn(self, port: int) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(  # in a session of its own: Ctrl-C is for pytest, which then ends it
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *self._command(port)],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_answering(self, port: int) -> bool:
        """Wait for a greeting; the init file has been run when the first one comes."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    # A listening server may still be starting: it says so by its silence or by hanging up.
                    if connection.recv(1) and self._process.poll() is None:
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """End it without warning (SIGKILL), as a crash does; nothing to do when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=30)

    def restart(self) -> None:
        """Kill it and start it again, on the same data and port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang: it keeps its connections and answers none."""
        os.kill(self.pid, signal.SIGSTOP)
        # Some of its threads may still answer until all of them have stopped, which is told then.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove all that it wrote."""
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
    """Run statements one by one, each its own transaction, and return the rows of the last.

    In a thread with a loop of its own, so that fixtures and tests may call it beside a running loop.
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
    """The URL of a new, empty database on that server; dropped afterwards."""
    name = f"boxoffice_test_{uuid4().hex}"
    execute(admin_url, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        # A transaction that a test left open holds it back: fail then, rather than wait for the default of a day.
        execute(admin_url, "SET SESSION lock_wait_timeout = 20", f"DROP DATABASE IF EXISTS `{name}`")

"""`boxoffice serve` in its own process, which can be killed, stopped and started again on the same port."""

import http.client
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.command_line import run_command
from tests.constants import SECRET
from tests.mariadb import DIE_WITH_ME

SERVE: Final = (sys.executable, "-m", "boxoffice", "serve")
_READY_WITHIN: Final = 120.0  # seconds; two are usual, many servers on a busy machine need more
_ENDS_WITHIN: Final = 60.0  # seconds; requests in progress have twelve

# Below the ephemeral ports, of which the system may give one to a client while the server is down.
_PORTS: Final = range(15_000, 32_000)


def environment_for(database_url: str, **settings: str | None) -> dict[str, str]:
    """Return the environment of a process of the service. `settings` have no prefix; None: not set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
    ours = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "RATE_LIMITS": "off", **settings}
    return kept | {f"BOXOFFICE_{name}": value for name, value in ours.items() if value is not None}


class Server:
    """One process that serves a database, always on the same port, and logs to `log`.

    `settings` are the service's, without the prefix; `command` replaces `boxoffice serve`.
    """

    def __init__(
        self,
        database_url: str,
        directory: Path,
        *,
        name: str = "server",
        settings: Mapping[str, str | None] | None = None,
        command: Sequence[str] = SERVE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log: Final = directory / f"{name}.log"
        self.port: Final = free_port()
        self._directory = directory
        self._command = [*command, "--host", "127.0.0.1", "--port", str(self.port)]
        self._environment = {**environment_for(database_url, **(settings or {})), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        # A start during a kill would take an old worker for the new service.
        self._killing = threading.Lock()

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the id of the process. Raises: RuntimeError when it does not run."""
        if not self.is_running or self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether the process exists, ready or not."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> Self:
        """Start it without waiting. Raises: RuntimeError when it runs."""
        with self._killing, self.log.open("ab") as log:
            if self._process is not None:
                raise RuntimeError("the server runs already")
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *self._command],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait_until_ready(self) -> Self:
        """Wait until it is ready. Raises: RuntimeError with the end of its log."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self.is_running:
            if self.is_ready():
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"The service did not become ready:\n{self.log.read_text(errors='replace')[-4000:]}")

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        return self.spawn().wait_until_ready()

    def is_ready(self) -> bool:
        """Return whether its readiness check succeeds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill it and its workers with SIGKILL, if it runs."""
        with self._killing:
            workers = self.workers() if self.is_running else []
            self._end(signal.SIGKILL)
            for worker in workers:
                _kill(worker)

    def workers(self) -> list[int]:
        """Return the ids of its worker processes."""
        return list(_workers(self.pid))

    def terminate(self) -> int:
        """End it with SIGTERM, as an operator does, and return its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it ends, and return its exit code."""
        return self._end(None)

    def _end(self, number: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if number is not None:
            process.send_signal(number)
        try:
            return process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(_ENDS_WITHIN)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def logged(self) -> list[dict[str, Any]]:
        """Return the lines of its log. A line that is not JSON becomes an event of unknown level."""
        lines: list[dict[str, Any]] = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"level": "unknown", "event": line})
        return lines

    def complaints(self) -> list[dict[str, Any]]:
        """Return the errors in its log. Neither a client nor the database may cause one."""
        return [line for line in self.logged() if line.get("level") in ("error", "critical")]


@contextmanager
def servers(
    database_url: str, directory: Path, number: int, *, name: str = "server", **options: Any
) -> Iterator[list[Server]]:
    """Run so many ready servers of one database, and kill them afterwards."""
    made = [Server(database_url, directory, name=f"{name}{index}", **options) for index in range(number)]
    try:
        for server in made:
            server.spawn()
        for server in made:
            server.wait_until_ready()
        yield made
    finally:
        for server in made:
            server.kill()


def boxoffice(database_url: str, directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run another command, such as `verify`, on a database."""
    return run_command(arguments, directory, environment_for(database_url))


def _workers(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                with suppress(FileNotFoundError, ProcessLookupError):
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        yield int(child)


def _kill(pid: int) -> None:
    """Kill a process and wait until its files are closed."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], _ENDS_WITHIN)
        finally:
            os.close(handle)


def free_port() -> int:
    """Return an unused port."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

"""`boxoffice serve` in processes of its own, to be killed, ended and started again on the same port."""

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

from tests.constants import SECRET
from tests.mariadb import DIE_WITH_ME

SERVE: Final = (sys.executable, "-m", "boxoffice", "serve")
_READY_WITHIN: Final = 120.0  # seconds; two are usual, many servers that start at once on a busy machine need more
_ENDS_WITHIN: Final = 60.0  # seconds; it gives what is under way ten

# Below the range from which the system takes the ports of clients: who calls a port of that range while nobody listens
# there may be connected to itself, and a server that starts again may find its port taken.
_PORTS: Final = range(15_000, 32_000)


def environment_for(database_url: str, **settings: str | None) -> dict[str, str]:
    """What a process of the service finds in its environment.

    Settings are by their name without the prefix; None: it is not set.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
    ours: dict[str, str | None] = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "RATE_LIMITS": "off"}
    ours |= settings
    return kept | {f"BOXOFFICE_{name}": value for name, value in ours.items() if value is not None}


class Server:
    """One process that serves a database: on the same port, whenever it is started again.

    `settings` are those of the service by their name without the prefix, `command` what is run instead of
    `boxoffice serve`. What it says goes to `log`.
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
        self.port: Final = _free_port()
        self._directory = directory
        self._command = [*command, "--host", "127.0.0.1", "--port", str(self.port)]
        self._environment = {**environment_for(database_url, **(settings or {})), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        # Started while it is being killed, it would be taken for ready as long as an old worker answers.
        self._killing = threading.Lock()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process. Raises: RuntimeError when it does not run."""
        if not self.is_running or self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process, ready or not."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> Self:
        """Start it, and do not wait. Raises: RuntimeError when it runs already."""
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
        """Until it serves and its database answers. Raises: RuntimeError with the end of its log."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self.is_running:
            if self.is_ready():
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"The service did not get ready:\n{self.log.read_text(errors='replace')[-4000:]}")

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        return self.spawn().wait_until_ready()

    def is_ready(self) -> bool:
        """Whether it says that it can do its work."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it without warning (SIGKILL), with its workers; nothing to do when it does not run."""
        with self._killing:
            workers = self.workers() if self.is_running else []
            self._end(signal.SIGKILL)
            for worker in workers:
                _kill(worker)

    def workers(self) -> list[int]:
        """Processes that its supervisor has started to serve."""
        return [child for child in _children(self.pid) if b"spawn_main" in _command_line(child)]

    def terminate(self) -> int:
        """End it as an operator does (SIGTERM); its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Until it has ended by itself; its exit code."""
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
        """The lines of its log; the last one may be cut off by a kill, and what is no line of ours counts as one."""
        lines: list[dict[str, Any]] = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"level": "unknown", "event": line})
        return lines

    def complaints(self) -> list[dict[str, Any]]:
        """What it logged as an error: for its developers, and never what a client or the database may cause."""
        return [line for line in self.logged() if line.get("level") in ("error", "critical")]


@contextmanager
def servers(
    database_url: str, directory: Path, number: int, *, name: str = "server", **options: Any
) -> Iterator[list[Server]]:
    """So many servers of one database, ready, and ended afterwards whatever happened."""
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
    """Another command of the service, `verify` for instance, on that database."""
    return subprocess.run(
        [sys.executable, "-m", "boxoffice", *arguments],
        cwd=directory,
        env=environment_for(database_url),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.extend(map(int, (task / "children").read_text().split()))
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _kill(pid: int) -> None:
    """End it, and wait until it is gone with all that it has open."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], _ENDS_WITHIN)
        finally:
            os.close(handle)


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

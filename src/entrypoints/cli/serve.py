"""The serve command: run Granian, a supervisor with worker processes."""

import asyncio
import logging
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address
from tempfile import TemporaryDirectory
from typing import Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels

from ...application.ports.errors import Unavailable
from ..container import make_container
from ..lifespan import running
from ..logs import set_up_logs
from ..settings import PREFIX, Settings, SettingsError
from .worker import load_app

AGAIN_SECONDS: Final = 0.2
"""Interval at which the server is told again to end."""

DRAIN_SECONDS: Final = 12
"""Time after which a worker that does not end is killed. Longer than any request may take."""

KEEP_ALIVE_SECONDS: Final = 30
"""How long a connection may take to send a complete request head, including idle time."""

BACKLOG: Final = 4_096

MOST_CONNECTIONS: Final = 10_000
"""The most open connections of a worker, including idle ones; more wait in the backlog."""

SPARE_FILES: Final = 512
"""File descriptors reserved for the database, the logs and everything else."""

BUFFER_BYTES: Final = 16 * 1024
"""The largest request head, and the most that is read ahead on a connection."""

_NO_LOGGERS: Final[dict[str, Any]] = {"formatters": {}, "handlers": {}, "loggers": {}}
_POLL_SECONDS: Final = 0.02

_log = logging.getLogger(__name__)


def serve(settings: Settings, host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress. Raises: SettingsError, Unavailable."""
    if workers > 1 and settings.is_in_memory:
        raise SettingsError("BOXOFFICE_DATABASE_URL is memory://, which processes cannot share: use --workers 1")
    with _reserved(host, port) as (address, free_port), _shared_metrics(settings, workers):
        asyncio.run(_check_start(settings))
        server = Granian(
            "boxoffice",
            address=address,
            port=free_port,
            interface=Interfaces.ASGI,
            workers=workers,
            runtime_mode=RuntimeModes.st,  # Needs less processor time than the default.
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=_most_connections(),
            http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE_SECONDS * 1000, max_buffer_size=BUFFER_BYTES),
            log_level=LogLevels.warning,
            log_dictconfig=_NO_LOGGERS,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN_SECONDS,
        )
        set_up_logs(settings)  # Again, because the server resets the logging configuration.
        hangup = signal.getsignal(signal.SIGHUP)

        def started() -> None:
            _handle_signals(ignores_hangup=hangup is signal.SIG_IGN)
            threading.Thread(target=_announce, args=(address, free_port), daemon=True).start()

        server.on_startup(started)
        # A forked worker would share locks and connections with this process.
        multiprocessing.set_start_method("spawn", force=True)
        try:
            server.serve(target_loader=load_app, wrap_loader=False)
        except SystemExit:
            return 1
    return 0


def _handle_signals(*, ignores_hangup: bool) -> None:
    """Call the server's handler of SIGTERM in a thread, also for SIGINT and SIGHUP.

    The handler takes a lock, so a second signal that interrupted it in the main thread would wait for ever. By default
    the server restarts its workers on SIGHUP, and so would outlive its terminal. The handler is called until it
    ends, for the server may clear a call unseen.
    """
    end: Any = signal.getsignal(signal.SIGTERM)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if ignores_hangup:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait() -> None:
        reader.recv(1)
        while True:
            end()
            time.sleep(AGAIN_SECONDS)

    threading.Thread(target=wait, daemon=True).start()


async def _check_start(settings: Settings) -> None:
    """Start and stop once, so that an error is reported once and not as a traceback by every worker."""
    async with running(make_container(settings)):
        pass


@contextmanager
def _shared_metrics(settings: Settings, workers: int) -> Iterator[None]:
    """Create a directory in which several workers add up their metrics, unless one is configured."""
    if workers == 1 or settings.metrics_directory is not None:
        yield
        return
    with TemporaryDirectory(prefix="boxoffice-metrics-") as directory:
        # The workers read their settings from the environment.
        os.environ[f"{PREFIX}METRICS_DIRECTORY"] = directory
        yield


def _most_connections() -> int:
    """Return how many connections the file descriptors allow, after raising their soft limit if possible.

    A worker without a free descriptor would retry accept() in a busy loop.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST_CONNECTIONS + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return MOST_CONNECTIONS
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError):  # A container may forbid it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(1, soft - SPARE_FILES)


@contextmanager
def _reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Reserve a port until the context ends, and yield it with the resolved address. Raises: Unavailable.

    Every worker listens on the port with its own socket (SO_REUSEPORT), so a second service of the same user could
    share it unnoticed. The probe without SO_REUSEPORT fails while the port is bound here or by a worker.
    """
    try:
        family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        address = str(ip_address(name[0]))
    except (OSError, UnicodeError, ValueError) as error:
        raise Unavailable(f"{host} is not an address to listen on; choose another with --host") from error
    with closing(socket.socket(family, socket.SOCK_STREAM)) as reserved:
        try:
            with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen()
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((address, port))
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on {host} port {port}: {error.strerror}; "
                "choose another with --port, or stop the program that uses it"
            ) from error
        yield address, reserved.getsockname()[1]


def _announce(address: str, port: int) -> None:
    """Log the service's URL once a worker listens."""
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            break
    shown = f"[{address}]" if ":" in address else address
    _log.info("Boxoffice serves on http://%s:%s", shown, port)

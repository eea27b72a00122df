"""Serve the REST API with Granian: a supervisor, and the worker processes that it starts and replaces."""

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

DRAIN_SECONDS: Final = 12
"""How long a worker may take to end: longer than any request may take. Then it is killed."""

KEEP_ALIVE_SECONDS: Final = 30
"""How long a connection may take to send the head of its next request, idle time included."""

BACKLOG: Final = 4_096

MOST_CONNECTIONS: Final = 10_000
"""Open connections of a worker, idle ones included; more wait in the backlog. The server calls it backpressure."""

SPARE_FILES: Final = 512
"""File descriptors that connections leave to the database, the logs and everything else."""

BUFFER_BYTES: Final = 16 * 1024
"""The largest head of a request, and how much of the next requests on a connection is read ahead."""

_NO_LOGGERS_OF_ITS_OWN: Final[dict[str, Any]] = {"formatters": {}, "handlers": {}, "loggers": {}}
_LOOKS_EVERY: Final = 0.02

_log = logging.getLogger(__name__)


def serve(settings: Settings, host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, then answer what is under way. Raises: SettingsError, Unavailable."""
    if workers > 1 and settings.is_in_memory:
        raise SettingsError("BOXOFFICE_DATABASE_URL is memory://, which one process keeps to itself: say --workers 1")
    with _reserved(host, port) as (address, free_port), _shared_metrics(settings, workers):
        asyncio.run(_look(settings))
        server = Granian(
            "boxoffice",
            address=address,
            port=free_port,
            interface=Interfaces.ASGI,
            workers=workers,
            runtime_mode=RuntimeModes.st,  # A fifth less processor time than its default here.
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=_most_connections(),
            http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE_SECONDS * 1000, max_buffer_size=BUFFER_BYTES),
            log_level=LogLevels.warning,
            log_dictconfig=_NO_LOGGERS_OF_ITS_OWN,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN_SECONDS,
        )
        set_up_logs(settings)  # Again, because the server has reset what was set up.
        hangup = signal.getsignal(signal.SIGHUP)

        def started() -> None:
            # The server would start new workers on SIGHUP, and outlive its terminal.
            signal.signal(signal.SIGHUP, hangup if hangup is signal.SIG_IGN else signal.getsignal(signal.SIGTERM))
            threading.Thread(target=_announce, args=(address, free_port), daemon=True).start()

        server.on_startup(started)
        # A forked worker would share locks and connections with this process.
        multiprocessing.set_start_method("spawn", force=True)
        try:
            server.serve(target_loader=load_app, wrap_loader=False)
        except SystemExit:
            return 1
    return 0


async def _look(settings: Settings) -> None:
    """Start and stop once, so that what stands in the way is one sentence here and not a traceback in every worker."""
    async with running(make_container(settings)):
        pass


@contextmanager
def _shared_metrics(settings: Settings, workers: int) -> Iterator[None]:
    """A directory in which several workers add up their metrics, unless a setting names one."""
    if workers == 1 or settings.metrics_directory is not None:
        yield
        return
    with TemporaryDirectory(prefix="boxoffice-metrics-") as directory:
        # The workers read their settings from here.
        os.environ[f"{PREFIX}METRICS_DIRECTORY"] = directory
        yield


def _most_connections() -> int:
    """As many as there are file descriptors for. The soft limit, often 1,024, is raised to what is needed.

    A worker without a free descriptor would try to accept again and again.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST_CONNECTIONS + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return MOST_CONNECTIONS
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError):  # A sandbox may forbid it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(1, soft - SPARE_FILES)


@contextmanager
def _reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """The address, and the port that nobody else has, for as long as this lasts.

    Every worker listens with a socket of its own on the same port (SO_REUSEPORT), so a second service of the same user
    could join them unnoticed. It is refused while the port is bound here or any worker listens. Raises: Unavailable.
    """
    try:
        family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        address = str(ip_address(name[0]))
    except (OSError, UnicodeError, ValueError) as error:
        raise Unavailable(f"{host} is no address to listen on; choose another one with --host") from error
    with closing(socket.socket(family, socket.SOCK_STREAM)) as held:
        try:
            with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((address, port))
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on {host} port {port}: {error.strerror}; "
                "choose another with --port, or end what is there"
            ) from error
        yield address, held.getsockname()[1]


def _announce(address: str, port: int) -> None:
    """Say where the service is once a worker listens."""
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            time.sleep(_LOOKS_EVERY)
        else:
            break
    shown = f"[{address}]" if ":" in address else address
    _log.info("Boxoffice serves on http://%s:%s", shown, port)

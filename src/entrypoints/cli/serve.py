"""Serve the REST API, in this process or in several."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import threading
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import uvicorn
from litestar import Litestar
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from ...application.failures import Unavailable
from ..collector import spare_the_collector
from ..container import Container, make_container
from ..http.app import create_app
from ..http.connection import Connection
from ..lifespan import running
from ..logs import set_up_logs
from ..settings import PREFIX, Settings, SettingsError

DRAIN_SECONDS = 12
"""How long requests under way may take to end once the process was told to end: longer than any may take."""

WORKER_SECONDS = 30
"""How long one of several processes may take to load the program and say that it lives; then it is started anew.

With uvicorn's five a busy machine would never serve: each process is ended before it has begun.
"""

KEEP_ALIVE_SECONDS = 30
BACKLOG = 4_096

LISTENERS = 8
"""Handles on the one listening socket of a process: libuv takes one connection from each in a turn of the loop.

With one, whoever connected while thousands of connections were busy waited for as many turns as there were others:
`/health/live` took six seconds.
"""

_log = logging.getLogger(__name__)


def serve(settings: Settings, host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, then answer what is under way. Raises: SettingsError, Unavailable."""
    if workers > 1 and settings.is_in_memory:
        raise SettingsError("BOXOFFICE_DATABASE_URL is memory://, which one process keeps to itself: say --workers 1")
    with _listening(host, port) as listener:
        asyncio.run(_look(settings))
        _log.info("Boxoffice serves on %s", _address(listener))
        config = uvicorn.Config(
            "boxoffice.entrypoints.cli.serve:app_of_this_process",
            factory=True,
            workers=workers,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever connects could say to be somebody else; behind a proxy of one's own it has to be asked for.
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            timeout_worker_healthcheck=WORKER_SECONDS,
        )
        return _serve_here(config, listener) if workers == 1 else _serve_in_several(config, listener, settings)


def app_of_this_process() -> Litestar:
    """The application with a container of its own; uvicorn calls it in every process that serves."""
    settings = Settings.load()
    set_up_logs(settings)
    container = make_container(settings)
    _tell_when_ending(container)
    _end_with_the_supervisor()
    app = create_app(container)
    spare_the_collector()
    return app


async def _look(settings: Settings) -> None:
    """Start and stop once, so that what stands in the way is one sentence here and not a traceback in every process."""
    async with running(make_container(settings)):
        pass


def _serve_here(config: uvicorn.Config, listener: socket.socket) -> int:
    server = uvicorn.Server(config)
    # Uvicorn raises again at the end what it was told to end by; with its own handler in place that does nothing more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run(_handles(listener))
    return 0 if server.started else 1


class _Supervisor(Multiprocess):
    def terminate_all(self) -> None:
        """End the others; and listen no more, or the system would take connections that nobody answers."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _serve_in_several(config: uvicorn.Config, listener: socket.socket, settings: Settings) -> int:
    if settings.metrics_directory is None:
        with TemporaryDirectory(prefix="boxoffice-metrics-") as directory:
            # The processes read their settings from here.
            os.environ[f"{PREFIX}METRICS_DIRECTORY"] = directory
            return _supervise(config, listener)
    return _supervise(config, listener)


def _supervise(config: uvicorn.Config, listener: socket.socket) -> int:
    supervisor = _Supervisor(config, _handles(listener))
    supervisor.run()
    return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


def _tell_when_ending(container: Container) -> None:
    """Let the readiness probe say so from the first moment on."""
    before: Any = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        container.draining().begin()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, end)


def _end_with_the_supervisor() -> None:
    """One of several processes ends when nobody looks after it any more.

    Else they would go on after a supervisor that was killed, and keep the port from the one that takes its place.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_behind, args=[supervisor], name="supervisor", daemon=True).start()


def _end_behind(supervisor: BaseProcess) -> None:
    supervisor.join()
    _log.warning("The process that supervised this one is gone, so this one ends")
    os.kill(os.getpid(), signal.SIGTERM)


def _handles(listener: socket.socket) -> list[socket.socket]:
    return [listener, *(listener.dup() for _ in range(LISTENERS - 1))]


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that two servers never both believe to have the port. Raises: Unavailable."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{host} is no address to listen on; choose another one with --host") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"Cannot listen on {host} port {port}: {error.strerror}; choose another with --port, or end what is there"
        ) from error
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""A worker process: serves the application and ends with its supervisor."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Awaitable
from multiprocessing.process import BaseProcess
from typing import Final

from litestar.types import ASGIApp, HTTPResponseBodyEvent, Message, Receive, Scope, Send

from ..container import make_container
from ..gc_tuning import tune_gc
from ..http.app import create_app
from ..logs import set_up_logs
from ..readiness import Draining
from ..settings import Settings

LINGER_SECONDS: Final = 1.0
"""The longest time for which a draining worker accepts requests. Each response closes its connection."""

QUIET_SECONDS: Final = 0.2
"""A draining worker ends earlier when no request has arrived for this time."""

CHUNK_BYTES: Final = 8 * 1024
"""The largest part of a body that is passed to the server at once. It buffers up to four per response."""

SEND_SECONDS: Final = 30.0
"""How long a client may take to receive a body of several chunks."""

ORPHAN_SECONDS: Final = 12.0
"""How long a worker may take to end after its supervisor."""

SWITCH_SECONDS: Final = 0.0005
"""The interpreter's thread switch interval.

The server passes requests from its own thread. At Python's default of 5 ms they arrive late and one by one, so the
turnstile's batches stay small.
"""

_log = logging.getLogger(__name__)


def load_app() -> "DrainingApp":
    """Return the application of this worker, with its own container. The server calls it in every worker."""
    settings = Settings.load()
    set_up_logs(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    # Ctrl-C must reach only the supervisor, which then ends its workers.
    os.setpgid(0, 0)
    _end_with_supervisor()
    container = make_container(settings)
    app = DrainingApp(create_app(container), container.draining())
    tune_gc()
    _log.info("Worker %s starts", os.getpid())
    return app


class DrainingApp:
    """Wraps the application so that a worker ends without dropping requests.

    On SIGTERM it drains: it is no longer ready, and every response carries `Connection: close`, so clients leave their
    connections before the server closes idle ones. Then it sends SIGINT to the server, which stops listening, closes
    idle connections and finishes the requests in progress.
    """

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        self._app = app
        self._draining = draining
        self._requests = 0
        self._lingering: asyncio.Task[None] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application; while draining, close the connection after the response."""
        if scope["type"] not in {"http", "websocket"}:
            # The lifespan scope arrives after the server has set its own handler, which this replaces.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin)
        elif self._draining.has_begun:
            self._requests += 1
            send = _closing(send)
        return self._app(scope, receive, _in_chunks(send))

    def _begin(self) -> None:
        if self._lingering is None:
            self._draining.begin()
            self._lingering = asyncio.create_task(self._linger())

    async def _linger(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGER_SECONDS
        before = -1
        while before != self._requests and loop.time() < until:
            before = self._requests
            await asyncio.sleep(QUIET_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)


def _closing(send: Send) -> Send:
    def send_last(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        return send(message)

    return send_last


def _in_chunks(send: Send) -> Send:
    """Send a large body in chunks, as fast as the client receives it.

    The server copies what it is given, so clients that never read their responses would otherwise fill the memory with
    copies of the largest one.
    """

    def send_or_split(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body" and len(message.get("body", b"")) > CHUNK_BYTES:
            return _send_chunks(send, message["body"], more_body=message.get("more_body", False))
        return send(message)

    return send_or_split


async def _send_chunks(send: Send, body: bytes, *, more_body: bool) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            for start in range(0, len(body), CHUNK_BYTES):
                end = start + CHUNK_BYTES
                message: HTTPResponseBodyEvent = {
                    "type": "http.response.body",
                    "body": body[start:end],
                    "more_body": more_body or end < len(body),
                }
                await send(message)
    except TimeoutError:
        # The server closes the connection, because the body is shorter than its Content-Length.
        _log.info("A client did not receive its response within %s seconds", SEND_SECONDS)


def _end_with_supervisor() -> None:
    """End this worker when the supervisor dies, so that it does not keep the port from a new supervisor."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_after, args=(supervisor,), name="supervisor", daemon=True).start()


def _end_after(supervisor: BaseProcess) -> None:
    supervisor.join()
    _log.warning("The supervisor has ended, so this worker ends")
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(1)

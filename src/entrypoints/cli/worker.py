"""One worker process: it serves the application, and ends with its supervisor."""

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
"""How long a worker that is to end still takes new requests, at most. Each answer closes its connection meanwhile."""

QUIET_SECONDS: Final = 0.2
"""It lingers no longer once no request has come for this long."""

PIECE_BYTES: Final = 8 * 1024
"""How much of a body the server is given at once. It keeps up to four pieces of each, and one buffer."""

SEND_SECONDS: Final = 30.0
"""How long a client may take for a body of several pieces."""

ORPHAN_SECONDS: Final = 12.0
"""How long a worker without a supervisor may take to end."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread keeps the interpreter while another one waits for it.

The server hands requests over from a thread of its own. At Python's default (5 ms) requests of many connections come
late and one by one, and transactions stay small.
"""

_log = logging.getLogger(__name__)


def load_app() -> "DrainingApp":
    """Return the application of this worker, with a container of its own. The server calls it in every worker."""
    settings = Settings.load()
    set_up_logs(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    # Ctrl-C is for the supervisor alone, which then ends its workers.
    os.setpgid(0, 0)
    _end_with_the_supervisor()
    container = make_container(settings)
    app = DrainingApp(create_app(container), container.draining())
    tune_gc()
    _log.info("Worker %s starts", os.getpid())
    return app


class DrainingApp:
    """The application, which lets a worker end without cutting off a request.

    SIGTERM makes it drain: it is not ready any more, and every answer tells its connection that it was the last one.
    Clients that send one request after another notice it before the server closes idle connections. Then the server is
    told to end, by SIGINT: it stops listening, closes idle connections and waits for what is under way.
    """

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        self._app = app
        self._draining = draining
        self._requests = 0
        self._lingering: asyncio.Task[None] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass it on; while draining, with an answer that closes its connection."""
        if scope["type"] not in {"http", "websocket"}:
            # It is the lifespan's start, before which the server sets its own handler.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin)
        elif self._draining.has_begun:
            self._requests += 1
            send = _closing(send)
        return self._app(scope, receive, _in_pieces(send))

    def _begin(self) -> None:
        if self._lingering is None:
            self._draining.begin()
            self._lingering = asyncio.create_task(self._linger())

    async def _linger(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGER_SECONDS
        seen = -1
        while seen != self._requests and loop.time() < until:
            seen = self._requests
            await asyncio.sleep(QUIET_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)


def _closing(send: Send) -> Send:
    def send_last(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        return send(message)

    return send_last


def _in_pieces(send: Send) -> Send:
    """Pass on what is small as it is, and a large body piece by piece, as fast as the client takes it.

    The server copies what it is given. Without this, clients that never read their answers would make it keep as many
    copies of the largest answer.
    """

    def send_or_split(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body" and len(message.get("body", b"")) > PIECE_BYTES:
            return _send_pieces(send, message["body"], more_body=message.get("more_body", False))
        return send(message)

    return send_or_split


async def _send_pieces(send: Send, body: bytes, *, more_body: bool) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            for start in range(0, len(body), PIECE_BYTES):
                end = start + PIECE_BYTES
                message: HTTPResponseBodyEvent = {
                    "type": "http.response.body",
                    "body": body[start:end],
                    "more_body": more_body or end < len(body),
                }
                await send(message)
    except TimeoutError:
        # The server closes the connection, because the body is shorter than its head says.
        _log.info("A client did not take its answer within %s seconds", SEND_SECONDS)


def _end_with_the_supervisor() -> None:
    """Without it, a worker would outlive a killed supervisor, and keep the port from the one that takes its place."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_behind, args=(supervisor,), name="supervisor", daemon=True).start()


def _end_behind(supervisor: BaseProcess) -> None:
    supervisor.join()
    _log.warning("The supervisor is gone, so this worker ends")
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(1)

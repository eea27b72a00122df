"""Every answer's request id, security headers, metrics and line in the log."""

import re
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any, Final, Protocol

from litestar.enums import HttpMethod
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from ...application.accounts.authenticate import Caller
from ...application.ports.system import Clock
from ..logs import RequestLine, log_request

_BEGUN: Final = "boxoffice.begun"
_REQUEST_ID: Final = "boxoffice.request_id"
_PATTERN: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_METHODS: Final = frozenset(HttpMethod)
_READING: Final = frozenset({"GET", "HEAD"})
_PUBLIC: Final = frozenset({200, 304})

_SECURITY: Final = (
    # JSON is not taken for a page.
    (b"x-content-type-options", b"nosniff"),
    # Ids in our paths do not travel to other sites.
    (b"referrer-policy", b"no-referrer"),
)
_NO_COPY: Final = ((b"cache-control", b"no-store"),)
_PUBLIC_COPY: Final = ((b"cache-control", b"no-cache"),)
"""A copy of what anyone may see may be kept, and is revalidated each time (`If-None-Match`)."""


class Metrics(Protocol):
    """What Prometheus is told of requests."""

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. A method or route that a client made up is ``""``."""


def request_id_of(scope: Any) -> str:
    """Return the request's id: the client's own where it has the right form, else a new one."""
    found: str | None = scope.get(_REQUEST_ID)
    if found is None:
        given = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value
                break
        found = str(given, "ascii") if _PATTERN.fullmatch(given) else str(uuid7())
        scope[_REQUEST_ID] = found
    return found


def stopwatch(app: ASGIApp) -> ASGIApp:
    """Return a middleware that notes when a request began. It is the outermost of ours."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        request: Any = scope
        request[_BEGUN] = perf_counter()
        await app(scope, receive, send)

    return middleware


def observe(clock: Clock, metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return a `before_send` hook, which sees every answer, also to paths that do not exist.

    A line of the log names the route and not the path, and no header: nothing that could hold a secret.
    """

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        request: Any = scope
        begun = request.get(_BEGUN)
        seconds = 0.0 if begun is None else perf_counter() - begun
        request_id = request_id_of(request)
        status = message["status"]
        caller = request.get("user")
        method = request["method"]
        is_public = method in _READING and status in _PUBLIC and caller is None
        given: Any = message.get("headers", ())
        message["headers"] = [
            *given,
            (b"x-request-id", request_id.encode()),
            *_SECURITY,
            *_cache_control(given, is_public=is_public),
        ]
        known = method if method in _METHODS else None
        route: str | None = request.get("path_template")
        metrics.requested(known or "", route or "", status, seconds)
        log_request(
            RequestLine(
                request_id=request_id,
                # An embedder's own authentication sets users of its own.
                user_id=caller.actor.user_id if isinstance(caller, Caller) else None,
                method=known,
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 2),
                timestamp=clock.now(),
            )
        )

    return before_send


def _cache_control(given: Iterable[tuple[bytes, bytes]], *, is_public: bool) -> Iterable[tuple[bytes, bytes]]:
    """Return the header that an answer lacks; a handler that sets its own is left alone."""
    if any(name == b"cache-control" for name, _ in given):
        return ()
    return _PUBLIC_COPY if is_public else _NO_COPY

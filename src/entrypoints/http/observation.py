"""The request id, security headers, metrics and log line of every response."""

import re
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any, Final, Protocol

from litestar.enums import HttpMethod
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import UNSET
from uuid_utils import uuid7

from ...application.accounts.authenticate import Caller
from ...application.ports.system import Clock
from ..logs import RequestLine, log_request

_STARTED_AT: Final = "boxoffice.started_at"
_REQUEST_ID: Final = "boxoffice.request_id"
_PATTERN: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_METHODS: Final = frozenset(HttpMethod)
_READING: Final = frozenset({"GET", "HEAD"})
_PUBLIC: Final = frozenset({200, 304})

_SECURITY: Final = (
    # Browsers must not interpret JSON as a page.
    (b"x-content-type-options", b"nosniff"),
    # Other sites must not see the ids in our paths.
    (b"referrer-policy", b"no-referrer"),
)
_NO_STORE: Final = ((b"cache-control", b"no-store"),)
_NO_CACHE: Final = ((b"cache-control", b"no-cache"),)
"""Caches may store public responses, and must revalidate them each time (`If-None-Match`)."""


class Metrics(Protocol):
    """The metrics of requests."""

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. An unknown method or route is ``""``."""


def request_id_of(scope: Any) -> str:
    """Return the request's id: the client's own if it is well-formed, otherwise a new one."""
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
    """Return a middleware that records when a request started. It is the outermost of ours."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        request: Any = scope
        request[_STARTED_AT] = perf_counter()
        await app(scope, receive, send)

    return middleware


def observe(clock: Clock, metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return a `before_send` hook, which sees every response, including those to unknown paths.

    The log line names the route instead of the path and has no headers, so it contains no secret.
    """

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        request: Any = scope
        started_at = request.get(_STARTED_AT)
        seconds = 0.0 if started_at is None else perf_counter() - started_at
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
                # An embedder's authentication may set another kind of user.
                user_id=caller.actor.user_id if isinstance(caller, Caller) else None,
                key_id=caller.key_id or UNSET if isinstance(caller, Caller) else UNSET,
                method=known,
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 2),
                timestamp=clock.now(),
            )
        )

    return before_send


def _cache_control(given: Iterable[tuple[bytes, bytes]], *, is_public: bool) -> Iterable[tuple[bytes, bytes]]:
    """Return the cache header, unless the handler has set one."""
    if any(name == b"cache-control" for name, _ in given):
        return ()
    return _NO_CACHE if is_public else _NO_STORE

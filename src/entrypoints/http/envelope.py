"""What goes around every request: its id, its line in the log, and a problem where nothing else answered."""

import asyncio
import re
from collections.abc import Callable
from time import perf_counter
from typing import Final, cast

from dependency_injector.providers import Provider
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ...application.authenticate import Caller
from ...application.failures import Unavailable
from ...application.ports import Clock, Ids
from ..logs import RequestLine, log_request
from .identity import Headers
from .metrics import Metrics
from .problems import FieldProblem, Malformed, problem_response
from .security_headers import PRIVATE, PUBLIC

BROKEN: Final = "boxoffice.broken"
"""The ASGI extension by which a connection says that this stands for a request that could not be read."""

OVERDUE: Final = "boxoffice.overdue"
"""The ASGI extension by which a connection says why it cancels a request: it took too long."""

_METHODS: Final = frozenset(HttpMethod)
_ASKED_AS: Final = {"HEAD": "GET", "OPTIONS": "TRACE"}
"""Litestar answers OPTIONS by itself, and not with all methods; no path has TRACE, so its Allow is told."""

_ANSWERED: Final = frozenset({200, 304})
_READING: Final = frozenset({"GET", "HEAD"})
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
"""Characters of an authority without a user (RFC 3986, 3.2)."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Envelope:
    """One layer for all of it, so that a request passes through few hands.

    `HEAD` is asked as `GET` and answered without its body, with the same headers. A line of the log
    names the route and not the path, and no header: nothing that somebody might have put a secret into.
    """

    def __init__(
        self, app: ASGIApp, ids: Provider[Ids], clock: Provider[Clock], metrics: Callable[[], Metrics]
    ) -> None:
        self._app = app
        self._ids = ids
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application around another one."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        method: str = scope["method"]
        asked = scope
        is_broken = BROKEN in (scope.get("extensions") or ())
        request_id = request_id_of(scope["headers"]) or str(self._ids().new())
        if method in _ASKED_AS:
            # A scope of our own: the server looks into its own again while it sends.
            scope = cast("Scope", {**scope, "method": _ASKED_AS[method]})
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                is_public = status in _ANSWERED and method in _READING and scope.get("user") is None
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *(PUBLIC if is_public else PRIVATE),
                ]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            _check_can_be_asked(scope["path"], scope["headers"], is_broken=is_broken)
            await self._app(scope, receive, answer)
        except Exception as error:
            if status is not None:
                raise
            await problem_response(error, request_id)(scope, receive, answer)
        except asyncio.CancelledError:
            if status is not None or OVERDUE not in (asked.get("extensions") or ()):
                raise
            _go_on()
            late = Unavailable("This took too long; try again in a moment.")
            await problem_response(late, request_id)(scope, receive, answer)
        finally:
            caller: Caller | None = scope.get("user")
            seconds = perf_counter() - begun
            known = method if method in _METHODS and not is_broken else None
            route: str | None = scope.get("path_template")
            self._metrics().requested(known or "", route or "", status or 0, seconds)
            log_request(
                RequestLine(
                    request_id=request_id,
                    user_id=caller.actor.user_id if caller else None,
                    method=known,
                    route=route,
                    status=status,
                    duration_ms=round(seconds * 1000, 2),
                    timestamp=self._clock().now(),
                )
            )


def request_id_of(headers: Headers) -> str | None:
    """The id that a client gave its request, if it is one."""
    for name, value in headers:
        if name == b"x-request-id":
            return str(value, "ascii") if _REQUEST_ID.fullmatch(value) else None
    return None


def _go_on() -> None:
    """Take back that this task was cancelled."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _check_can_be_asked(path: str, headers: Headers, *, is_broken: bool) -> None:
    """A slash too many names another path (Litestar would let it name the same).

    Raises: Malformed, NotFoundException.
    """
    if is_broken:
        raise Malformed(FieldProblem("", "must be valid HTTP/1.1, with a head of at most 64 KiB"))
    if not all(_HOST.fullmatch(value) for name, value in headers if name == b"host"):
        raise Malformed(FieldProblem("", "must name a host that can be one"))
    if "//" in path or (path.endswith("/") and path != "/"):
        raise NotFoundException

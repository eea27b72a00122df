"""What goes around every request: its id, its line in the log, and a problem where nothing else answered."""

import asyncio
import re
import string
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final

from dependency_injector.providers import Provider
from litestar.enums import HttpMethod
from litestar.exceptions import NotFoundException
from litestar.types import Receive, Scope, Send
from uuid_utils import uuid7

from ...application.authenticate import Caller
from ...application.failures import Unavailable
from ...application.ports import Clock
from ..logs import RequestLine, log_request
from .exchange import Answers, Request
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
_OF_HOSTS: Final = f"{string.ascii_letters}{string.digits}-._~!$&'()*+,;=%:[]".encode()
"""Characters of an authority without a user (RFC 3986, 3.2)."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Envelope:
    """One layer for all of it, so that a request passes through few hands.

    `HEAD` is asked as `GET` and answered without its body, with the same headers. A line of the log
    names the route and not the path, and no header: nothing that somebody might have put a secret into.
    """

    def __init__(self, answers: Answers, clock: Provider[Clock], metrics: Callable[[], Metrics]) -> None:
        self._answers = answers
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application for requests over HTTP: the server here knows nothing else."""
        begun = perf_counter()
        asked: Any = scope
        method: str = asked["method"]
        is_broken = _is_marked(asked, BROKEN)
        if method in _ASKED_AS:
            # A scope of our own: the server looks into its own again while it sends.
            asked = {**asked, "method": _ASKED_AS[method]}
        request: Request[Any] = Request(asked, receive)
        request_id = _id_of(request.header(b"x-request-id")) or str(uuid7())
        asked["request_id"] = request_id
        status: int | None = None
        try:
            try:
                _check_can_be_asked(request, is_broken=is_broken)
                response = await self._answers(request)
                body = response.encoded()
            except Exception as error:  # noqa: BLE001 - told as a problem; one that nobody foresaw is logged there
                response = problem_response(error, request_id)
                body = response.encoded()
            except asyncio.CancelledError:
                if not _is_marked(scope, OVERDUE):
                    raise
                _go_on()
                response = problem_response(Unavailable("This took too long; try again in a moment."), request_id)
                body = response.encoded()
            status = response.status or 200
            headers = response.head(len(body), status)
            headers.append((b"x-request-id", request_id.encode()))
            is_public = method in _READING and status in _ANSWERED and request.caller is None
            headers += PUBLIC if is_public else PRIVATE
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body, "more_body": False})
        finally:
            seconds = perf_counter() - begun
            known = None if is_broken or method not in _METHODS else method
            route: str | None = asked.get("path_template")
            self._metrics().requested(known or "", route or "", status or 0, seconds)
            caller: Caller | None = request.caller
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
    return _id_of([value for name, value in headers if name == b"x-request-id"])


def _id_of(given: Sequence[bytes]) -> str | None:
    return str(given[0], "ascii") if given and _REQUEST_ID.fullmatch(given[0]) else None


def _is_marked(scope: Any, extension: str) -> bool:
    return "extensions" in scope and extension in (scope["extensions"] or ())


def _go_on() -> None:
    """Take back that this task was cancelled."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _check_can_be_asked(request: Request[Any], *, is_broken: bool) -> None:
    """A slash too many names another path (Litestar would let it name the same).

    Raises: Malformed, NotFoundException.
    """
    if is_broken:
        raise Malformed(FieldProblem("", "must be valid HTTP/1.1, with a head of at most 64 KiB"))
    for host in request.header(b"host"):
        if host.translate(None, _OF_HOSTS):
            raise Malformed(FieldProblem("", "must name a host that can be one"))
    path = request.scope["path"]
    if "//" in path or (path[-1] == "/" and path != "/"):
        raise NotFoundException

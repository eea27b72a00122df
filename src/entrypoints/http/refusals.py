"""Checks of every request before its handler, and responses to the errors raised there."""

import re
from typing import Any, Final

from litestar.exceptions import HTTPException, NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

from ...application.ports.errors import Unavailable
from ...domain.refusals import Refusal
from .observation import request_id_of
from .problems.problem import MEDIA_TYPE, FieldProblem, Malformed, render
from .reply import Reply

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~-]+)+|/")


def is_plain(scope: Any) -> bool:
    """Return whether a request's path is in canonical form."""
    return _PLAIN.fullmatch(scope.get("raw_path") or scope["path"].encode()) is not None


def refusals(app: ASGIApp) -> ASGIApp:
    """Return a middleware that answers the refusals of its own and of later middleware.

    It refuses a path that is not in canonical form (404): Litestar serves `/metrics/`, `//metrics` and `/%6detrics` as
    `/metrics`, which would bypass a proxy's rule for `/metrics`. It refuses a request without exactly one Host (400;
    RFC 9112, 3.2). Litestar itself would answer outside of all middleware, unseen by tracing and an embedder's own.
    """

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _check(scope)
            await app(scope, receive, send)
        except (Refusal, Malformed, HTTPException, Unavailable) as error:
            problem = render(error, request_id_of(scope))
            reply = Reply(problem.body, status=problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
            await reply(scope, receive, send)

    return middleware


def _check(scope: Any) -> None:
    if not is_plain(scope):
        raise NotFoundException
    hosts = 0
    for name, _ in scope["headers"]:
        if name == b"host":
            hosts += 1
    if hosts != 1 and scope["http_version"] == "1.1":
        raise Malformed(FieldProblem("", "must have one Host header"))

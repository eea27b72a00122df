"""What is refused before a handler runs: another spelling of a path, not exactly one Host, no token, and the like."""

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
    """Return whether a request's path has the one spelling that counts."""
    return _PLAIN.fullmatch(scope.get("raw_path") or scope["path"].encode()) is not None


def refusals(app: ASGIApp) -> ASGIApp:
    """Return a middleware that answers what it and the ones behind it refuse.

    It refuses any other spelling of a path (404): Litestar takes `/metrics/`, `//metrics` and `/%6detrics` for
    `/metrics`, a rule for a path in a proxy does not. And a request without exactly one Host (400; RFC 9112, 3.2).
    Litestar would answer outside of all middleware, so tracing and an embedder's own would not see the answer.
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

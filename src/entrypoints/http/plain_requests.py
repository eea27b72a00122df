"""One spelling for each path, and one Host."""

import re
from typing import Any, Final

from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

from .problems.problem import FieldProblem, Malformed

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~-]+)+|/")


def is_plain(scope: Any) -> bool:
    """Return whether a request's path has the one spelling that counts."""
    return _PLAIN.fullmatch(scope.get("raw_path") or scope["path"].encode()) is not None


def plain_requests(app: ASGIApp) -> ASGIApp:
    """Return a middleware that answers 404 to any other spelling of a path, and 400 without exactly one Host.

    Litestar takes `/metrics/`, `//metrics` and `/%6detrics` for `/metrics`; a rule for a path in a proxy does not, so
    such a request would pass by it. RFC 9112, 3.2: one Host, or 400.
    """

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        request: Any = scope
        if not is_plain(request):
            raise NotFoundException
        if sum(name == b"host" for name, _ in request["headers"]) != 1 and request["http_version"] == "1.1":
            raise Malformed(FieldProblem("", "must have one Host header"))
        await app(scope, receive, send)

    return middleware

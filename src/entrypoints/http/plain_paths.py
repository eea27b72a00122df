"""One spelling for each path."""

import re
from typing import Any, Final

from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~-]+)+|/")


def is_plain(scope: Any) -> bool:
    """Return whether a request's path has the one spelling that counts."""
    return _PLAIN.fullmatch(scope.get("raw_path") or scope["path"].encode()) is not None


def plain_paths(app: ASGIApp) -> ASGIApp:
    """Return a middleware that answers 404 to any other spelling of a path.

    Litestar takes `/metrics/`, `//metrics` and `/%6detrics` for `/metrics`; a rule for a path in a proxy does not, so
    such a request would pass by it.
    """

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if not is_plain(scope):
            raise NotFoundException
        await app(scope, receive, send)

    return middleware

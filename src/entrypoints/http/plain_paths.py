"""One spelling for each path."""

import re
from typing import Any, Final

from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~-]+)+|/")


def plain_paths(app: ASGIApp) -> ASGIApp:
    """Return a middleware that answers 404 to any other spelling of a path.

    Litestar takes `/metrics/`, `//metrics` and `/%6detrics` for `/metrics`; a rule for a path in a proxy does not, so
    such a request would pass by it.
    """

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        request: Any = scope
        if not _PLAIN.fullmatch(request.get("raw_path") or request["path"].encode()):
            raise NotFoundException
        await app(scope, receive, send)

    return middleware

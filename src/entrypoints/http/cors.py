"""Calls by other websites' scripts (CORS): off, unless the settings name the origins that may.

Nothing goes along by itself: there are no cookies, and whoever has a token sends it. So credentials are never allowed.
"""

from collections.abc import Iterable
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from .exchange import Answers, Request, Response
from .problems import allowed

_EXPOSED: Final = b"X-Request-Id, ETag, Location, Retry-After, Idempotency-Replayed"
_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id"
_PREFLIGHT_SECONDS: Final = "600"


class Cors:
    """Around everything: says to the browser which origins may read the answer, problems included."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application around another one."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        origin = _header(scope, b"origin")
        told = [(b"vary", b"Origin")]
        if origin is not None and origin in self._origins:
            told += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *told]
            await send(message)

        await self._app(scope, receive, answer)


class Preflight:
    """Around the calls: a question whether a path may be asked is answered with the methods that it has.

    It comes as `OPTIONS`, which is what the envelope asks as `TRACE`.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def __call__(self, request: Request[Any]) -> Response:
        """The answer. Raises: HTTPException for a path that is none."""
        try:
            return await self._answers(request)
        except HTTPException as error:
            if error.status_code != 405 or not _is_preflight(request):
                raise
            headers = {
                "Access-Control-Allow-Methods": allowed(error),
                "Access-Control-Allow-Headers": _HEADERS,
                "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
            }
            return Response(b"", status=204, headers=headers)


def _is_preflight(request: Request[Any]) -> bool:
    is_asked = request.scope["method"] == "TRACE"
    return is_asked and all(len(request.header(name)) == 1 for name in (b"origin", b"access-control-request-method"))


def _header(scope: Scope, name: bytes) -> bytes | None:
    values = [value for each, value in scope["headers"] if each == name]
    return values[0] if len(values) == 1 else None

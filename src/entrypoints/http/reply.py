"""Responses with a complete body."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

JSON: Final = "application/json"

_WITHOUT_CONTENT: Final = frozenset({204, 304})
_NONE: Final[Mapping[str, str]] = {}
_encode: Final = msgspec.json.Encoder().encode


class Reply:
    """An ASGI application that sends one response. Handlers return it.

    It replaces Litestar's `Response`, whose cookies, background tasks and encoders cost time and are not used.
    """

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self, content: object, *, status: int = 200, headers: Mapping[str, str] = _NONE, media_type: str = JSON
    ) -> None:
        """Encode the content as JSON, unless it is bytes."""
        self.body: bytes = content if type(content) is bytes else _encode(content)
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self.media_type: str = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the interface of ASGI
        """Send the response; without the body for HEAD."""
        request: Any = scope
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status not in _WITHOUT_CONTENT:
            if self.body:
                headers.append((b"content-type", self.media_type.encode("latin-1")))
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if request["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


NO_CONTENT: Final = Reply(b"", status=204)

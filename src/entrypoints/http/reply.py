"""Answers: the whole body as JSON, sent in two ASGI messages."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

JSON: Final = "application/json"

_WITHOUT_CONTENT: Final = frozenset({204, 304})
_NONE: Final[Mapping[str, str]] = {}
_encode: Final = msgspec.json.Encoder().encode


class Reply:
    """An ASGI application that sends one answer; handlers return it.

    Litestar's own `Response` does the same and more (cookies, background tasks, encoders) and takes as long as all else
    that Litestar does for a request.
    """

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self, content: object, *, status: int = 200, headers: Mapping[str, str] = _NONE, media_type: str = JSON
    ) -> None:
        """Take bytes as they are, anything else as what msgspec can encode."""
        self.body = content if type(content) is bytes else _encode(content)
        self.status = status
        self.headers = headers
        self.media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send it; to HEAD without the body."""
        request: Any = scope
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status not in _WITHOUT_CONTENT:
            headers.append((b"content-type", self.media_type.encode("latin-1")))
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if request["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


NO_CONTENT: Final = Reply(b"", status=204)

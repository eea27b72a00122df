"""What is asked and what is answered, as handlers see it: no more of a request is made than they look at."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from litestar.types import HTTPScope, Receive, Scope, Send

from ...application.authenticate import Caller

Whoever = TypeVar("Whoever", bound=Caller | None)

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

_WITHOUT_CONTENT: Final = frozenset({204, 304})
_NONE: Final[Mapping[str, str]] = {}
_encode: Final = msgspec.json.Encoder().encode


class Request(Generic[Whoever]):
    """A request; `caller` is whoever sent it, None for nobody."""

    __slots__ = ("caller", "receive", "scope")

    def __init__(self, scope: HTTPScope, receive: Receive, caller: Whoever) -> None:
        self.scope = scope
        self.receive = receive
        self.caller = caller

    def header(self, name: bytes) -> list[bytes]:
        """The values of a header (its name in small letters), in their order."""
        return [value for each, value in self.scope["headers"] if each == name]


class Response:
    """An answer: a body, or what becomes one as JSON. Without a `status` it is the operation's."""

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self,
        body: object,
        *,
        status: int | None = None,
        headers: Mapping[str, str] = _NONE,
        media_type: str = JSON,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers
        self.media_type = media_type

    def with_status(self, status: int) -> "Response":
        """With this status, if it has none of its own."""
        if self.status is None:
            self.status = status
        return self

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it: an ASGI application, as which Litestar takes it."""
        body = self.body if type(self.body) is bytes else _encode(self.body)
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status not in _WITHOUT_CONTENT:
            headers += [(b"content-type", self.media_type.encode()), (b"content-length", b"%d" % len(body))]
        await send(cast("Any", {"type": "http.response.start", "status": self.status, "headers": headers}))
        await send({"type": "http.response.body", "body": body, "more_body": False})

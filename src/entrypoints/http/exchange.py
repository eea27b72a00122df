"""What is asked and what is answered, as handlers see it: no more of a request is made than they look at."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from litestar.types import HTTPScope, Receive

from ...application.authenticate import Caller

Whoever = TypeVar("Whoever", bound=Caller | None)

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

_WITHOUT_CONTENT: Final = frozenset({204, 304})
_NONE: Final[Mapping[str, str]] = {}
_NOBODY: Final[Any] = None
_encode: Final = msgspec.json.Encoder().encode


class Request(Generic[Whoever]):
    """A request; `caller` is whoever sent it, None for nobody or for whom nobody has asked yet."""

    __slots__ = ("_has_repeated", "_headers", "caller", "receive", "scope")

    caller: Whoever

    def __init__(self, scope: HTTPScope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.caller = _NOBODY
        headers: Any = scope["headers"]
        self._headers = dict(headers)
        self._has_repeated = len(self._headers) != len(headers)

    def header(self, name: bytes) -> Sequence[bytes]:
        """The values of a header (its name in small letters), in their order."""
        value = self._headers.get(name)
        if value is None:
            return ()
        if not self._has_repeated:
            return (value,)
        headers: Any = self.scope["headers"]
        return [value for each, value in headers if each == name]


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

    def encoded(self) -> bytes:
        """Its body as it is sent."""
        return self.body if type(self.body) is bytes else _encode(self.body)

    def head(self, length: int, status: int) -> list[tuple[bytes, bytes]]:
        """Its headers, as they are sent before so many bytes. Raises: ValueError for one that would end its line."""
        headers = []
        for name, value in self.headers.items():
            if not value.isprintable():
                raise ValueError(f"the header {name} holds what is not to be seen")
            headers.append((name.lower().encode(), value.encode("latin-1")))
        if status not in _WITHOUT_CONTENT:
            headers.append((b"content-type", self.media_type.encode()))
            headers.append((b"content-length", b"%d" % length))
        return headers


Answers = Callable[[Request[Any]], Awaitable[Response]]
"""What answers requests. It may raise, which is told as a problem."""

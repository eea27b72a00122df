"""Requests with a limited JSON body that is decoded strictly."""

import asyncio
import re
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import State

from ...application.accounts.authenticate import Caller
from ...domain.refusals import NotFound
from .decoding import decode
from .problems.problem import BodyTooLarge, FieldProblem, Malformed, UnsupportedMediaType

MOST_BYTES: Final = 64 * 1024
"""The largest body, unless the handler's `opt` allows a larger one."""

BODY_SECONDS: Final = 10.0
"""The time within which a body must arrive."""

_LATE: Final = f"must have a body that arrives within {BODY_SECONDS:.0f} seconds"

User = TypeVar("User", bound=Caller | None)


class JsonRequest(Request[User, None, State], Generic[User]):
    """A request of the API. `data` of its handler is a `RequestBody`, decoded strictly.

    Litestar itself would convert text to numbers and has no time limit for a body.
    """

    __slots__ = ()

    async def body(self) -> bytes:
        """Return the body. Raises: UnsupportedMediaType, BodyTooLarge, Malformed."""
        scope: Any = self.scope
        raw: bytes | None = scope.get("boxoffice.body")
        if raw is None:
            self._check_head()
            raw = scope["boxoffice.body"] = await self._read()
        return raw

    async def json(self) -> Any:
        """Return the body as the type that the handler declares. Raises: the errors of `body`."""
        return decode(await self.body(), self.route_handler.parsed_data_field.annotation)  # type: ignore[union-attr]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header. `name` is in lower case."""
        return [value for each, value in self.scope["headers"] if each == name]

    def _check_head(self) -> None:
        types: list[bytes] = []
        is_large = False
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                types.append(value)
            elif name == b"content-encoding":
                raise UnsupportedMediaType("Send the body without a Content-Encoding.")
            elif name == b"content-length":
                is_large = value.isdigit() and (len(value) > 9 or int(value) > self._most_bytes)
        if len(types) != 1 or not (types[0] == b"application/json" or self._is_json):
            raise UnsupportedMediaType("Send the body as Content-Type: application/json, in UTF-8.")
        if is_large:
            raise BodyTooLarge(self._most_bytes)

    @property
    def _most_bytes(self) -> int:
        most: int = self.route_handler.opt.get("most_bytes", MOST_BYTES)
        return most

    @property
    def _is_json(self) -> bool:
        media_type, parameters = self.content_type
        return media_type == "application/json" and parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}

    async def _read(self) -> bytes:
        # `asyncio.timeout` does the same and is much slower.
        task: Any = asyncio.current_task()
        timer = task.get_loop().call_later(BODY_SECONDS, task.cancel, _LATE)
        try:
            return await self._read_chunks()
        except asyncio.CancelledError as error:
            if error.args != (_LATE,):
                raise
            task.uncancel()
            raise Malformed(FieldProblem("", _LATE)) from None
        finally:
            timer.cancel()

    async def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        size, is_complete, most = 0, False, self._most_bytes
        while not is_complete:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise Malformed(FieldProblem("", "must have a complete body"))
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > most:
                raise BodyTooLarge(most)
            is_complete = not message.get("more_body", False)
        if not size:
            raise Malformed(FieldProblem("", "must have a JSON body"))
        return b"".join(chunks)


AnyoneRequest = JsonRequest[Caller | None]
"""A request that may be anonymous."""

SignedInRequest = JsonRequest[Caller]
"""A request of a signed-in user."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def id_in_path(value: str) -> UUID:
    """Return the id in a path. Raises: NotFound for a malformed id, as for an unknown one."""
    if not _UUID.fullmatch(value):
        raise NotFound
    return msgspec.convert(value, UUID)

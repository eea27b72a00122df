"""Requests whose JSON body is read within bounds and decoded strictly."""

import asyncio
import re
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import State

from ...application.authenticate import Caller
from ...domain.refusals import NotFound
from .decoding import decode
from .problems.problem import BodyTooLarge, FieldProblem, Malformed, UnsupportedMediaType

MOST_BYTES: Final = 64 * 1024
"""Of a body."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive."""

_JSON: Final = b"application/json"
_PARAMETER: Final = re.compile(rb'\s*(?:([!#-\'*+.0-9A-Z^-z|~-]+)=("[^"\\]*"|[!#-\'*+.0-9A-Z^-z|~-]+)\s*)?')
_UTF8: Final = frozenset({b"utf-8", b"utf8"})

User = TypeVar("User", bound=Caller | None)


class JsonRequest(Request[User, None, State], Generic[User]):
    """A request of the API. `data` of its handler is a `RequestBody`, decoded strictly.

    Litestar would convert text to numbers where a number is declared, and reads a body for as long as it takes.
    """

    __slots__ = ("_raw",)

    async def body(self) -> bytes:
        """Return the body. Raises: UnsupportedMediaType, BodyTooLarge, Malformed."""
        scope: Any = self.scope
        raw: bytes | None = scope.get("boxoffice.body")
        if raw is None:
            self._check_head()
            raw = scope["boxoffice.body"] = await self._read()
        return raw

    async def json(self) -> Any:
        """Return the body as its handler declares it. Raises: as `body`."""
        return decode(await self.body(), self.route_handler.parsed_data_field.annotation)  # type: ignore[union-attr]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header, its name in small letters."""
        return [value for each, value in self.scope["headers"] if each == name]

    def _check_head(self) -> None:
        types, is_encoded, is_large = [], False, False
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                types.append(value)
            elif name == b"content-encoding":
                is_encoded = True
            elif name == b"content-length":
                is_large = value.isdigit() and (len(value) > 9 or int(value) > MOST_BYTES)
        if is_encoded:
            raise UnsupportedMediaType("Send the body without a Content-Encoding.")
        if len(types) != 1 or not _is_json(types[0]):
            raise UnsupportedMediaType("Send the body as Content-Type: application/json, in UTF-8.")
        if is_large:
            raise BodyTooLarge

    async def _read(self) -> bytes:
        chunks = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message: Any = await self.receive()
                    if message["type"] != "http.request":
                        raise Malformed(FieldProblem("", "must not end before its body does"))
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > MOST_BYTES:
                        raise BodyTooLarge
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            detail = f"must have a body that arrives within {BODY_SECONDS:.0f} seconds"
            raise Malformed(FieldProblem("", detail)) from None
        if not size:
            raise Malformed(FieldProblem("", "must have a JSON body"))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


AnyoneRequest = JsonRequest[Caller | None]
"""A request for which signing in is optional."""

SignedInRequest = JsonRequest[Caller]
"""A request of a signed-in user."""


def _is_json(value: bytes) -> bool:
    if value == _JSON:
        return True
    media_type, *parameters = value.split(b";")
    return media_type.strip().lower() == _JSON and all(map(_is_harmless, parameters))


def _is_harmless(parameter: bytes) -> bool:
    match = _PARAMETER.fullmatch(parameter)
    if not match:
        return False
    name, value = match.groups(b"")
    return name.lower() != b"charset" or value.strip(b'"').lower() in _UTF8


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def id_in_path(value: str) -> UUID:
    """Return the id that a path names. Raises: NotFound, because a malformed id names nothing."""
    if not _UUID.fullmatch(value):
        raise NotFound
    return msgspec.convert(value, UUID)

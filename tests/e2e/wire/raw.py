"""A connection on which anything can be sent, and what came back, byte by byte."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from boxoffice.entrypoints.http.problems.catalog import CATALOG

ROOT: Final = Path(__file__).parents[3]

WITHIN: Final = 60.0
"""Seconds after which an answer that must come counts as a hang; milliseconds are usual."""


class Answer(Struct, frozen=True):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_of_the_server(self) -> bool:
        """Whether the server answered in its own words, because the request is not valid HTTP."""
        return "x-request-id" not in self.headers

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    @property
    def code(self) -> str:
        """Of a problem, which must have the form that all have."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = json.loads(self.body)
        assert problem["requestId"] == self.request_id
        assert problem["status"] == self.status == CATALOG[problem["code"]].status
        assert problem["type"] == f"/problems/{problem['code']}"
        assert self.status < 500 or problem["code"] == "try-again"
        assert ("errors" in problem) == (problem["code"] == "invalid-request")
        return str(problem["code"])

    def check(self, *, is_head: bool = False, may_be_of_the_server: bool = False) -> None:
        """An answer as the contract has them, and none of a failure but of too much to do at the moment."""
        if may_be_of_the_server and self.is_of_the_server:
            assert 400 <= self.status < 500, self
            assert (self.headers["connection"], self.body) == ("close", b""), self
            return
        assert 200 <= self.status < 500 or (self.status == 503 and self.headers["retry-after"] in "12345"), self
        assert self.request_id
        if is_head:
            assert self.body == b""
        elif self.status >= 400:
            assert self.code
        if self.status == 405:
            assert "allow" in self.headers


class Broken(Exception):
    """What came is no HTTP."""


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        """Raises: ConnectionError where the service has had enough."""
        self._writer.write(data)
        await self._writer.drain()

    def send_no_more(self) -> None:
        # The service may have ended the connection already.
        with suppress(OSError):
            if not self._writer.is_closing() and self._writer.can_write_eof():
                self._writer.write_eof()

    async def answer(self, *, is_head: bool = False, within: float = WITHIN) -> Answer | None:
        """The next answer, None at the end. Raises: TimeoutError, Broken."""
        try:
            async with asyncio.timeout(within):
                head = await self._reader.readuntil(b"\r\n\r\n")
            # Who has begun to answer goes on.
            async with asyncio.timeout(WITHIN):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                version, status, _ = first.split(" ", 2)
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                has_body = not is_head and status not in ("100", "204", "304")
                body = await self._reader.readexactly(int(headers["content-length"])) if has_body else b""
        except asyncio.IncompleteReadError as ended:
            if ended.partial:
                raise Broken(ended.partial) from None
            return None
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Broken(first)
        return Answer(int(status), headers, body)

    async def ask(self, data: bytes, *, is_head: bool = False) -> Answer:
        """The answer to what is sent."""
        await self.send(data)
        answer = await self.answer(is_head=is_head)
        assert answer is not None, data
        return answer


def request(
    first: str = "GET /health/live HTTP/1.1", *lines: str, body: bytes | None = None, token: str | None = None
) -> bytes:
    """A request; with a body its length and type are said."""
    lines_sent = [first, "Host: boxoffice", *lines]
    if token is not None:
        lines_sent.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines_sent += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join((*lines_sent, "", "")).encode("latin-1") + (body or b"")

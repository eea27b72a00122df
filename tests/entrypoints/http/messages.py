"""One request as the server hands it over, and its answer message by message: what no client shows."""

import asyncio
import json
from typing import Any

from litestar.types import ASGIApp


class Exchange:
    """One request and its answer. Its body arrives in parts; then it `ends`, or its client `leaves` or falls silent."""

    def __init__(self, app: ASGIApp, *parts: bytes, ends: bool = False, leaves: bool = False) -> None:
        self._app = app
        self._parts = list(parts)
        self._ends = ends
        self._leaves = leaves
        self.is_waited_for = asyncio.Event()
        self.sent: list[Any] = []

    async def send(self, method: str, path: str, *headers: tuple[bytes, bytes]) -> None:
        """Wait until it is answered."""
        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": None,
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"boxoffice"), (b"content-type", b"application/json"), *headers],
        }  # fmt: skip
        await self._app(scope, self._receive, self._keep)

    async def _receive(self) -> Any:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or not self._ends}
        if self._leaves:
            return {"type": "http.disconnect"}
        self.is_waited_for.set()
        return await asyncio.Future()

    async def _keep(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        """Return the status of the answer."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the headers of the answer, of which none may stand twice."""
        headers = dict(self.sent[0]["headers"])
        assert len(headers) == len(self.sent[0]["headers"])
        return headers

    @property
    def body(self) -> bytes:
        """Return the body of the answer."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def problem(self) -> dict[str, Any]:
        """Return the problem that the answer is."""
        problem: dict[str, Any] = json.loads(self.body)
        return problem

"""Turning requests away while too many are under way, so that those who were let in get their answers in time.

It costs a third of a booking: the request is read, and nearly all of its answer was made before. Without it everybody
waited: at five times the load that a process bears, over 12,000 connections, each answer of the database stood behind
thousands of requests, a sixteenth of the bookings came through, and `/health/live` took four seconds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final

from uuid_utils import uuid7

from ...application.failures import Unavailable
from .envelope import request_id_of
from .problems import MEDIA_TYPE, problem_of
from .security_headers import PRIVATE

MOST_UNDER_WAY: Final = 1_000
"""Requests of one process that may be under way; beyond it whoever asks is told to try again (503).

A few transactions' worth, which a process answers within a tenth of a second. With more of them each booking costs
more, because what belongs to it has left the processor's caches by the time it goes on.
"""

ALWAYS_LET_IN: Final = (b"/health/", b"/metrics")
"""Paths of those who look after the service."""

TOLD_AFTER: Final = 0.25
"""Seconds after which whoever is turned away is told so.

Clients that ask again at once would otherwise be told no, over and over, with the time that bookings need: of two
thousand such connections, half of them turned away, six tenths of the bookings came through when they were told after
30 milliseconds, two thirds after 100, nine tenths with this. And they are told together, so that the loop goes its
other ways in between.
"""

_PAUSE: Final = 0.005
_SECONDS_BETWEEN_LINES: Final = 1.0

_log = logging.getLogger(__name__)
_ID: Final = b"the-id-of-a-request"


def _prepared() -> tuple[bytes, bytes, bytes]:
    """The head, and the body before and after the request's id. The head lacks its length, `Date` and the id."""
    status, headers, body = problem_of(Unavailable(), _ID.decode())
    before, after = body.split(_ID)
    lines = [
        f"HTTP/1.1 {status} Service Unavailable",
        f"content-type: {MEDIA_TYPE}",
        *(f"{name.lower()}: {value}" for name, value in headers.items()),
        *(f"{name.decode()}: {value.decode()}" for name, value in PRIVATE),
    ]
    return "\r\n".join([*lines, ""]).encode(), before, after


_HEAD, _BEFORE, _AFTER = _prepared()


class Turnaway:
    """Says no to those who are too many, and tells the log how many they were, a line a second."""

    def __init__(self) -> None:
        self._number = 0
        self._next_line = 0.0
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def soon(self, loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
        """Call `tell`, in its turn."""
        self._waiting.append((loop.time() + TOLD_AFTER, tell))
        if len(self._waiting) == 1:
            loop.call_later(TOLD_AFTER, self._tell_some, loop)

    def _tell_some(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1]()
        if self._waiting:
            loop.call_later(max(self._waiting[0][0] - now, _PAUSE), self._tell_some, loop)

    def answer(
        self,
        method: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        default_headers: Iterable[tuple[bytes, bytes]],
        *,
        is_last: bool,
    ) -> bytes:
        """The whole answer to a request; `is_last` where the connection ends with it."""
        self._number += 1
        if self._next_line <= (now := monotonic()):
            _log.warning("Too many requests at once: %d turned away", self._number)
            self._number, self._next_line = 0, now + _SECONDS_BETWEEN_LINES
        request_id = (request_id_of(headers) or str(uuid7())).encode()
        parts = [
            _HEAD,
            b"content-length: %d\r\nx-request-id: %b\r\n" % (len(_BEFORE) + len(request_id) + len(_AFTER), request_id),
            *(b"%b: %b\r\n" % header for header in default_headers),
            b"connection: close\r\n\r\n" if is_last else b"\r\n",
        ]
        if method != b"HEAD":
            parts += [_BEFORE, request_id, _AFTER]
        return b"".join(parts)

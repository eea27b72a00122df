"""Letting requests in while there is room, and turning the others away, so that those inside get their answers in time.

Whoever comes when a process is full waits for a place, in the order of coming, and is turned away where none is free in
time. A place to wait costs little, and being turned away a third of a booking: nearly all of that answer was made
before. Without it everybody waited inside: at five times the load that a process bears, over 12,000 connections, each
answer of the database stood behind thousands of requests, a sixteenth of the bookings came through, and `/health/live`
took four seconds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Final, Protocol

from uuid_utils import uuid7

from ...application.failures import Unavailable
from .envelope import request_id_of
from .per_server import PerServer
from .problems import MEDIA_TYPE, problem_of
from .security_headers import PRIVATE

MOST_UNDER_WAY: Final = 1_100
"""Requests of one process that may be under way; beyond it whoever asks is told to try again (503).

A few transactions' worth, which a process answers within a tenth of a second. With more of them each booking costs
more, because what belongs to it has left the processor's caches by the time it goes on.
"""

ALWAYS_LET_IN: Final = (b"/health/", b"/metrics")
"""Paths of those who look after the service."""

TOLD_AFTER: Final = 0.02
"""Seconds that a request waits for a place; then it is told that there is none."""

MOST_TOLD: Final = 1_000
"""Who are told so in a second; the others wait on.

Clients that ask again at once would otherwise be told no, over and over, with the time that bookings need: of two
thousand such connections, half of them turned away, six tenths of the bookings came through when all were told after 30
milliseconds.
"""

_PAUSE: Final = 0.005
"""Seconds between two looks at who has waited for too long."""

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


class Visitor(Protocol):
    """A connection whose request waits for a place."""

    def let_in(self, request: object) -> None:
        """Answer it, if it still waits."""

    def turn_away(self, request: object) -> None:
        """Tell it that there is no place, if it still waits."""


class WaitingRoom:
    """The requests under way in a process, and those that wait for a place among them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, under_way: "set[asyncio.Task[None]]") -> None:
        self._loop = loop
        self._under_way = under_way
        self._waiting: deque[tuple[float, Visitor, object]] = deque()
        self._looked_at = 0.0

    @property
    def is_full(self) -> bool:
        """Whether whoever comes has to wait: there is no place, or somebody is ahead."""
        return len(self._under_way) >= MOST_UNDER_WAY or bool(self._waiting)

    def wait(self, visitor: Visitor, request: object) -> None:
        """Stand at the end."""
        now = self._loop.time()
        self._waiting.append((now + TOLD_AFTER, visitor, request))
        if len(self._waiting) == 1:
            self._looked_at = now
            self._loop.call_later(TOLD_AFTER, self._look)

    def leave(self, answered: "asyncio.Task[None]") -> None:
        """A request is under way no more: whoever waited longest takes its place."""
        self._under_way.discard(answered)
        if self._waiting:
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and len(self._under_way) < MOST_UNDER_WAY:
            _, visitor, request = self._waiting.popleft()
            visitor.let_in(request)

    def _look(self) -> None:
        self._let_in()
        now = self._loop.time()
        most = max(1, int((now - self._looked_at) * MOST_TOLD))
        # The part of one that is left over counts the next time.
        self._looked_at += most / MOST_TOLD
        while self._waiting and self._waiting[0][0] <= now and most > 0:
            _, visitor, request = self._waiting.popleft()
            visitor.turn_away(request)
            most -= 1
        if most > 0:
            self._looked_at = now
        if self._waiting:
            self._loop.call_later(max(self._waiting[0][0] - now, _PAUSE), self._look)


room_of: Final = PerServer(lambda server, loop: WaitingRoom(loop, server.tasks))
"""The waiting room of a server."""


class Turnaway:
    """Says no to those who are too many, and tells the log how many they were, a line a second."""

    def __init__(self) -> None:
        self._number = 0
        self._next_line = 0.0

    def answer(
        self,
        method: str,
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
        if method != "HEAD":
            parts += [_BEFORE, request_id, _AFTER]
        return b"".join(parts)

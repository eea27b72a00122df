"""The attacks, by kind."""

import struct
from collections.abc import Sequence
from typing import Final

from tests.e2e.attacks.attack import Attack

_LIVE: Final = b"GET /health/live HTTP/1.1\r\nHost: boxoffice\r\n\r\n"
_REFERENCE: Final = b"GET /openapi.json HTTP/1.1\r\nHost: boxoffice\r\n\r\n"
_HEAD: Final = b"GET /health/live HTTP/1.1\r\nHost: boxoffice\r\n"
_POST: Final = b"POST /login HTTP/1.1\r\nHost: boxoffice\r\nContent-Type: application/json\r\n"
_CHUNKED: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_MANY: Final = 5_000
_SMALL_BUFFER: Final = 2_048


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


_HTTP2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0)
_GET: Final = b"\x82\x86\x04\x0c/health/live\x41\x01x"
"""The header block of a GET request, in HPACK."""

IDLE: Final[Sequence[Attack]] = (
    Attack(name="connections that say nothing", connections=_MANY),
    Attack(name="connections kept alive", connections=_MANY, first=_LIVE),
    Attack(name="bytes of TLS", connections=1_000, first=bytes.fromhex("16030100c8010000c40303") + bytes(190)),
    Attack(name="connections that are half closed", connections=2_000, first=_HEAD, ends=True),
)

HEADS: Final[Sequence[Attack]] = (
    Attack(name="slow heads", connections=2_000, first=_HEAD + b"X-A: ", then=b"a", times=8, pause=0.2),
    Attack(name="heads that never end", connections=50, first=_HEAD + b"X-A: ", then=b"a" * 16_384, times=100),
    Attack(name="heads that are almost too long", connections=2_000, first=_HEAD + b"X-A: " + b"a" * 15_000),
    Attack(name="too long heads", connections=2_000, first=_HEAD + b"X-A: " + b"a" * 60_000),
    Attack(name="many headers", connections=50, first=_HEAD, then=b"a: b\r\n" * 2_000, times=50, reads=True),
)

BODIES: Final[Sequence[Attack]] = (
    Attack(name="unfinished bodies", connections=2_500, first=_POST + b"Content-Length: 10\r\n\r\n"),
    Attack(
        name="half-closed bodies", connections=2_000, first=_POST + b"Content-Length: 10\r\n\r\n{", ends=True
    ),
    Attack(
        name="waiting for 100 Continue",
        connections=2_500,
        first=_POST + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    ),
    Attack(name="chunks without end", connections=200, first=_CHUNKED, then=b"1\r\na\r\n" * 200, times=40, pause=0.05),
    Attack(
        name="a chunk's extension without end", connections=50, first=_CHUNKED + b"1;", then=b"a" * 16_384, times=100
    ),
    Attack(name="bodies that are too long", connections=50, first=_CHUNKED, then=b"4000\r\n" + b"a" * 16_384 + b"\r\n",
           times=100),
)  # fmt: skip

ANSWERS: Final[Sequence[Attack]] = (
    Attack(name="requests sent ahead, answers unread", connections=4, then=_LIVE * 2_000, times=30),
    Attack(name="requests sent ahead, answers read", connections=4, then=_LIVE * 2_000, times=3, reads=True),
    Attack(
        name="large answers unread", connections=1_110, first=_REFERENCE * 60, receive_buffer=_SMALL_BUFFER
    ),
)  # fmt: skip

HTTP2: Final[Sequence[Attack]] = (
    Attack(name="HTTP/2 connections", connections=2_000, first=_HTTP2),
    Attack(
        name="HTTP/2 streams, reset at once",
        connections=8,
        first=_HTTP2,
        then=b"".join(
            _frame(1, 5, stream, _GET) + _frame(3, 0, stream, b"\0\0\0\x08") for stream in range(1, 4_001, 2)
        ),
        times=10,
    ),
    Attack(
        name="HTTP/2 header blocks without end",
        connections=50,
        first=_HTTP2 + _frame(1, 0, 1, _GET),
        then=_frame(9, 0, 1, b"\x00\x01a\x7f\x80\x7f" + b"b" * 255) * 50,
        times=20,
    ),
)

ATTACKS: Final = (*IDLE, *HEADS, *BODIES, *ANSWERS, *HTTP2)

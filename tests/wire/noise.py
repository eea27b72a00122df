"""Requests that went wrong: in their framing, their headers, their target or their body. One seed makes them all."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from msgspec import Struct

from tests.wire.raw import request


class Call(Struct, frozen=True):
    """A request as it should be."""

    method: str
    path: str
    body: dict[str, Any] | None
    token: str | None

    def to_bytes(self, request_id: str) -> bytes:
        body = None if self.body is None else json.dumps(self.body).encode()
        return request(
            f"{self.method} {self.path} HTTP/1.1", f"X-Request-Id: {request_id}", body=body, token=self.token
        )


_BYTES: Final = (
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\t",
    b" ",
    b":",
    b"\xff",
    b"\x7f",
    b"\xc0\xaf",
    b"%00",
    b"0",
    b";",
)
_LENGTHS: Final = (
    "-1",
    "+5",
    "0x5",
    "5 5",
    "5,5",
    "5, 5",
    "",
    " ",
    "1e3",
    "9" * 18,
    "9" * 30,
    "0" * 50 + "5",
    "\xb2",
    "5;",
    "0.5",
)
_CODINGS: Final = (
    "chunked", "Chunked", "chunked, chunked", "gzip, chunked", "chunked, gzip", "gzip", "identity", "x", "",
    "chunked\t",
    "\x0bchunked", "chunked;q=1", '"chunked"',
)  # fmt: skip
_SIZES: Final = (
    b"-1", b"+1", b"0x1", b" 1", b"1 ", b"1;", b"1;a=b", b'1;a="\r\n"', b"01", b"0" * 30 + b"1", b"f" * 16, b"f" * 17,
    b"", b"g", b"1\n", b"1;" + b"a" * 5_000, b"1\x00", b"7fffffffffffffff", b"8000000000000000",
)  # fmt: skip
_LINES: Final = (
    "Content-Length: 0", "Transfer-Encoding: chunked", "Host: other", "Expect: 100-continue", "Expect: nothing",
    "Connection: close", "Connection: keep-alive, Upgrade", "Upgrade: h2c", "Upgrade: websocket", "TE: trailers",
    "Trailer: Authorization", "Content-Encoding: gzip", "Content-Type: text/plain", "Authorization: Basic eDp4",
    "Authorization: Bearer x", "Idempotency-Key: a b", "If-Match: x", 'If-None-Match: "', "X-Request-Id: \x01",
    "Accept: */*;q=x", "Cookie: a=b; =; ;", ": empty", "no colon", " folded", "X" * 70_000 + ": y", "Range: bytes=0-",
    "X-Forwarded-For: 1.2.3.4", "X-HTTP-Method-Override: DELETE", "Content-Type: application/json; charset=utf-16",
)  # fmt: skip
_FIRST: Final = (
    "", " ", "GET", "GET /", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ",
    "get / HTTP/1.1",
    "GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.10", "GET / HTTP/0.9", "GET / HTTP/2.0", "GET / HTTP/1,1",
    "GET / FTP/1.1",
    "GET * HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://[::1 HTTP/1.1", "GET //// HTTP/1.1", "GET /? HTTP/1.1",
    "GET ? HTTP/1.1",
    "CONNECT a:1 HTTP/1.1", "TRACE / HTTP/1.1", "PRI * HTTP/2.0", "\x00 / HTTP/1.1", "GET /\x00 HTTP/1.1",
    "GET /\u00e9 HTTP/1.1",
    "A" * 70_000 + " / HTTP/1.1", "GET /" + "a" * 70_000 + " HTTP/1.1", "M-SEARCH * HTTP/1.1",
    "SOURCE /ice HTTP/1.1", "GET / HTTP/1.0",
)  # fmt: skip


def broken(random: Random, call: Call) -> bytes:
    """The call, broken in its framing or its head. What it is now is for the service to say."""
    return random.choice((_bytes, _bytes, _framing, _chunks, _line, _first))(random, call)


def _bytes(random: Random, call: Call) -> bytes:
    raw = bytearray(call.to_bytes("broken"))
    for _ in range(random.choice((1, 1, 2, 5, 30))):
        at = random.randrange(len(raw) + 1)
        match random.randrange(6):
            case 0:
                raw[at:at] = random.choice(_BYTES)
            case 1:
                del raw[at : at + random.choice((1, 2, 10, 100))]
            case 2:
                raw[at : at + 1] = random.randbytes(1)
            case 3:
                raw[at:at] = raw[at : at + random.choice((1, 10, 200))]
            case 4:
                raw[at:at] = random.randbytes(random.choice((1, 5, 50)))
            case _:
                raw = raw.replace(
                    *random.choice(((b"\r\n", b"\n"), (b"\r\n", b"\r"), (b" ", b"\t"), (b": ", b":\x00"))), 1
                )
    return bytes(raw[: random.randrange(len(raw) + 1)] if random.random() < 0.15 else raw)


def _framing(random: Random, call: Call) -> bytes:
    lines = []
    for _ in range(random.choice((1, 1, 2, 3))):
        is_length = random.random() < 0.5
        lines.append(
            f"Content-Length: {random.choice(_LENGTHS)}"
            if is_length
            else f"Transfer-Encoding: {random.choice(_CODINGS)}"
        )
    body = random.choice((b"", b"{}", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"{" * 80_000))
    return request(f"{call.method} {call.path} HTTP/1.1", *lines, token=call.token) + body


def _chunks(random: Random, call: Call) -> bytes:
    lines = ("Transfer-Encoding: chunked", "Content-Type: application/json")
    head = request(f"{call.method} {call.path} HTTP/1.1", *lines, token=call.token)
    body = json.dumps(call.body or {}).encode()
    parts = []
    while body:
        size = random.choice((1, 2, 7, 50, len(body)))
        part, body = body[:size], body[size:]
        said = random.choice(_SIZES) if random.random() < 0.2 else b"%x" % len(part)
        parts.append(
            said + random.choice((b"\r\n",) * 9 + (b"\n",)) + part + random.choice((b"\r\n",) * 9 + (b"", b"\n"))
        )
    end = random.choice(
        (b"0\r\n\r\n",) * 4
        + (b"0\r\n", b"", b"0\r\nAuthorization: Bearer x\r\n\r\n", b"0\r\n: \r\n\r\n", b"00\r\n\r\n")
    )
    return head + b"".join(parts) + end


def _line(random: Random, call: Call) -> bytes:
    first, *lines = call.to_bytes("broken").split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    body = call.to_bytes("broken").split(b"\r\n\r\n", 1)[1]
    for _ in range(random.choice((1, 1, 2, 4))):
        line = random.choice((random.choice(_LINES).encode("latin-1"), random.choice(lines)))
        lines.insert(random.randrange(len(lines) + 1), line)
    if random.random() < 0.2:
        del lines[random.randrange(len(lines))]
    return b"\r\n".join((first, *lines, b"", b"")) + body


def _first(random: Random, call: Call) -> bytes:
    _, _, rest = call.to_bytes("broken").partition(b"\r\n")
    return random.choice(_FIRST).encode("latin-1") + b"\r\n" + rest


def odd_body(random: Random, body: dict[str, Any]) -> bytes:
    """The body, changed in what it says or in how it is written; sent with its true length."""
    raw = json.dumps(_changed(random, body) if random.random() < 0.6 else body, ensure_ascii=random.random() < 0.5)
    written = raw.encode("utf-8", "surrogatepass")
    return random.choice(_WRITTEN)(random, written) if random.random() < 0.6 else written


_VALUES: Final[Sequence[Any]] = (
    None, True, False, 0, -0.0, 1, -1, 1.0, 0.1, 1e308, 2**31, 2**63, 2**64, -(2**63) - 1, 10**300, "", " ", "0",
    "\x00", "é" * 300,
    "\ud800", "\U0001f39f" * 200, "\u202eabc", "e\u0301" * 200, "a" * 20_000, "null", "2030-01-01T00:00:00Z",
    "2030-02-30T00:00:00Z",
    "2030-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2030-01-01T00:00:60Z", "9" * 400,
    "019a0000-0000-7000-8000-000000000001", "00000000-0000-0000-0000-000000000000",
    "019A0000000070008000000000000001", "{}", [], {},
    [None], {"amount": 1, "currency": "EUR"}, {"amount": 10**30, "currency": "eur"}, {"": ""}, [[]] * 50,
    {"a": {"a": {"a": 1}}},
    "'; DROP TABLE events; --", "%s%n", "<script>", "../../etc/passwd", "tok_ok", "card", "cash", "strict", "fill",
    "EUR",
)  # fmt: skip


def _changed(random: Random, body: dict[str, Any]) -> Any:
    if random.random() < 0.05:
        return random.choice(_VALUES)
    changed = dict(body)
    for _ in range(random.choice((1, 1, 2, 3))):
        names = [*changed, "nothing", "__proto__", "", "a" * 300]
        name = random.choice(names)
        match random.randrange(4):
            case 0:
                changed.pop(name, None)
            case 1 if isinstance(changed.get(name), dict):
                changed[name] = _changed(random, changed[name])
            case 2 if isinstance(changed.get(name), list) and changed[name]:
                changed[name] = [
                    _changed(random, each) if isinstance(each, dict) else each for each in changed[name]
                ] * random.choice((1, 2, 60))
            case _:
                changed[name] = random.choice(_VALUES)
    return changed


def _nested(random: Random, raw: bytes) -> bytes:
    depth = random.choice((60, 63, 64, 65, 500, 5_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    within = opening * depth + random.choice((b"1", b"", raw)) + closing * random.choice((depth, depth - 1, 0))
    return raw[:-1] + b',"x":' + within + b"}" if random.random() < 0.5 else within


def _number(random: Random, raw: bytes) -> bytes:
    number = random.choice(
        (
            b"1e999",
            b"-1e999",
            b"1E-999",
            b"9" * 5_000,
            b"-0",
            b"00",
            b"01",
            b"1.",
            b".5",
            b"+1",
            b"0x1",
            b"NaN",
            b"-Infinity",
        )
    )
    return raw[:-1] + b',"quantity":' + number + b"}"


def _twice(random: Random, raw: bytes) -> bytes:
    return raw[:-1] + b"," + raw[1:] if len(raw) > 2 else b'{"a":1,"a":1}'


def _torn(random: Random, raw: bytes) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def _sprinkled(random: Random, raw: bytes) -> bytes:
    told = bytearray(raw)
    for _ in range(random.choice((1, 1, 3, 10))):
        at = random.randrange(len(told) + 1)
        told[at : at + random.randrange(2)] = random.choice(
            (
                *_BYTES,
                b"\xef\xbb\xbf",
                b"\xed\xa0\x80",
                b"\xf5",
                b'"',
                b"\\",
                b"\\u0000",
                b"\\ud800",
                b",",
                b"//",
                b"/**/",
                b"'",
            )
        )
    return bytes(told)


def _recoded(random: Random, raw: bytes) -> bytes:
    text = raw.decode("utf-8", "surrogatepass")
    return text.encode(random.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig")), "surrogatepass")


def _around(random: Random, raw: bytes) -> bytes:
    return (
        random.choice((b"", b" " * 70_000, b"\x00", b"\n", b"[", b"\x1e"))
        + raw
        + random.choice((b"", b" " * 70_000, b"\x00", b"{}", b",", b"]"))
    )


_WRITTEN: Final[Sequence[Callable[[Random, bytes], bytes]]] = (
    _nested,
    _number,
    _twice,
    _torn,
    _sprinkled,
    _sprinkled,
    _recoded,
    _around,
)


def odd_target(random: Random, path: str) -> str:
    """The path, changed, perhaps with a query; ASCII without spaces, so that it stays one target."""
    odd = (
        "%00", "%ff", "%2f", "%2e%2e", "..", "//", "/", "%", "%zz", "%u0041", "?", "??", "&", "=", "limit=0",
        "limit=101", "limit=1&limit=1",
        "cursor=", "cursor=AAAA", "cursor=%ff", "status=x", "q=%ed%a0%80", "q=", "q=" + "a" * 300, "after=-1",
        "after=" + "9" * 30, "%c3%28",
        "after=1e3", "ticketTypeId=x", ";", "~", "%0d%0a", "\\", "{", "|", '"', "`", "%F0%9F%8E%9F",
    )  # fmt: skip
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(1, len(path) + 1)
        path = (
            path[:at]
            + random.choice((*odd, "?" + random.choice(odd), "&" + random.choice(odd)))
            + path[at + random.randrange(2) :]
        )
    return path


def odd_headers(random: Random) -> list[str]:
    """Headers that a request may have, with values that it should not."""
    values = ("", "x", "*", '"', '""', 'W/"1.a"', '"1.' + "a" * 18 + '"', '"999999999999.a"', "a" * 300, "\xe9",
    "Bearer", "Bearer ", "Bearer a b",
              "Bearer " + "a" * 5_000, "Basic eDp4", "bearer x.y.z", "application/json; charset=latin-1",
              "text/html", "gzip", "application/json;",
              "application/json, application/json", "0", "-1", "\t", "1" * 128, "1" * 129, "a b", "../x",
              "\x80\xff")  # fmt: skip
    names = ("Authorization", "Idempotency-Key", "If-Match", "If-None-Match", "Content-Type", "Content-Encoding",
    "Accept", "X-Request-Id",
             "Origin", "Cookie", "Accept-Encoding", "Range", "Date", "Host", "Via", "X-Forwarded-Host")  # fmt: skip
    return [f"{random.choice(names)}: {random.choice(values)}" for _ in range(random.choice((1, 1, 2, 4)))]

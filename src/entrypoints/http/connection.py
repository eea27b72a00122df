"""A connection: uvicorn's, held to the contract where uvicorn answers, or waits, by itself.

What uvicorn alone would do: refuse what is no HTTP in plain text, without a request id, and before the answers to the
requests that came ahead of it; take a head of any size, and a request that never ends; let a trailer pass for a
header, `Authorization` included; lose the body of a request that offers an upgrade, which Java's HTTP client and
`curl --http2` do with every request.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, ASGIVersions
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .crowding import ALWAYS_LET_IN, Turnaway, room_of
from .envelope import BROKEN, OVERDUE
from .outbox import ByOutbox, outbox_of

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request's first line and headers."""

LARGEST_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of a request, those of a refused body included, which are read so that the client gets to see its 413."""

ARRIVAL_SECONDS: Final = 30.0
"""How long a request may take to arrive. Between requests uvicorn's own limit counts."""

ANSWER_SECONDS: Final = 10.0
"""How long a request that has arrived may take to be answered; then it is answered with 503.

Every wait within it is shorter: 5 seconds for a statement, 3 for a lock, 1 for a connection of the pool.
"""

LAST_CALL_SECONDS: Final = 1.0
"""How long a connection without a request stays open once the process is told to end.

What its client is just sending is answered, and the client told that it was the last, instead of being cut off.
"""

_ASGI: Final[ASGIVersions] = {"version": "3.0", "spec_version": "2.3"}
_CLOSE: Final = (b"connection", b"close")
_TURNAWAY: Final = Turnaway()

_IN_ITS_STEAD: Final = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """One client's connection.

    A request that cannot be read is replaced by one that says so to the application, which answers it in its turn with
    a problem like any other (`BROKEN`); then the connection ends.
    """

    _is_broken = False
    _is_in_head = False
    _is_in_body = False
    _most_of_head = 0
    _waited_size = 0
    _answering: RequestResponseCycle | None = None
    _answers: asyncio.Task[None] | None = None
    _is_ending = False
    _waiting: "Exchange | None" = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        self._outbox = outbox_of(self.server_state, self.loop)
        by_outbox: Any = ByOutbox(transport, self._outbox)
        super().connection_made(by_outbox)
        # Litestar's own way would only look whether it is asked for a request, and put itself into the scope.
        self._service = getattr(self.app, "asgi_handler", self.app)
        self._room = room_of(self.server_state, self.loop)
        self._arrival = _Alarm(self.loop, ARRIVAL_SECONDS, self._end_waiting)
        self._answer = _Alarm(self.loop, ANSWER_SECONDS, self._end_answering)
        self._idleness = _Alarm(self.loop, self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self._of_every_scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": "",
        }
        self._arrival.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._waiting = None
        for alarm in (self._arrival, self._answer, self._idleness):
            alarm.cancel()
        if self._answering is not None:
            # Uvicorn tells the request that came last only, and the others would write to what is closed.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client will say no more; whether it is still answered, which it is if it had said all."""
        if self._is_in_head or self._is_in_body or self._is_last_answered:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self._is_broken:
            return
        self._idleness.is_set = False
        size = len(data)
        if self._is_in_head or self._is_in_body:
            self._waited_size += size
            self._most_of_head += size
        else:
            self._most_of_head = size
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if not (self._is_in_head or self._is_in_body or self._has_nothing_to_answer):
            return
        if not self._arrival.is_set:
            self._arrival.set()
        if self._waited_size > (LARGEST_HEAD if self._is_in_head else LARGEST_REQUEST):
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._is_in_head, self._waited_size = True, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, of which the service knows none (RFC 9110, 6.5.1)."""
        if self._is_in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there, and the application may begin; not yet if an upgrade has to be taken out first.

        Raises: ValueError, which the parser tells as an HttpParserError.
        """
        self._is_in_head = False
        # Measured where it may be: what arrived since it began, or with its beginning, is enough for nearly all.
        if self._most_of_head > LARGEST_HEAD and self._head_size > LARGEST_HEAD:
            raise ValueError("the head is too large")
        if not self.parser.should_upgrade():
            self._begin()
            self._is_in_body = True

    def _begin(self) -> None:
        """What uvicorn does with a head, for what may come here: HTTP with no path in front of ours."""
        parser = self.parser
        http_version = parser.get_http_version()
        target = httptools.parse_url(self.url)
        raw_path = target.path
        path = raw_path.decode("ascii")
        scope: Any = {
            **self._of_every_scope,
            "http_version": http_version,
            "method": parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": target.query or b"",
            "headers": self.headers,
        }
        if self._is_broken:
            scope["extensions"] = {BROKEN: {}}
        before: RequestResponseCycle | None = self.cycle
        self.cycle = Exchange(self, scope, keep_alive=http_version != "1.0" and parser.should_keep_alive())
        if before is None or before.response_complete:
            self._admit(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self._service))

    def _admit(self, exchange: Any) -> None:
        if not self._room.is_full or exchange.may_not_wait:
            self._start_asgi_task(exchange, self._service)
            return
        self._waiting = exchange
        if not exchange.more_body:
            self._room.wait(self, exchange)

    def let_in(self, request: object) -> None:
        """There is room for it; see `Visitor`."""
        if self._waiting is not None and self._waiting is request:
            exchange, self._waiting = self._waiting, None
            self._start_asgi_task(exchange, self._service)

    def turn_away(self, request: object) -> None:
        """There will be none; see `Visitor`."""
        exchange = self._waiting
        if exchange is None or exchange is not request:
            return
        self._waiting = None
        is_last = self._is_ending or not exchange.keep_alive
        scope: Any = exchange.scope
        self.transport.write(
            _TURNAWAY.answer(scope["method"], scope["headers"], exchange.default_headers, is_last=is_last)
        )
        # At once: where requests are turned away, a turn of the loop takes long.
        self._outbox.empty()
        exchange.response_complete = True
        if is_last:
            self.transport.close()
        self.on_response_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        cycle: Any = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            # Nothing reads what waits for a place; this one is told that it is too large.
            self.let_in(cycle)
            self.flow.pause_reading()
        cycle.set()

    def on_message_complete(self) -> None:
        """All of the request is there."""
        if self.parser.should_upgrade():
            return
        self._is_in_body, self._waited_size = False, 0
        self._arrival.is_set = False
        cycle: Any = self.cycle
        if cycle.response_complete:
            return
        cycle.more_body = False
        cycle.set()
        if self._answering is cycle:
            self._answer.set()
        elif self._waiting is cycle:
            # Only now: whoever is told no before all was sent may not hear it.
            self._waiting = None
            self._admit(cycle)

    def on_response_complete(self) -> None:
        """A request is answered: the next one, or the time until one has to come."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._admit(self.pipeline.pop()[0])
        else:
            self._idleness.set()

    def shutdown(self) -> None:
        """The process ends: what arrives still is answered, and with that the connection ends."""
        self._is_ending = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        if self._has_nothing_to_answer:
            self.loop.call_later(LAST_CALL_SECONDS, self._end_unless_asked)

    def _end_unless_asked(self) -> None:
        # Two turns of the loop, between which it looks at its sockets: what is there already is read first.
        self.loop.call_soon(self.loop.call_soon, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self._has_nothing_to_answer:
            self.transport.close()

    @property
    def _has_nothing_to_answer(self) -> bool:
        return not self._is_in_head and self._is_last_answered

    @property
    def _is_last_answered(self) -> bool:
        last: RequestResponseCycle | None = self.cycle
        return last is None or last.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._is_ending:
            self.cycle.keep_alive = False
        self._answering = cycle
        # As uvicorn does, which keeps the task to itself.
        self._answers = self.loop.create_task(cycle.run_asgi(app))
        self._answers.add_done_callback(self._room.leave)
        self.tasks.add(self._answers)
        if not cycle.more_body:
            self._answer.set()

    def _end_answering(self) -> None:
        cycle = self._answering
        if cycle is None or cycle.response_started or cycle.more_body or self._answers is None:
            return
        cycle.scope["extensions"] = {OVERDUE: {}}
        self._answers.cancel()

    def _feed(self, data: bytes) -> None:
        """Raises: HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("no proxy") from None
                # The parser takes what follows for another protocol; to us it is this request's body.
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join((first, *lines, b"", b""))

    @property
    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(":\r\n") for name, value in self.headers)

    def _refuse(self) -> None:
        self._is_broken = True
        self._arrival.is_set = False
        if self._is_in_body and not self._drop():
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(_IN_ITS_STEAD)

    def _drop(self) -> bool:
        """Let go of the request whose body is broken; whether there is still something to answer."""
        if self.pipeline:
            self.pipeline.popleft()
            return True
        if self.cycle.response_started:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()
            return False
        # To the application it is as if the client had gone.
        self._waiting = None
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.cycle = None  # type: ignore[assignment]
        return True

    def _end_waiting(self) -> None:
        is_answering = self._answering is not None and not self._answering.response_complete
        if self.pipeline or (is_answering and not self._is_in_body):
            # Nothing is read while that is answered, so nothing can have arrived.
            self._arrival.set()
        else:
            self.transport.close()


class Exchange(RequestResponseCycle):
    """A request and its answer, of which head and body go out in one piece.

    The service answers with two messages, never with more, and says how long the body is.
    """

    logger = logging.getLogger("uvicorn.error")
    disconnected = False
    response_started = False
    response_complete = False
    more_body = True
    _head: Any = None
    _is_read = False
    _more: "asyncio.Future[None] | None" = None

    def __init__(self, connection: Connection, scope: Any, *, keep_alive: bool) -> None:
        # Uvicorn's would set all that it knows of, what is asked for in chunks and written to its own log too.
        self.scope = scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.waiting_for_100_continue = connection.expect_100_continue
        self.keep_alive = keep_alive
        self.body = bytearray()

    @property
    def may_not_wait(self) -> bool:
        """Who looks after the service; who waits to be asked for the body; and what stands for a broken request."""
        scope: Any = self.scope
        is_special = self.waiting_for_100_continue or "extensions" in scope
        return is_special or scope["raw_path"].startswith(ALWAYS_LET_IN)

    @property
    def message_event(self) -> "Exchange":  # type: ignore[override]
        """What is told that there is more of the body, or that there will be no more: an event would be 760 bytes."""
        return self

    def set(self) -> None:
        """Wake whoever waits for more of the body."""
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def receive(self) -> ASGIReceiveEvent:
        """All of the body that is there; where there is none yet, wait for it, or for the connection to end."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        while not (self.disconnected or self.response_complete):
            self.flow.resume_reading()
            if self.body or not (self.more_body or self._is_read):
                body, self.body = bytes(self.body), bytearray()
                self._is_read = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        return {"type": "http.disconnect"}

    async def send(self, message: ASGISendEvent) -> None:
        """A message of the answer."""
        if self._head is None:
            self._head = message
            self.response_started, self.waiting_for_100_continue = True, False
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        headers = [*self.default_headers, *self._head["headers"]]
        if _CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append(_CLOSE)
        lines = b"\r\n".join(map(b": ".join, headers))
        last: Any = message
        self.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[self._head["status"]], lines, last["body"]))
        self.response_complete = True
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class _Alarm:
    """Rings so many seconds after it was set last, if it `is_set` still.

    The loop is asked for a timer once in that time, not with every request: that took longer than looking at its head.
    """

    __slots__ = ("_due", "_loop", "_ring", "_seconds", "_timer", "is_set")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ring = ring
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.is_set = False

    def set(self) -> None:
        """From now on."""
        self.is_set = True
        self._due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def cancel(self) -> None:
        """Never again."""
        self.is_set = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self.is_set:
            return
        left = self._due - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.is_set = False
            self._ring()

"""A connection: uvicorn's, held to the contract where uvicorn answers, or waits, by itself.

What uvicorn alone would do: refuse what is no HTTP in plain text, without a request id, and before the answers to the
requests that came ahead of it; take a head of any size, and a request that never ends; let a trailer pass for a
header, `Authorization` included; lose the body of a request that offers an upgrade, which Java's HTTP client and
`curl --http2` do with every request.
"""

import asyncio
from typing import Final, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .crowding import ALWAYS_LET_IN, MOST_UNDER_WAY, Turnaway
from .envelope import BROKEN, OVERDUE

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
    _head_size = 0
    _waited_size = 0
    _deadline: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None
    _answers: asyncio.Task[None] | None = None
    _due = 0.0
    _overdue: asyncio.TimerHandle | None = None
    _is_ending = False
    _is_turned_away = False
    _is_told_soon = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._is_told_soon = False
        self._await_no_request()
        if self._overdue is not None:
            self._overdue.cancel()
        if self._answering is not None:
            # Uvicorn tells the request that came last only, and the others would write to what is closed.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client will say no more; whether it is still answered, which it is if it had said all."""
        if self._is_in_head or self._is_in_body or self._answering is None or self._answering.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self._is_broken:
            return
        self._unset_keepalive_if_required()
        self._await_request()
        if self._is_in_head or self._is_in_body:
            self._waited_size += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._waited_size > (LARGEST_HEAD if self._is_in_head else LARGEST_REQUEST):
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins; whoever sent one before that has to be told no is told it first."""
        self._turn_away()
        super().on_message_begin()
        self._is_in_head, self._head_size, self._waited_size = True, 0, 0
        if self._is_broken:
            self.scope["extensions"] = {BROKEN: {}}
        self._await_request()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, of which the service knows none (RFC 9110, 6.5.1)."""
        if self._is_in_head:
            self._count(len(name) + len(value) + len(":\r\n"))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there, and the application may begin; not yet if an upgrade has to be taken out first."""
        self._is_in_head = False
        if not self.parser.should_upgrade():
            if len(self.tasks) >= MOST_UNDER_WAY and self._may_be_turned_away:
                self._is_turned_away = True
            else:
                super().on_headers_complete()
            self._is_in_body = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._is_turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of the request is there."""
        if not self.parser.should_upgrade():
            self._is_in_body, self._waited_size = False, 0
            self._await_no_request()
            if self._is_turned_away:
                self._is_told_soon = True
                _TURNAWAY.soon(self.loop, self._turn_away)
                return
            super().on_message_complete()
            if self._answering is self.cycle:
                self._await_answer()

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
        return not (self._is_in_head or self._is_turned_away) and self._is_last_answered

    @property
    def _is_last_answered(self) -> bool:
        last = cast("RequestResponseCycle | None", self.cycle)
        return last is None or last.response_complete

    @property
    def _may_be_turned_away(self) -> bool:
        """Not in front of answers that are still to come, nor whoever waits to be asked for the body."""
        is_first = self._is_last_answered and not (self._is_broken or self.expect_100_continue)
        return is_first and not self.url.startswith(ALWAYS_LET_IN)

    def _turn_away(self) -> None:
        if not self._is_told_soon:
            return
        self._is_turned_away = self._is_told_soon = False
        is_last = self._is_ending or self.parser.get_http_version() == "1.0" or not self.parser.should_keep_alive()
        self.transport.write(
            _TURNAWAY.answer(self.parser.get_method(), self.headers, self.server_state.default_headers, is_last=is_last)
        )
        if is_last:
            self.transport.close()
            return
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._is_ending:
            self.cycle.keep_alive = False
        self._answering = cycle
        # As uvicorn does, which keeps the task to itself.
        self._answers = self.loop.create_task(cycle.run_asgi(app))
        self._answers.add_done_callback(self.tasks.discard)
        self.tasks.add(self._answers)
        if not cycle.more_body:
            self._await_answer()

    def _await_answer(self) -> None:
        """Say until when there has to be an answer. The timer is the connection's, not each request's: cheaper."""
        self._due = self.loop.time() + ANSWER_SECONDS
        if self._overdue is None:
            self._overdue = self.loop.call_later(ANSWER_SECONDS, self._look_for_answer)

    def _look_for_answer(self) -> None:
        self._overdue = None
        cycle = self._answering
        if cycle is None or cycle.response_started or cycle.more_body or self._answers is None:
            return
        left = self._due - self.loop.time()
        if left > 0:
            self._overdue = self.loop.call_later(left, self._look_for_answer)
        else:
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

    def _count(self, size: int) -> None:
        """Raises: ValueError, which the parser tells as an HttpParserError."""
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            raise ValueError("the head is too large")

    def _refuse(self) -> None:
        self._is_broken = True
        self._await_no_request()
        if self._is_in_body and not self._is_turned_away and not self._drop():
            return
        self._is_turned_away = False
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
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.cycle = None  # type: ignore[assignment]
        return True

    def _await_request(self) -> None:
        if self._deadline is None and not self._is_broken:
            self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self._end_waiting)

    def _await_no_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_waiting(self) -> None:
        self._deadline = None
        is_answering = self._answering is not None and not self._answering.response_complete
        if self.pipeline or (is_answering and not self._is_in_body):
            # Nothing is read while that is answered, so nothing can have arrived.
            self._await_request()
        else:
            self.transport.close()

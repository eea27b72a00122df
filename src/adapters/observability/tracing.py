"""Traces: a request, the batch that carried out its command, the batch's statements. Needs the extra `otel`.

A batch does what several requests asked for, so it is nobody's child: it is a trace of its own, with a link to each of
their spans.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from ...application.ports.observability import BatchStats, Overload, Trouble

EXPORT_SECONDS: Final = 5.0
"""What one delivery to the collector may take; requests do not wait for it."""

LONGEST_STATEMENT: Final = 2_000
"""Characters of a statement that are told. Its values never are."""

_MOST_LINKS: Final = 512
"""As many commands as one batch may have."""

_VALUES: Final = re.compile(r"(?<=\bVALUES)\s")
_WRITTEN_OUT: Final = re.compile(r"0[xX][0-9a-fA-F]+|[xX]?'(?:[^'\\]|\\.|'')*'?|\b\d+(?:\.\d+)?\b")
"""Text, bytes and numbers that stand in a statement itself."""

_is_told: Final = ContextVar("_is_told", default=False)
"""Whether what is under way has its span already."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = "boxoffice.request_id"
"""The attribute of a span, and where the entrypoint leaves it in the ASGI scope."""

_SPAN: Final = "boxoffice: the span of what is under way"
_CARRIED: Final = frozenset({b"traceparent", b"tracestate"})


class Application(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""


class Written(Protocol):
    """A statement that says its values itself."""

    @property
    def text(self) -> str:
        """All of it."""


Send = Callable[[Any, Sequence[Any]], Awaitable[Any]]


class Tracing:
    """Spans for what one process does, through a provider of its own: nothing of it is global."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("boxoffice")

    @classmethod
    def exporting_to(cls, endpoint: str, version: str) -> "Tracing":
        """Spans that go to a collector by OTLP over HTTP, for `endpoint` http://host:4318 for instance.

        What else there is to say is said as the standard has it: `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`,
        `OTEL_RESOURCE_ATTRIBUTES`.
        """
        resource = Resource.create({"service.name": "boxoffice", "service.version": version})
        provider = TracerProvider(resource=resource, span_limits=SpanLimits(max_links=_MOST_LINKS))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def around(self, app: Application) -> Application:
        """An application that has a span for each of its requests, the caller's trace being continued."""
        return _Traced(app, self._tracer)

    def watch(self, engine: Engine) -> None:
        """Spans for the statements of a database and its COMMITs."""
        statements = _Statements(self._tracer, engine.dialect.name)
        event.listen(engine, "before_cursor_execute", statements.begin)
        event.listen(engine, "after_cursor_execute", statements.end)
        event.listen(engine, "commit", statements.begin_commit)
        event.listen(engine, "rollback", statements.give_up)
        event.listen(engine, "handle_error", statements.fail)
        event.listen(engine, "checkin", statements.let_go)
        event.listen(engine, "invalidate", statements.lose)

    def around_sending(self, send: Send) -> Send:
        """A way to send statements together that has one span for all of them, which are one round trip."""

        async def traced(connection: Any, statements: Sequence[Written]) -> Any:
            texts = [statement.text for statement in statements]
            with self._tracer.start_as_current_span(
                " ".join(dict.fromkeys(map(_operation, texts))),
                kind=SpanKind.CLIENT,
                attributes={
                    "db.system.name": connection.dialect.name,
                    "db.query.text": ";\n".join(map(_without_values, texts))[:LONGEST_STATEMENT],
                    "db.operation.batch.size": len(texts),
                },
                # It may quote values.
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                token = _is_told.set(True)
                try:
                    return await send(connection, statements)
                except BaseException:
                    span.set_status(Status(StatusCode.ERROR))
                    raise
                finally:
                    _is_told.reset(token)

        return traced

    def arriving(self) -> object:
        """See `Observer`."""
        context = trace.get_current_span().get_span_context()
        return context if context.is_valid and context.trace_flags.sampled else None

    @contextmanager
    def batch(self, marks: Sequence[object]) -> Iterator[None]:
        """See `Observer`."""
        links = [Link(mark) for mark in marks if isinstance(mark, SpanContext)]
        with self._tracer.start_as_current_span(
            "batch", context=Context(), links=links, attributes={"boxoffice.commands": len(marks)}
        ):
            yield

    def passed(self, passage: BatchStats) -> None:
        """See `Observer`."""
        trace.get_current_span().add_event(
            "passed",
            {
                "boxoffice.commands": passage.commands,
                "boxoffice.refused": len(passage.refused),
                "boxoffice.lock_seconds": passage.lock_seconds,
            },
        )

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See `Observer`."""
        trace.get_current_span().add_event("failed", {"boxoffice.cause": trouble.value, "boxoffice.commands": commands})

    def overloaded(self, queue: Overload) -> None:
        """See `Observer`: on the span of the request."""
        trace.get_current_span().add_event("overloaded", {"boxoffice.queue": queue.value})

    async def close(self) -> None:
        """Deliver what is left, for some seconds at most."""
        await asyncio.to_thread(self._provider.shutdown)


class _Traced:
    def __init__(self, app: Application, tracer: trace.Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        context = self._propagator.extract(_carried(scope["headers"]), Context())
        with self._tracer.start_as_current_span(
            method,
            context=context,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            # It may quote the request.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start":
                    _tell_status(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, answer)
            except Exception:
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                route = scope.get("path_template")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                if _REQUEST_ID in scope:
                    span.set_attribute(_REQUEST_ID, scope[_REQUEST_ID])


def _carried(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, list[str]]:
    carried: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _CARRIED:
            carried.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return carried


def _tell_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


class _Statements:
    """One connection does one thing at a time, so what is under way is kept with it."""

    def __init__(self, tracer: trace.Tracer, system: str) -> None:
        self._tracer = tracer
        self._system = system

    def begin(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if not _is_told.get():
            self._start(connection, _operation(statement), statement)

    def end(self, connection: Connection, *_: Any) -> None:
        _end(connection.info)

    def begin_commit(self, connection: Connection) -> None:
        # Nobody tells when it is done; what comes next on the connection ends it, which is its being given back.
        self._start(connection, "COMMIT", "COMMIT")

    def give_up(self, connection: Connection) -> None:
        # A connection that was lost has nothing under way, and asking it for more is an error.
        if not connection.invalidated:
            _end(connection.info, is_failed=True)

    def lose(self, _dbapi_connection: Any, record: Any, _error: object) -> None:
        _end(record.info, is_failed=True)

    def fail(self, context: ExceptionContext) -> None:
        if context.connection is not None:
            _end(context.connection.info, is_failed=True)

    def let_go(self, _dbapi_connection: Any, record: Any) -> None:
        _end(record.info)

    def _start(self, connection: Connection, operation: str, statement: str) -> None:
        _end(connection.info)
        connection.info[_SPAN] = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": self._system,
                "db.operation.name": operation,
                "db.query.text": _without_values(statement),
            },
        )


def _operation(statement: str) -> str:
    return statement.lstrip().partition(" ")[0].upper()


def _without_values(statement: str) -> str:
    """Rows to insert are written out in their statement, and theirs are names, addresses and hashes of passwords."""
    return _WRITTEN_OUT.sub("?", _VALUES.split(statement, maxsplit=1)[0][:LONGEST_STATEMENT])


def _end(info: dict[Any, Any], *, is_failed: bool = False) -> None:
    span: Span | None = info.pop(_SPAN, None)
    if span is not None:
        if is_failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

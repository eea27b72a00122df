"""Traces of requests, batches and SQL statements. Needs the extra `otel`.

A batch executes the commands of several requests, so it is a trace of its own with a link to each request's span.
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
"""Timeout of one export to the collector; requests do not wait for it."""

LONGEST_STATEMENT: Final = 2_000
"""Maximum characters of a statement in a span. Values are never included."""

_MOST_LINKS: Final = 512
"""At least the maximum number of commands in a batch."""

_VALUES: Final = re.compile(r"(?<=\bVALUES)\s")
_LITERALS: Final = re.compile(r"0[xX][0-9a-fA-F]+|[xX]?'(?:[^'\\]|\\.|'')*'?|\b\d+(?:\.\d+)?\b")
"""Literal strings, bytes and numbers in a statement."""

_has_span: Final = ContextVar("_has_span", default=False)
"""Whether a span already covers the current statements."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = "boxoffice.request_id"
"""The span attribute, and the key of the ASGI scope that the HTTP entrypoint sets."""

_SPAN: Final = "boxoffice.span"
_TRACE_HEADERS: Final = frozenset({b"traceparent", b"tracestate"})


class Application(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a connection."""


class LiteralStatement(Protocol):
    """A statement that contains its values as literals."""

    @property
    def text(self) -> str:
        """Return the statement."""


Send = Callable[[Any, Sequence[Any]], Awaitable[Any]]


class Tracing:
    """Create the spans of one process, with a provider of its own instead of the global one."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("boxoffice")

    @classmethod
    def exporting_to(cls, endpoint: str, version: str) -> "Tracing":
        """Return a tracing that exports spans by OTLP over HTTP to an `endpoint` such as http://host:4318.

        The standard environment variables apply: `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`,
        `OTEL_RESOURCE_ATTRIBUTES`.
        """
        resource = Resource.create({"service.name": "boxoffice", "service.version": version})
        provider = TracerProvider(resource=resource, span_limits=SpanLimits(max_links=_MOST_LINKS))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def around(self, app: Application) -> Application:
        """Wrap an application so that each request has a span, which continues the caller's trace."""
        return _TracedApplication(app, self._tracer)

    def watch(self, engine: Engine) -> None:
        """Create a span for each statement and COMMIT of an engine."""
        statements = _StatementSpans(self._tracer, engine.dialect.name)
        event.listen(engine, "before_cursor_execute", statements.begin)
        event.listen(engine, "after_cursor_execute", statements.end)
        event.listen(engine, "commit", statements.begin_commit)
        event.listen(engine, "rollback", statements.roll_back)
        event.listen(engine, "handle_error", statements.fail)
        event.listen(engine, "checkin", statements.check_in)
        event.listen(engine, "invalidate", statements.invalidate)

    def around_sending(self, send: Send) -> Send:
        """Wrap a function that sends several statements in one round trip, so that they share one span."""

        async def traced(connection: Any, statements: Sequence[LiteralStatement]) -> Any:
            texts = [statement.text for statement in statements]
            with self._tracer.start_as_current_span(
                " ".join(dict.fromkeys(map(_operation, texts))),
                kind=SpanKind.CLIENT,
                attributes={
                    "db.system.name": connection.dialect.name,
                    "db.query.text": ";\n".join(map(_without_values, texts))[:LONGEST_STATEMENT],
                    "db.operation.batch.size": len(texts),
                },
                # The exception's message may quote values.
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                token = _has_span.set(True)
                try:
                    return await send(connection, statements)
                except BaseException:
                    span.set_status(Status(StatusCode.ERROR))
                    raise
                finally:
                    _has_span.reset(token)

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

    def passed(self, stats: BatchStats) -> None:
        """See `Observer`."""
        trace.get_current_span().add_event(
            "passed",
            {
                "boxoffice.commands": stats.commands,
                "boxoffice.refused": len(stats.refused),
                "boxoffice.lock_seconds": stats.lock_seconds,
            },
        )

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See `Observer`."""
        trace.get_current_span().add_event("failed", {"boxoffice.cause": trouble.value, "boxoffice.commands": commands})

    def overloaded(self, queue: Overload) -> None:
        """See `Observer`. Adds an event to the span of the request."""
        trace.get_current_span().add_event("overloaded", {"boxoffice.queue": queue.value})

    async def close(self) -> None:
        """Export pending spans, with a timeout."""
        await asyncio.to_thread(self._provider.shutdown)


class _TracedApplication:
    def __init__(self, app: Application, tracer: trace.Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        context = self._propagator.extract(_trace_headers(scope["headers"]), Context())
        with self._tracer.start_as_current_span(
            method,
            context=context,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            # The exception's message may quote the request.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            async def traced_send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    _set_status(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, traced_send)
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


def _trace_headers(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _TRACE_HEADERS:
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return found


def _set_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


class _StatementSpans:
    """The current span is stored with its connection, which executes one statement at a time."""

    def __init__(self, tracer: trace.Tracer, system: str) -> None:
        self._tracer = tracer
        self._system = system

    def begin(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if not _has_span.get():
            self._start(connection, _operation(statement), statement)

    def end(self, connection: Connection, *_: Any) -> None:
        _end(connection.info)

    def begin_commit(self, connection: Connection) -> None:
        # SQLAlchemy has no event after a COMMIT; the next event, usually the check-in, ends the span.
        self._start(connection, "COMMIT", "COMMIT")

    def roll_back(self, connection: Connection) -> None:
        # `invalidate` has ended the span of a lost connection, whose `info` must not be used.
        if not connection.invalidated:
            _end(connection.info, is_failed=True)

    def invalidate(self, _dbapi_connection: Any, record: Any, _error: object) -> None:
        _end(record.info, is_failed=True)

    def fail(self, context: ExceptionContext) -> None:
        if context.connection is not None:
            _end(context.connection.info, is_failed=True)

    def check_in(self, _dbapi_connection: Any, record: Any) -> None:
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
    """Return the statement without inserted rows and literals, which contain personal data and password hashes."""
    return _LITERALS.sub("?", _VALUES.split(statement, maxsplit=1)[0][:LONGEST_STATEMENT])


def _end(info: dict[Any, Any], *, is_failed: bool = False) -> None:
    span: Span | None = info.pop(_SPAN, None)
    if span is not None:
        if is_failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

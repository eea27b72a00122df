"""Traces connect the request, the batch and the statements. Without a collector in the settings there are none."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from dependency_injector.providers import Object
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine, text

from boxoffice.adapters.memory import Step
from boxoffice.adapters.observability.tracing import Tracing
from boxoffice.application.ports.errors import Retryable
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Payments, Settings, SettingsError
from tests import servers
from tests.adapters.observability.collector import Collector
from tests.adapters.observability.conftest import serving
from tests.application.fake_app import ANA, FakeApp
from tests.entrypoints.http.service_under_test import PASSWORD, SECRET, Client

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Spans:
    """The finished spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(provider)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        return [span for span in self.all if span.parent and span.parent.span_id == id_of(parent)]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.exporter.shutdown()


def container_with(spans: Spans, url: str) -> Container:
    container = make_container(Settings(database_url=url, jwt_secret=SECRET))
    container.tracing.override(Object(spans.tracing))
    return container


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "sqlite":
        return str(request.getfixturevalue("migrated_mysql_url"))
    return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"


async def book(client: Client, event: dict[str, Any]) -> httpx.Response:
    """Book within a trace of the client."""
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    return await client.post("/book", {"eventId": event["id"]}, headers=headers)


async def test_from_the_request_to_the_statement(spans: Spans, url: str) -> None:
    async with serving(container_with(spans, url)) as client:
        event = await client.event()
        spans.exporter.clear()
        answer = await book(client, event)
        assert answer.status_code == 201
    (request,) = spans.named("POST /book")
    assert request.kind is SpanKind.SERVER
    assert f"{trace_of(request):032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/book",
        "http.response.status_code": 201,
        "boxoffice.request_id": answer.headers["x-request-id"],
    }
    (batch,) = [span for span in spans.named("batch") if span.links]
    assert batch.parent is None
    assert [link.context.span_id for link in batch.links] == [id_of(request)]
    statements = spans.below(batch)
    in_order = sorted(statements, key=lambda span: span.start_time or 0)
    done = [operation for span in in_order for operation in span.name.split()]
    assert done[-1] == "COMMIT"
    assert done.index("SELECT") < done.index("INSERT") < done.index("COMMIT")
    texts = " ".join(str((span.attributes or {})["db.query.text"]) for span in in_order)
    assert "INSERT INTO bookings" in texts
    assert "INSERT INTO facts" in texts
    assert all(span.kind is SpanKind.CLIENT and span.status.status_code is StatusCode.UNSET for span in statements)
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in statements)
    # The request reads the caller's account itself, outside the batch.
    assert {span.name for span in spans.below(request)} <= {"SELECT"}


async def test_no_value_of_a_statement_is_traced(spans: Spans, url: str) -> None:
    async with serving(container_with(spans, url)) as client:
        await client.event()
        await client.patch("/me", {"name": "Ada Lovelace"})
    traced = repr([(span.name, dict(span.attributes or {}), span.events) for span in spans.all])
    assert "INSERT INTO users" in traced
    for secret in ("ada@example.org", "Ada Lovelace", "Jazz night", PASSWORD, str(client.token)):
        assert secret not in traced
        assert secret.encode().hex() not in traced.lower()


async def test_a_failure_is_traced_with_its_cause(spans: Spans) -> None:
    app = FakeApp(observer=spans.tracing)
    event_id = await app.event()
    spans.exporter.clear()
    app.faults.plan(Step.LOCK, Retryable())
    await app.book(event_id, ANA)
    (batch,) = spans.named("batch")
    assert [each.name for each in batch.events] == ["failed", "passed"]
    assert dict(batch.events[0].attributes or {}) == {"boxoffice.cause": "undone", "boxoffice.commands": 1}


@pytest.mark.parametrize(("part", "path"), [("list_events", "/events"), ("authenticate", "/me")])
async def test_an_error_in_the_handler_or_before_it_is_an_error_of_the_span(spans: Spans, part: str, path: str) -> None:
    container = container_with(spans, "memory://")
    getattr(container, part).override(Object(object()))
    async with serving(container) as client:
        spans.exporter.clear()
        assert (await client.get(path) if part == "authenticate" else await client.http.get(path)).status_code == 500
    (request,) = spans.all
    assert request.status.status_code is StatusCode.ERROR


async def test_a_refusal_is_traced_with_its_status_and_is_no_error(spans: Spans) -> None:
    """Before its handler and in it."""
    async with serving(container_with(spans, "memory://")) as client:
        spans.exporter.clear()
        bad = {"Authorization": "Bearer bad"}
        asked = {
            401: await client.http.get("/me", headers=bad),
            404: await client.http.get("/events/nothing"),
            415: await client.http.post("/login", content=b"nonsense"),
        }
        plain = await client.http.get("/events/")
        assert (await client.http.get("/nowhere")).status_code == 404
    traced = {
        (span.attributes or {})["http.response.status_code"]: (span.attributes or {})["boxoffice.request_id"]
        for span in spans.all
    }
    assert [answer.status_code for answer in asked.values()] == list(asked)
    assert traced == {status: answer.headers["x-request-id"] for status, answer in asked.items()} | {
        404: plain.headers["x-request-id"]
    }
    # A path that does not exist has no span, because it has no route to name the span by.
    assert len(spans.all) == len(asked) + 1
    assert not any(span.status.status_code is StatusCode.ERROR for span in spans.all)


def test_a_connection_that_is_lost_ends_what_was_under_way(spans: Spans) -> None:
    """The listener must not raise, because that would hide the cause."""
    engine = create_engine("sqlite://")
    spans.tracing.watch(engine)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.commit()
        connection.execute(text("SELECT 2"))
        connection.invalidate()
    engine.dispose()
    assert [span.name for span in spans.all] == ["SELECT", "COMMIT", "SELECT"]


async def test_a_collector_gets_them(collector: Collector) -> None:
    settings = Settings(database_url="memory://", jwt_secret=SECRET, otel_endpoint=collector.url)
    async with serving(make_container(settings)) as client:
        event = await client.event()
        await book(client, event)
    # The shutdown exports the pending spans.
    assert {path for path, _ in collector.received} == {"/v1/traces"}
    resources = [
        resource
        for _, body in collector.received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    names = {each.value.string_value for resource in resources for each in resource.resource.attributes}
    assert "boxoffice" in names
    found = {
        (span.name, span.trace_id.hex()): span
        for resource in resources
        for scope in resource.scope_spans
        for span in scope.spans
    }
    booking = found["POST /book", TRACE]
    assert booking.parent_span_id.hex() == PARENT
    linked = [link.span_id for (name, _), span in found.items() if name == "batch" for link in span.links]
    assert booking.span_id in linked


async def test_a_collector_that_is_away_delays_no_booking() -> None:
    settings = Settings(database_url="memory://", jwt_secret=SECRET, otel_endpoint="http://127.0.0.1:9")
    async with asyncio.timeout(60), serving(make_container(settings)) as client:
        assert (await client.book(await client.event()))["status"] == "confirmed"


def test_no_library_is_imported_without_a_setting() -> None:
    script = (
        "import sys\n"
        "from boxoffice.entrypoints.container import make_container\n"
        "from boxoffice.entrypoints.http.app import create_app\n"
        "from boxoffice.entrypoints.settings import Settings\n"
        f"create_app(make_container(Settings(database_url='memory://', jwt_secret='{SECRET}')))\n"
        # Litestar itself imports parts of OpenTelemetry's namespace, which are allowed.
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.trace', "
        "'opentelemetry.exporter', 'sentry_sdk'))])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "adapter", "setting", "part", "extra"),
    [
        ("opentelemetry", "observability.tracing", {"otel_endpoint": "http://127.0.0.1:4318"}, "tracing", "otel"),
        ("sentry_sdk", "observability.sentry", {"sentry_dsn": "https://key@127.0.0.1/1"}, "unhandled_errors", "sentry"),
        ("stripe", "payments.stripe", {"stripe_key": "sk_test_x"}, "payment_gateway", "stripe"),
        (
            *("stripe", "payments.stripe_events"),
            {"payments": Payments.SANDBOX, "stripe_webhook_secret": ("whsec_x",)},
            *("receive_notice", "stripe"),
        ),
    ],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, adapter: str, setting: dict[str, Any], part: str, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, f"boxoffice.adapters.{adapter}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    settings = Settings(database_url="memory://", jwt_secret=SECRET, payments=Payments.STRIPE)
    container = make_container(replace(settings, **setting))
    with pytest.raises(SettingsError, match=rf"pip install 'boxoffice\[{extra}\]'"):
        getattr(container, part)()

"""Unexpected errors are counted and reported without data of requests."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dependency_injector.providers import Object

from boxoffice.adapters.observability import UnhandledErrors
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings, SettingsError
from tests.adapters.observability.collector import Collector
from tests.adapters.observability.conftest import serving
from tests.entrypoints.http.service_under_test import SECRET, Client

ADAS, GRACES = "what Ada wrote", "what Grace wrote"
"""Defined far from the line that raises, because a report contains the source lines around that line."""


class Broken:
    """A use case that fails with private data in its error."""

    async def __call__(self, *arguments: object, **options: object) -> None:
        try:
            _ = dict[str, str]()[GRACES]
        except KeyError as error:
            raise RuntimeError(f"this is unexpected: {ADAS} {arguments}") from error


def broken(collector: Collector | None) -> Container:
    """Return a service that fails to read profiles. Its reports go to the collector, or to a closed port."""
    place = "http://127.0.0.1:9" if collector is None else collector.url
    dsn = f"{place.replace('//', '//publickey@')}/42"
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET, sentry_dsn=dsn))
    container.read_profile.override(Object(Broken()))
    return container


@pytest.fixture
async def client(collector: Collector) -> AsyncIterator[Client]:
    async with serving(broken(collector)) as client:
        yield client


def events(received: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Return the error events of Sentry envelopes, whose items each have a header line."""
    found = []
    for _, body in received:
        lines = body.split(b"\n")
        found += [
            json.loads(lines[number + 1])
            for number, line in enumerate(lines[:-1])
            if line.startswith(b"{") and json.loads(line).get("type") == "event"
        ]
    return found


async def test_an_error_is_reported_with_its_place_and_nothing_of_the_request(
    client: Client, collector: Collector
) -> None:
    answer = await client.get("/me?note=private", headers={"X-Secret": "sesame"})
    assert answer.status_code == 500
    await asyncio.to_thread(collector.wait_for, events)
    ((path, body),) = collector.received
    assert path == "/api/42/envelope/"
    (event,) = events(collector.received)
    inner, outer = event["exception"]["values"]
    assert (inner["type"], outer["type"]) == ("KeyError", "RuntimeError")
    assert "value" not in inner
    assert "value" not in outer
    assert outer["stacktrace"]["frames"][-1]["function"] == "__call__"
    assert event["release"].startswith("boxoffice@")
    assert event.keys().isdisjoint({"request", "user", "breadcrumbs", "extra", "server_name", "logentry", "modules"})
    # The source line that raised is reported, but not its values.
    said = json.dumps(event)
    token = str(client.token)
    for private in (ADAS, GRACES, token, "sesame", "note=private", client.email, '"vars"'):
        assert private not in said
    assert token.encode() not in body


async def test_refusals_are_neither_reported_nor_counted(client: Client, collector: Collector) -> None:
    assert (await client.http.get("/nowhere")).status_code == 404
    assert (await client.http.post("/book", json={})).status_code == 401
    assert (await client.http.post("/login", content=b"nonsense")).status_code in {400, 415}
    assert "boxoffice_errors_total 0.0" in (await client.http.get("/metrics")).text
    # Reports are sent in order, so a report of a refusal would arrive before this one.
    await client.get("/me")
    assert "boxoffice_errors_total 1.0" in (await client.http.get("/metrics")).text
    await asyncio.to_thread(collector.wait_for, events)
    assert len(events(collector.received)) == 1


async def test_what_is_left_at_the_end_is_sent(collector: Collector) -> None:
    async with serving(broken(collector)) as client:
        await client.get("/me")
    assert len(events(collector.received)) == 1
    before = len(logging.getLogger().handlers)
    async with serving(make_container(Settings(database_url="memory://", jwt_secret=SECRET))):
        pass
    assert len(logging.getLogger().handlers) == before


async def test_a_sentry_that_is_away_changes_nothing() -> None:
    async with asyncio.timeout(60), serving(broken(None)) as client:
        assert (await client.get("/me")).status_code == 500
        assert (await client.http.get("/events")).status_code == 200


def test_a_failing_reporter_does_not_fail_the_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def fail(error: BaseException) -> None:
        raise ZeroDivisionError

    reported: list[BaseException] = []
    log = logging.getLogger("tests.adapters.observability")
    handler = UnhandledErrors(reported.append, fail)
    log.addHandler(handler)
    try:
        log.error("no exception")
        log.warning("foreseen", exc_info=ValueError())
        error = ValueError()
        log.error("unforeseen", exc_info=error)
    finally:
        log.removeHandler(handler)
    assert reported == [error]


@pytest.mark.parametrize(
    "text", ["nonsense", "https://sentry.example.org/42", "https://key@sentry.example.org", "ftp://key@host/1"]
)
def test_what_is_no_dsn_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="BOXOFFICE_SENTRY_DSN must be a DSN") as raised:
        Settings.load({"BOXOFFICE_SENTRY_DSN": text})
    assert text not in str(raised.value)
    settings = Settings.load({"BOXOFFICE_SENTRY_DSN": "https://publickey@sentry.example.org/42"})
    assert "publickey" not in repr(settings)

"""`GET /metrics`, of one process and of several."""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings, SettingsError
from tests.entrypoints.http.service_under_test import SECRET, served
from tests.faults.service import SERVE, Server, boxoffice, servers


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET))
    async with served(create_app(container), container) as http:
        yield http


def value(page: str, name: str, **labels: str) -> float | None:
    """Return a sample of a page, or None."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def requests(page: str, route: str, status: str) -> float | None:
    return value(page, "boxoffice_http_requests_total", route=route, status=status)


async def test_requests_are_counted_by_route(http: httpx.AsyncClient) -> None:
    for path in ("/events", "/events/01890000-0000-7000-8000-000000000000", "/events/no-id", "/made-up", "/other"):
        await http.get(path)
    await http.request("BREW", "/events")
    answer = await http.get("/metrics", headers={"Authorization": "Bearer nonsense"})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = answer.text
    assert requests(page, "/events", "200") == 1
    assert requests(page, "/events/{event_id}", "404") == 2
    assert requests(page, "", "404") == 2
    assert "made-up" not in page
    assert "BREW" not in page


async def test_an_unusable_directory_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(database_url="memory://", jwt_secret=SECRET, metrics_directory=tmp_path / "file" / "below")
    with pytest.raises(SettingsError, match="BOXOFFICE_METRICS_DIRECTORY"):
        async with running(make_container(settings)):
            pass


def has_another_in_place_of(child: int, server: Server) -> bool:
    """Return whether the supervisor has replaced the process, so that two run again."""
    now = server.workers()
    return child not in now and len(now) == 2


def eventually(is_so: Callable[[], bool]) -> None:
    """Poll a condition for a minute at most on a busy machine."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_one_look_sees_all_processes_and_what_those_counted_that_ended(tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    command = (*SERVE, "--workers", "2")
    with ExitStack() as stack:
        (server,) = stack.enter_context(
            servers(database, tmp_path, 1, command=command, environment={"TMPDIR": str(tmp_path)})
        )

        # A new connection each time, so that either process may answer.
        limits = httpx.Limits(max_keepalive_connections=0)
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, limits=limits))

        def page() -> str:
            return http.get("/metrics").text

        eventually(lambda: value(page(), "boxoffice_processes") == 2)
        assert boxoffice(database, tmp_path, "verify").returncode == 0
        asked = 0
        for _ in range(2):
            for _ in range(10):
                assert http.get("/events").status_code == 200
            asked += 10
            assert [requests(page(), "/events", "200") for _ in range(6)] == [asked] * 6
            # Kill one process; the supervisor starts another one.
            killed = server.workers()[0]
            os.kill(killed, signal.SIGKILL)
            eventually(partial(has_another_in_place_of, killed, server))
            eventually(server.is_ready)
            eventually(lambda: value(page(), "boxoffice_processes") == 2)
            assert [requests(page(), "/events", "200") for _ in range(6)] == [asked] * 6
        (directory,) = tmp_path.glob("boxoffice-metrics-*")
        assert len(list(directory.glob("*.numbers"))) == 2
        assert server.terminate() == 0
    assert list(tmp_path.glob("boxoffice-metrics-*")) == []

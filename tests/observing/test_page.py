"""`GET /metrics`, of one process and of several."""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from boxoffice.application.background.verify_promises import PROMISES
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings, SettingsError
from tests.faults.service import SERVE, boxoffice, servers

SECRET = "a secret of the tests, long enough"


@pytest.fixture
async def container() -> AsyncIterator[Container]:
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET))
    async with running(container):
        yield container


@pytest.fixture
async def http(container: Container) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(cast("Any", create_app(container)))
    async with httpx.AsyncClient(transport=transport, base_url="http://box.office") as client:
        yield client


def value(page: str, name: str, **labels: str) -> float | None:
    """One sample of a page; None where it is not there."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def requests(page: str, route: str, status: str) -> float | None:
    return value(page, "boxoffice_http_requests_total", route=route, status=status)


async def test_it_does_not_look_at_tokens(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_requests_are_counted_by_route(http: httpx.AsyncClient) -> None:
    for path in ("/events", "/events/01890000-0000-7000-8000-000000000000", "/events/no-id", "/made-up", "/other"):
        await http.get(path)
    page = (await http.get("/metrics")).text
    assert requests(page, "/events", "200") == 1
    assert requests(page, "/events/{event_id}", "404") == 2
    assert requests(page, "", "404") == 2
    assert "made-up" not in page


async def test_a_method_that_somebody_made_up_is_no_label(http: httpx.AsyncClient) -> None:
    await http.request("BREW", "/events")
    assert "BREW" not in (await http.get("/metrics")).text


async def test_what_is_booked_is_counted(http: httpx.AsyncClient, container: Container) -> None:
    account = {"name": "Ada", "email": "ada@example.org", "password": "correct horse battery"}
    await http.post("/create-user", json=account)
    login = await http.post("/login", json={"email": account["email"], "password": account["password"]})
    headers = {"Authorization": f"Bearer {login.json()['accessToken']}"}
    event = await http.post("/initialize", json={"name": "Jazz night", "totalTickets": 1}, headers=headers)
    assert (await http.post("/book", json={"eventId": event.json()["id"]}, headers=headers)).status_code == 201
    page = (await http.get("/metrics")).text
    assert value(page, "boxoffice_bookings_total", outcome="confirmed") == 1
    assert requests(page, "/book", "201") == 1
    assert "ada@example.org" not in page


async def test_an_unusable_directory_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(database_url="memory://", jwt_secret=SECRET, metrics_directory=tmp_path / "file" / "below")
    with pytest.raises(SettingsError, match="BOXOFFICE_METRICS_DIRECTORY"):
        async with running(make_container(settings)):
            pass


def children(pid: int) -> list[int]:
    """The processes of a supervisor that serve: it has helpers too, which are no Boxoffice's."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found


def has_another_in_place_of(child: int, pid: int) -> bool:
    """Whether that process of a supervisor is gone, and there are two again."""
    now = children(pid)
    return child not in now and len(now) == 2


def eventually(is_so: Callable[[], bool]) -> None:
    """Looked at again and again; a minute is for a machine that has other things to do."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_one_look_sees_all_processes_and_what_those_counted_that_ended(tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    command = (*SERVE, "--workers", "2")
    with servers(database, tmp_path, 1, command=command, environment={"TMPDIR": str(tmp_path)}) as (server,):

        def page() -> str:
            # A connection of its own each time: either process may answer.
            return httpx.get(f"{server.url}/metrics", timeout=30).text

        eventually(lambda: value(page(), "boxoffice_processes") == 2)
        assert boxoffice(database, tmp_path, "verify").returncode == 0
        asked = 0
        for _ in range(3):
            for _ in range(10):
                assert httpx.get(f"{server.url}/events", timeout=30).status_code == 200
            asked += 10
            assert [requests(page(), "/events", "200") for _ in range(6)] == [asked] * 6
            # One of both is killed, and another one takes its place.
            killed = children(server.pid)[0]
            os.kill(killed, signal.SIGKILL)
            eventually(partial(has_another_in_place_of, killed, server.pid))
            eventually(server.is_ready)
            eventually(lambda: value(page(), "boxoffice_processes") == 2)
            assert [requests(page(), "/events", "200") for _ in range(6)] == [asked] * 6
        (directory,) = tmp_path.glob("boxoffice-metrics-*")
        assert len(list(directory.glob("*.numbers"))) == 2
        assert server.terminate() == 0
    assert list(tmp_path.glob("boxoffice-metrics-*")) == []


@pytest.mark.slow
def test_what_verify_found_is_told(tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    with servers(database, tmp_path, 1) as (server,):
        begun = time.time()
        assert boxoffice(database, tmp_path, "verify").returncode == 0
        page = httpx.get(f"{server.url}/metrics", timeout=30).text
        assert [value(page, "boxoffice_promise_kept", promise=str(promise)) for promise in PROMISES] == [1] * 7
        verified = value(page, "boxoffice_promise_verified_timestamp_seconds", promise="1")
        assert verified is not None
        assert begun - 1 <= verified <= time.time() + 1

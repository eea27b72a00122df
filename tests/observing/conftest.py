"""A service in this process, as its clients see it, and a collector of what it tells others."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import httpx
import pytest

from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from tests.observing.collector import Collector, collecting

PASSWORD = "correct horse battery"
SECRET = "a secret of the tests, long enough"

Serving = Callable[[Container], AbstractAsyncContextManager["Office"]]


class Office:
    """Somebody who is signed in at a service."""

    def __init__(self, http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.http = http
        self.headers = headers

    async def event(self, total: int = 10) -> str:
        """A new event's id."""
        body = {"name": "Jazz night", "totalTickets": total}
        answer = await self.http.post("/initialize", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def book(self, event_id: str, **headers: str) -> httpx.Response:
        return await self.http.post("/book", json={"eventId": event_id}, headers={**self.headers, **headers})


@asynccontextmanager
async def serving(container: Container) -> AsyncIterator[Office]:
    """A service with one user, ended afterwards."""
    app = create_app(container)
    async with running(container):
        transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://box.office") as http:
            yield await signed_in(http, "ada@example.org")


async def signed_in(http: httpx.AsyncClient, email: str) -> Office:
    """A new user."""
    account = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
    assert (await http.post("/create-user", json=account)).status_code == 201
    login = await http.post("/login", json={"email": email, "password": PASSWORD})
    return Office(http, {"Authorization": f"Bearer {login.json()['accessToken']}"})


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector

"""The real application on the real container, in memory, with cheap passwords and a clock that stands."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx
import msgspec
import pytest
from dependency_injector.providers import Object, Singleton

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.domain.user import Role
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.logs import RequestLines, log_request
from boxoffice.entrypoints.settings import Settings
from tests.http.service import SECRET, Client, Sandbox, Service, standing_clock
from tests.settable_clock import SettableClock


@pytest.fixture
def clock() -> SettableClock:
    return standing_clock()


@pytest.fixture
def settings() -> Settings:
    return Settings(database_url="memory://", jwt_secret=SECRET)


class Kept(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += msgspec.to_builtins(cast("RequestLines", record.msg).lines)

    def take(self) -> list[dict[str, Any]]:
        """What was written since the last time."""
        log_request.write()
        taken, self._lines = self._lines, []
        return taken


@pytest.fixture
def logged() -> Iterator[Kept]:
    """What the requests' lines in the log say."""
    kept = Kept()
    log = logging.getLogger("boxoffice.requests")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(kept)
    yield kept
    log.removeHandler(kept)
    log.setLevel(level)


@pytest.fixture
def gateway() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def service(
    settings: Settings,
    clock: SettableClock,
    gateway: Sandbox,
    logged: list[dict[str, Any]],
) -> AsyncIterator[Service]:
    """The service with nothing in it yet."""
    container = make_container(settings)
    container.clock.override(Object(clock))
    container.seconds.override(Object(clock.seconds))
    container.authenticate.set_kwargs(seconds=clock.seconds)
    container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
    container.payment_gateway.override(Object(gateway))
    app = create_app(container)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    # What is swept is swept when a test says so.
    alive = running(container, sweep_every=3_600, share_every=3_600)
    async with alive, httpx.AsyncClient(transport=transport, base_url="http://boxoffice") as http:
        yield Service(http, container, app, clock)


@pytest.fixture
def anyone(service: Service) -> Client:
    """Somebody who is not signed in."""
    return service.anyone


@pytest.fixture
async def organizer(service: Service) -> Client:
    return await service.user()


@pytest.fixture
async def customer(service: Service) -> Client:
    return await service.user()


@pytest.fixture
async def admin(service: Service) -> Client:
    client = await service.user()
    await service.container.grant_role()(client.email, Role.ADMIN)
    await client.sign_in_again()
    return client

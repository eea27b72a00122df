"""The real application on the real container, in memory, with cheap passwords and a clock that stands."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from dependency_injector.providers import Object, Singleton
from structlog.testing import capture_logs
from structlog.typing import EventDict

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.domain.user import Role
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.http.service import SECRET, Client, Sandbox, Service, StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def settings() -> Settings:
    return Settings(database_url="memory://", jwt_secret=SECRET)


@pytest.fixture
async def logged() -> AsyncIterator[list[EventDict]]:
    """What the requests' lines in the log say."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def gateway() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def service(
    settings: Settings, clock: StandingClock, gateway: Sandbox, logged: list[EventDict]
) -> AsyncIterator[Service]:
    container = make_container(settings)
    container.clock.override(Object(clock))
    container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
    app = create_app(container)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    container.payment_gateway.override(Object(gateway))
    # What is swept is swept when a test says so.
    alive = running(container, sweep_every=3_600)
    async with alive, httpx.AsyncClient(transport=transport, base_url="http://boxoffice") as http:
        yield Service(http, container, clock)


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

"""The real application on the real container, in memory, with cheap passwords and a clock that stands."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import msgspec
import pytest
from dependency_injector.providers import Object

from boxoffice.domain.user import Role
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.logs import RequestLines, log_request
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import (
    SECRET,
    Client,
    Sandbox,
    Service,
    container_of,
    served,
    standing_clock,
)
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
async def service(settings: Settings, clock: SettableClock, gateway: Sandbox, logged: Kept) -> AsyncIterator[Service]:
    """The service with nothing in it yet."""
    container = container_of(settings, clock)
    container.payment_gateway.override(Object(gateway))
    app = create_app(container)
    async with served(app, container) as http:
        yield Service(http, container, app, clock)


@pytest.fixture
def anyone(service: Service) -> Client:
    """A caller who is not signed in."""
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

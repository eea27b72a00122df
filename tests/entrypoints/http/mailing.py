"""A service that sends mails, and the mails that it sends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import httpx
from dependency_injector.providers import Object

from boxoffice.application.ports.notifications import Email, LinkEmail
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import MailUrl, Settings
from tests.settable_clock import SettableClock

from .service_under_test import SECRET, Service, container_of

SERVER: Final = MailUrl(host="127.0.0.1", port=25, user=None, password=None, encryption="none", ca=None)


class Postman:
    """Keeps the mails with links instead of sending them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        service.container.email_sender.override(Object(self))
        self.taken: list[LinkEmail] = []

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        assert isinstance(email, LinkEmail)
        self.taken.append(email)

    async def close_idle(self) -> None:
        """Nothing is open."""

    async def tokens(self) -> list[str]:
        """The tokens of the mails that are due now, oldest first."""
        self.taken = []
        clock = self._service.clock
        await self._service.container.send_links()(clock.time + timedelta(hours=1))
        return [each.token for each in self.taken]


@asynccontextmanager
async def mailing_service(url: str, clock: SettableClock) -> AsyncIterator[Service]:
    """Run a service on this database; it sends mails when a `Postman` asks for them."""
    settings = Settings(
        database_url=url,
        jwt_secret=SECRET,
        rate_limits=False,
        smtp_url=SERVER,
        mail_from="tickets@example.org",
        public_url="https://tickets.example.org",
    )
    container = container_of(settings, clock)
    app = create_app(container)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        running(container, sweep_every=3_600, notify_every=None),
        httpx.AsyncClient(transport=transport, base_url="http://boxoffice") as http,
    ):
        yield Service(http, container, app, clock)

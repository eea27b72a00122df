"""The service as its clients see it, and the few things that most tests do with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
from dependency_injector.providers import Object, Singleton
from litestar import Litestar

from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.adapters.security import Argon2PasswordHasher, ZxcvbnKnownPasswords
from boxoffice.application.ports.payments import ChargeReply
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests import constants
from tests.settable_clock import SettableClock

KNOWN_PASSWORDS = ZxcvbnKnownPasswords()
SECRET = constants.SECRET
PASSWORD = "correct horse battery"
JSON = {"Content-Type": "application/json"}
EUR_25 = {"amount": 2500, "currency": "EUR"}
HELD: dict[str, Any] = {"price": EUR_25, "paymentWindowMinutes": 10}
"""Fields of an event whose tickets are held until they are paid."""


def standing_clock() -> SettableClock:
    """A clock that stands until a test moves it; no two readings are alike."""
    return SettableClock(datetime(2030, 1, 1, 12, tzinfo=UTC), step=timedelta(microseconds=1))


class Sandbox(SandboxGateway):
    """The sandbox, which a test may let wait with the next charge."""

    def __init__(self) -> None:
        super().__init__(MemoryLedger())
        self.asked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        self.asked.set()
        await self.may_go_on.wait()
        return await super().charge(reference, amount, token)


class Client:
    """A caller: signed in when there is a token."""

    def __init__(
        self, http: httpx.AsyncClient, user: Mapping[str, Any] | None = None, token: str | None = None
    ) -> None:
        self.http = http
        self.user = user or {}
        self.token = token

    @property
    def id(self) -> str:
        return str(self.user["id"])

    @property
    def email(self) -> str:
        return str(self.user["email"])

    def at(self, http: httpx.AsyncClient) -> "Client":
        """The same caller at another process."""
        return Client(http, self.user, self.token)

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return await self.http.request(
            method, path, headers={**headers, **(options.pop("headers", None) or {})}, **options
        )

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.send("POST", path, json=body, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.send("PATCH", path, json=body, **options)

    async def sign_in_again(self) -> None:
        answer = await self.http.post("/login", json={"email": self.email, "password": PASSWORD})
        self.token = answer.json()["accessToken"]

    async def event(self, **fields: Any) -> dict[str, Any]:
        """A new event of this client's."""
        body = {"name": "Jazz night", **fields}
        if "ticketTypes" not in body:
            body.setdefault("totalTickets", 10)
        return ok(await self.post("/initialize", body), 201)

    async def book(self, event: Mapping[str, Any], quantity: int = 1, **fields: Any) -> dict[str, Any]:
        """A new booking of this client's."""
        return ok(await self.post("/book", {"eventId": event["id"], "quantity": quantity, **fields}), 201)

    async def pay(self, booking: Mapping[str, Any], token: str | None = "tok_ok", **options: Any) -> httpx.Response:
        """A payment by card; without a token in cash."""
        body = {"method": "cash"} if token is None else {"method": "card", "token": token}
        return await self.post(f"/bookings/{booking['id']}/payment", body, **options)

    async def payments(self, booking: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The charges and refunds of a booking."""
        items: list[dict[str, Any]] = ok(await self.get(f"/bookings/{booking['id']}/payments"))["items"]
        return items


class Service:
    """A running service."""

    def __init__(self, http: httpx.AsyncClient, container: Container, app: Litestar, clock: SettableClock) -> None:
        self.http = http
        self.container = container
        self.app = app
        self.clock = clock
        self.anyone = Client(http)
        self._users = 0

    async def user(self, email: str | None = None) -> Client:
        """A new user, signed in."""
        self._users += 1
        return await new_user(self.http, email or f"user{self._users}@example.org")


def container_of(settings: Settings, clock: SettableClock) -> Container:
    """A container whose passwords are cheap and whose clock stands."""
    container = make_container(settings)
    container.known_passwords.override(Object(KNOWN_PASSWORDS))
    container.clock.override(Object(clock))
    container.seconds.override(Object(clock.seconds))
    container.authenticate.set_kwargs(seconds=clock.seconds)
    container.known_keys.set_kwargs(seconds=clock.seconds)
    container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
    return container


@asynccontextmanager
async def served(app: Any, container: Container) -> AsyncIterator[httpx.AsyncClient]:
    """The application of a container that runs; it sweeps when a test says so."""
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    alive = running(container, sweep_every=3_600, share_every=3_600)
    async with alive, httpx.AsyncClient(transport=transport, base_url="http://boxoffice") as http:
        yield http


async def new_user(http: httpx.AsyncClient, email: str) -> Client:
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    client = Client(http, ok(await http.post("/create-user", json=body), 201))
    await client.sign_in_again()
    return client


def ok(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The body of an answer that is as it should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    return body


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a problem, held to the form that all problems have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["requestId"] == answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)
    assert ("retry-after" in answer.headers) == (status in {429, 503})
    assert ("errors" in body) == (code == "invalid-request")
    return body


def pointers(answer: httpx.Response) -> list[str]:
    """Which fields a 400 names."""
    return [error["pointer"] for error in problem(answer, 400, "invalid-request")["errors"]]

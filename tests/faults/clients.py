"""Clients that call the service over HTTP/1.1, many at once, and record their requests and the answers.

HTTP libraries would take more processor time than the service. Accounts and sessions are inserted into the database,
because thousands of sign-ins would take minutes.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import create_async_engine
from uuid_utils.compat import uuid7

from boxoffice.adapters.security import JwtTokens
from boxoffice.adapters.sql.schema.tables import sessions, users
from boxoffice.application.ports.security import Claims
from boxoffice.domain.user import Role
from boxoffice.entrypoints.harness.history import Call, History, Outcome
from tests.constants import SECRET
from tests.e2e.wire.raw import Broken, Raw, request

ANSWER_WITHIN: Final = 30.0  # seconds; the service answers 503 within five, a busy machine may take longer
LIFETIME: Final = timedelta(hours=24)


class Person(Struct, frozen=True):
    """An account with an access token."""

    id: UUID
    token: str


async def enrol(database_url: str, number: int, *, secret: str = SECRET) -> list[Person]:
    """Create accounts with sessions. Their tokens are valid from hours ago until in some hours."""
    now = datetime.now(UTC) - LIFETIME / 2
    tokens = JwtTokens(secret, lifetime=int(LIFETIME.total_seconds()))
    claims = [Claims(uuid7(), uuid7(), Role.CUSTOMER) for _ in range(number)]
    user_rows = [
        {
            "id": each.user_id,
            "name": "Ada",
            "email": f"{each.user_id}@example.org",
            "password_hash": "none",
            "role": each.role,
            "created_at": now,
        }
        for each in claims
    ]
    session_rows = [
        {"id": each.session_id, "user_id": each.user_id, "created_at": now, "expires_at": now + LIFETIME,
         "ended_at": None}
        for each in claims
    ]  # fmt: skip
    engine = create_async_engine(database_url)
    try:
        for first in range(0, number, 1_000):
            async with engine.begin() as connection:
                await connection.execute(insert(users), user_rows[first : first + 1_000])
                await connection.execute(insert(sessions), session_rows[first : first + 1_000])
    finally:
        await engine.dispose()
    return [Person(each.user_id, tokens.issue(each, now).text) for each in claims]


class NotSent(Exception):
    """Nothing listens on the port, so the request was not sent."""


class Lost(Exception):
    """The request was sent and not answered, so its outcome is unknown."""


class Answer(Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """Return the code of a problem."""
        return str(self.body["code"])


class Connection:
    """A connection to a server, opened when it is needed, and again after it was lost."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._raw: Raw | None = None

    async def send(self, method: str, path: str, token: str, body: Any = None, key: str | None = None) -> Answer:
        """Send one request and return the response. Raises: NotSent, Lost."""
        content = None if body is None else json.dumps(body).encode()
        lines = [] if key is None else [f"Idempotency-Key: {key}"]
        await self.open()
        assert self._raw
        answer = None
        try:
            await self._raw.send(request(f"{method} {path} HTTP/1.1", *lines, body=content, token=token or None))
            answer = await self._raw.answer(within=ANSWER_WITHIN)
        except (OSError, Broken, TimeoutError) as error:
            raise Lost from error
        finally:
            if answer is None or answer.headers.get("connection") == "close":
                self.close()
        if answer is None:
            raise Lost
        return Answer(answer.status, json.loads(answer.body) if answer.body else None)

    async def open(self) -> None:
        """Connect if it is not connected. Raises: NotSent."""
        if self._raw is None:
            try:
                self._raw = await Raw.connect(self.port)
            except OSError as error:
                raise NotSent from error

    def close(self) -> None:
        """Close the connection."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None


class Client:
    """A connection that sends one request at a time, and records each in a history.

    `answers` counts the answers: a status, a status with a problem's code, `lost` or `not-sent`.
    """

    def __init__(self, number: int, port: int, history: History, answers: Counter[str]) -> None:
        self._number = number
        self._connection = Connection(port)
        self._history = history
        self._answers = answers

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return self._connection.port

    def turn_to(self, port: int) -> None:
        """Use another server from now on."""
        if port != self.port:
            self._connection.close()
            self._connection = Connection(port)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def book(self, person: Person, event_id: UUID, quantity: int = 1, *, key: str | None = None) -> Answer | None:
        """Book. Return None if the request was not sent or its outcome is unknown, as the other methods do."""
        call = Call(name="book", event_id=event_id, customer_id=person.id, quantity=quantity, key=key)
        body = {"eventId": str(event_id), "quantity": quantity}
        return await self._ask(call, _booked, "POST", "/book", person.token, body, key)

    async def cancel(
        self, person: Person, event_id: UUID, booking_id: UUID, *, key: str | None = None
    ) -> Answer | None:
        """Cancel a booking."""
        call = Call(name="cancel", event_id=event_id, customer_id=person.id, booking_id=booking_id, key=key)
        return await self._ask(call, _cancelled, "POST", "/cancel", person.token, {"bookingId": str(booking_id)}, key)

    async def pay(
        self, person: Person, event_id: UUID, booking_id: UUID, token: str = "tok_ok", *, key: str | None = None
    ) -> Answer | None:
        """Pay by card."""
        call = Call(name="pay", event_id=event_id, customer_id=person.id, booking_id=booking_id, key=key)
        path, body = f"/bookings/{booking_id}/payment", {"method": "card", "token": token}
        return await self._ask(call, _booked, "POST", path, person.token, body, key)

    async def status(self, person: Person, event_id: UUID) -> Answer | None:
        """Read the event's tickets."""
        call = Call(name="status", event_id=event_id, customer_id=person.id)
        return await self._ask(call, _seen, "GET", f"/status/{event_id}", person.token)

    async def total(self, organizer: Person, event_id: UUID, total: int) -> Answer | None:
        """Set the event's total of tickets."""
        call = Call(name="total", event_id=event_id, quantity=total)
        body = {"totalTickets": total}
        return await self._ask(call, lambda _: Outcome(), "PATCH", f"/events/{event_id}", organizer.token, body)

    async def _ask(self, call: Call, outcome: Callable[[Any], Outcome], *request: Any) -> Answer | None:
        try:
            await self._connection.open()
        except NotSent:
            self._answers["not-sent"] += 1
            return None
        operation = self._history.invoke(self._number, call)
        try:
            answer = await self._connection.send(*request)
        except Lost:
            self._answers["lost"] += 1
            self._history.unknown(operation)
            return None
        except BaseException:
            self._history.unknown(operation)
            raise
        if 200 <= answer.status < 300:
            self._answers[str(answer.status)] += 1
            self._history.ok(operation, outcome(answer.body))
            return answer
        self._answers[f"{answer.status} {answer.code}"] += 1
        if answer.status >= 500:
            self._history.unknown(operation)
            return None
        self._history.fail(operation, answer.code)
        return answer


def _booked(body: Any) -> Outcome:
    return Outcome(status=body["status"], booking_id=UUID(body["id"]), position=body["position"])


def _cancelled(body: Any) -> Outcome:
    booking = body["booking"]
    return Outcome(status=booking["status"], booking_id=UUID(booking["id"]), promoted=body["promotedCount"])


def _seen(body: Any) -> Outcome:
    return Outcome(available=body["availableTickets"], waiting=body["waitingListCount"])


async def initialize(port: int, organizer: Person, total: int, **fields: Any) -> UUID:
    """Create an event on sale and return its id."""
    connection = Connection(port)
    try:
        body = {"name": "Jazz night", "totalTickets": total, **fields}
        answer = await connection.send("POST", "/initialize", organizer.token, body)
    finally:
        connection.close()
    assert answer.status == 201, answer
    return UUID(answer.body["id"])


async def until_more(changed: asyncio.Event, count: Callable[[], int], more: int) -> None:
    """Wait until `count` returns so much more than now. `changed` is set after each change."""
    goal = count() + more
    while count() < goal:
        changed.clear()
        await changed.wait()


Attempt = Callable[[Client, str | None], Awaitable[Answer | None]]
"""A request by a client with an idempotency key."""


class ClientGroup:
    """Customers of one event who book, read and cancel until they are stopped.

    Half of them send an idempotency key, and repeat an unanswered request with the same key. The others send none and
    repeat it until `already-booked` or `already-cancelled` reveals the outcome. So each knows its booking in the end:
    `holding`. `answers` counts the answers, `served` the completed requests by port.
    """

    def __init__(
        self, people: Sequence[Person], event_id: UUID, ports: Sequence[int], *, seed: int = 1, quantity: int = 3
    ) -> None:
        self.history = History()
        self.answers: Counter[str] = Counter()
        self.served: Counter[int] = Counter()
        self.holding: dict[UUID, UUID | None] = {person.id: None for person in people}
        self.event_id = event_id
        self.random = Random(seed)
        self._people = people
        self._ports = ports
        self._most = quantity
        self._has_to_stop = False
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the context ends, and then until each customer has an answer. Can be entered again."""
        self._has_to_stop = False
        async with asyncio.TaskGroup() as tasks:
            for number, person in enumerate(self._people):
                tasks.create_task(self._run(number, person))
            yield
            self._has_to_stop = True

    async def until_served(self, port: int, more: int) -> None:
        """Wait until the server on this port has completed so many more requests."""
        await until_more(self._changed, lambda: self.served[port], more)

    async def until_answered(self, what: str, more: int) -> None:
        """Wait for so many more answers of this kind."""
        await until_more(self._changed, lambda: self.answers[what], more)

    async def _run(self, number: int, person: Person) -> None:
        client = Client(number, self._ports[number % len(self._ports)], self.history, self.answers)
        try:
            while not self._has_to_stop:
                if self.random.random() < 0.05:
                    client.turn_to(self.random.choice(self._ports))
                await self._act(client, person, has_keys=number % 2 == 0)
        finally:
            client.close()

    async def _act(self, client: Client, person: Person, *, has_keys: bool) -> None:
        if self.random.random() < 0.1:
            await client.status(person, self.event_id)
            return
        attempt = self.choose(person)
        key = str(uuid7()) if has_keys else None
        while (answer := await attempt(client, key)) is None or answer.body.get("code") == "request-in-progress":
            self._changed.set()
            # A client waits before it repeats a request, as `Retry-After` demands.
            await asyncio.sleep(0.05 + 0.2 * self.random.random())
            client.turn_to(self.random.choice(self._ports))
        self.learn(person, answer, has_keys=has_keys)
        self.served[client.port] += 1
        self._changed.set()

    def choose(self, person: Person) -> Attempt:
        """Return the next request, to be repeated until it is answered."""
        booking_id = self.holding[person.id]
        quantity = self.random.randint(1, self._most)
        if booking_id is None:
            return lambda client, key: client.book(person, self.event_id, quantity, key=key)
        return lambda client, key: client.cancel(person, self.event_id, booking_id, key=key)

    def learn(self, person: Person, answer: Answer, *, has_keys: bool) -> None:
        """Update the person's booking after an answer. Raises: AssertionError if the answer is not possible."""
        match answer.status, answer.body:
            case 201, {"id": booking_id}:
                self.holding[person.id] = UUID(booking_id)
            case 200, {"booking": _}:
                self.holding[person.id] = None
            case 409, {"code": "already-booked", "bookingId": booking_id} if not has_keys:
                self.holding[person.id] = UUID(booking_id)
            case 409, {"code": "already-cancelled"} if not has_keys:
                self.holding[person.id] = None
            case _:
                raise AssertionError(f"impossible answer: {answer}")

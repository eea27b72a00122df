"""Customers who call the service over HTTP/1.1, many at once, and write down what they asked for and were told.

On asyncio's streams and not on an HTTP library: those take more of the machine than the service that is called. And
customers are put into the database with their sessions: signing in ten thousand takes minutes, on purpose.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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

ANSWER_WITHIN: Final = 30.0  # seconds; the service promises a 503 within five, a busy machine may take longer
LONG_ENOUGH: Final = timedelta(hours=24)


class Person(Struct, frozen=True):
    """Somebody with an account, signed in."""

    id: UUID
    token: str


async def enrol(database_url: str, number: int, *, secret: str = SECRET) -> list[Person]:
    """So many new accounts, signed in: their tokens are good from hours ago until hours later."""
    now = datetime.now(UTC) - LONG_ENOUGH / 2
    tokens = JwtTokens(secret, lifetime=int(LONG_ENOUGH.total_seconds()))
    made = [(uuid7(), uuid7()) for _ in range(number)]
    user_rows = [
        {
            "id": user_id,
            "name": "Ada",
            "email": f"{user_id}@example.org",
            "password_hash": "none",
            "role": Role.CUSTOMER,
            "created_at": now,
        }
        for user_id, _ in made
    ]
    session_rows = [
        {"id": session_id, "user_id": user_id, "created_at": now, "expires_at": now + LONG_ENOUGH, "ended_at": None}
        for user_id, session_id in made
    ]
    engine = create_async_engine(database_url)
    try:
        for first in range(0, number, 1_000):
            async with engine.begin() as connection:
                await connection.execute(insert(users), user_rows[first : first + 1_000])
                await connection.execute(insert(sessions), session_rows[first : first + 1_000])
    finally:
        await engine.dispose()
    claims = [Claims(user_id, session_id, Role.CUSTOMER) for user_id, session_id in made]
    return [Person(each.user_id, tokens.issue(each, now).text) for each in claims]


class NotSent(Exception):
    """Nobody listened: the request never left."""


class Lost(Exception):
    """The request left, and no answer came: what became of it is not known."""


class Answer(Struct, frozen=True):
    """What the service said."""

    status: int
    head: bytes
    body: Any

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(self.body["code"])

    @property
    def is_replayed(self) -> bool:
        """Whether it was given before, to the same idempotency key."""
        return b"\r\nidempotency-replayed: true" in self.head.lower()


class Connection:
    """One connection to one server; opened when it is needed, and again after it was lost."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, token: str, body: Any = None, key: str | None = None) -> Answer:
        """One request and its answer; the connection is opened where it is not yet. Raises: NotSent, Lost."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: boxoffice", *([f"Authorization: Bearer {token}"] if token else [])]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if key is not None:
            lines.append(f"Idempotency-Key: {key}")
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                reader, writer = await self.opened()
                try:
                    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
                    return await self._read(reader)
                except (OSError, EOFError) as error:
                    raise Lost from error
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise Lost from error
            raise

    async def opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection. Raises: NotSent."""
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                raise NotSent from error
        return self._streams

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        head = await reader.readuntil(b"\r\n\r\n")
        headers = head.lower()
        length = headers.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        content = await reader.readexactly(int(length)) if length else b""
        if b"\r\nconnection: close" in headers:
            self.close()
        return Answer(int(head[9:12]), head, json.loads(content) if content else None)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Client:
    """One connection of somebody who calls, one request at a time, and writes it all down.

    `told` counts how often the service said what: a status, a problem's code, `lost` or `not-sent`.
    """

    def __init__(self, number: int, port: int, history: History, told: Counter[str]) -> None:
        self._number = number
        self._connection = Connection(port)
        self._history = history
        self._told = told

    @property
    def port(self) -> int:
        """The server that is called."""
        return self._connection.port

    def turn_to(self, port: int) -> None:
        """Call another server from now on."""
        if port != self.port:
            self._connection.close()
            self._connection = Connection(port)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    async def book(self, person: Person, event_id: UUID, quantity: int = 1, *, key: str | None = None) -> Answer | None:
        """Book; None: nobody knows what became of it, or it never left."""
        call = Call(name="book", event_id=event_id, customer_id=person.id, quantity=quantity, key=key)
        body = {"eventId": str(event_id), "quantity": quantity}
        return await self._ask(call, ("POST", "/book", person.token, body, key), _booked)

    async def cancel(
        self, person: Person, event_id: UUID, booking_id: UUID, *, key: str | None = None
    ) -> Answer | None:
        """Cancel."""
        call = Call(name="cancel", event_id=event_id, customer_id=person.id, booking_id=booking_id, key=key)
        body = {"bookingId": str(booking_id)}
        return await self._ask(call, ("POST", "/cancel", person.token, body, key), _cancelled)

    async def pay(
        self, person: Person, event_id: UUID, booking_id: UUID, token: str = "tok_ok", *, key: str | None = None
    ) -> Answer | None:
        """Pay by card."""
        call = Call(name="pay", event_id=event_id, customer_id=person.id, booking_id=booking_id, key=key)
        body = {"method": "card", "token": token}
        return await self._ask(call, ("POST", f"/bookings/{booking_id}/payment", person.token, body, key), _booked)

    async def status(self, person: Person, event_id: UUID) -> Answer | None:
        """Look at the event's tickets."""
        call = Call(name="status", event_id=event_id, customer_id=person.id)
        return await self._ask(call, ("GET", f"/status/{event_id}", person.token), _seen)

    async def total(self, organizer: Person, event_id: UUID, total: int) -> Answer | None:
        """Set the event's number of tickets."""
        call = Call(name="total", event_id=event_id, quantity=total)
        return await self._ask(
            call, ("PATCH", f"/events/{event_id}", organizer.token, {"totalTickets": total}), lambda _: Outcome()
        )

    async def _ask(self, call: Call, request: tuple[Any, ...], outcome: Callable[[Any], Outcome]) -> Answer | None:
        try:
            await self._connection.opened()
        except NotSent:
            # Nobody was asked anything.
            self._told["not-sent"] += 1
            return None
        operation = self._history.invoke(self._number, call)
        try:
            answer = await self._connection.send(*request)
        except Lost:
            self._told["lost"] += 1
            self._history.unknown(operation)
            return None
        except BaseException:
            self._history.unknown(operation)
            raise
        if 200 <= answer.status < 300:
            self._told[str(answer.status)] += 1
            self._history.ok(operation, outcome(answer.body))
            return answer
        self._told[f"{answer.status} {answer.code}"] += 1
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
    """A new event on sale."""
    connection = Connection(port)
    try:
        body = {"name": "Jazz night", "totalTickets": total, **fields}
        answer = await connection.send("POST", "/initialize", organizer.token, body)
    finally:
        connection.close()
    assert answer.status == 201, answer
    return UUID(answer.body["id"])


Attempt = Callable[[Client, str | None], Awaitable[Answer | None]]
"""Something that somebody does with a client and an idempotency key."""


class Crowd:
    """Customers of one event who book, look and cancel, over and over, until they are told to stop.

    Half of them send a key with whatever they do and, when no answer comes, the same again until one does. The others
    send no key; when no answer comes, they book again and learn from `already-booked`, or cancel again. So each knows
    in the end whether it has a booking: `holding` says which.
    """

    def __init__(
        self, people: Sequence[Person], event_id: UUID, ports: Sequence[int], *, seed: int = 1, quantity: int = 3
    ) -> None:
        self.history = History()
        self.told: Counter[str] = Counter()
        self.served: Counter[int] = Counter()
        self.holding: dict[UUID, UUID | None] = {person.id: None for person in people}
        self._people = people
        self.event_id = event_id
        self._ports = ports
        self.random = Random(seed)
        self._most = quantity
        self._has_to_stop = False
        self._progress = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Everybody begins, or goes on after a stop."""
        self._has_to_stop = False
        self._tasks = [asyncio.create_task(self._live(number, person)) for number, person in enumerate(self._people)]

    async def stop(self) -> None:
        """Everybody ends what is under way; who got no answer asks until there is one."""
        self._has_to_stop = True
        await asyncio.gather(*self._tasks)

    async def until_served(self, port: int, more: int) -> None:
        """Until that server has acknowledged so many more bookings and cancellations."""
        await self._until(self.served, port, more)

    async def until_told(self, what: str, more: int) -> None:
        """Until customers were told this so many more times."""
        await self._until(self.told, what, more)

    async def _until(self, counter: Counter[Any], what: Any, more: int) -> None:
        goal = counter[what] + more
        async with self._progress:
            await self._progress.wait_for(lambda: counter[what] >= goal or self._has_ended)
        if self._has_ended:
            # Somebody ended early, with an error that is raised here.
            await asyncio.gather(*self._tasks)

    @property
    def _has_ended(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def _live(self, number: int, person: Person) -> None:
        client = Client(number, self._ports[number % len(self._ports)], self.history, self.told)
        try:
            while not self._has_to_stop:
                if self.random.random() < 0.05:
                    client.turn_to(self.random.choice(self._ports))
                await self._act(client, person, has_keys=number % 2 == 0)
        finally:
            client.close()
            async with self._progress:
                self._progress.notify_all()

    async def _act(self, client: Client, person: Person, *, has_keys: bool) -> None:
        if self.random.random() < 0.1:
            await client.status(person, self.event_id)
            return
        attempt = self.choose(person)
        key = str(uuid7()) if has_keys else None
        while True:
            answer = await attempt(client, key)
            if answer is not None and not (answer.status == 409 and answer.code == "request-in-progress"):
                break
            await self._catch_breath(client)
        self.learn(person, answer, has_keys=has_keys)
        async with self._progress:
            self.served[client.port] += 1
            self._progress.notify_all()

    def choose(self, person: Person) -> Attempt:
        """What somebody does next, to be tried until there is an answer."""
        booking_id = self.holding[person.id]
        quantity = self.random.randint(1, self._most)
        if booking_id is None:
            return lambda client, key: client.book(person, self.event_id, quantity, key=key)
        return lambda client, key: client.cancel(person, self.event_id, booking_id, key=key)

    async def _catch_breath(self, client: Client) -> None:
        """Whoever got no answer waits a moment, as `Retry-After` asks for, and tries any server."""
        async with self._progress:
            self._progress.notify_all()
        await asyncio.sleep(0.05 + 0.2 * self.random.random())
        client.turn_to(self.random.choice(self._ports))

    def learn(self, person: Person, answer: Answer, *, has_keys: bool) -> None:
        """What somebody knows about their booking after an answer. Raises: AssertionError where it cannot be."""
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
                raise AssertionError(f"nobody may be told this: {answer}")

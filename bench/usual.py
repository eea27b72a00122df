"""The baseline: the usual way to book with Litestar and SQLAlchemy, in one transaction per request.

It is what a careful team writes: lock the event's row, check the rule, insert the booking, update the counter, COMMIT.
It leaves out what Boxoffice does besides: facts, places on the waiting list, the request log, the account lookup (the
token's signature is trusted for its 15 minutes), idempotency keys and ETags. Statements are built once, rows are plain
tuples, and the pool is as large as helps and sends no statements of its own.
"""

import os
from functools import cache
from typing import Any
from uuid import UUID

import jwt
import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from uuid_utils.compat import uuid7

SCHEMA = (
    """CREATE TABLE usual_events (id BINARY(16) PRIMARY KEY, name VARCHAR(200) NOT NULL, total INT NOT NULL,
        taken INT NOT NULL, waiting INT NOT NULL, CHECK (taken <= total)) ENGINE=InnoDB""",
    """CREATE TABLE usual_bookings (id BINARY(16) PRIMARY KEY, event_id BINARY(16) NOT NULL,
        customer_id BINARY(16) NOT NULL, quantity INT NOT NULL, status VARCHAR(16) NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), UNIQUE (event_id, customer_id),
        KEY (customer_id), FOREIGN KEY (event_id) REFERENCES usual_events (id)) ENGINE=InnoDB""",
)

_LOCK = text("SELECT total, taken, waiting FROM usual_events WHERE id = :id FOR UPDATE")
_BOOK = text(
    """INSERT INTO usual_bookings (id, event_id, customer_id, quantity, status)
    VALUES (:id, :event, :customer, :n, :status)"""
)
_TAKE = text("UPDATE usual_events SET taken = taken + :n WHERE id = :id")
_WAIT = text("UPDATE usual_events SET waiting = waiting + :n WHERE id = :id")
_READ = text("SELECT name, total, taken, waiting FROM usual_events WHERE id = :id")
_ATTEMPTS = 5


class Ask(Struct, rename="camel"):
    """The request body of a booking."""

    event_id: UUID
    quantity: int = 1


class Booked(Struct, rename="camel"):
    """The response to a booking."""

    id: UUID
    event_id: UUID
    customer_id: UUID
    quantity: int
    status: str


class Status(Struct, rename="camel"):
    """The response to a status request."""

    event_id: UUID
    name: str
    total_tickets: int
    available_tickets: int
    waiting_list_count: int


def _customer(request: Request[Any, Any, Any]) -> UUID:
    header = request.headers.get("authorization", "")
    try:
        claims = jwt.decode(
            header.removeprefix("Bearer "),
            os.environ["BOXOFFICE_JWT_SECRET"],
            algorithms=["HS256"],
            audience="boxoffice",
            issuer="boxoffice",
        )
    except jwt.PyJWTError as error:
        raise NotAuthorizedException from error
    return UUID(claims["sub"])


@cache
def _engine(isolation_level: IsolationLevel = "REPEATABLE READ") -> AsyncEngine:
    # Without a reset by the pool: SQLAlchemy rolls an open transaction back when its connection is closed.
    return create_async_engine(
        os.environ["BOXOFFICE_DATABASE_URL"],
        pool_size=32,
        max_overflow=32,
        pool_reset_on_return=None,
        isolation_level=isolation_level,
    )


async def _transaction(connection: AsyncConnection, asked: Ask, customer_id: UUID) -> Booked:
    event = asked.event_id.bytes
    found = (await connection.execute(_LOCK, {"id": event})).one_or_none()
    if found is None:
        raise NotFoundException
    total, taken, _ = found
    is_free = taken + asked.quantity <= total
    booked = Booked(uuid7(), asked.event_id, customer_id, asked.quantity, "confirmed" if is_free else "waitlisted")
    row = {
        "id": booked.id.bytes,
        "event": event,
        "customer": customer_id.bytes,
        "n": asked.quantity,
        "status": booked.status,
    }
    await connection.execute(_BOOK, row)
    await connection.execute(_TAKE if is_free else _WAIT, {"id": event, "n": asked.quantity if is_free else 1})
    await connection.commit()
    return booked


@post("/book", status_code=201)
async def book(data: JSONBody[Ask], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Book, or join the waiting list."""
    customer_id = _customer(request)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with _engine().connect() as connection:
                booked = await _transaction(connection, data, customer_id)
        except IntegrityError:
            return Response(b'{"code":"already-booked"}', status_code=409, media_type="application/json")
        except OperationalError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return Response(msgspec.json.encode(booked), media_type="application/json")
    raise AssertionError("unreachable")


@get("/status/{event_id:uuid}")
async def status(event_id: FromPath[UUID]) -> Response[bytes]:
    """Return how many tickets are left, with one query per request and no transaction."""
    async with _engine("AUTOCOMMIT").connect() as connection:
        found = (await connection.execute(_READ, {"id": event_id.bytes})).one_or_none()
    if found is None:
        raise NotFoundException
    name, total, taken, waiting = found
    return Response(
        msgspec.json.encode(Status(event_id, name, total, total - taken, waiting)), media_type="application/json"
    )


@get("/health/ready")
async def ready() -> str:
    """Return a constant: the server is ready when it answers."""
    return "ready"


app = Litestar([book, status, ready], openapi_config=None, logging_config=None)

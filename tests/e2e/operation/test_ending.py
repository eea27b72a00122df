"""SIGTERM under load: every request on an open connection is answered, and every acknowledged booking is stored."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select as wait_for
from uuid import UUID

import pytest
from msgspec import Struct, field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.sql.schema.tables import bookings
from tests.e2e.wire.raw import Answer, Raw, request
from tests.faults.clients import Person, enrol, initialize
from tests.faults.service import SERVE, Server, boxoffice

CLIENTS = 12
PEOPLE = 10_000
"""More customers than book during a test."""


@contextmanager
def serving(database_url: str, directory: Path, workers: int) -> Iterator[Server]:
    server = Server(database_url, directory, command=(*SERVE, "--workers", str(workers)))
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Seen(Struct):
    """The requests of the clients and their responses."""

    asked: int = 0
    booked: set[UUID] = field(default_factory=set)
    """Bookings that were acknowledged."""
    unanswered: list[str] = field(default_factory=list)
    """The customers without a response, although none had announced the end of their connection."""
    closed: int = 0
    """Connections whose end was announced by `Connection: close`."""
    not_ready: int = 0

    def add(self, answer: Answer) -> None:
        answer.check()
        if answer.status == 201:
            self.booked.add(UUID(json.loads(answer.body)["id"]))
        else:
            assert answer.status == 503, answer
        self.closed += answer.headers.get("connection") == "close"


def booking(event: str, person: Person, *lines: str) -> bytes:
    body = json.dumps({"eventId": event}).encode()
    return request("POST /book HTTP/1.1", *lines, body=body, token=person.token)


async def book_until_the_end(port: int, event: str, people: Iterator[Person], seen: Seen, at_once: int) -> None:
    """Book on one connection, `at_once` requests at a time, until a response has `Connection: close`."""
    async with await Raw.connect(port) as raw:
        while True:
            persons = [next(people) for _ in range(at_once)]
            try:
                await raw.send(b"".join(booking(event, person) for person in persons))
                seen.asked += at_once
                for person in persons:
                    answer = await raw.answer()
                    if answer is None:
                        seen.unanswered.append(str(person.id))
                        return
                    seen.add(answer)
                    if answer.headers.get("connection") == "close":
                        return
            except ConnectionError:
                seen.unanswered.extend(str(person.id) for person in persons)
                return


async def watch_readiness(port: int, seen: Seen, is_loaded: asyncio.Event) -> None:
    async with await Raw.connect(port) as raw:
        while True:
            answer = await raw.ask(request("GET /health/ready HTTP/1.1"))
            if seen.asked > 20 * CLIENTS:
                is_loaded.set()
            seen.not_ready += answer.status == 503
            if answer.headers.get("connection") == "close":
                return


async def book_on_new_connections(port: int, event: str, people: Iterator[Person], seen: Seen) -> None:
    """Book with a connection per request until the port is closed."""
    while True:
        try:
            async with await Raw.connect(port) as raw:
                await raw.send(booking(event, next(people), "Connection: close"))
                seen.asked += 1
                answer = await raw.answer()
        except ConnectionRefusedError:
            return
        except ConnectionError:
            answer = None  # The system had accepted the connection, but the service had not.
        if answer is not None:
            seen.add(answer)


async def bookings_of(database_url: str) -> set[UUID]:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return set((await connection.execute(select(bookings.c.id))).scalars())
    finally:
        await engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "workers", "at_once"),
    [("sqlite", 1, 1), ("sqlite", 2, 5), pytest.param("mysql", 2, 5, marks=pytest.mark.mysql)],
)
async def test_every_request_on_an_open_connection_is_answered_and_every_answer_is_true(
    kind: str, workers: int, at_once: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """With `at_once` 5, requests are pipelined, also behind the last response, and others use new connections."""
    database_url: str = request.getfixturevalue(f"migrated_{kind}_url")
    organizer, *customers = await enrol(database_url, PEOPLE)
    people, seen, is_loaded = iter(customers), Seen(), asyncio.Event()
    with serving(database_url, tmp_path, workers) as server:
        event = str(await initialize(server.port, organizer, 100_000))
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(watch_readiness(server.port, seen, is_loaded))
            for _ in range(CLIENTS):
                group.create_task(book_until_the_end(server.port, event, people, seen, at_once))
            for _ in range(CLIENTS if at_once > 1 else 0):
                group.create_task(book_on_new_connections(server.port, event, people, seen))
            await is_loaded.wait()
            assert await asyncio.to_thread(server.terminate) == 0
        assert seen.unanswered == [], "the last response must have `Connection: close`"
        assert at_once > 1 or seen.closed == CLIENTS
        assert seen.not_ready >= 1, "the readiness check must fail during the shutdown"
        assert not server.complaints()
    assert seen.booked == await bookings_of(database_url)
    assert boxoffice(database_url, tmp_path, "verify").returncode == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_half_a_request_is_waited_for_and_new_clients_are_refused(
    migrated_sqlite_url: str, tmp_path: Path, workers: int
) -> None:
    """The supervisor of several processes must not keep the port open."""
    with serving(migrated_sqlite_url, tmp_path, workers) as server:
        live = request()
        async with asyncio.timeout(120), await Raw.connect(server.port) as half:
            await half.send(live[:20])
            ending = asyncio.create_task(asyncio.to_thread(server.terminate))
            while await is_let_in(server.port):
                pass
            assert not ending.done()
            assert (await half.ask(live[20:])).headers["connection"] == "close"
            assert await half.answer() is None
            assert await ending == 0


async def is_let_in(port: int) -> bool:
    try:
        async with await Raw.connect(port):
            return True
    except ConnectionError:
        return False


@pytest.mark.slow
def test_clients_that_never_end_delay_the_end_for_a_while_only(migrated_sqlite_url: str, tmp_path: Path) -> None:
    with serving(migrated_sqlite_url, tmp_path, 1) as server, ExitStack() as stack:
        silent, used, half_a_head, unread = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)) for _ in range(4)
        )
        used.sendall(request())
        assert used.recv(65_536).startswith(b"HTTP/1.1 200 ")
        half_a_head.sendall(request()[:-2])
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        unread.sendall(request("GET /openapi.json HTTP/1.1") * 60)
        assert server.is_ready()
        assert server.terminate() == 0
        for each in (silent, used):
            assert each.recv(1) == b"", "must be closed without a reset"


@pytest.mark.parametrize(
    ("signals", "workers"),
    [
        ([signal.SIGTERM] * 4, 1),
        ([signal.SIGTERM, *[signal.SIGINT] * 3], 1),
        ([signal.SIGINT, signal.SIGTERM] * 500, 2),  # A second signal may interrupt the handler of the first.
        ([signal.SIGHUP], 1),  # a closed terminal
        (["group"], 2),  # Ctrl-C in a terminal, which the workers get, too
    ],
    ids=["TERM again", "INT again", "a burst", "HUP", "INT to the group"],
)
def test_signals_end_it_in_order(
    migrated_sqlite_url: str, tmp_path: Path, signals: list[signal.Signals | str], workers: int
) -> None:
    with serving(migrated_sqlite_url, tmp_path, workers) as server:
        pid = server.pid
        for number in signals:
            if isinstance(number, signal.Signals):
                os.kill(pid, number)
            else:
                os.killpg(pid, signal.SIGINT)
        assert (server.wait() if len(signals) == 1 else server.terminate()) == 0
        assert not server.complaints()


def test_workers_end_with_a_supervisor_that_is_killed(migrated_sqlite_url: str, tmp_path: Path) -> None:
    with serving(migrated_sqlite_url, tmp_path, 2) as server, ExitStack() as stack:
        ends = [os.pidfd_open(worker) for worker in server.workers()]
        for end in ends:
            stack.callback(os.close, end)
        assert len(ends) == 2
        os.kill(server.pid, signal.SIGKILL)
        for end in ends:
            assert wait_for([end], [], [], 60)[0]
        assert server.wait() == -signal.SIGKILL
        server.start()  # The port is free.
        assert server.terminate() == 0


def test_a_worker_that_dies_is_replaced(migrated_sqlite_url: str, tmp_path: Path) -> None:
    with serving(migrated_sqlite_url, tmp_path, 1) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        while server.workers() in ([], [worker]):
            assert server.is_running
        server.wait_until_ready()
        assert server.terminate() == 0

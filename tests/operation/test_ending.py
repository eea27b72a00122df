"""SIGTERM under load: every request on an open connection is answered, and every acknowledged booking is stored."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from select import select as wait_for
from uuid import UUID

import pytest
from msgspec import Struct, field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.sql.schema.tables import bookings
from tests.databases import emptied
from tests.faults.clients import Person, enrol
from tests.faults.service import SERVE, Server, boxoffice
from tests.wire.people import sign_up
from tests.wire.raw import Answer, Raw, request

CLIENTS = 12
PEOPLE = 10_000
"""More than book until the end."""


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return emptied(request.getfixturevalue("migrated_mysql_url"))


@contextmanager
def serving(database_url: str, directory: Path, workers: int, *, command: Sequence[str] = SERVE) -> Iterator[Server]:
    server = Server(database_url, directory, command=(*command, "--workers", str(workers)))
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
    """The people whose request got no response although their connection was not announced to close."""
    said_last: int = 0
    not_ready: int = 0

    def note(self, answer: Answer) -> None:
        answer.check()
        if answer.status == 201:
            self.booked.add(UUID(json.loads(answer.body)["id"]))
        else:
            assert answer.status == 503, answer
        self.said_last += answer.headers.get("connection") == "close"


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
                    seen.note(answer)
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
            seen.note(answer)


def new_event(server: Server) -> str:
    event_id: str = sign_up(server.url).organizer.initialize(totalTickets=100_000)["id"]
    return event_id


async def bookings_of(database_url: str) -> set[UUID]:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return set((await connection.execute(select(bookings.c.id))).scalars())
    finally:
        await engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_every_request_on_an_open_connection_is_answered_and_every_answer_is_true(
    database_url: str, tmp_path: Path, workers: int
) -> None:
    people = iter(await enrol(database_url, PEOPLE))
    with serving(database_url, tmp_path, workers) as server:
        event = new_event(server)
        seen, is_loaded = Seen(), asyncio.Event()
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(watch_readiness(server.port, seen, is_loaded))
            for _ in range(CLIENTS):
                group.create_task(book_until_the_end(server.port, event, people, seen, 1))
            await is_loaded.wait()
            assert await asyncio.to_thread(server.terminate) == 0
        assert seen.unanswered == []
        assert seen.said_last == CLIENTS, "each connection must get `Connection: close`"
        assert seen.not_ready >= 1, "the readiness check must fail during the shutdown"
        assert not server.complaints()
    assert seen.booked == await bookings_of(database_url)
    assert boxoffice(database_url, tmp_path, "verify").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_not_answered_was_not_done(sqlite_url: str, tmp_path: Path, workers: int) -> None:
    """Pipelined requests behind the last response, and requests on connections that are no longer accepted."""
    people = iter(await enrol(sqlite_url, PEOPLE))
    with serving(sqlite_url, tmp_path, workers) as server:
        event = new_event(server)
        seen, is_loaded = Seen(), asyncio.Event()
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(watch_readiness(server.port, seen, is_loaded))
            for _ in range(CLIENTS // 2):
                group.create_task(book_until_the_end(server.port, event, people, seen, 5))
                group.create_task(book_on_new_connections(server.port, event, people, seen))
            await is_loaded.wait()
            assert await asyncio.to_thread(server.terminate) == 0
        assert seen.unanswered == [], "the last response must have `Connection: close`"
        assert not server.complaints()
    assert seen.booked == await bookings_of(sqlite_url)


@pytest.mark.parametrize("workers", [1, 2])
async def test_half_a_request_is_waited_for_and_new_clients_are_refused(
    sqlite_url: str, tmp_path: Path, workers: int
) -> None:
    """With one process and with several, whose supervisor must not keep the port open."""
    with serving(sqlite_url, tmp_path, workers) as server:
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


def test_clients_that_say_nothing_hold_up_nothing(sqlite_url: str, tmp_path: Path) -> None:
    with (
        serving(sqlite_url, tmp_path, 1) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as silent,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as used,
    ):
        used.sendall(request())
        assert used.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert server.terminate() == 0
        for each in (silent, used):
            assert each.recv(1) == b"", "must be closed without a reset"


@pytest.mark.slow
def test_clients_that_never_end_hold_it_up_for_a_while_only(sqlite_url: str, tmp_path: Path) -> None:
    with (
        serving(sqlite_url, tmp_path, 1) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as half_a_head,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as unread,
    ):
        half_a_head.sendall(request()[:-2])
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        unread.sendall(request("GET /openapi.json HTTP/1.1") * 60)
        assert server.is_ready()
        assert server.terminate() == 0


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_changes_nothing(sqlite_url: str, tmp_path: Path, again: signal.Signals) -> None:
    with serving(sqlite_url, tmp_path, 2) as server:
        for number in (signal.SIGTERM, again, again, again):
            os.kill(server.pid, number)
        assert server.terminate() == 0
        assert not server.complaints()


def test_a_closed_terminal_ends_it(sqlite_url: str, tmp_path: Path) -> None:
    with serving(sqlite_url, tmp_path, 1) as server:
        os.kill(server.pid, signal.SIGHUP)
        assert server.wait() == 0


def test_a_signal_to_its_process_group_ends_it_in_order(sqlite_url: str, tmp_path: Path) -> None:
    """Ctrl-C in a terminal sends such a signal."""
    with serving(sqlite_url, tmp_path, 2) as server:
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait() == 0
        assert not server.complaints()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_end_with_a_supervisor_that_is_killed(sqlite_url: str, tmp_path: Path, workers: int) -> None:
    with serving(sqlite_url, tmp_path, workers) as server:
        ends = [os.pidfd_open(worker) for worker in server.workers()]
        assert len(ends) == workers
        os.kill(server.pid, signal.SIGKILL)
        try:
            for end in ends:
                assert wait_for([end], [], [], 60)[0]
        finally:
            for end in ends:
                os.close(end)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=60)
        assert server.wait() == -signal.SIGKILL


def test_a_worker_that_dies_is_replaced(sqlite_url: str, tmp_path: Path) -> None:
    with serving(sqlite_url, tmp_path, 1) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        while server.workers() in ([], [worker]):
            assert server.is_running
        server.wait_until_ready()
        assert server.terminate() == 0

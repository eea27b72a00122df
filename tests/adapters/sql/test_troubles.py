"""What a database's failures become, provoked on a real server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from uuid import UUID

import asyncmy
import pytest
from msgspec.structs import replace
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.migrate import upgrade
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Conflict, Locked, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.decisions.book import book
from boxoffice.domain.inventory import Decision
from tests import mariadb
from tests.adapters.sql.recorded import by_hand, send_through
from tests.contract.storage_driver import NOW, ORGANIZER, StorageDriver, booking_command, new_id, new_user, take


async def kill_connections(url: str) -> None:
    """End every connection to this database."""
    own = "SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()"
    for row in mariadb.execute(url, own.format(make_url(url).database)):
        mariadb.execute(url, f"KILL {row[0]}")


async def test_writers_read_what_was_committed_before_each_statement(mysql_storage: SqlStorage) -> None:
    """READ COMMITTED."""
    driver = StorageDriver(mysql_storage)
    async with mysql_storage.begin() as unit_of_work:
        for expected in (0, 1):
            assert await unit_of_work.events.live_events([ORGANIZER.user_id]) == {ORGANIZER.user_id: expected}
            await driver.initialize(1)


async def test_different_events_do_not_wait_for_each_other(mysql_storage: SqlStorage) -> None:
    driver = StorageDriver(mysql_storage)
    # In a small table a scan is cheaper than looking up; it must not be taken all the same.
    states = [await driver.initialize(3) for _ in range(3)]
    async with mysql_storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=states[1].event.id)])
        async with mysql_storage.begin() as other:
            await other.events.lock([LoadSpec(event_id=states[0].event.id), LoadSpec(event_id=states[2].event.id)])
        await driver.book(states[0])


async def test_a_connection_to_a_server_that_refused_is_not_used_again(mysql_storage: SqlStorage) -> None:
    """A new one may lead to another server: through a router, to the next primary."""
    used: list[object] = []
    refusal = Statement("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'")

    async def refuse(
        pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send
    ) -> list[Result]:
        (own,) = await send(connection, [Statement("SELECT CONNECTION_ID()")])
        used.append(own.rows[0][0])
        return await send(connection, statements if len(used) > 1 else [refusal])

    send_through(mysql_storage, refuse)
    for expected in (pytest.raises(Unavailable), nullcontext()):
        with expected:
            async with mysql_storage.begin() as unit_of_work:
                await unit_of_work.events.lock([LoadSpec(event_id=new_id())])
    assert len(set(used)) == len(used) == 2


async def test_a_deadlock_is_to_be_retried(mysql_storage: SqlStorage) -> None:
    driver = StorageDriver(mysql_storage)
    ids = [(await driver.initialize(3)).event.id for _ in range(2)]
    both_locked = asyncio.Barrier(2)

    async def lock(first: UUID, second: UUID) -> None:
        async with mysql_storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=first)])
            await both_locked.wait()
            await unit_of_work.events.lock([LoadSpec(event_id=second)])

    results = await asyncio.gather(lock(*ids), lock(*reversed(ids)), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Retryable]


async def test_waiting_too_long_for_a_lock_is_unavailable_and_rolled_back(mysql_storage: SqlStorage) -> None:
    driver = StorageDriver(mysql_storage)
    state, free = [await driver.initialize(3) for _ in range(2)]
    user = new_user()

    async def wait_too_long() -> None:
        async with mysql_storage.begin() as other:
            await other.users.add(user)
            await other.users.lock(user.id)
            await other.events.lock([LoadSpec(event_id=each) for each in (free.event.id, state.event.id, new_id())])

    async with mysql_storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        with pytest.raises(Locked) as caught:
            await wait_too_long()
    assert caught.value.event_ids == {state.event.id}
    # The account of the transaction that gave up is free again.
    async with mysql_storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        await unit_of_work.commit()


async def test_sqlite_waits_for_the_other_writer_and_then_gives_up(sqlite_storage: SqlStorage) -> None:
    async with sqlite_storage.begin():
        with pytest.raises(Unavailable):
            async with sqlite_storage.begin():
                pass
    async with sqlite_storage.begin() as unit_of_work:
        await unit_of_work.users.add(new_user())
        await unit_of_work.commit()


async def test_a_connection_lost_before_commit_is_to_be_retried(
    mysql_storage: SqlStorage, migrated_mysql_url: str
) -> None:
    driver = StorageDriver(mysql_storage)
    state = await driver.initialize(3)

    async def lose() -> None:
        async with mysql_storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
            await kill_connections(migrated_mysql_url)
            await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])

    with pytest.raises(Retryable):
        await lose()
    assert (await driver.book(state)).status == "confirmed"


async def test_reads_replace_connections_that_died_in_the_pool(
    mysql_storage: SqlStorage, migrated_mysql_url: str
) -> None:
    driver = StorageDriver(mysql_storage)
    state = await driver.initialize(3)
    await asyncio.gather(*(driver.read(state) for _ in range(5)))
    await kill_connections(migrated_mysql_url)
    assert await driver.read(state) == state


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A proxy that hangs up, once it is asked to, as soon as a COMMIT passes by, having passed it on."""
    target = make_url(url)
    hangs_up = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: asyncio.StreamWriter | None) -> None:
        try:
            while data := await source.read(65536):
                if back is not None and hangs_up.is_set() and b"COMMIT" in data:
                    back.transport.abort()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(target.host, target.port)
        tasks.add(asyncio.create_task(pump(reader, server_writer, writer)))
        tasks.add(asyncio.create_task(pump(server_reader, writer, None)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), hangs_up
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_connection_lost_during_commit_leaves_the_outcome_unknown(
    mysql_storage: SqlStorage, migrated_mysql_url: str
) -> None:
    state = await StorageDriver(mysql_storage).initialize(3)
    batch_id = new_id()
    async with proxied(migrated_mysql_url) as (url, hangs_up):
        storage = SqlStorage.from_url(url)
        command = booking_command(state)

        async def lose() -> None:
            async with storage.begin() as unit_of_work:
                needs = LoadSpec(event_id=state.event.id)
                await take(unit_of_work, needs, lambda inventory: book(inventory, command, NOW), batch_id=batch_id)
                hangs_up.set()
                await unit_of_work.commit()

        with pytest.raises(OutcomeUnknown):
            await lose()
        hangs_up.clear()
        async with storage.begin() as unit_of_work:
            happened = await unit_of_work.events.was_committed({state.event.id: state.event.last_seq + 1}, batch_id)
        await storage.close()
    assert happened is (await mysql_storage.booking_queries.booking(command.booking_id) is not None)


async def hung_up(*_: object, **__: object) -> None:
    raise RuntimeError("Transport does not expose socket instance")


@pytest.mark.parametrize("hangs_up", [False, True], ids=["not there", "hangs up as it answers"])
async def test_a_server_that_cannot_be_reached_is_unavailable(
    unused_port: int, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    """Once in some hundred times, on uvloop, the driver finds a connection without a socket."""
    if hangs_up:
        monkeypatch.setattr(asyncmy, "connect", hung_up)
    storage = SqlStorage.from_url(f"mysql+asyncmy://unknown@127.0.0.1:{unused_port}/x")
    with pytest.raises(Unavailable):
        await storage.check_ready()
    with pytest.raises(Unavailable):
        await storage.event_queries.events_by_id([new_id()])
    with pytest.raises(Unavailable):
        async with storage.begin():
            pass
    await storage.close()


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_read_only_server_is_not_ready(own_server: mariadb.MariaDB, own_mysql_url: str) -> None:
    await upgrade(own_mysql_url)
    storage = SqlStorage.from_url(own_mysql_url)
    await storage.check_ready()
    mariadb.execute(own_server.admin_url, "SET GLOBAL read_only = 1")
    with pytest.raises(Unavailable, match="read-only"):
        await storage.check_ready()
    await storage.close()


@pytest.mark.slow
async def test_a_server_that_hangs_is_unavailable_and_comes_back(
    own_server: mariadb.MariaDB, own_mysql_url: str
) -> None:
    await upgrade(own_mysql_url)
    storage = SqlStorage.from_url(own_mysql_url)
    driver = StorageDriver(storage)
    state = await driver.initialize(3)
    assert await driver.read(state) == state
    own_server.pause()
    try:
        results = await asyncio.gather(
            driver.read(state), driver.book(state), storage.check_ready(), return_exceptions=True
        )
    finally:
        own_server.resume()
    assert [type(result) for result in results] == [Unavailable] * 3
    assert await driver.read(state) == state
    assert (await driver.book(state)).status == "confirmed"
    await storage.close()


async def test_an_exhausted_pool_is_unavailable(mysql_storage: SqlStorage) -> None:
    async def hold(most: int) -> None:
        async with mysql_storage.begin():
            if most:
                await hold(most - 1)

    with pytest.raises(Unavailable):
        await hold(20)
    await hold(0)


@pytest.mark.parametrize("broken", [{"ask_at": None}, {"settled_at": NOW}, {"attempts": -1}])
async def test_a_payment_that_would_never_be_asked_about_is_a_conflict(
    any_storage: SqlStorage, broken: dict[str, object]
) -> None:
    driver = StorageDriver(any_storage)
    booking = await driver.book(await driver.initialize_priced(3))
    await driver.start_payment(booking)
    begun = await driver.storage.payment_queries.payments(booking.id)
    changed = tuple(replace(each, **broken) for each in begun)
    with pytest.raises(Conflict):
        await driver.decide(
            LoadSpec(event_id=booking.event_id),
            lambda inventory: Decision(inventory=inventory, outcome=None, changed_payments=changed),
        )
    assert await driver.storage.payment_queries.payments(booking.id) == begun


async def test_a_change_of_a_row_that_is_not_there_is_a_conflict(any_storage: SqlStorage) -> None:
    with pytest.raises(Conflict):
        await StorageDriver(any_storage).do(lambda unit: unit.users.save(new_user()))


async def test_strays_are_reported(any_storage: SqlStorage, migrated_url: str) -> None:
    driver = StorageDriver(any_storage)
    await driver.book_many(await driver.initialize(1), [1, 1])
    await driver.start_payment(await driver.book(await driver.initialize_priced(3)))
    other = (await driver.initialize(1)).event.id
    await by_hand(
        migrated_url,
        "DELETE FROM waiting_list",
        "UPDATE facts SET booking_id = event_id WHERE kind = 'CustomerWaitlisted'",
        f"UPDATE payments SET event_id = x'{other.hex}'",
    )
    async with any_storage.snapshot() as snapshot:
        assert await snapshot.strays() == {
            "waiting bookings without a place on the waiting list": 1,
            "facts of no booking of their event": 1,
            "blocks of waiting lists with wrong counts": 2,
            "payments of no booking of their event": 1,
        }

"""Three nodes of a Galera cluster that take writes, are stopped, killed, paused and isolated: the promises hold."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final

import pytest
from msgspec import structs
from uuid_utils.compat import uuid7

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Retryable, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.event import EventState
from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.harness.history import History
from tests import mariadb
from tests.faults.galera.cluster import Cluster, Node
from tests.faults.load_clients import LoadClients, Recorder, applications, check, new_booking, new_event
from tests.faults.proxy import Cut, proxied

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CUT_WITHIN: Final = 60.0
"""Seconds until a COMMIT reaches the proxy."""


async def check_everywhere(cluster: Cluster, history: History) -> None:
    """Check that all nodes have the same rows, which keep the promises and have all acknowledged outcomes."""
    first, *others = [cluster.content(node) for node in cluster.nodes]
    assert others == [first] * len(others)
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        for container in containers:
            await check(container, history)


async def read(container: Container, state: EventState) -> EventState:
    return (await container.storage().event_queries.events_by_id([state.event.id]))[state.event.id]


async def test_what_one_node_acknowledged_is_there_on_every_other(
    cluster: Cluster, times: Callable[[int, int], int]
) -> None:
    """Also while the other nodes have a long queue of write sets to apply."""
    first = cluster.nodes[0]
    rows = "INSERT INTO ballast SELECT seq, REPEAT('x', 100) FROM seq_1_to_20000"
    mariadb.execute(first.url, "CREATE TABLE ballast (id INT PRIMARY KEY, filler VARCHAR(200)) ENGINE=InnoDB")
    try:
        async with applications(*(node.url for node in cluster.nodes)) as (writer, *readers):
            for _ in range(times(1, 30)):
                state = await new_event(writer, 5)
                for taken, reader in enumerate(readers, 1):
                    await asyncio.to_thread(mariadb.execute, first.url, "DELETE FROM ballast", rows)
                    command = new_booking(state)
                    await writer.book_ticket()(command)
                    assert (await read(reader, state)).ticket_types[0].taken == taken
                    found = await reader.read_booking()(command.booking_id, command.actor)
                    assert found.status is BookingStatus.CONFIRMED
    finally:
        mariadb.execute(first.url, "DROP TABLE ballast")


async def test_every_table_has_a_primary_key(cluster: Cluster) -> None:
    """Rows without one are neither certified nor found again on another node."""
    without = """
        SELECT table_name FROM information_schema.tables JOIN (
            SELECT table_schema, table_name, SUM(column_key = 'PRI') AS parts
            FROM information_schema.columns GROUP BY table_schema, table_name
        ) AS keyed USING (table_schema, table_name)
        WHERE table_schema = DATABASE() AND (parts = 0 OR engine <> 'InnoDB')
    """
    assert cluster.nodes[0].rows(without) == []


async def test_of_two_nodes_that_write_one_event_one_must_repeat(cluster: Cluster) -> None:
    """Locks are local to a node: the second of two transactions is rolled back, at COMMIT at the latest."""
    async with applications(*(node.url for node in cluster.nodes[:2])) as (container, other):
        state = await new_event(container, 10)
        both_wrote = asyncio.Barrier(2)

        async def write(container: Container) -> None:
            async with container.storage().begin() as unit_of_work:
                inventories = await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
                decision = book(inventories[state.event.id], new_booking(state), datetime.now(UTC))
                await unit_of_work.events.save([decision], uuid7())
                await both_wrote.wait()
                await unit_of_work.commit()

        for _ in range(5):
            results = await asyncio.gather(write(container), write(other), return_exceptions=True)
            assert [type(each) for each in results if each is not None] == [Retryable]
        assert (await read(other, state)).ticket_types[0].taken == 5


async def test_all_nodes_write_the_same_events(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    """Clients book and cancel on all nodes until many transactions have conflicted."""
    before = cluster.conflicts()
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        clients = LoadClients(containers, [await new_event(containers[0], total) for total in (100, 10, 10)], Random(1))
        async with clients.running(30):
            await clients.until_acknowledged(280)
            while cluster.conflicts() < before + times(5, 100):
                await clients.until_acknowledged(100)
        await clients.check(containers[0])
    await check_everywhere(cluster, clients.history)
    print(clients.figures())  # noqa: T201


async def test_one_key_on_three_nodes_at_once_has_one_effect(cluster: Cluster) -> None:
    """Although each node gets it for another event than the node before."""
    customers = 15
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        states = [await new_event(containers[0], 20) for _ in range(2)]
        commands = [[new_booking(state) for state in states] for _ in range(customers)]
        answers: dict[int, set[bytes]] = {}
        ends: Counter[str] = Counter()

        async def attempt(number: int, node: int) -> None:
            command = commands[number][(number + node) % 2]
            command = structs.replace(command, actor=commands[number][0].actor, booking_id=uuid7())
            key = Key(command.actor.user_id, "book")
            response = Response(command.booking_id.bytes, command.booking_id)
            request = IdempotentRequest[Booking](key=key, fingerprint=b"same", render=lambda _: response)
            try:
                await containers[node].book_ticket()(command, request)
                ends["booked"] += 1
            except Replayed as replayed:
                response = replayed.response
                ends["replayed"] += 1
            answers.setdefault(number, set()).add(response.payload)

        await asyncio.gather(*(attempt(number, node) for number in range(customers) for node in range(3)))
        assert ends == {"booked": customers, "replayed": 2 * customers}
        assert [len(each) for each in answers.values()] == [1] * customers
        assert sum([(await read(containers[1], state)).ticket_types[0].taken for state in states]) == customers
    await check_everywhere(cluster, History())


@pytest.mark.parametrize("end", [Node.kill, Node.stop, Node.cut_off, Node.pause])
async def test_a_node_is_lost_while_it_takes_writes(
    cluster: Cluster, times: Callable[[int, int], int], end: Callable[[Node], None]
) -> None:
    """Its clients get "try again", then continue on the other nodes; it catches up when it returns."""
    lost, *majority = cluster.nodes
    for turn in range(times(1, 5)):
        async with applications(*(node.url for node in cluster.nodes)) as (on_lost, *others):
            state = await new_event(on_lost, 50)
            containers = [on_lost]
            clients = LoadClients(containers, [state], Random(turn))
            async with clients.running(10):
                await clients.until_acknowledged(50)
                end(lost)
                await clients.until_turned_away()
                await asyncio.to_thread(cluster.wait_until_ready, *majority)
                containers[:] = others
                await clients.until_acknowledged(50)
                if end is Node.cut_off:
                    await asyncio.to_thread(cluster.wait_until_refused, lost)
                    await check_refused(lost)
                await asyncio.to_thread(cluster.mend)
                containers[:] = [on_lost, *others]
                await clients.until_acknowledged(50)
            await check_everywhere(cluster, clients.history)
            await clients.check(on_lost)


async def check_refused(node: Node) -> None:
    """Check that an isolated node is not ready, and answers every request with "try again"."""
    storage = SqlStorage.from_url(node.url)
    with pytest.raises(Unavailable):
        await storage.check_ready()
    with pytest.raises(Unavailable):
        await storage.event_queries.events_by_id([uuid7()])
    with pytest.raises(Unavailable):
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=uuid7())])
    await storage.close()


@pytest.mark.parametrize("kind", ["waitlisted", "cancelled"])
async def test_a_commit_that_was_lost_with_its_node_is_looked_up_on_another(cluster: Cluster, kind: str) -> None:
    """The caller gets the actual outcome although the write set is not yet applied: one node delays the others."""
    for _ in range(5):
        with suppress(Unavailable):
            return await lose_a_commit(cluster, kind)
        # On a very busy machine the nodes may lose each other, and then the outcome is undefined.
        cluster.mend()
    pytest.fail("the nodes lost each other each time")


async def lose_a_commit(cluster: Cluster, kind: str) -> None:
    writer, slow, other = cluster.nodes
    recorder = Recorder()
    async with proxied(writer.url, Random(1)) as proxy, applications(proxy.url, other.url) as (container, on_other):
        state = await new_event(container, 1)
        holder, waiting, last = (new_booking(state) for _ in range(3))
        for command in (holder, waiting):
            await recorder.book(container, command)
        proxy.switch_to(other.url)
        cutting = asyncio.create_task(proxy.cut(Cut.AT_COMMIT))
        slow.pause()
        try:
            request = recorder.book(container, last) if kind == "waitlisted" else recorder.cancel(container, holder)
            answered = asyncio.create_task(request)
            await asyncio.wait_for(cutting, CUT_WITHIN)
            proxy.committed.clear()
            # A blind retry would reach a second COMMIT; the lookup of the lost COMMIT waits instead.
            with suppress(TimeoutError):
                await asyncio.wait_for(proxy.committed.wait(), 0.5)
        finally:
            slow.resume()
        assert (await answered).status == kind
        facts = await on_other.storage().event_queries.facts(state.event.id, 0, 100)
        expected = ["CustomerWaitlisted"] if kind == "waitlisted" else ["BookingCancelled", "BookingPromoted"]
        assert [fact.kind for fact in facts][3:] == expected
    cluster.wait_until_ready()  # the slow node may have been expelled
    await check_everywhere(cluster, recorder.history)

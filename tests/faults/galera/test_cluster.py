"""Three nodes of a Galera cluster that take writes, are stopped, killed, paused and isolated: the promises hold."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import BookingStatus
from tests import mariadb
from tests.faults import cluster_trials
from tests.faults.cluster_trials import read
from tests.faults.galera.cluster import Cluster, Node
from tests.faults.load_clients import applications, new_booking, new_event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


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
                    found = (await reader.read_booking()(command.booking_id, command.actor)).booking
                    assert found.status is BookingStatus.CONFIRMED
    finally:
        mariadb.execute(first.url, "DROP TABLE ballast")


async def test_every_table_has_a_primary_key(cluster: Cluster) -> None:
    cluster_trials.check_primary_keys(cluster.nodes[0])


async def test_of_two_nodes_that_write_one_event_one_must_repeat(cluster: Cluster) -> None:
    await cluster_trials.write_one_event_on_two_nodes(*cluster.nodes[:2])


async def test_all_nodes_write_the_same_events(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    await cluster_trials.write_the_same_events_on_all_nodes(cluster, times(5, 100))


async def test_one_key_on_three_nodes_at_once_has_one_effect(cluster: Cluster) -> None:
    await cluster_trials.send_one_key_to_all_nodes(cluster)


async def test_paying_on_three_nodes_at_once_charges_once(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    await cluster_trials.pay_on_all_nodes_at_once(cluster.nodes, times(5, 100))


async def test_a_refresh_token_on_three_nodes_at_once_is_served_once(
    cluster: Cluster, times: Callable[[int, int], int]
) -> None:
    await cluster_trials.refresh_on_all_nodes_at_once(cluster.nodes, times(5, 100))


@pytest.mark.parametrize("end", [Node.kill, Node.stop, Node.cut_off, Node.pause])
async def test_a_node_is_lost_while_it_takes_writes(
    cluster: Cluster, times: Callable[[int, int], int], end: Callable[[Node], None]
) -> None:
    lost = cluster.nodes[0]

    async def check_isolated() -> None:
        await asyncio.to_thread(cluster.wait_until_refused, lost)
        await cluster_trials.check_refused(lost)

    for _ in range(times(1, 5)):
        await cluster_trials.lose_a_writer(
            cluster, lost, end, meanwhile=check_isolated if end is Node.cut_off else None
        )


@pytest.mark.parametrize("end", [Node.kill, Node.cut_off])
async def test_a_node_is_lost_while_clients_pay(
    cluster: Cluster, times: Callable[[int, int], int], end: Callable[[Node], None]
) -> None:
    for _ in range(times(1, 5)):
        await cluster_trials.lose_a_writer_while_clients_pay(cluster, cluster.nodes[0], end)


@pytest.mark.parametrize("kind", ["waitlisted", "cancelled"])
async def test_a_commit_that_was_lost_with_its_node_is_looked_up_on_another(cluster: Cluster, kind: str) -> None:
    """The caller gets the actual outcome although the write set is not yet applied: one node delays the others."""
    writer, slow, other = cluster.nodes
    for _ in range(5):
        with suppress(Unavailable):
            return await cluster_trials.lose_a_commit(cluster, writer, other, slow.paused, kind)
        # On a very busy machine the nodes may lose each other, and then the outcome is undefined.
        cluster.mend()
    pytest.fail("the nodes lost each other each time")

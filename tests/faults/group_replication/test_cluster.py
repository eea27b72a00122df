"""Three members of a group that take writes, are stopped, killed, paused and taken out: the promises hold."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.entrypoints.container import Container
from tests.faults import cluster_trials
from tests.faults.cluster_trials import check_everywhere, writers_of
from tests.faults.group_replication.cluster import Cluster, Member
from tests.faults.group_replication.router import Router
from tests.faults.load_clients import LoadClients, applications, new_booking, new_event
from tests.faults.proxy import proxied

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

in_both_modes: Final = pytest.mark.parametrize("has_several_primaries", [False, True], ids=["single", "multi"])

READY_WITHIN: Final = 60.0
"""Seconds, for a loaded machine."""

HELD_FOR: Final = 0.5
"""Seconds for which a member applies nothing, while a read of it waits."""


async def test_every_table_has_a_primary_key(cluster: Cluster) -> None:
    cluster_trials.check_primary_keys(cluster.nodes[0])


async def test_of_two_members_that_write_one_event_one_must_repeat(cluster: Cluster) -> None:
    await cluster_trials.write_one_event_on_two_nodes(*cluster.nodes[:2])


async def test_all_members_write_the_same_events(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    await cluster_trials.write_the_same_events_on_all_nodes(cluster, times(5, 100))


async def test_one_key_on_three_members_at_once_has_one_effect(cluster: Cluster) -> None:
    await cluster_trials.send_one_key_to_all_nodes(cluster)


async def test_paying_on_three_members_at_once_charges_once(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    await cluster_trials.pay_on_all_nodes_at_once(cluster.nodes, times(5, 100))


async def test_a_refresh_token_on_three_members_at_once_is_served_once(
    cluster: Cluster, times: Callable[[int, int], int]
) -> None:
    await cluster_trials.refresh_on_all_nodes_at_once(cluster.nodes, times(5, 100))


@in_both_modes
async def test_what_one_member_acknowledged_is_there_on_every_other(
    cluster: Cluster, times: Callable[[int, int], int], *, has_several_primaries: bool
) -> None:
    """Also on a member that has not applied it yet: requests wait for that."""
    cluster.set_mode(has_several_primaries=has_several_primaries)
    writer = cluster.writers(cluster.nodes)[0]
    readers = [member for member in cluster.nodes if member is not writer]
    async with applications(writer.url, *(member.url for member in readers)) as (on_writer, *on_readers):
        for _ in range(times(1, 10)):
            for member, container in zip(readers, on_readers, strict=True):
                command = new_booking(await new_event(on_writer, 5))
                async with member.lagging():
                    await on_writer.book_ticket()(command)
                    requests = [asyncio.create_task(_is_confirmed(container, command))]
                    if has_several_primaries:
                        requests.append(asyncio.create_task(_may_be_cancelled(container, command)))
                    early, _ = await asyncio.wait(requests, timeout=HELD_FOR)
                assert [request.result() for request in early] == []
                assert await asyncio.gather(*requests) == [True] * len(requests)


async def _is_confirmed(container: Container, command: Book) -> bool:
    found = (await container.read_booking()(command.booking_id, command.actor)).booking
    return found.status in {BookingStatus.CONFIRMED, BookingStatus.CANCELLED}


async def _may_be_cancelled(container: Container, command: Book) -> bool:
    cancelled = await container.cancel_booking().by_id(command.booking_id, command.actor)
    return cancelled.booking.status is BookingStatus.CANCELLED


@pytest.mark.parametrize("end", [Member.leave, Member.stop, Member.kill, Member.pause])
@in_both_modes
async def test_a_member_is_lost_while_it_takes_writes(
    cluster: Cluster,
    times: Callable[[int, int], int],
    end: Callable[[Member], None],
    *,
    has_several_primaries: bool,
) -> None:
    cluster.set_mode(has_several_primaries=has_several_primaries)
    for _ in range(rounds(times, is_short=end is Member.leave and has_several_primaries)):
        await cluster_trials.lose_a_writer(cluster, cluster.writers(cluster.nodes)[0], end)


@pytest.mark.parametrize("end", [Member.leave, Member.stop, Member.kill])
@in_both_modes
async def test_a_member_is_lost_while_clients_pay(
    cluster: Cluster,
    times: Callable[[int, int], int],
    end: Callable[[Member], None],
    *,
    has_several_primaries: bool,
) -> None:
    cluster.set_mode(has_several_primaries=has_several_primaries)
    for _ in range(rounds(times, is_short=end is Member.leave and not has_several_primaries)):
        await cluster_trials.lose_a_writer_while_clients_pay(cluster, cluster.writers(cluster.nodes)[0], end)


def rounds(times: Callable[[int, int], int], *, is_short: bool) -> int:
    """Return how often to lose a member. A group notices a loss after six seconds and takes it back after ten more."""
    number = times(int(is_short), 5)
    if not number:
        pytest.skip("only with --long")
    return number


async def test_a_planned_switch_of_the_primary(single_primary: Cluster, times: Callable[[int, int], int]) -> None:
    """Clients of the old primary get "try again", until new connections lead to the new one."""
    (primary,) = single_primary.writers(single_primary.nodes)
    async with proxied(primary.url, Random(1)) as proxy, applications(proxy.url) as (container,):
        clients = LoadClients([container], [await new_event(container, 50)], Random(1))
        async with clients.running(10):
            for _ in range(times(2, 50)):
                await clients.until_acknowledged(30)
                old, primary = primary, next(each for each in single_primary.nodes if each is not primary)
                await asyncio.to_thread(primary.become_primary)
                await clients.until_turned_away()
                async with applications(old.url) as (on_old,):
                    with pytest.raises(Unavailable, match="read-only"):
                        await on_old.storage().check_ready()
                proxy.switch_to(primary.url)
                await clients.until_acknowledged(30)
                # Readiness replaces the connections that only read, which the old primary did not refuse.
                async with asyncio.timeout(READY_WITHIN):
                    while not await _is_ready(container):
                        pass
        await check_everywhere(single_primary, clients.history)
        await clients.check(container)


async def _is_ready(container: Container) -> bool:
    try:
        await container.storage().check_ready()
    except Unavailable:
        return False
    return True


async def test_the_number_of_primaries_is_changed(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    """Clients of all members continue; those of members that no longer take writes get "try again" meanwhile."""
    async with applications(*(member.url for member in cluster.nodes)) as containers:
        clients = LoadClients(containers, [await new_event(containers[0], 50)], Random(1))
        async with clients.running(10):
            for _ in range(times(1, 20)):
                await asyncio.to_thread(cluster.set_mode, has_several_primaries=False)
                await clients.until_turned_away()
                await clients.until_acknowledged(30)
                await asyncio.to_thread(cluster.set_mode, has_several_primaries=True)
                await clients.until_acknowledged(30)
        await check_everywhere(cluster, clients.history)
        await clients.check(containers[0])


async def test_a_majority_is_lost_and_forced_back(single_primary: Cluster, times: Callable[[int, int], int]) -> None:
    """The survivor is not ready, does nothing until an operator decides, and serves again.

    With `--long` clients write meanwhile: the group then needs minutes to settle.
    """
    (survivor,) = single_primary.writers(single_primary.nodes)
    others = [member for member in single_primary.nodes if member is not survivor]
    async with applications(survivor.url) as (container,):
        clients = LoadClients([container], [await new_event(container, 50)], Random(1))
        async with clients.running(times(0, 5)):
            for member in others:
                member.kill()
            await asyncio.to_thread(single_primary.wait_until, survivor.has_no_majority)
            with pytest.raises(Unavailable, match="majority"):
                await container.storage().check_ready()
            if times(0, 1):
                await clients.until_turned_away()
                await cluster_trials.check_refused(survivor)
            await asyncio.to_thread(survivor.force, survivor)
            await container.storage().check_ready()
        async with clients.running(5):
            await clients.until_acknowledged(30)
            await asyncio.to_thread(single_primary.mend)
            await clients.until_acknowledged(30)
        await check_everywhere(single_primary, clients.history)
        await clients.check(container)


@pytest.mark.parametrize("kind", ["waitlisted", "cancelled"])
async def test_a_commit_that_was_lost_with_its_member_is_looked_up_on_another(cluster: Cluster, kind: str) -> None:
    """The caller gets the actual outcome although the other member has not applied it yet."""
    writer, other, _ = cluster.nodes
    await cluster_trials.lose_a_commit(cluster, writer, other, other.lagging, kind)


@in_both_modes
async def test_a_router_leads_to_the_next_primary(
    cluster: Cluster, tmp_path: Path, times: Callable[[int, int], int], *, has_several_primaries: bool
) -> None:
    """Clients continue as soon as the group takes writes on the member that the router comes to next."""
    cluster.set_mode(has_several_primaries=has_several_primaries)
    first, second, third = cluster.nodes
    # A single primary is elected in the order in which the router tries the members.
    for member, weight in ((first, 90), (second, 80), (third, 70)):
        member.set_weight(weight)
    with Router(tmp_path, cluster.nodes) as router:
        cluster.wait_until(router.is_listening)
        for _ in range(rounds(times, is_short=has_several_primaries)):
            if not has_several_primaries:
                first.become_primary()
            async with applications(router.url) as (container,):
                clients = LoadClients([container], [await new_event(container, 50)], Random(1))
                async with clients.running(10):
                    await clients.until_acknowledged(50)
                    first.kill()
                    await writers_of(cluster, [second, third])
                    await clients.until_acknowledged(50)
                # The router would lead clients to a server that runs, but has not joined yet and reads its old state.
                await asyncio.to_thread(cluster.mend)
                if not has_several_primaries:
                    # The router returns to the first member, so the group must return too.
                    first.become_primary()
                async with clients.running(10):
                    await clients.until_acknowledged(50)
                    async with applications(router.url) as (another,):
                        await another.storage().check_ready()
                await clients.check(container)
            await check_everywhere(cluster, clients.history)
            print(clients.figures())  # noqa: T201

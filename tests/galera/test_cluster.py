"""Three nodes of a Galera cluster, written to by one or by all, stopped, killed and cut off: the promises hold."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from random import Random

import pytest

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Retryable, Unavailable
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.event import EventState
from boxoffice.domain.facts import CustomerWaitlisted
from boxoffice.domain.user import Actor
from tests import mariadb
from tests.concurrency.app_driver import AppDriver, bookings, cancels, codes, new_id, shares
from tests.concurrency.conftest import app_on
from tests.concurrency.worker import AnyCommand, BookIt
from tests.concurrency.worker_pool import Answered, WorkerPool
from tests.contract.storage_driver import NOW, StorageDriver, booking_command, take

from .cluster import Cluster, Node
from .gate import gate_to

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CrewOn = Callable[[Node], WorkerPool]
MOVED_WITHIN = 60.0
"""Seconds until a COMMIT reaches the gate."""

AGAIN = {"confirmed", "waitlisted", "cancelled", "already-booked", "already-cancelled"}


@asynccontextmanager
async def offices(cluster: Cluster) -> AsyncIterator[list[AppDriver]]:
    """Run the application on each node, in the test's own process."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(app_on(node.url)) for node in cluster.nodes]


def told(answered: Iterable[Answered]) -> list[Answered]:
    """Return the results with a definite outcome: "try again" promises nothing."""
    return [each for each in answered if each.outcome.code != "try-again"]


def to_try_again(answered: Iterable[Answered]) -> list[AnyCommand]:
    return [each.command for each in answered if each.outcome.code == "try-again"]


def side_by_side(*work: tuple[WorkerPool, Sequence[AnyCommand]], together: int = 20) -> list[Answered]:
    """Run each share in its own process, all at once, and retry the commands that were turned away."""
    processes = [crew.hire(together=together) for crew, _ in work]
    for process, (_, share) in zip(processes, work, strict=True):
        process.prepare(share)
    for process in processes:
        process.go()
    answers = [list(process.answers()) for process in processes]
    answered = told(each for some in answers for each in some)
    assert len(answered) >= sum(map(len, answers)) * 0.9, "too many commands were turned away"
    for (crew, _), some in zip(work, answers, strict=True):
        if again := to_try_again(some):
            answered += crew.rush(again)
    return answered


async def check_everywhere(cluster: Cluster, *events: EventState, answered: Sequence[Answered]) -> None:
    """Check that every node has all acknowledged results, keeps every promise, and has the same rows as the others."""
    async with offices(cluster) as on_nodes:
        for office in on_nodes:
            await office.check_acknowledged(*events, answered=answered)
            for state in events:
                await check_line(office, state)
    first, *others = [cluster.content(node) for node in cluster.nodes]
    assert others == [first] * len(others)


async def check_line(office: AppDriver, state: EventState) -> None:
    """Check that facts are numbered without gaps, and that promotions follow the order of the waiting list."""
    assert [fact.seq for fact in await office.facts(state.event.id)] == list(
        range(1, (await office.read(state)).event.last_seq + 1)
    )
    entered = {
        fact.booking_id: fact.what.queue_number
        for fact in await office.facts(state.event.id)
        if isinstance(fact.what, CustomerWaitlisted)
    }
    served = [entered[booking_id] for booking_id in await office.promoted(state)]
    assert served == sorted(served)


def test_what_one_node_acknowledged_is_there_on_every_other(cluster: Cluster, times: Callable[[int, int], int]) -> None:
    """Also while the other nodes still have a long queue of write sets to apply."""
    first = cluster.nodes[0]
    rows = "INSERT INTO ballast SELECT seq, REPEAT('x', 100) FROM seq_1_to_20000"

    async def ask() -> None:
        async with offices(cluster) as (here, there, elsewhere):
            for _ in range(times(1, 30)):
                state = await here.initialize(5)
                await asyncio.to_thread(mariadb.execute, first.url, "DELETE FROM ballast", rows)
                (booking,) = await here.book(state, 1)
                assert (await there.booking(booking)).status is BookingStatus.CONFIRMED
                await asyncio.to_thread(mariadb.execute, first.url, "DELETE FROM ballast", rows)
                (other,) = await here.book(state, 1)
                assert (await elsewhere.read(state)).ticket_types[0].taken == 2
                assert (await elsewhere.booking(other)).status is BookingStatus.CONFIRMED

    mariadb.execute(first.url, "CREATE TABLE ballast (id INT PRIMARY KEY, filler VARCHAR(200)) ENGINE=InnoDB")
    try:
        asyncio.run(ask())
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


async def test_of_two_nodes_that_write_one_event_one_is_to_do_it_again(cluster: Cluster) -> None:
    """Locks are local to a node: the second of two transactions is rolled back, at COMMIT at the latest."""
    storages = [SqlStorage.from_url(node.url) for node in cluster.nodes[:2]]
    state = await StorageDriver(storages[0]).initialize(10)
    both_wrote = asyncio.Barrier(2)

    async def write(storage: SqlStorage) -> None:
        command = booking_command(state)
        async with storage.begin() as unit_of_work:
            needs = LoadSpec(event_id=state.event.id)
            await take(unit_of_work, needs, lambda inventory: book(inventory, command, NOW))
            await both_wrote.wait()
            await unit_of_work.commit()

    for _ in range(5):
        results = await asyncio.gather(*map(write, storages), return_exceptions=True)
        assert [type(each) for each in results if each is not None] == [Retryable]
    assert (await StorageDriver(storages[1]).read(state)).ticket_types[0].taken == 5
    for storage in storages:
        await storage.close()


async def test_processes_on_all_nodes_fight_for_one_event(
    cluster: Cluster, crew_on: CrewOn, times: Callable[[int, int], int]
) -> None:
    """Book and cancel one event of a hundred tickets with a waiting list, and other events, on three nodes at once."""
    for seed in range(times(1, 20)):
        async with app_on(cluster.nodes[0].url) as office:
            hot, *others = [await office.initialize(tickets) for tickets in (100, 10, 10)]
            booked = await office.book(hot, 130)
        fought = cluster.count("wsrep_local_cert_failures") + cluster.count("wsrep_local_bf_aborts")
        wanted: list[AnyCommand] = [
            *bookings(hot, 120),
            *bookings(hot, 30, 2),
            *cancels(booked[:90]),
            *(each for state in others for each in bookings(state, 20)),
        ]
        Random(seed).shuffle(wanted)
        crews = [crew_on(node) for node in cluster.nodes]
        answered = side_by_side(*zip(crews, shares(wanted), strict=True), together=5)
        assert set(codes(answered)) <= AGAIN
        fights = cluster.count("wsrep_local_cert_failures") + cluster.count("wsrep_local_bf_aborts") - fought
        assert fights > 0, "no transactions conflicted"
        await check_everywhere(cluster, hot, *others, answered=answered)
        async with app_on(cluster.nodes[2].url) as office:
            (hot_type,) = (await office.read(hot)).ticket_types
            assert hot_type.taken + hot_type.waiting_tickets == 130 + 180 - 90, codes(answered)
            # One ticket stays free if the first on the waiting list wants two.
            assert hot_type.taken in (99, 100)
            for state in others:
                assert [(each.taken, each.waiting) for each in (await office.read(state)).ticket_types] == [(10, 10)]
        for crew in crews:
            crew.dismiss()


async def test_one_key_on_three_nodes_at_once_has_one_effect(cluster: Cluster, crew_on: CrewOn) -> None:
    async with app_on(cluster.nodes[0].url) as office:
        states = [await office.initialize(20) for _ in range(2)]
    customers = [new_id() for _ in range(15)]

    def attempts(node: int) -> list[AnyCommand]:
        # The same keys, alternating between the two events.
        wanted = zip(customers, count(node), strict=False)
        return [
            BookIt(booking=new_id(), event=states[turn % 2].event.id, customer=customer, key="book")
            for customer, turn in wanted
        ]

    answered = side_by_side(*((crew_on(node), attempts(number)) for number, node in enumerate(cluster.nodes)))
    assert codes(answered) == {"confirmed": 15, "replayed": 30}
    answers: dict[object, set[str | None]] = {}
    for each in answered:
        assert isinstance(each.command, BookIt)
        answers.setdefault(each.command.customer, set()).add(each.outcome.answer)
    assert [len(each) for each in answers.values()] == [1] * 15
    async with app_on(cluster.nodes[1].url) as office:
        found = [await office.read(state) for state in states]
    assert sum(each.ticket_types[0].taken for each in found) == 15
    await check_everywhere(cluster, *states, answered=[each for each in answered if each.outcome.code != "replayed"])


async def test_the_processes_move_to_another_node_when_theirs_dies(
    cluster: Cluster, crew_on: CrewOn, times: Callable[[int, int], int]
) -> None:
    """Another node is stopped or killed while one node takes all writes; then that node is killed during a rush."""
    for turn in range(times(1, 10)):
        first, second, third = cluster.nodes
        async with app_on(first.url) as office:
            state = await office.initialize(60)
            booked = await office.book(state, 80)

        crew = crew_on(first)
        work = shares([*bookings(state, 60), *cancels(booked[:40])], 2)
        processes = [crew.hire(together=10).start(*share) for share in work]
        answered = [next(process.answers()) for process in processes]
        if turn % 2:
            third.kill()
        else:
            third.stop()
        answered += [each for process in processes for each in process.answers()]
        cluster.wait_until_ready(first, second)
        third.join()
        cluster.wait_until_ready()

        processes = [crew.hire(together=5).start(*share) for share in shares(bookings(state, 200), 2)]
        answered += [next(process.answers()) for process in processes]
        first.kill()
        answered += [each for process in processes for each in process.answers()]
        again = to_try_again(answered)
        assert again, "the node died too late"
        cluster.wait_until_ready(second, third)
        answered = told(answered) + told(side_by_side((crew_on(second), again)))
        assert set(codes(answered)) <= AGAIN
        async with app_on(second.url) as office:
            (ticket_type,) = (await office.read(state)).ticket_types
            assert (ticket_type.taken, ticket_type.waiting) == (60, 80 + 60 + 200 - 40 - 60)
        first.join()
        cluster.wait_until_ready()
        await check_everywhere(cluster, state, answered=answered)


async def test_a_node_is_lost_while_it_takes_writes(
    cluster: Cluster, crew_on: CrewOn, times: Callable[[int, int], int]
) -> None:
    """An isolated or paused node answers "try again", the majority continues, and the node catches up afterwards."""
    for turn in range(times(1, 10)):
        is_cut_off = turn % 2 == 0
        lost, *majority = cluster.nodes
        async with app_on(majority[0].url) as office:
            state = await office.initialize(50)
        there, elsewhere = crew_on(lost), crew_on(majority[0])
        processes = [there.hire(together=5).start(*share) for share in shares(bookings(state, 200), 2)]
        answered = [next(process.answers()) for process in processes]
        if is_cut_off:
            lost.cut_off()
        else:
            lost.pause()
        answered += [each for process in processes for each in process.answers()]
        again = to_try_again(answered)
        assert again, "the node was lost too late"
        cluster.wait_until_ready(*majority)
        answered = told(answered) + side_by_side((elsewhere, bookings(state, 40)))
        if is_cut_off:
            cluster.wait_until_refused(lost)
            await check_refused(lost)
            lost.reconnect()
        else:
            lost.resume()
        cluster.wait_until_ready()
        answered += side_by_side((there, again))
        assert set(codes(answered)) <= AGAIN
        async with app_on(majority[1].url) as office:
            (ticket_type,) = (await office.read(state)).ticket_types
            assert (ticket_type.taken, ticket_type.waiting) == (50, 190)
        await check_everywhere(cluster, state, answered=answered)


async def check_refused(node: Node) -> None:
    """Check that an isolated node is not ready, and answers every request with "try again"."""
    storage = SqlStorage.from_url(node.url)
    with pytest.raises(Unavailable):
        await storage.check_ready()
    with pytest.raises(Unavailable):
        await storage.event_queries.events_by_id([new_id()])
    with pytest.raises(Unavailable):
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=new_id())])
    await storage.close()


@pytest.mark.parametrize("kind", ["waitlisted", "cancelled"])
async def test_a_commit_that_was_lost_with_its_node_is_looked_for_on_another(cluster: Cluster, kind: str) -> None:
    """The caller gets the actual outcome although the write set is not yet applied: one node delays the others."""
    for _ in range(5):
        with suppress(Unavailable):
            return await lose_a_commit(cluster, kind)
        # On a very busy machine the nodes may lose each other, and then the outcome is undefined.
        cluster.mend()
    pytest.fail("the nodes lost each other each time")


async def lose_a_commit(cluster: Cluster, kind: str) -> None:
    writer, slow, other = cluster.nodes
    async with app_on(writer.url) as office:
        state = await office.initialize(1)
        (holder,) = await office.book(state, 1)
    async with gate_to(writer.url) as gate, app_on(gate.url) as office:
        (waiting,) = await office.book(state, 1)
        gate.move_at_commit(other.url)
        slow.pause()
        try:
            asked = asyncio.create_task(do(office, kind, state, holder))
            await asyncio.wait_for(gate.has_moved.wait(), MOVED_WITHIN)
            # A blind retry would reach a second COMMIT; the lookup of the lost COMMIT waits instead.
            with suppress(TimeoutError):
                await asyncio.wait_for(gate.committed_again.wait(), 0.5)
        finally:
            slow.resume()
        assert await asked == kind
    async with app_on(other.url) as office:
        happened = [fact.kind for fact in await office.facts(state.event.id)][3:]
        if kind == "waitlisted":
            assert happened == ["CustomerWaitlisted"]
        else:
            assert happened == ["BookingCancelled", "BookingPromoted"]
            assert (await office.booking(waiting)).status is BookingStatus.CONFIRMED
    cluster.wait_until_ready()  # the slow node may have been expelled
    await check_everywhere(cluster, state, answered=[])


async def do(office: AppDriver, kind: str, state: EventState, holder: Booking) -> str:
    """Execute the command and return the outcome."""
    if kind == "waitlisted":
        (booking,) = await office.book(state, 1)
        return booking.status
    cancel_booking = office._container.cancel_booking()
    return (await cancel_booking.by_id(holder.id, Actor(holder.customer_id))).booking.status

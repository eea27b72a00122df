"""Trials of clusters of any kind: nodes take writes and payments, and are lost meanwhile. The promises hold."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Final, TypeVar
from uuid import UUID

import pytest
from dependency_injector.providers import Object, Singleton
from msgspec import structs
from uuid_utils.compat import uuid7

from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.adapters.payments.sandbox import TAKEN, EntryKind
from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.accounts.authenticate import Authenticate
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.accounts.log_in import Credentials
from boxoffice.application.bookings.pay_booking import Bill, PaymentUnknown
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import Booking, PaymentStatus
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.refusals import AlreadyBooked, InvalidToken, PaymentNotDue, PaymentUnderWay
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.harness.history import History
from tests.faults.clients import until_more
from tests.faults.cluster import AnyNode, Cluster, Node
from tests.faults.concurrency.app_driver import AppDriver
from tests.faults.concurrency.worker import ClockAhead
from tests.faults.load_clients import LoadClients, Recorder, applications, check, new_booking, new_event
from tests.faults.proxy import Cut, proxied

PRICE: Final = 1_999
"""Cents."""

CUT_WITHIN: Final = 60.0
"""Seconds until a COMMIT reaches the proxy."""

ASKED_AGAIN_AFTER: Final = 16.0
"""Seconds after which the sweep asks the provider about a charge without an answer."""

_PASSWORD: Final = "correct horse battery"

Done = TypeVar("Done")


async def check_everywhere(cluster: Cluster[AnyNode], history: History) -> None:
    """Check that all nodes have the same rows, which keep the promises and have all acknowledged outcomes."""
    first, *others = [cluster.content(node) for node in cluster.nodes]
    assert others == [first] * len(others)
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        for container in containers:
            await check(container, history)


async def read(container: Container, state: EventState) -> EventState:
    """Return an event as queries see it."""
    return (await container.storage().event_queries.events_by_id([state.event.id]))[state.event.id]


def check_primary_keys(node: Node) -> None:
    """Check that every table has a primary key. Rows without one are not certified, nor found on another node."""
    without = """
        SELECT table_name FROM information_schema.tables JOIN (
            SELECT table_schema, table_name, SUM(column_key = 'PRI') AS parts
            FROM information_schema.columns GROUP BY table_schema, table_name
        ) AS keyed USING (table_schema, table_name)
        WHERE table_schema = DATABASE() AND (parts = 0 OR engine <> 'InnoDB')
    """
    assert node.rows(without) == []


async def write_one_event_on_two_nodes(one: Node, another: Node) -> None:
    """Locks are local to a node: the second of two transactions is rolled back, at COMMIT at the latest."""
    async with applications(one.url, another.url) as (container, other):
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
            # MySQL may also report the deadlock as an error during COMMIT (1180), whose outcome the service looks up.
            (lost,) = [each for each in results if each is not None]
            assert isinstance(lost, Retryable | OutcomeUnknown), lost
        assert (await read(other, state)).ticket_types[0].taken == 5


async def write_the_same_events_on_all_nodes(cluster: Cluster[AnyNode], conflicts: int) -> None:
    """Clients book and cancel on all nodes until so many transactions have conflicted."""
    before = cluster.conflicts()
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        clients = LoadClients(containers, [await new_event(containers[0], total) for total in (100, 10, 10)], Random(1))
        async with clients.running(30):
            await clients.until_acknowledged(280)
            while cluster.conflicts() < before + conflicts:
                await clients.until_acknowledged(100)
        await clients.check(containers[0])
    await check_everywhere(cluster, clients.history)
    print(clients.figures())  # noqa: T201


async def send_one_key_to_all_nodes(cluster: Cluster[AnyNode]) -> None:
    """It has one effect, although each node gets it for another event than the node before."""
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


async def lose_a_writer(
    cluster: Cluster[AnyNode],
    lost: AnyNode,
    end: Callable[[AnyNode], None],
    *,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """End a node that takes writes.

    Its clients get "try again", then continue on the other nodes, and use all that take writes when it has returned.
    """
    async with applications(*(node.url for node in cluster.nodes)) as containers:
        on = dict(zip(cluster.nodes, containers, strict=True))
        in_use = [on[lost]]
        clients = LoadClients(in_use, [await new_event(on[lost], 50)], Random(1))
        async with clients.running(10):
            await _lose(cluster, lost, end, on, in_use, clients, number=50, meanwhile=meanwhile)
        await check_everywhere(cluster, clients.history)
        await clients.check(on[lost])
    print(clients.figures())  # noqa: T201


async def _lose(
    cluster: Cluster[AnyNode],
    lost: AnyNode,
    end: Callable[[AnyNode], None],
    on: Mapping[AnyNode, Container],
    in_use: list[Container],
    clients: "LoadClients | PayingClients",
    *,
    number: int,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """End a node under its clients, which use the others and then all, for so many acknowledged requests each time."""
    await clients.until_acknowledged(number)
    # A server that is stopped may end long after it has left the cluster.
    ending = asyncio.create_task(asyncio.to_thread(end, lost))
    await clients.until_turned_away()
    majority = [node for node in cluster.nodes if node is not lost]
    in_use[:] = [on[node] for node in await writers_of(cluster, majority)]
    await clients.until_acknowledged(number)
    await ending
    if meanwhile:
        await meanwhile()
    await asyncio.to_thread(cluster.mend)
    in_use[:] = [on[node] for node in await writers_of(cluster, cluster.nodes)]
    await clients.until_acknowledged(number)


async def lose_a_commit(
    cluster: Cluster[AnyNode],
    writer: Node,
    other: Node,
    delayed: Callable[[], AbstractAsyncContextManager[None]],
    kind: str,
) -> None:
    """Cut the connection to one node at COMMIT; the outcome is looked up on another, on which it arrives later.

    Raises: Unavailable.
    """
    recorder = Recorder()
    async with proxied(writer.url, Random(1)) as proxy, applications(proxy.url, other.url) as (container, on_other):
        state = await new_event(container, 1)
        holder, waiting, last = (new_booking(state) for _ in range(3))
        for command in (holder, waiting):
            await recorder.book(container, command)
        proxy.switch_to(other.url)
        cutting = asyncio.create_task(proxy.cut(Cut.AT_COMMIT))
        async with delayed():
            request = recorder.book(container, last) if kind == "waitlisted" else recorder.cancel(container, holder)
            answered = asyncio.create_task(request)
            await asyncio.wait_for(cutting, CUT_WITHIN)
            proxy.committed.clear()
            # A blind retry would reach a second COMMIT; the lookup of the lost COMMIT waits instead.
            with suppress(TimeoutError):
                await asyncio.wait_for(proxy.committed.wait(), 0.5)
        assert (await answered).status == kind
        facts = await on_other.storage().event_queries.facts(state.event.id, 0, 100)
        expected = ["CustomerWaitlisted"] if kind == "waitlisted" else ["BookingCancelled", "BookingPromoted"]
        assert [fact.kind for fact in facts][3:] == expected
    cluster.wait_until_ready()  # a node that was paused may have been expelled
    await check_everywhere(cluster, recorder.history)


async def writers_of(cluster: Cluster[AnyNode], nodes: Sequence[AnyNode]) -> list[AnyNode]:
    """Wait until these nodes form the cluster and one takes writes; return all that do."""
    await asyncio.to_thread(cluster.wait_until_ready, *nodes)
    await asyncio.to_thread(cluster.wait_until, lambda: bool(cluster.writers(nodes)))
    return await asyncio.to_thread(cluster.writers, nodes)


async def check_refused(node: Node) -> None:
    """Check that a node without a majority is not ready, and answers every request with "try again"."""
    storage = SqlStorage.from_url(node.url)
    with pytest.raises(Unavailable):
        await storage.check_ready()
    with pytest.raises(Unavailable):
        await storage.event_queries.events_by_id([uuid7()])
    with pytest.raises(Unavailable):
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock([LoadSpec(event_id=uuid7())])
    await storage.close()


@asynccontextmanager
async def paying_applications(nodes: Sequence[Node], gateway: SandboxGateway) -> AsyncIterator[list[Container]]:
    """Run one application for each node, with one payment provider for all, which no node can lose."""
    async with applications(*(node.url for node in nodes)) as containers:
        for container in containers:
            container.payment_gateway.override(Object(gateway))
        yield containers


def bill_of(booking: Booking) -> Bill:
    """Return the payment of a booking by its customer, with a card that is charged."""
    return Bill(booking_id=booking.id, actor=Actor(booking.customer_id), method=PaymentMethod.CARD, token=TAKEN)


async def pay_on_all_nodes_at_once(nodes: Sequence[Node], bookings: int) -> None:
    """Each booking is paid on every node at the same moment, twice, and is charged once."""
    gateway = SandboxGateway(MemoryLedger())
    async with paying_applications(nodes, gateway) as containers:
        driver = AppDriver(containers[0], nodes[0].url)
        state = await driver.initialize(bookings, price=PRICE)
        for booking in await driver.book(state, bookings):
            results = await asyncio.gather(
                *(container.pay_booking()(bill_of(booking)) for container in containers * 2), return_exceptions=True
            )
            assert any(isinstance(each, Booking) for each in results)
            assert {type(each) for each in results} <= {Booking, PaymentNotDue, PaymentUnderWay}
        assert await driver.balance(state) == bookings * PRICE
        assert len(await charges_of(gateway)) == bookings


async def charges_of(gateway: SandboxGateway) -> list[UUID]:
    """Return the references of all charges that were taken."""
    return [each.reference for each in await gateway.entries() if each.kind is EntryKind.CHARGE and each.taken]


class PayingClients:
    """Clients that book and pay on random applications, and repeat what got "try again", until they are stopped."""

    def __init__(self, containers: Sequence[Container], state: EventState, random: Random) -> None:
        self.paid: list[UUID] = []
        self.turned_away = 0
        self._containers = containers
        self._state = state
        self._random = random
        self._changed = asyncio.Event()
        self._has_to_stop = False

    @asynccontextmanager
    async def running(self, number: int) -> AsyncIterator[None]:
        """Run so many clients until the context ends, and wait for their last answers."""
        async with asyncio.timeout(280), asyncio.TaskGroup() as tasks:
            for _ in range(number):
                tasks.create_task(self._run())
            yield
            self._has_to_stop = True

    async def until_acknowledged(self, more: int) -> None:
        """Wait for so many more acknowledged payments."""
        await until_more(self._changed, lambda: len(self.paid), more)

    async def until_turned_away(self) -> None:
        """Wait for another answer "try again"."""
        await until_more(self._changed, lambda: self.turned_away, 1)

    async def _run(self) -> None:
        while not self._has_to_stop:
            command = new_booking(self._state)
            await self._repeat(partial(_book, command))
            await self._repeat(partial(_pay, command))
            self.paid.append(command.booking_id)
            self._changed.set()

    async def _repeat(self, act: Callable[[Container], Awaitable[None]]) -> None:
        while True:
            try:
                return await act(self._random.choice(self._containers))
            except (Unavailable, PaymentUnknown, PaymentUnderWay):
                self.turned_away += 1
                self._changed.set()
                await asyncio.sleep(0.02)


async def _book(command: Book, container: Container) -> None:
    # If it was booked already, an attempt without an answer took effect.
    with suppress(AlreadyBooked):
        await container.book_ticket()(command)


async def _pay(command: Book, container: Container) -> None:
    bill = Bill(booking_id=command.booking_id, actor=command.actor, method=PaymentMethod.CARD, token=TAKEN)
    try:
        await container.pay_booking()(bill)
    except PaymentNotDue:
        # An attempt without an answer took effect.
        found = (await container.read_booking()(command.booking_id, command.actor)).booking
        assert found.payment_status is PaymentStatus.TAKEN


async def lose_a_writer_while_clients_pay(
    cluster: Cluster[AnyNode], lost: AnyNode, end: Callable[[AnyNode], None]
) -> None:
    """Nothing is charged twice, and everything that was charged is a paid booking or was refunded."""
    gateway = SandboxGateway(MemoryLedger())
    async with paying_applications(cluster.nodes, gateway) as containers:
        on = dict(zip(cluster.nodes, containers, strict=True))
        state = await AppDriver(on[lost], lost.url).initialize(100_000, price=PRICE)
        in_use = [on[lost]]
        clients = PayingClients(in_use, state, Random(1))
        async with clients.running(10):
            await _lose(cluster, lost, end, on, in_use, clients, number=20)
    (writer, *_) = await writers_of(cluster, cluster.nodes)
    await check_money(writer, state, gateway, clients.paid)
    await check_everywhere(cluster, History())
    print(f"{len(clients.paid)} payments, {clients.turned_away} times 503")  # noqa: T201


async def check_money(node: Node, state: EventState, gateway: SandboxGateway, paid: Sequence[UUID]) -> None:
    """Complete the open payments, and check that bookings, payments and the provider's ledger agree."""
    async with paying_applications([node], gateway) as (container,):
        container.clock.override(Object(ClockAhead(ASKED_AGAIN_AFTER)))
        while (swept := await container.sweep()()).payments or not swept.is_ours:
            pass
        driver = AppDriver(container, node.url)
        # Each booking is paid or was paid back, and the ledger has the same charges.
        kept = await driver.balance(state)
        bookings = {each.id: each for each in await driver.bookings(state)}
        assert all(bookings[each].payment_status is PaymentStatus.TAKEN for each in paid)
        assert kept == PRICE * len(await charges_of(gateway))


async def refresh_on_all_nodes_at_once(nodes: Sequence[Node], sessions: int) -> None:
    """Calls with one refresh token get the same next one; the first, used again after that, ends the session."""
    async with applications(*(node.url for node in nodes)) as containers:
        for container in containers:
            container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
        email = f"{uuid7().hex}@example.org"
        await containers[0].create_user()(Registration(name="Ada", email=email, password=_PASSWORD))
        credentials = Credentials(email=email, password=_PASSWORD)
        for _ in range(sessions):
            signed_in = await containers[0].log_in()(credentials)
            refreshing = [container.refresh_session()(signed_in.refresh_token) for container in containers]
            following, *others = await asyncio.gather(*refreshing)
            assert {each.refresh_token for each in others} == {following.refresh_token}
            served = await containers[-1].refresh_session()(following.refresh_token)
            with pytest.raises(InvalidToken):
                await containers[0].refresh_session()(signed_in.refresh_token)
            for container in containers:
                with pytest.raises(InvalidToken):
                    await container.refresh_session()(served.refresh_token)
                # A new one, because a process may know a session for some seconds longer.
                authenticate = Authenticate(
                    container.tokens(), container.account_queries(), container.clock(), container.use_api_key()
                )
                with pytest.raises(InvalidToken):
                    await authenticate(served.access.text)

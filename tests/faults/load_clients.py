"""Clients that book and cancel on applications in the test's own process, with a history of all their calls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from random import Random
from time import monotonic
from uuid import UUID

from uuid_utils.compat import uuid7

from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails
from boxoffice.domain.refusals import AlreadyBooked, AlreadyCancelled, Refusal
from boxoffice.domain.tickets.ticket_type import EventState, TicketTypeSpec
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.harness.history import Call, History, Outcome, Stored, check_promises
from boxoffice.entrypoints.settings import Settings
from tests.constants import SECRET
from tests.faults.clients import until_more

ANSWERED_WITHIN = 10.0
"""Seconds in which every command is answered. The timeouts of the service add up to five; the machine may be slow."""

_ATTEMPTS = 2_000
_PAUSE = 0.02
"""Seconds before a client repeats a command that got "try again"."""


@asynccontextmanager
async def applications(*urls: str) -> AsyncIterator[list[Container]]:
    """Run one application for each URL, with its own turnstile and connections."""
    async with AsyncExitStack() as stack:
        containers = [make_container(Settings(database_url=url, jwt_secret=SECRET)) for url in urls]
        for container in containers:
            stack.push_async_callback(container.storage().close)
            stack.push_async_callback(container.turnstile().close)
        yield containers


async def new_event(container: Container, total: int) -> EventState:
    """Create an event on sale with one ticket type."""
    return await container.initialize_event()(
        Initialize(
            event_id=uuid7(),
            actor=Actor(uuid7()),
            details=EventDetails(name="Jazz night"),
            ticket_types=((uuid7(), TicketTypeSpec(name="Seat", total_tickets=total)),),
            currency="EUR",
        )
    )


def new_booking(state: EventState, quantity: int = 1) -> Book:
    """Return the command of a new customer."""
    return Book(
        booking_id=uuid7(),
        event_id=state.event.id,
        actor=Actor(uuid7()),
        quantity=quantity,
        ticket_type_id=state.ticket_types[0].id,
    )


def check_is_of(booking: Booking, command: Book) -> None:
    """Check that this booking was made by this command."""
    found = (booking.id, booking.event_id, booking.customer_id, booking.quantity)
    assert found == (command.booking_id, command.event_id, command.actor.user_id, command.quantity)


async def check(container: Container, history: History) -> None:
    """Check all promises, and that the stored facts and bookings are those that the history acknowledges."""
    verified = await container.verify_promises()()
    assert verified.events > 0
    assert not verified.breaches, verified.breaches
    breaches = check_promises(history, await Stored.load(container.storage(), history))
    assert not breaches, f"{len(breaches)} breaches, the first of them: {breaches[:3]}"


def connections_in_use(container: Container) -> int:
    """Return the number of database connections that are not idle in their pool."""
    return sum(pool.in_use for pool in container.storage().statistics.connections().values())


async def _book(container: Container, command: Book) -> Outcome:
    booking = await container.book_ticket()(command)
    check_is_of(booking, command)
    return Outcome(status=booking.status, booking_id=booking.id)


async def _cancel(container: Container, command: Book) -> Outcome:
    cancelled = await container.cancel_booking().by_id(command.booking_id, command.actor)
    check_is_of(cancelled.booking, command)
    return Outcome(status=cancelled.booking.status, booking_id=cancelled.booking.id, promoted=cancelled.promoted_count)


class Recorder:
    """Books and cancels, and records each call with its outcome in `history`."""

    def __init__(self) -> None:
        self.history = History()
        self._numbers = count()

    async def book(self, container: Container, command: Book) -> Outcome:
        """Book once. Raises: Refusal, Unavailable."""
        return await self.record("book", command, partial(_book, container, command))

    async def cancel(self, container: Container, command: Book) -> Outcome:
        """Cancel the booking of this command once. Raises: Refusal, Unavailable."""
        return await self.record("cancel", command, partial(_cancel, container, command))

    async def record(self, name: str, command: Book, act: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Record one operation, however often `act` repeats it."""
        call = Call(
            name="book" if name == "book" else "cancel",
            event_id=command.event_id,
            customer_id=command.actor.user_id,
            booking_id=command.booking_id,
            ticket_type_id=command.ticket_type_id if name == "book" else None,
            quantity=command.quantity if name == "book" else None,
        )
        operation = self.history.invoke(next(self._numbers), call)
        try:
            outcome = await act()
        except Refusal as refusal:
            self.history.fail(operation, refusal.code)
            raise
        except BaseException:
            self.history.unknown(operation)
            raise
        self.history.ok(operation, outcome)
        return outcome


class LoadClients(Recorder):
    """Clients that book, read and usually cancel on random applications, and repeat what got "try again".

    `outcomes` counts the acknowledged commands by outcome, `turned_away` the answers "try again"; `slowest` is the
    duration of the slowest answer in seconds.
    """

    def __init__(self, containers: Sequence[Container], states: Sequence[EventState], random: Random) -> None:
        super().__init__()
        self.outcomes: Counter[str] = Counter()
        self.turned_away = 0
        self.slowest = 0.0
        self._containers = containers
        self._states = states
        self._random = random
        self._has_to_stop = False
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self, number: int) -> AsyncIterator[None]:
        """Run so many clients until the context ends, and wait for their last answers."""
        self._has_to_stop = False
        async with asyncio.timeout(280), asyncio.TaskGroup() as tasks:
            for _ in range(number):
                tasks.create_task(self._run())
            yield
            self._has_to_stop = True

    async def until_acknowledged(self, more: int = 1) -> None:
        """Wait for so many more acknowledged commands."""
        await until_more(self._changed, self.outcomes.total, more)

    async def until_turned_away(self, more: int = 1) -> None:
        """Wait for so many more answers "try again"."""
        await until_more(self._changed, lambda: self.turned_away, more)

    async def check(self, container: Container) -> None:
        """Check the promises, the history, and that each command took effect once."""
        assert set(self.outcomes) <= {"confirmed", "waitlisted", "already-booked", "cancelled", "already-cancelled"}
        # A command that took effect although it got "try again".
        assert self.outcomes["already-booked"] + self.outcomes["already-cancelled"] <= self.turned_away
        await check(container, self.history)

    def figures(self) -> str:
        """Return the figures of a run."""
        return f"{dict(self.outcomes)}, {self.turned_away} times 503, slowest answer {self.slowest:.2f} s"

    async def _run(self) -> None:
        while not self._has_to_stop:
            command = new_booking(self._random.choice(self._states), self._random.choice((1, 1, 2)))
            await self.record("book", command, partial(self._repeat, _book, command))
            await self._read(command)
            if self._random.random() < 0.8:
                await self.record("cancel", command, partial(self._repeat, _cancel, command))

    async def _repeat(self, act: Callable[[Container, Book], Awaitable[Outcome]], command: Book) -> Outcome:
        for _ in range(_ATTEMPTS):
            begun = monotonic()
            try:
                outcome = await act(self._random.choice(self._containers), command)
                code = str(outcome.status)
            except (AlreadyBooked, AlreadyCancelled) as refusal:
                # An attempt without an answer took effect.
                booking_id = UUID(str(refusal.members.get("bookingId", command.booking_id)))
                outcome, code = Outcome(booking_id=booking_id), refusal.code
            except Unavailable:
                self.turned_away += 1
                self._changed.set()
                await asyncio.sleep(_PAUSE)
                continue
            finally:
                self.slowest = max(self.slowest, monotonic() - begun)
            self.outcomes[code] += 1
            self._changed.set()
            return outcome
        raise AssertionError(f'got "try again" {_ATTEMPTS} times: {command}')

    async def _read(self, command: Book) -> None:
        container = self._random.choice(self._containers)
        try:
            found = (await container.read_booking()(command.booking_id, command.actor)).booking
        except Unavailable:
            return
        check_is_of(found, command)

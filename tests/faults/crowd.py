"""Customers of an application in the test's own process, who book and cancel and remember all that they were told."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from time import monotonic
from uuid import UUID

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.event import EventState
from boxoffice.domain.facts import BookingCancelled, Fact
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.harness.history import Call, History, Stored, check_promises
from boxoffice.entrypoints.harness.history import Outcome as Told
from tests.concurrency.app_driver import AppDriver, new_id
from tests.concurrency.worker import BookIt, CancelIt, Outcome
from tests.concurrency.worker_pool import Answered

TRIES = 2_000
"""How often a customer asks who is told to try again, before the test fails."""

PAUSE = 0.02
"""Seconds before a customer asks again."""


class Crowd:
    """Each of its callers does one thing after the other; who is told to try again does so.

    `answered` holds what was acknowledged, `turned_away` how often nothing was, `slowest` the seconds of the slowest
    answer.
    """

    def __init__(self, containers: Sequence[Container], states: Sequence[EventState], random: Random) -> None:
        self._containers = containers
        self._states = states
        self._random = random
        self._clients = 0
        self._ends = False
        self.history = History()
        self.answered: list[Answered] = []
        self.turned_away = 0
        self.foreign: list[str] = []
        self.reads: Counter[str] = Counter()
        self.slowest = 0.0
        self.was_told = asyncio.Event()
        self.was_turned_away = asyncio.Event()

    def end(self) -> None:
        """Everybody finishes what they are at."""
        self._ends = True

    async def come(self) -> None:
        """One caller, until the end: books, looks, mostly cancels."""
        self._clients += 1
        client = self._clients
        while not self._ends:
            state = self._random.choice(self._states)
            command = BookIt(
                booking=new_id(),
                event=state.event.id,
                customer=new_id(),
                quantity=self._random.choice((1, 1, 2)),
                ticket_type=state.ticket_types[0].id,
            )
            await self.ask(client, command)
            await self._look(command)
            if self._random.random() < 0.8:
                await self.ask(client, CancelIt(booking=command.booking, actor=command.customer), command.event)

    async def ask(self, client: int, command: BookIt | CancelIt, event_id: UUID | None = None) -> Outcome:
        """What a customer is told in the end."""
        # However often it is asked for with the same id, it is one thing that is wanted, and may happen once.
        number = self.history.invoke(client, _call(command, event_id))
        for _ in range(TRIES):
            container = self._random.choice(self._containers)
            begun = monotonic()
            try:
                outcome = await self._perform(container, command)
            except Refusal as refusal:
                named = refusal.members.get("booking_id")
                outcome = Outcome(number=number, code=refusal.code, booking=UUID(str(named)) if named else None)
            except Unavailable:
                self.turned_away += 1
                self.was_turned_away.set()
                await asyncio.sleep(PAUSE)
                continue
            finally:
                self.slowest = max(self.slowest, monotonic() - begun)
            self._write_down(number, outcome)
            self.answered.append(Answered(command, outcome))
            self.was_told.set()
            return outcome
        raise AssertionError(f"told to try again {TRIES} times: {command}")

    def _write_down(self, number: int, outcome: Outcome) -> None:
        if outcome.code in ("already-booked", "already-cancelled"):
            # It was told nothing the first time, and it happened.
            self.history.ok(number, Told(booking_id=outcome.booking))
        elif outcome.booking is None:
            self.history.fail(number, outcome.code)
        else:
            told = Told(status=outcome.code, booking_id=outcome.booking, promoted=outcome.promoted)
            self.history.ok(number, told)

    async def _perform(self, container: Container, command: BookIt | CancelIt) -> Outcome:
        match command:
            case BookIt():
                booking = await container.book_ticket()(booked_with(command))
                return Outcome(number=0, code=booking.status, booking=booking.id, queue_number=booking.queue_number)
            case CancelIt():
                cancelled = await container.cancel_booking().by_id(command.booking, Actor(command.actor))
                return Outcome(
                    number=0,
                    code=cancelled.booking.status,
                    booking=cancelled.booking.id,
                    promoted=cancelled.promoted_count,
                )

    async def _look(self, command: BookIt) -> None:
        """What was acknowledged is read by its id; every answer belongs to whom asked."""
        container = self._random.choice(self._containers)
        try:
            found = await container.read_booking()(command.booking, Actor(command.customer))
        except Unavailable:
            self.reads["try again"] += 1
        else:
            self.reads["read"] += 1
            if not is_of(found, command):
                self.foreign.append(f"{command} was shown {found}")

    async def check(self, office: AppDriver) -> None:
        """Nothing that was acknowledged is lost, nothing is there twice or unasked, and every promise is kept."""
        assert self.foreign == []
        told = await office.check_acknowledged(*self._states, answered=self.answered)
        ends: Counter[str] = Counter(each.outcome.code for each in self.answered)
        assert set(ends) <= {"confirmed", "waitlisted", "already-booked", "cancelled", "already-cancelled"}
        entered = {each.command.booking for each in self.answered if isinstance(each.command, BookIt)}
        assert set(told) == entered
        cancelled = {each.command.booking for each in self.answered if isinstance(each.command, CancelIt)}
        assert {booking_id for booking_id, facts in told.items() if _ends_of(facts)} == cancelled
        assert all(len(_ends_of(facts)) <= 1 for facts in told.values())
        final = await Stored.load(office._container.storage(), self.history)
        breaches = check_promises(self.history, final)
        assert not breaches, f"{len(breaches)} breaches, the first of them: {breaches[:3]}"
        # "Already" is said to those only who were told nothing the first time.
        assert ends["already-booked"] + ends["already-cancelled"] <= self.turned_away


def checked_out(container: Container) -> int:
    """Connections to the database that are in use."""
    storage = container.storage()
    assert isinstance(storage, SqlStorage)
    return storage._writing.in_use + storage._reading.in_use


def booked_with(command: BookIt) -> Book:
    """The same, in the words of the domain."""
    return Book(
        booking_id=command.booking,
        event_id=command.event,
        actor=Actor(command.customer),
        quantity=command.quantity,
        ticket_type_id=command.ticket_type,
    )


def is_of(booking: Booking, command: BookIt) -> bool:
    """Whether this is what was booked with this command."""
    return (booking.id, booking.event_id, booking.customer_id, booking.quantity) == (
        command.booking,
        command.event,
        command.customer,
        command.quantity,
    )


def _ends_of(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if isinstance(fact.what, BookingCancelled)]


def _call(command: BookIt | CancelIt, event_id: UUID | None) -> Call:
    if isinstance(command, BookIt):
        return Call(
            name="book",
            event_id=command.event,
            customer_id=command.customer,
            booking_id=command.booking,
            ticket_type_id=command.ticket_type,
            quantity=command.quantity,
        )
    assert event_id
    return Call(name="cancel", event_id=event_id, customer_id=command.actor, booking_id=command.booking)

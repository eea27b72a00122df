"""The state machine: random commands through the real use cases, their outcomes and the promises held to the model."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ...application.book_ticket import BookTicket
from ...application.cancel_booking import CancelBooking
from ...application.change_event import ChangeEvent
from ...application.initialize_event import InitializeEvent
from ...application.ports import Storage
from ...application.promote_from_waitlist import PromoteFromWaitlist
from ...application.turnstile import Turnstile
from ...application.verify_promises import VerifyPromises
from ...domain.book import Book
from ...domain.cancel import Cancel
from ...domain.event import (
    EventChanges,
    EventDetails,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from ...domain.organize import AddTicketType, Edit, EditTicketType, Initialize
from ...domain.refusals import Refusal
from ...domain.user import Actor, Role
from .model import Model, ModelEvent, ModelType

START = datetime(2030, 1, 1, tzinfo=UTC)
CUSTOMERS = [UUID(int=number) for number in range(1, 7)]
ORGANIZERS = [UUID(int=101), UUID(int=102)]
ADMIN = UUID(int=201)
EVERYBODY = [*CUSTOMERS, *ORGANIZERS, ADMIN]

picks = st.integers(0, 1_000)
quantities = st.integers(1, 5)
totals = st.integers(1, 8)
policies = st.sampled_from(["strict", "fill"])
hours = st.integers(0, 60)
order = st.tuples(st.sampled_from(EVERYBODY), picks, quantities)


class HarnessClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time


class HarnessIds:
    """Ids that count upwards, so that a run can be repeated."""

    def __init__(self) -> None:
        self._last = 1_000

    def new(self) -> UUID:
        """The next number, dressed as a UUID of version 7."""
        self._last += 1
        return UUID(int=(self._last << 80) | (0x7 << 76) | (0x2 << 62) | self._last)


class BoxOfficeMachine(RuleBasedStateMachine):
    """Drives the use cases over `make_storage()`; subclass it and set that, then run its `TestCase`.

    `make_storage` gives an empty storage with its schema, `None` after the run is `close`d.
    """

    make_storage: ClassVar[Callable[[], Coroutine[Any, Any, Storage]]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = HarnessClock()
        self.ids = HarnessIds()
        self.model = Model(frozenset({ADMIN}))
        self.storage = self.run(type(self).make_storage())
        self.turnstile = Turnstile(self.storage, self.clock, self.ids)
        self.book_ticket = BookTicket(self.turnstile)
        self.cancel_booking = CancelBooking(self.turnstile, self.storage.reads)
        self.change_event = ChangeEvent(self.turnstile)
        self.initialize_event = InitializeEvent(self.turnstile)
        self.promote_from_waitlist = PromoteFromWaitlist(self.turnstile)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one piece of work to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Check everything that is stored once more, then let go."""
        try:
            verdict = self.run(VerifyPromises(self.storage, self.clock)())
            assert verdict.breaches == []
            self.run(self.turnstile.close())
        finally:
            self.run(self.storage.close())
            self.runner.close()

    # Commands.

    @rule(
        types=st.lists(totals, min_size=1, max_size=3),
        policy=policies,
        limit=st.integers(1, 9),
        starts_in=st.none() | st.integers(1, 60),
        deadline_hours=st.sampled_from([0, 0, 12]),
        is_draft=st.sampled_from([False, False, False, True]),
        organizer=st.sampled_from(ORGANIZERS),
    )
    @precondition(lambda self: len(self.model.events) < 3)
    def initialize(
        self,
        types: list[int],
        policy: str,
        limit: int,
        starts_in: int | None,
        deadline_hours: int,
        is_draft: bool,
        organizer: UUID,
    ) -> None:
        """A new event."""
        starts_at = None if starts_in is None else self.clock.time + timedelta(hours=starts_in)
        status = EventStatus.DRAFT if is_draft else EventStatus.ON_SALE
        model_types = [ModelType(self.ids.new(), f"Kind {index}", total) for index, total in enumerate(types)]
        command = Initialize(
            event_id=self.ids.new(),
            actor=self.actor(organizer),
            details=EventDetails(
                name="An evening",
                starts_at=starts_at,
                max_tickets_per_customer=limit,
                cancellation_deadline_hours=deadline_hours,
                waiting_list_policy=WaitingListPolicy(policy),
            ),
            ticket_types=tuple(
                (each.id, TicketTypeSpec(name=each.name, total_tickets=each.total)) for each in model_types
            ),
            currency="EUR",
            status=status,
        )
        state = self.run(self.initialize_event(command))
        assert state.event.status is status
        self.model.events[command.event_id] = ModelEvent(
            id=command.event_id,
            organizer_id=organizer,
            status=status.value,
            policy=policy,
            limit=limit,
            starts_at=starts_at,
            deadline_hours=deadline_hours,
            types=model_types,
        )

    @rule(event=picks, orders=st.lists(order, min_size=1, max_size=6))
    @precondition(lambda self: self.model.events)
    def book(self, event: int, orders: list[tuple[UUID, int, int]]) -> None:
        """Several people book at once; the turnstile decides them in the order in which they came."""
        meant = self.event(event)
        work, expected = [], []
        for customer_id, which, quantity in orders:
            ticket_type = meant.types[which % len(meant.types)]
            command = Book(
                booking_id=self.ids.new(),
                event_id=meant.id,
                actor=self.actor(customer_id),
                quantity=quantity,
                ticket_type_id=ticket_type.id,
            )
            work.append(self.outcome(self.book_ticket(command)))
            expected.append(
                self.model.book(meant, command.booking_id, customer_id, ticket_type.id, quantity, self.clock.time)
            )
        found = self.run(_gather(work))
        assert [each if isinstance(each, str) else each.status.value for each in found] == expected

    @rule(event=picks, cancels=st.lists(st.tuples(picks, picks), min_size=1, max_size=4))
    @precondition(lambda self: any(event.bookings for event in self.model.events.values()))
    def cancel(self, event: int, cancels: list[tuple[int, int]]) -> None:
        """Customers, organizers and strangers cancel bookings at once, some of them the same one."""
        meant = self.event(event)
        if not meant.bookings:
            return
        work, expected = [], []
        for which, who in cancels:
            booking = meant.bookings[which % len(meant.bookings)]
            actor_id = ([booking.customer_id] * 3 + [meant.organizer_id, ADMIN, CUSTOMERS[0]])[who % 6]
            command = Cancel(event_id=meant.id, actor=self.actor(actor_id), booking_id=booking.id)
            work.append(self.outcome(self.cancel_booking(command)))
            expected.append(self.model.cancel(meant, booking, actor_id, self.clock.time))
        found = self.run(_gather(work))
        assert [each if isinstance(each, str) else each.promoted_count for each in found] == expected

    @rule(event=picks, customer_id=st.sampled_from(CUSTOMERS))
    @precondition(lambda self: self.model.events)
    def cancel_own(self, event: int, customer_id: UUID) -> None:
        """A customer cancels by the event."""
        meant = self.event(event)
        if meant.status == "draft":
            return
        command = Cancel(event_id=meant.id, actor=self.actor(customer_id))
        found = self.run(self.outcome(self.cancel_booking(command)))
        expected = self.model.cancel_own(meant, customer_id, self.clock.time)
        assert (found if isinstance(found, str) else found.promoted_count) == expected

    @rule(
        event=picks,
        status=st.sampled_from(["on_sale", "on_sale", "paused", "paused", "draft", "completed", "cancelled"]),
        actor_id=st.sampled_from([*ORGANIZERS, ADMIN, *CUSTOMERS[:1]]),
    )
    @precondition(lambda self: self.model.events)
    def set_status(self, event: int, status: str, actor_id: UUID) -> None:
        """Somebody leads an event through its life."""
        meant = self.event(event)
        before = meant.version
        found = self.edit(meant, actor_id, EventChanges(status=EventStatus(status)))
        self.check_edit(found, before, self.model.set_status(meant, status, actor_id, self.clock.time))

    @rule(event=picks, policy=policies)
    @precondition(lambda self: self.model.events)
    def set_policy(self, event: int, policy: str) -> None:
        """The organizer chooses how the line is served."""
        meant = self.event(event)
        before = meant.version
        found = self.edit(meant, meant.organizer_id, EventChanges(waiting_list_policy=WaitingListPolicy(policy)))
        self.check_edit(found, before, self.model.set_policy(meant, policy, meant.organizer_id, self.clock.time))

    @rule(event=picks, limit=st.integers(1, 9))
    @precondition(lambda self: self.model.events)
    def set_limit(self, event: int, limit: int) -> None:
        """The organizer changes how many tickets a customer may have."""
        meant = self.event(event)
        before = meant.version
        found = self.edit(meant, meant.organizer_id, EventChanges(max_tickets_per_customer=limit))
        self.check_edit(found, before, self.model.set_limit(meant, limit, meant.organizer_id, self.clock.time))

    @rule(event=picks, starts_in=st.integers(1, 60))
    @precondition(lambda self: self.model.events)
    def set_start(self, event: int, starts_in: int) -> None:
        """The organizer moves the start, maybe after it has passed."""
        meant = self.event(event)
        before = meant.version
        starts_at = self.clock.time + timedelta(hours=starts_in)
        found = self.edit(meant, meant.organizer_id, EventChanges(starts_at=starts_at))
        self.check_edit(found, before, self.model.set_start(meant, starts_at, meant.organizer_id, self.clock.time))

    @rule(event=picks, which=picks, total=totals)
    @precondition(lambda self: self.model.events)
    def set_total(self, event: int, which: int, total: int) -> None:
        """More or fewer tickets."""
        meant = self.event(event)
        before = meant.version
        ticket_type = meant.types[which % len(meant.types)]
        command = EditTicketType(
            event_id=meant.id,
            actor=self.actor(meant.organizer_id),
            ticket_type_id=ticket_type.id,
            changes=TicketTypeChanges(total_tickets=total),
        )
        found = self.run(self.outcome(self.change_event(command)))
        expected = self.model.set_total(meant, ticket_type, total, meant.organizer_id, self.clock.time)
        self.check_edit(found, before, expected)

    @rule(event=picks, number=st.integers(0, 4), total=totals)
    @precondition(lambda self: self.model.events)
    def add_type(self, event: int, number: int, total: int) -> None:
        """One more kind of ticket, sometimes with a name that is taken."""
        meant = self.event(event)
        before = meant.version
        command = AddTicketType(
            event_id=meant.id,
            actor=self.actor(meant.organizer_id),
            ticket_type_id=self.ids.new(),
            spec=TicketTypeSpec(name=f"KIND {number}", total_tickets=total),
        )
        found = self.run(self.outcome(self.change_event(command)))
        expected = self.model.add_type(
            meant, command.ticket_type_id, command.spec.name, total, meant.organizer_id, self.clock.time
        )
        self.check_edit(found, before, expected)

    @rule(event=picks)
    @precondition(lambda self: self.model.events)
    def promote(self, event: int) -> None:
        """An operator asks for promotion; nobody can be left to promote (promise 6)."""
        assert self.run(self.promote_from_waitlist(self.event(event).id)) == 0

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        """The clock moves."""
        self.clock.time += timedelta(hours=by)

    # What must always hold.

    @invariant()
    def events_are_as_the_model_says(self) -> None:
        """Counters, statuses and the order of the line (promises 1, 4, 5 and 6)."""
        for event in self.model.events.values():
            state = self.run(self.storage.reads.event(event.id))
            assert (state.event.status.value, state.event.version) == (event.status, event.version)
            assert [(each.total_tickets, each.available, each.waiting) for each in state.ticket_types] == [
                (each.total, event.free(each), len(each.line)) for each in event.types
            ]
            line = self.run(self.storage.reads.waiting_list(event.id, None, None, 1_000))
            assert [booking.id for booking in line] == [booking.id for each in event.types for booking in each.line]

    @invariant()
    def bookings_are_as_the_model_says(self) -> None:
        """One booking for each that was acknowledged, in the state that was acknowledged (promises 2 and 3)."""
        for event in self.model.events.values():
            bookings = self.run(self.storage.reads.bookings_of_event(event.id, None, None, 1_000))
            assert {each.id: (each.customer_id, each.quantity, each.status.value) for each in bookings} == {
                each.id: (each.customer_id, each.quantity, each.status) for each in event.bookings
            }

    # Small things.

    def event(self, number: int) -> ModelEvent:
        """The event that a drawn number means."""
        events = list(self.model.events.values())
        return events[number % len(events)]

    def actor(self, user_id: UUID) -> Actor:
        """A user as the rules see them."""
        return Actor(user_id, Role.ADMIN if user_id == ADMIN else Role.CUSTOMER)

    def edit(self, event: ModelEvent, actor_id: UUID, changes: EventChanges) -> Any:
        """Change an event."""
        command = Edit(event_id=event.id, actor=self.actor(actor_id), changes=changes)
        return self.run(self.outcome(self.change_event(command)))

    def check_edit(self, found: Any, version: int, expected: str) -> None:
        """Hold an edit's outcome against the model's."""
        if isinstance(found, str):
            assert found == expected
        else:
            assert expected == ("edited" if found.event.version > version else "unchanged")

    async def outcome(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What came of it, or the code of the refusal."""
        try:
            return await work
        except Refusal as refusal:
            return refusal.code


async def _gather(work: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    return await asyncio.gather(*work)

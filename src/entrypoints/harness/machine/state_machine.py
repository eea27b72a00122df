"""The state machine: random commands to an application, all that it answers and all that is read held to the model."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ....application.bookings.pay_booking import Bill
from ....application.ports.idempotency import KEPT_FOR
from ....domain.decisions.book import Book
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import AddTicketType, Edit, EditTicketType, Initialize
from ....domain.event import (
    EventChanges,
    EventDetails,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from ....domain.payment import PaymentMethod
from ....domain.user import Actor, Role
from ....domain.values.money import Money
from .box_office import (
    Answer,
    BoxOffice,
    Command,
    EventLook,
    HarnessClock,
    Order,
    Outcome,
    PaymentSeen,
    Replay,
    difference,
)
from .in_process import HarnessIds
from .model import DECLINES, PRICE, SILENT, TAKES, Model, ModelBooking, ModelEvent, ModelType
from .troubled import Trouble

Result = TypeVar("Result")

CUSTOMERS = [UUID(int=number) for number in range(1, 7)]
ORGANIZERS = [UUID(int=101), UUID(int=102)]
ADMIN = UUID(int=201)
EVERYBODY = [*CUSTOMERS, *ORGANIZERS, ADMIN]

FIELDS = {
    "policy": "waiting_list_policy",
    "limit": "max_tickets_per_customer",
    "starts_at": "starts_at",
    "window": "payment_window_minutes",
    "deadline_hours": "cancellation_deadline_hours",
}
"""What the domain calls the model's fields."""

picks = st.integers(0, 1_000)
quantities = st.integers(1, 5)
totals = st.integers(1, 8)
policies = st.sampled_from(WaitingListPolicy)
hours = st.integers(0, 30)
windows = st.sampled_from([None, 60, 60, 600])
deadlines = st.sampled_from([0, 0, 12, 48])
limits = st.integers(1, 9)
new_events = st.fixed_dictionaries(
    {
        "types": st.lists(st.tuples(totals, st.booleans()), min_size=1, max_size=3),
        "window": windows,
        "policy": policies,
        "limit": limits,
        "starts_in": st.none() | st.integers(1, 200),
        "deadline_hours": deadlines,
        "is_draft": st.sampled_from([False, False, False, True]),
        "organizer": st.sampled_from(ORGANIZERS),
    }
)
edits = (
    st.tuples(st.just("policy"), policies)
    | st.tuples(st.just("limit"), limits)
    | st.tuples(st.just("starts_in"), st.integers(1, 60))
    | st.tuples(st.just("starts_later"), st.sampled_from([-24, -2, -1, 1, 2, 24]))
    | st.tuples(st.just("window"), windows)
    | st.tuples(st.just("deadline_hours"), deadlines)
)
orders = st.lists(st.tuples(st.sampled_from(EVERYBODY), picks, quantities), min_size=1, max_size=8)


class BoxOfficeMachine(RuleBasedStateMachine):
    """Drives an application through its `BoxOffice`: subclass it, override `make_box_office`, run its `TestCase`."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = HarnessClock()
        self.ids = HarnessIds(1_000)
        self.model = Model(frozenset({ADMIN}))
        self.paid_in_cash: set[UUID] = set()
        self.last_seqs: dict[UUID, int] = {}
        self.answers_may_be_lost = False
        self.remembered: list[tuple[datetime, UUID, Order, Answer]] = []
        self.box_office = self.run(self.make_box_office(self.clock))

    async def make_box_office(self, clock: HarnessClock) -> BoxOffice:
        """A new application for each run, with nothing in it but its schema, on this clock."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run one piece of work to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Check everything that is stored once more, then let go."""
        try:
            self.hold(self.run(self.box_office.breaches()), [])
        finally:
            self.run(self.box_office.close())
            self.runner.close()

    # Commands.

    @initialize(event=new_events, first=orders)
    def open(self, event: dict[str, Any], first: list[tuple[UUID, int, int]]) -> None:
        """There is an event from the start, on sale, and some have booked."""
        self.initialize_event(**{**event, "is_draft": False})
        self.book_tickets(0, first)

    @rule(event=new_events)
    @precondition(lambda self: len(self.model.events) < 3)
    def initialize_another(self, event: dict[str, Any]) -> None:
        """One more event."""
        self.initialize_event(**event)

    def initialize_event(
        self,
        *,
        types: list[tuple[int, bool]],
        window: int | None,
        policy: WaitingListPolicy,
        limit: int,
        starts_in: int | None,
        deadline_hours: int,
        is_draft: bool,
        organizer: UUID,
    ) -> None:
        """A new event."""
        starts_at = None if starts_in is None else self.clock.time + timedelta(hours=starts_in)
        status = EventStatus.DRAFT if is_draft else EventStatus.ON_SALE
        meant = ModelEvent(
            id=self.ids.new(),
            organizer_id=organizer,
            status=status.value,
            policy=policy.value,
            limit=limit,
            starts_at=starts_at,
            deadline_hours=deadline_hours,
            window=window,
            types=[ModelType(self.ids.new(), f"Kind {index}", *each) for index, each in enumerate(types)],
        )
        command = Initialize(
            event_id=meant.id,
            actor=self.actor(organizer),
            details=EventDetails(
                name="An evening",
                starts_at=starts_at,
                max_tickets_per_customer=limit,
                cancellation_deadline_hours=deadline_hours,
                payment_window_minutes=window,
                waiting_list_policy=policy,
            ),
            ticket_types=tuple(
                (
                    each.id,
                    TicketTypeSpec(
                        name=each.name, total_tickets=each.total, price=Money(PRICE, "EUR") if each.costs else None
                    ),
                )
                for each in meant.types
            ),
            currency="EUR",
            status=status,
        )
        self.model.events[meant.id] = meant
        self.hold(self.give(command), meant.seen())

    @rule(event=picks, orders=orders)
    def book(self, event: int, orders: list[tuple[UUID, int, int]]) -> None:
        """Several people book at once; they are decided in the order in which they came."""
        self.book_tickets(event, orders)

    def book_tickets(self, event: int, orders: list[tuple[UUID, int, int]]) -> None:
        """Bookings at once."""
        meant = self.event(event)
        given: list[Order] = []
        expected: list[Answer] = []
        for customer_id, which, quantity in orders:
            ticket_type = meant.types[which % len(meant.types)]
            command = self.booking_command(meant, ticket_type, customer_id, quantity)
            given.append(Order(command))
            expected.append(
                self.model.book(meant, command.booking_id, customer_id, ticket_type.id, quantity, self.clock.time)
            )
        self.hold(self.run(self.box_office.give(given)), expected)

    @rule(event=picks, cancels=st.lists(st.tuples(picks, picks), min_size=1, max_size=4))
    @precondition(lambda self: self.has_bookings())
    def cancel(self, event: int, cancels: list[tuple[int, int]]) -> None:
        """Customers, organizers and strangers cancel bookings at once, some of them the same one."""
        meant = self.event(event)
        if not meant.bookings:
            return
        given: list[Order] = []
        expected: list[Answer] = []
        for which, who in cancels:
            booking = meant.bookings[which % len(meant.bookings)]
            actor_id = ([booking.customer_id] * 3 + [meant.organizer_id, ADMIN, CUSTOMERS[0]])[who % 6]
            given.append(Order(Cancel(event_id=meant.id, actor=self.actor(actor_id), booking_id=booking.id)))
            expected.append(self.model.cancel(meant, booking, actor_id, self.clock.time))
        self.hold(self.run(self.box_office.give(given)), expected)

    @rule(event=picks, customer_id=st.sampled_from(CUSTOMERS))
    def cancel_own(self, event: int, customer_id: UUID) -> None:
        """A customer cancels by the event."""
        meant = self.event(event)
        found = self.give(Cancel(event_id=meant.id, actor=self.actor(customer_id)))
        self.hold(found, self.model.cancel_own(meant, customer_id, self.clock.time))

    @rule(
        event=picks,
        status=st.sampled_from(["on_sale"] * 4 + ["paused"] * 3 + ["draft", "completed", "cancelled"]),
        actor_id=st.sampled_from([*ORGANIZERS, ADMIN, *CUSTOMERS[:1]]),
    )
    def set_status(self, event: int, status: str, actor_id: UUID) -> None:
        """Somebody leads an event through its life."""
        meant = self.event(event)
        found = self.give_edit(meant, actor_id, EventChanges(status=EventStatus(status)))
        self.hold(found, self.model.set_status(meant, status, actor_id, self.clock.time))

    @rule(event=picks, change=edits)
    def edit(self, event: int, change: tuple[str, Any]) -> None:
        """The organizer changes something, maybe late; it binds new bookings only."""
        meant = self.event(event)
        field, value = change
        if field == "starts_in":
            field, value = "starts_at", self.clock.time + timedelta(hours=value)
        if field == "starts_later":
            moved_to = meant.starts_at and meant.starts_at + timedelta(hours=value)
            if moved_to is None or moved_to <= self.clock.time:
                return
            field, value = "starts_at", moved_to
        found = self.give_edit(meant, meant.organizer_id, EventChanges(**{FIELDS[field]: value}))
        self.hold(found, self.model.edit(meant, field, value, meant.organizer_id, self.clock.time))

    @rule(event=picks, which=picks, total=totals)
    def set_total(self, event: int, which: int, total: int) -> None:
        """More or fewer tickets."""
        meant = self.event(event)
        ticket_type = meant.types[which % len(meant.types)]
        command = EditTicketType(
            event_id=meant.id,
            actor=self.actor(meant.organizer_id),
            ticket_type_id=ticket_type.id,
            changes=TicketTypeChanges(total_tickets=total),
        )
        found = self.give(command)
        self.hold(found, self.model.set_total(meant, ticket_type, total, meant.organizer_id, self.clock.time))

    @rule(event=picks, number=st.integers(0, 4), total=totals)
    def add_type(self, event: int, number: int, total: int) -> None:
        """One more kind of ticket, sometimes with a name that is taken."""
        meant = self.event(event)
        command = AddTicketType(
            event_id=meant.id,
            actor=self.actor(meant.organizer_id),
            ticket_type_id=self.ids.new(),
            spec=TicketTypeSpec(name=f"KIND {number}", total_tickets=total),
        )
        found = self.give(command)
        expected = self.model.add_type(
            meant, command.ticket_type_id, command.spec.name, total, meant.organizer_id, self.clock.time
        )
        self.hold(found, expected)

    @rule(
        event=picks,
        which=picks,
        token=st.sampled_from([TAKES, TAKES, TAKES, DECLINES, SILENT, ""]),
        who=picks,
    )
    @precondition(lambda self: self.has_bookings())
    def pay(self, event: int, which: int, token: str, who: int) -> None:
        """Somebody pays, in time or late, by card or in cash, and the provider may say nothing."""
        meant = self.event(event)
        if not meant.bookings:
            return
        booking = meant.bookings[which % len(meant.bookings)]
        if token == SILENT and any(each.is_unanswered for each in meant.bookings):
            # Which of two lost answers is found first is nobody's promise.
            token = TAKES
        likely = meant.organizer_id if token == "" else booking.customer_id
        actor_id = [likely, likely, likely, booking.customer_id, meant.organizer_id, CUSTOMERS[0]][who % 6]
        bill = Bill(
            booking_id=booking.id,
            actor=self.actor(actor_id),
            method=PaymentMethod.CARD if token else PaymentMethod.CASH,
            token=token,
        )
        found = self.give(bill)
        expected = self.model.pay(meant, booking, actor_id, token, self.clock.time)
        self.hold(found, expected)
        if not isinstance(expected, str) and not token:
            self.paid_in_cash.add(booking.id)

    @rule(event=picks, which=picks, customer_id=st.sampled_from(CUSTOMERS), quantity=quantities)
    def book_with_a_key(self, event: int, which: int, customer_id: UUID, quantity: int) -> None:
        """Somebody books with a key, twice at once: one effect, and the same answer (promise 3)."""
        meant = self.event(event)
        ticket_type = meant.types[which % len(meant.types)]
        command = self.booking_command(meant, ticket_type, customer_id, quantity)
        expected = self.model.book(meant, command.booking_id, customer_id, ticket_type.id, quantity, self.clock.time)
        self.give_twice(meant, Order(command, key=f"book-{command.booking_id}"), expected)

    @rule(event=picks, which=picks)
    @precondition(lambda self: self.has_bookings())
    def cancel_with_a_key(self, event: int, which: int) -> None:
        """Somebody cancels with a key, twice at once: one effect, and the same answer (promises 3 and 4)."""
        meant = self.event(event)
        if not meant.bookings:
            return
        booking = meant.bookings[which % len(meant.bookings)]
        command = Cancel(event_id=meant.id, actor=self.actor(booking.customer_id), booking_id=booking.id)
        expected = self.model.cancel(meant, booking, booking.customer_id, self.clock.time)
        self.give_twice(meant, Order(command, key=f"cancel-{self.ids.new()}"), expected)

    @rule(which=picks)
    @precondition(lambda self: self.remembered)
    def send_again(self, which: int) -> None:
        """A request with a key that was answered within a day changes nothing (promise 3)."""
        answered_at, event_id, sent, answer = self.remembered[which % len(self.remembered)]
        if self.clock.time > answered_at + KEPT_FOR:
            return
        (found,) = self.run(self.box_office.give([sent]))
        self.hold(found, Replay(answer))
        self.model.events[event_id].lapse(self.clock.time)

    @rule()
    def sweep(self) -> None:
        """The background work: what lapsed, what is not known, what is owed (promise 8)."""
        self.run(self.box_office.sweep())
        self.model.sweep(self.clock.time)
        while self.run(self.box_office.sweep()):
            pass
        self.model.give_back()

    @rule(event=picks)
    def promote(self, event: int) -> None:
        """An operator asks for promotion; beyond what has just lapsed nobody can be left to promote (promise 6)."""
        meant = self.event(event)
        self.run(self.box_office.promote(meant.id))
        meant.lapse(self.clock.time)
        self.hold(self.run(self.box_office.promote(meant.id)), 0)

    @rule()
    def an_hour_passes(self) -> None:
        """As long as most customers have to pay."""
        self.clock.time += timedelta(hours=1)

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        """The clock moves."""
        self.clock.time += timedelta(hours=by)

    @rule(which=picks)
    def until_something_ends(self, which: int) -> None:
        """Exactly to a moment at which a hold, a grace or a deadline is over, or an event begins."""
        moments = {each for event in self.model.events.values() for each in event.boundaries()}
        coming = sorted(each for each in moments if each > self.clock.time)
        if coming:
            self.clock.time = coming[which % min(len(coming), 3)]

    @rule(trouble=st.sampled_from(Trouble))
    def trouble(self, trouble: Trouble) -> None:
        """A commit that comes is undone by the database, or its answer is lost; nobody may notice (promise 2)."""
        self.run(self.box_office.trouble(trouble))
        self.answers_may_be_lost |= trouble is Trouble.UNANSWERED

    # What somebody reads.

    @rule(event=picks, which=picks, actor_id=st.sampled_from(EVERYBODY))
    def read(self, event: int, which: int, actor_id: UUID) -> None:
        """Somebody reads: their own bookings, one that may be another's, and what lies below an event (promise 9)."""
        meant, actor, now = self.event(event), self.actor(actor_id), self.clock.time
        self.hold(self.run(self.box_office.bookings_of(actor)), self.model.bookings_of(actor_id, now))
        refused = self.model.reading_is_refused(meant, actor_id)
        if refused:
            self.hold(self.run(self.box_office.event(meant.id, actor)), refused)
        if meant.bookings:
            self.check_booking(meant, meant.bookings[which % len(meant.bookings)], actor)

    # What must always hold.

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Counters, every acknowledged booking as it was acknowledged, and the line in its order (promises 1 to 6)."""
        for event in self.model.events.values():
            found = self.run(self.box_office.event(event.id, self.actor(event.organizer_id)))
            assert not isinstance(found, str), f"its organizer may read {event}: {found}"
            now = self.clock.time
            self.hold(found.event, event.seen())
            self.hold(found.bookings, [event.seen_booking(each, now) for each in reversed(event.bookings)])
            self.hold(found.waiting_list, [event.seen_booking(each, now) for kind in event.types for each in kind.line])
            self.check_numbers(found)

    @invariant()
    def the_provider_keeps_what_was_paid(self) -> None:
        """The provider's own ledger and ours agree (promise 8)."""
        by_card = sum(
            each.amount
            for event in self.model.events.values()
            for each in event.bookings
            if (_is_paid(each) and each.id not in self.paid_in_cash) or each.is_unanswered
        )
        self.hold(self.run(self.box_office.money_kept()), by_card)

    # Small things.

    def event(self, number: int) -> ModelEvent:
        """The event that a drawn number means."""
        events = list(self.model.events.values())
        return events[number % len(events)]

    def has_bookings(self) -> bool:
        """Whether anybody has booked anything yet."""
        return any(event.bookings for event in self.model.events.values())

    def actor(self, user_id: UUID) -> Actor:
        """A user as the rules see them."""
        return Actor(user_id, Role.ADMIN if user_id == ADMIN else Role.CUSTOMER)

    def booking_command(self, event: ModelEvent, ticket_type: ModelType, customer_id: UUID, quantity: int) -> Book:
        """A new booking. Where there is one type, it need not be named."""
        return Book(
            booking_id=self.ids.new(),
            event_id=event.id,
            actor=self.actor(customer_id),
            quantity=quantity,
            ticket_type_id=ticket_type.id if len(event.types) > 1 else None,
        )

    def give(self, command: Command) -> Outcome:
        """A command by itself."""
        (outcome,) = self.run(self.box_office.give([Order(command)]))
        return outcome

    def give_twice(self, event: ModelEvent, sent: Order, expected: Answer) -> None:
        """A command with its key, twice at once. What may be otherwise later is not remembered."""
        is_kept = expected not in ("not-found", "not-on-sale")
        first, second = self.run(self.box_office.give([sent, sent]))
        if self.answers_may_be_lost and is_kept and isinstance(expected, str) and first == Replay(expected):
            # A refusal leaves no mark to look for, so it was given again, and found what the lost commit remembered.
            first = expected
        self.hold([first, second], [expected, Replay(expected) if is_kept else expected])
        if is_kept:
            self.remembered.append((self.clock.time, event.id, sent, expected))

    def give_edit(self, event: ModelEvent, actor_id: UUID, changes: EventChanges) -> Outcome:
        """Change an event."""
        return self.give(Edit(event_id=event.id, actor=self.actor(actor_id), changes=changes))

    def hold(self, found: object, expected: object) -> None:
        """What was found must be what the model expects."""
        differs = difference(found, expected)
        assert differs is None, f"the application differs from the model: {differs}"

    def check_booking(self, event: ModelEvent, booking: ModelBooking, actor: Actor) -> None:
        """A booking with its payments, for those who may see it (promises 8 and 9)."""
        found = self.run(self.box_office.booking(booking.id, actor))
        if actor.user_id != booking.customer_id and not self.model.manages(event, actor.user_id):
            self.hold(found, "not-found")
        else:
            assert not isinstance(found, str), f"{actor} may read {booking}: {found}"
            self.hold(found.booking, event.seen_booking(booking, self.clock.time))
            self.hold(_balance(found.payments), booking.amount if _is_paid(booking) else 0)

    def check_numbers(self, look: EventLook) -> None:
        """Facts are numbered without gaps (promise 7; whether they add up, `breaches` says at the end)."""
        first = self.last_seqs.get(look.event.id, 0) + 1
        self.hold([fact.seq for fact in look.changes], list(range(first, first + len(look.changes))))
        self.last_seqs[look.event.id] = first + len(look.changes) - 1


def _is_paid(booking: ModelBooking) -> bool:
    return booking.payment in ("taken", "refund_pending")


def _balance(payments: list[PaymentSeen]) -> int:
    """What was taken and not given back."""
    return sum(
        each.amount.amount if each.kind == "charge" else -each.amount.amount
        for each in payments
        if each.status == "succeeded"
    )

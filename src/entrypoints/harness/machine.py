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
from ...application.idempotency import KEPT_FOR, Answer, Key, Once, Replayed
from ...application.initialize_event import InitializeEvent
from ...application.pay_booking import Bill, PayBooking, PaymentUnknown
from ...application.ports import GatewaySilent, Storage
from ...application.promote_from_waitlist import PromoteFromWaitlist
from ...application.sweep import ExpireHolds, SettlePayments, Sweep
from ...application.turnstile import Turnstile
from ...application.verify_promises import VerifyPromises
from ...domain.book import Book
from ...domain.booking import Booking
from ...domain.cancel import Cancel
from ...domain.event import (
    EventChanges,
    EventDetails,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from ...domain.money import Money
from ...domain.organize import AddTicketType, Edit, EditTicketType, Initialize
from ...domain.payment import PaymentMethod
from ...domain.refusals import Refusal
from ...domain.user import Actor, Role
from .model import DECLINES, SILENT, TAKES, Model, ModelEvent, ModelType

START = datetime(2030, 1, 1, tzinfo=UTC)
CUSTOMERS = [UUID(int=number) for number in range(1, 7)]
ORGANIZERS = [UUID(int=101), UUID(int=102)]
ADMIN = UUID(int=201)
PRICE = Money(500, "EUR")
EVERYBODY = [*CUSTOMERS, *ORGANIZERS, ADMIN]

picks = st.integers(0, 1_000)
quantities = st.integers(1, 5)
totals = st.integers(1, 8)
policies = st.sampled_from(["strict", "fill"])
hours = st.integers(0, 60)
windows = st.sampled_from([None, None, 60, 600])
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


class HarnessGateway:
    """A provider with a ledger: `tok_ok`, `tok_decline`, and `tok_timeout`, which takes the money and says nothing."""

    def __init__(self) -> None:
        self._charges: dict[UUID, tuple[bool, Money]] = {}
        self._refunds: dict[UUID, UUID] = {}

    @property
    def kept(self) -> int:
        """What was taken and not given back, in minor units."""
        taken = sum(amount.amount for is_taken, amount in self._charges.values() if is_taken)
        return taken - sum(self._charges[charge][1].amount for charge in self._refunds.values())

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """Take the money, once per reference."""
        self._charges.setdefault(reference, (token in (TAKES, SILENT), amount))
        if token == SILENT:
            raise GatewaySilent
        return self._charges[reference][0]

    async def find_charge(self, reference: UUID) -> bool | None:
        """What became of a charge."""
        charge = self._charges.get(reference)
        return None if charge is None else charge[0]

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Give the money back, once per reference and never more than was taken."""
        is_taken, taken = self._charges[charge_reference]
        assert is_taken
        assert amount == taken
        assert charge_reference not in self._refunds.values() or self._refunds.get(reference) == charge_reference
        self._refunds[reference] = charge_reference
        return True

    async def close(self) -> None:
        """Nothing to let go of."""


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
        reads = self.storage.reads
        self.gateway = HarnessGateway()
        self.pay_booking = PayBooking(self.turnstile, reads, self.gateway, self.ids)
        expire_holds = ExpireHolds(self.promote_from_waitlist, reads, self.clock)
        settle_payments = SettlePayments(self.turnstile, reads, self.gateway, self.clock)
        self.sweep_once = Sweep(expire_holds, settle_payments, self.storage, self.clock, self.ids)
        self.paid_in_cash: set[UUID] = set()
        self.remembered: list[tuple[datetime, Once[Booking], Book]] = []

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
        types=st.lists(st.tuples(totals, st.booleans()), min_size=1, max_size=3),
        window=windows,
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
        types: list[tuple[int, bool]],
        window: int | None,
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
        model_types = [ModelType(self.ids.new(), f"Kind {index}", *each) for index, each in enumerate(types)]
        command = Initialize(
            event_id=self.ids.new(),
            actor=self.actor(organizer),
            details=EventDetails(
                name="An evening",
                starts_at=starts_at,
                max_tickets_per_customer=limit,
                cancellation_deadline_hours=deadline_hours,
                payment_window_minutes=window,
                waiting_list_policy=WaitingListPolicy(policy),
            ),
            ticket_types=tuple(
                (
                    each.id,
                    TicketTypeSpec(name=each.name, total_tickets=each.total, price=PRICE if each.costs else None),
                )
                for each in model_types
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
            window=_window(window),
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

    @rule(event=picks, window=windows)
    @precondition(lambda self: self.model.events)
    def set_window(self, event: int, window: int | None) -> None:
        """The organizer changes how long customers have to pay."""
        meant = self.event(event)
        before = meant.version
        found = self.edit(meant, meant.organizer_id, EventChanges(payment_window_minutes=window))
        expected = self.model.set_window(meant, _window(window), meant.organizer_id, self.clock.time)
        self.check_edit(found, before, expected)

    @rule(event=picks, deadline_hours=st.sampled_from([0, 12, 24]))
    @precondition(lambda self: self.model.events)
    def set_deadline(self, event: int, deadline_hours: int) -> None:
        """The organizer changes until when customers may cancel; it binds new bookings only."""
        meant = self.event(event)
        before = meant.version
        found = self.edit(meant, meant.organizer_id, EventChanges(cancellation_deadline_hours=deadline_hours))
        expected = self.model.set_deadline(meant, deadline_hours, meant.organizer_id, self.clock.time)
        self.check_edit(found, before, expected)

    @rule(
        event=picks,
        which=picks,
        token=st.sampled_from([TAKES, TAKES, TAKES, DECLINES, SILENT, ""]),
        who=picks,
    )
    @precondition(lambda self: any(event.bookings for event in self.model.events.values()))
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
        found = self.run(self.outcome(self.pay_booking(bill)))
        expected = self.model.pay(meant, booking, actor_id, token, self.clock.time)
        assert (found if isinstance(found, str) else found.payment_status.value) == expected
        if expected == "taken" and not token:
            self.paid_in_cash.add(booking.id)

    @rule()
    def sweep(self) -> None:
        """The background work: what lapsed, what is not known, what is owed (promise 8)."""
        assert self.run(self.sweep_once()).is_ours
        self.model.sweep(self.clock.time)
        while self.run(self.sweep_once()).payments:
            pass
        self.model.give_back()

    @rule(event=picks, customer_id=st.sampled_from(CUSTOMERS), quantity=quantities)
    @precondition(lambda self: self.model.events)
    def book_with_a_key(self, event: int, customer_id: UUID, quantity: int) -> None:
        """Somebody books with a key, twice at once: one effect, and the same answer (promise 3)."""
        meant = self.event(event)
        ticket_type_id = meant.types[0].id
        command = Book(
            booking_id=self.ids.new(),
            event_id=meant.id,
            actor=self.actor(customer_id),
            quantity=quantity,
            ticket_type_id=ticket_type_id,
        )
        once: Once[Booking] = Once(key=Key(customer_id, str(command.booking_id)), fingerprint=b"book", render=_render)
        work = [self.outcome(self.book_ticket(command, once)) for _ in range(2)]
        first, second = self.run(_gather(work))
        expected = self.model.book(meant, command.booking_id, customer_id, ticket_type_id, quantity, self.clock.time)
        assert (first if isinstance(first, str) else first.status.value) == expected
        if expected != "not-found":
            assert second == f"replayed {expected}"
            self.remembered.append((self.clock.time, once, command))

    @rule(which=picks)
    @precondition(lambda self: self.remembered)
    def send_again(self, which: int) -> None:
        """A request with a key that was answered within a day changes nothing."""
        answered_at, once, command = self.remembered[which % len(self.remembered)]
        if self.clock.time > answered_at + KEPT_FOR:
            return
        found = self.run(self.outcome(self.book_ticket(command, once)))
        assert isinstance(found, str)
        assert found.startswith("replayed ")
        self.model.events[command.event_id].lapse(self.clock.time)

    @rule(event=picks)
    @precondition(lambda self: self.model.events)
    def promote(self, event: int) -> None:
        """An operator asks for promotion; beyond what has just lapsed nobody can be left to promote (promise 6)."""
        meant = self.event(event)
        self.run(self.promote_from_waitlist(meant.id))
        meant.lapse(self.clock.time)
        assert self.run(self.promote_from_waitlist(meant.id)) == 0

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
        """One booking for each that was acknowledged, as it was acknowledged (promises 2, 3 and 8)."""
        for event in self.model.events.values():
            bookings = self.run(self.storage.reads.bookings_of_event(event.id, None, None, 1_000))
            assert {
                each.id: (each.customer_id, each.quantity, each.status.value, each.payment_status.value)
                for each in bookings
            } == {each.id: (each.customer_id, each.quantity, each.status, each.payment) for each in event.bookings}

    @invariant()
    def the_provider_keeps_what_was_paid(self) -> None:
        """The provider's own ledger and ours agree (promise 8)."""
        by_card = sum(
            each.quantity * PRICE.amount
            for event in self.model.events.values()
            for each in event.bookings
            if (each.payment in ("taken", "refund_pending") and each.id not in self.paid_in_cash) or each.is_unanswered
        )
        assert self.gateway.kept == by_card

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
        except Replayed as replayed:
            return f"replayed {replayed.answer.body.decode()}"
        except PaymentUnknown:
            return "payment-unknown"


def _window(minutes: int | None) -> timedelta | None:
    return None if minutes is None else timedelta(minutes=minutes)


def _render(result: Booking | Exception) -> Answer:
    if isinstance(result, Refusal):
        return Answer(status=409, body=result.code.encode())
    assert isinstance(result, Booking)
    return Answer(status=201, body=result.status.value.encode(), subject_id=result.id)


async def _gather(work: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    return await asyncio.gather(*work)

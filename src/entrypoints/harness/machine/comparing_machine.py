"""The base of the state machine: send commands to an application, and compare the results with the model."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from ....application.bookings.book_for_other import BookingForOther, Person
from ....domain.decisions.book import Book, Complimentary
from ....domain.decisions.organize import Edit, EditTicketType, EventChanges
from ....domain.tickets.ticket_type import TicketTypeChanges
from ....domain.user import Actor, Role
from .box_office import (
    Answer,
    BookingSeen,
    BoxOffice,
    EventLook,
    FactSeen,
    HarnessClock,
    Order,
    Outcome,
    PaymentSeen,
    Replay,
    address_of,
    difference,
    has_account,
)
from .commands import Command
from .container.troubled import Trouble
from .in_process import HarnessIds
from .model.booking import ModelBooking
from .model.door import has_ticket
from .model.event import ModelEvent, ModelType, Passing
from .model.explanation import check_explanation
from .model.model import Model
from .strategies import ADMIN, BookingRequest

Result = TypeVar("Result")


class ComparingMachine(RuleBasedStateMachine):
    """A state machine without rules, with an application and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner: asyncio.Runner = asyncio.Runner()
        self.clock: HarnessClock = HarnessClock()
        self.ids: HarnessIds = HarnessIds(1_000)
        self.model: Model = Model(frozenset({ADMIN}))
        self.refuses_refunds: bool = False
        self.steps: int = 0
        self.facts: dict[UUID, list[FactSeen]] = {}
        self.queue_numbers: dict[UUID, int] = {}
        self.ticket_numbers: dict[UUID, list[int]] = {}
        self.answers_may_be_lost: bool = False
        self.answered_orders: list[tuple[datetime, UUID, Order, Answer]] = []
        """The orders with a key whose response is stored, with the time, the event and the answer."""
        self.box_office: BoxOffice = self.run(self.make_box_office(self.clock))

    async def make_box_office(self, clock: HarnessClock) -> BoxOffice:
        """Return a new application with this clock, whose storage has the schema and no data."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Check the whole storage, and close the application."""
        try:
            self.check_equal(self.run(self.box_office.breaches()), [])
        finally:
            self.run(self.box_office.close())
            self.runner.close()

    def event(self, number: int) -> ModelEvent:
        """Return the event that a drawn number chooses."""
        events = list(self.model.events.values())
        return events[number % len(events)]

    def has_bookings(self) -> bool:
        """Return whether any event has bookings."""
        return any(event.bookings for event in self.model.events.values())

    def actor(self, user_id: UUID) -> Actor:
        """Return the actor for a user of the run."""
        return Actor(user_id, Role.ADMIN if user_id == ADMIN else Role.CUSTOMER)

    def booking_command(self, event: ModelEvent, request: BookingRequest) -> Book | BookingForOther:
        """Return the command for a new booking, without the ticket type if the event has only one."""
        values: dict[str, Any] = {
            "booking_id": self.ids.new(),
            "event_id": event.id,
            "quantity": request.quantity,
            "ticket_type_id": _ticket_type(event, request).id if len(event.types) > 1 else None,
            "only_if_available": request.only_if_available,
        }
        if request.booked_by is None:
            return Book(actor=self.actor(request.customer_id), **values)
        person = Person(name="A person", email=address_of(request.customer_id))
        complimentary = None if request.reason is None else Complimentary(request.reason)
        return BookingForOther(
            actor=self.actor(request.booked_by), person=person, complimentary=complimentary, **values
        )

    def acting_customer(self, event: ModelEvent, booking: ModelBooking) -> UUID:
        """Return the booking's customer, or the organizer for one who cannot sign in (any more)."""
        return booking.customer_id if self.can_sign_in(booking.customer_id) else event.organizer_id

    def can_sign_in(self, user_id: UUID) -> bool:
        """Return whether a user has an account that was not erased."""
        return has_account(user_id) and user_id not in self.model.erased

    def expected_booking(self, event: ModelEvent, booking_id: UUID, request: BookingRequest) -> BookingSeen | str:
        """Let the model book, and return its answer."""
        return self.model.book(
            event,
            booking_id,
            request.customer_id,
            _ticket_type(event, request),
            request.quantity,
            self.clock.time,
            only_if_available=request.only_if_available,
            booked_by=request.booked_by,
            reason=request.reason,
        )

    def execute(self, command: Command) -> Outcome:
        """Send one command and return its outcome."""
        (outcome,) = self.run(self.box_office.give([Order(command)]))
        return outcome

    def execute_edit(self, event: ModelEvent, actor_id: UUID, changes: EventChanges) -> Outcome:
        """Send a change of an event and return its outcome."""
        return self.execute(Edit(event_id=event.id, actor=self.actor(actor_id), changes=changes))

    def execute_type_edit(self, event: ModelEvent, ticket_type: ModelType, changes: TicketTypeChanges) -> Outcome:
        """Send the organizer's change of a ticket type and return its outcome."""
        actor = self.actor(event.organizer_id)
        return self.execute(
            EditTicketType(event_id=event.id, actor=actor, ticket_type_id=ticket_type.id, changes=changes)
        )

    def check_twice(self, event: ModelEvent, order: Order, expected: Answer, *, at_once: bool = True) -> None:
        """Send an order with a key twice, at once or one after the other, and check both outcomes."""
        is_stored = expected not in ("not-found", "not-allowed", "not-on-sale", "sold-out")
        sent = [[order, order]] if at_once else [[order], [order]]
        first, second = [outcome for orders in sent for outcome in self.run(self.box_office.give(orders))]
        if self.answers_may_be_lost and is_stored and isinstance(expected, str) and first == Replay(expected):
            # A refusal has no batch id to find, so it was repeated, and found the response that the lost commit stored.
            first = expected
        self.check_equal([first, second], [expected, Replay(expected) if is_stored else expected])
        if is_stored:
            self.answered_orders.append((self.clock.time, event.id, order, expected))

    def fail_commit(self, trouble: Trouble) -> None:
        """Let a later commit fail."""
        self.run(self.box_office.trouble(trouble))
        self.answers_may_be_lost = self.answers_may_be_lost or trouble is Trouble.UNANSWERED

    def check_equal(self, found: object, expected: object) -> None:
        """Raise AssertionError with the first difference if these are not equal."""
        differs = difference(found, expected)
        assert differs is None, f"the application differs from the model: {differs}"

    def check_booking(self, event: ModelEvent, booking: ModelBooking, actor: Actor) -> None:
        """Check a booking with its payments, as this actor may read it (promises 8 and 9)."""
        found = self.run(self.box_office.booking(booking.id, actor))
        if actor.user_id != booking.customer_id and not self.model.may(event, actor.user_id, "desk"):
            self.check_equal(found, "not-found")
        else:
            assert not isinstance(found, str), f"{actor} may read {booking}: {found}"
            self.check_equal(found.booking, event.seen_booking(booking, self.clock.time))
            self.check_equal(_balance(found.payments), booking.balance)
            check_explanation(event, booking, found.explanation, self.clock.time)

    @invariant()
    def bookings_are_explained(self) -> None:
        """One booking of each event, another one with each step, stands where it stands for the model's reasons."""
        self.steps += 1
        for event in self.model.events.values():
            if event.bookings:
                booking = event.bookings[self.steps % len(event.bookings)]
                self.check_booking(event, booking, self.actor(event.organizer_id))

    def check_attendees(self, event: ModelEvent, look: EventLook) -> None:
        """Check that every booking that was ever confirmed has its tickets, with numbers from 1 that it keeps."""
        self.check_equal([each.number for each in look.attendees], list(range(1, len(look.attendees) + 1)))
        expected = {each.id: each for each in event.bookings if each.has_tickets}
        found: dict[UUID, list[int]] = {}
        for each in look.attendees:
            booking = expected[each.booking_id]
            seen = (each.ticket_type_id, each.status)
            valid = "valid" if each.checked_in_at is None else "used"
            self.check_equal(seen, (booking.ticket_type_id, valid if has_ticket(booking, each.number) else "void"))
            found.setdefault(each.booking_id, []).append(each.number)
        self.check_equal(
            {each: len(numbers) for each, numbers in found.items()},
            {each: booking.quantity + len(booking.returned) for each, booking in expected.items()},
        )
        for booking_id, numbers in found.items():
            self.check_equal(numbers, list(range(numbers[0], numbers[-1] + 1)))
            self.check_equal(numbers, self.ticket_numbers.setdefault(booking_id, numbers))

    def check_facts(self, event: ModelEvent, look: EventLook) -> None:
        """Check that the facts have no gaps (promise 7), and what they say of the waiting list (promise 5).

        `breaches` checks the rest of their content at the end.
        """
        facts = self.facts.setdefault(event.id, [])
        first = len(facts) + 1
        facts += look.changes
        self.check_equal([fact.seq for fact in look.changes], list(range(first, len(facts) + 1)))
        found = []
        for fact in look.changes:
            if fact.kind == "CustomerWaitlisted" and fact.booking_id is not None:
                self.queue_numbers[fact.booking_id] = fact.data["queueNumber"]
            elif fact.kind == "BookingCancelled" and fact.booking_id is not None:
                self.check_equal(fact.data["queueNumber"], self.queue_numbers.get(fact.booking_id))
            elif fact.kind in ("TicketsBooked", "TicketsGranted", "BookingPromoted") and fact.booking_id is not None:
                cause = facts[fact.data["causedBy"] - 1] if fact.kind == "BookingPromoted" else None
                room = None if cause is None else (cause.kind, cause.booking_id)
                found.append(Passing(fact.kind, fact.booking_id, fact.data["passedOver"], room))
        expected, event.passings = event.passings, []
        # Each waiting list has its order; which of them is served first is not promised.
        type_ids = {each.id: each.ticket_type_id for each in event.bookings}
        of_types = [sorted(each, key=lambda passing: type_ids[passing.booking_id]) for each in (found, expected)]
        self.check_equal(*of_types)


def _ticket_type(event: ModelEvent, request: BookingRequest) -> ModelType:
    return event.types[request.which % len(event.types)]


def _balance(payments: list[PaymentSeen]) -> int:
    """Return what was taken and not refunded."""
    return sum(
        each.amount.amount if each.kind == "charge" else -each.amount.amount
        for each in payments
        if each.status == "succeeded"
    )

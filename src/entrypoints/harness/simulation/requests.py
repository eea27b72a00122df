"""What clients ask for: requests about events and bookings that they know."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ....application.bookings.book_for_other import BookingForOther, Person
from ....application.bookings.cancel_booking import Cancellation
from ....application.bookings.give_back_tickets import TicketsToReturn
from ....application.bookings.pay_booking import Bill
from ....application.bookings.queries import CustomersBooking
from ....application.ports.idempotency import IdempotentRequest
from ....domain.booking import Booking
from ....domain.decisions.book import Book, Complimentary
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import Edit, EditTicketType, EventChanges
from ....domain.event import EventStatus, WaitingListMode, WaitingListPolicy
from ....domain.payment import PaymentMethod
from ....domain.tickets.ticket import ticket_id
from ....domain.tickets.ticket_type import EventState, TicketTypeChanges
from ....domain.user import Actor
from ...container import Container
from ..history import Call, Outcome
from .processes import CountedIds
from .scenario import BOUNDS, Scenario

ORGANIZER: Final = Actor(UUID(int=1))
DESKS: Final = (Actor(UUID(int=2)), Actor(UUID(int=3)))
"""Those who book for others at every event."""

WITHOUT_ACCOUNT: Final = 3
"""How many people beyond the customers have no account until a desk books for them."""

_TOKENS: Final = (
    *("tok_ok", "tok_ok", "tok_ok", "tok_decline", "tok_timeout"),
    *("tok_action", "tok_action_fails", "tok_action_ignored"),
)
"""The cards that customers pay with."""


def customer_of(number: int) -> UUID:
    """Return the account of a customer, counted from 0."""
    return UUID(int=1_000 + number)


def address_of(customer_id: UUID) -> str:
    """Return the address of a customer's account."""
    return f"customer{customer_id.int}@example.org"


class Known(Struct, frozen=True):
    """A booking that a client knows."""

    event_id: UUID
    customer_id: UUID
    booking_id: UUID
    is_due: bool


class SimulatedEvent(Struct, frozen=True):
    """An event that clients know."""

    event_id: UUID
    type_ids: tuple[UUID, ...]
    has_price: bool


class Request(Struct, frozen=True):
    """A request: the call for the history, the work of the process, and how its result becomes an outcome."""

    call: Call
    work: Callable[[Container, IdempotentRequest[Any] | None], Any]
    to_outcome: Callable[[Any], Outcome]


class Requests:
    """Makes the requests of all clients of one simulation."""

    def __init__(self, scenario: Scenario, events: Sequence[SimulatedEvent], ids: CountedIds, random: Random) -> None:
        self._scenario = scenario
        self._events = events
        self._ids = ids
        self._random = random
        self._known: deque[Known] = deque(maxlen=12)
        self._last: Known | None = None
        self._with_price = {event.event_id for event in events if event.has_price}
        self._customers = [customer_of(number) for number in range(scenario.customers)]

    def note(self, call: Call, outcome: Outcome) -> None:
        """Note a booking that a client has learned of."""
        if call.name == "book" and outcome.booking_id and call.customer_id in self._customers:
            has_price = call.event_id in self._with_price and not call.complimentary
            is_due = has_price and outcome.status in ("held", "confirmed")
            self._known.append(Known(call.event_id, call.customer_id, outcome.booking_id, is_due))

    def make(self, name: str) -> Request:
        """Return a request of that name, or a booking where there is nothing else to do."""
        make: dict[str, Callable[[], Request]] = {
            "book": self._book,
            "grant": self._grant,
            "desk": self._book_at_a_desk,
            "cancel": self._cancel,
            "cancel-own": self._cancel_own,
            "give_back": self._give_back,
            "pay": self._pay,
            "booking": self._read_booking,
            "status": self._status,
            "total": self._total,
            "promote": self._promote,
        }
        return make[name]() if name in make else self._edit(name)

    def _choose(self, items: Sequence[Any]) -> Any:
        return items[int(self._random.random() * len(items))]

    def _pick(self) -> Known | None:
        """Return a known booking, often the one that another client has just picked."""
        if self._last is not None and self._random.random() < 0.3:
            return self._last
        if not self._known:
            return None
        self._last = self._choose(self._known)
        return self._last

    def _customer(self) -> UUID:
        return customer_of(int(self._random.random() * self._scenario.customers))

    def _book(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        customer_id, type_id = self._customer(), self._choose(event.type_ids)
        quantity = 1 + int(self._random.random() * self._scenario.most_quantity)
        only_if_available = self._random.random() < 0.1

        def work(container: Container, idempotent: IdempotentRequest[Booking] | None) -> Any:
            command = Book(
                booking_id=self._ids.new() if idempotent else booking_id,
                event_id=event.event_id,
                actor=Actor(customer_id),
                quantity=quantity,
                ticket_type_id=type_id,
                only_if_available=only_if_available,
            )
            return container.book_ticket()(command, idempotent)

        booking_id = self._ids.new()
        call = Call(
            name="book",
            event_id=event.event_id,
            customer_id=customer_id,
            ticket_type_id=type_id,
            quantity=quantity,
            booking_id=booking_id,
            only_if_available=only_if_available or None,
        )
        return Request(call, work, _booked)

    def _grant(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        wanted = BookingForOther(
            booking_id=self._ids.new(),
            event_id=event.event_id,
            actor=ORGANIZER,
            person=Person(name="A guest", email=address_of(customer_id := self._customer())),
            quantity=1 + int(self._random.random() * self._scenario.most_quantity),
            ticket_type_id=self._choose(event.type_ids),
            complimentary=Complimentary("For the band"),
        )
        call = Call(
            name="book",
            event_id=event.event_id,
            customer_id=customer_id,
            ticket_type_id=wanted.ticket_type_id,
            quantity=wanted.quantity,
            booking_id=wanted.booking_id,
            complimentary=True,
        )
        return Request(call, lambda container, _: container.book_for_other()(wanted), _booked)

    def _book_at_a_desk(self) -> Request:
        """Book for a person, who may have no account: at two desks at once one of them makes it."""
        event: SimulatedEvent = self._choose(self._events)
        person = customer_of(int(self._random.random() * (self._scenario.customers + WITHOUT_ACCOUNT)))
        wanted = BookingForOther(
            booking_id=self._ids.new(),
            event_id=event.event_id,
            actor=self._choose(DESKS),
            person=Person(name="A person", email=address_of(person)),
            quantity=1 + int(self._random.random() * self._scenario.most_quantity),
            ticket_type_id=self._choose(event.type_ids),
        )

        def work(container: Container, idempotent: IdempotentRequest[Booking] | None) -> Any:
            booking_id = self._ids.new() if idempotent else wanted.booking_id
            return container.book_for_other()(replace(wanted, booking_id=booking_id), idempotent)

        call = Call(
            name="book",
            event_id=event.event_id,
            customer_id=person,
            ticket_type_id=wanted.ticket_type_id,
            quantity=wanted.quantity,
            booking_id=wanted.booking_id,
            booked_by=wanted.actor.user_id,
        )
        return Request(call, work, _booked)

    def _cancel(self) -> Request:
        known = self._pick()
        if known is None:
            return self._book()
        is_organizer = self._random.random() < 0.2
        actor = ORGANIZER if is_organizer else Actor(known.customer_id)
        command = Cancel(event_id=known.event_id, actor=actor, booking_id=known.booking_id)
        call = Call(
            name="cancel",
            event_id=known.event_id,
            customer_id=None if is_organizer else known.customer_id,
            booking_id=known.booking_id,
        )
        return Request(call, lambda container, idempotent: container.cancel_booking()(command, idempotent), _cancelled)

    def _give_back(self) -> Request:
        """Give a part of a booking back; where there are scanners, sometimes a chosen ticket."""
        known = self._pick()
        if known is None:
            return self._book()
        is_organizer = self._random.random() < 0.2
        actor = ORGANIZER if is_organizer else Actor(known.customer_id)
        quantity = 1 + int(self._random.random() * (self._scenario.most_quantity - 1))
        drawn = self._random.random()
        chooses = self._scenario.scanners > 0 and self._random.random() < 0.5

        async def work(container: Container, idempotent: IdempotentRequest[Cancellation] | None) -> Cancellation:
            part = TicketsToReturn(known.booking_id, quantity)
            if chooses:
                numbers = (await container.read_booking()(known.booking_id, actor)).booking.ticket_numbers
                chosen = numbers[int(drawn * len(numbers)) :][:1]
                part = TicketsToReturn(known.booking_id, 1, [ticket_id(known.booking_id, each) for each in chosen])
            return await container.give_back_tickets()(part, actor, idempotent)

        call = Call(
            name="give_back",
            event_id=known.event_id,
            customer_id=None if is_organizer else known.customer_id,
            booking_id=known.booking_id,
            quantity=1 if chooses else quantity,
        )
        return Request(call, work, _gave_back)

    def _cancel_own(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        customer_id = self._customer()
        command = Cancel(event_id=event.event_id, actor=Actor(customer_id))
        call = Call(name="cancel", event_id=event.event_id, customer_id=customer_id)
        return Request(call, lambda container, idempotent: container.cancel_booking()(command, idempotent), _cancelled)

    def _pay(self) -> Request:
        due = [each for each in self._known if each.is_due]
        if not due:
            return self._book()
        known: Known = self._choose(due)
        is_cash = self._random.random() < 0.1
        token = self._choose(_TOKENS)
        bill = Bill(
            booking_id=known.booking_id,
            actor=ORGANIZER if is_cash else Actor(known.customer_id),
            method=PaymentMethod.CASH if is_cash else PaymentMethod.CARD,
            token="" if is_cash else token,
        )
        call = Call(
            name="pay",
            event_id=known.event_id,
            customer_id=None if is_cash else known.customer_id,
            booking_id=known.booking_id,
        )
        return Request(call, lambda container, idempotent: container.pay_booking()(bill, idempotent), _booked)

    def _read_booking(self) -> Request:
        known = self._pick()
        if known is None:
            return self._book()
        actor = Actor(known.customer_id)
        call = Call(name="booking", event_id=known.event_id, customer_id=known.customer_id, booking_id=known.booking_id)
        return Request(call, lambda container, _: container.read_booking()(known.booking_id, actor), _read)

    def _status(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        type_id = self._choose(event.type_ids)

        def to_outcome(state: EventState) -> Outcome:
            ticket_type = next(each for each in state.ticket_types if each.id == type_id)
            return Outcome(available=ticket_type.available, waiting=ticket_type.waiting)

        call = Call(name="status", event_id=event.event_id, ticket_type_id=type_id)
        return Request(call, lambda container, _: container.read_event()(event.event_id, ORGANIZER), to_outcome)

    def _total(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        type_id, total = self._choose(event.type_ids), 1 + int(self._random.random() * 12)
        command = EditTicketType(
            event_id=event.event_id,
            actor=ORGANIZER,
            ticket_type_id=type_id,
            changes=TicketTypeChanges(total_tickets=total),
        )
        call = Call(name="total", event_id=event.event_id, ticket_type_id=type_id, quantity=total)
        return Request(call, lambda container, idempotent: container.change_event()(command, idempotent), _changed)

    def _promote(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        call = Call(name="promote", event_id=event.event_id)
        return Request(call, lambda container, _: container.promote_from_waitlist()(event.event_id), _promoted)

    def _edit(self, name: str) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        policy = waiting_list = quantity = None
        match name:
            case "policy":
                policy = self._choose(("strict", "fill"))
                changes = EventChanges(waiting_list_policy=WaitingListPolicy(policy))
            case "waiting_list":
                waiting_list = self._choose(("on", "on", "off"))
                changes = EventChanges(waiting_list=WaitingListMode(waiting_list))
            case "max_overtakes":
                quantity = self._choose(BOUNDS)
                changes = EventChanges(max_overtakes=quantity)
            case "edit":
                changes = EventChanges(description=f"Changed {int(self._random.random() * 100)}")
            case _:
                changes = EventChanges(status=_STATUSES[name])
        command = Edit(event_id=event.event_id, actor=ORGANIZER, changes=changes)
        values = {"name": name, "event_id": event.event_id, "policy": policy, "waiting_list": waiting_list}
        values["quantity"] = quantity
        call = msgspec.convert(values, Call)
        return Request(call, lambda container, idempotent: container.change_event()(command, idempotent), _changed)


_STATUSES: Final = {
    "pause": EventStatus.PAUSED,
    "resume": EventStatus.ON_SALE,
    "complete": EventStatus.COMPLETED,
    "call_off": EventStatus.CANCELLED,
}


def _booked(booking: Booking) -> Outcome:
    place = booking.place
    return Outcome(status=booking.status.value, booking_id=booking.id, position=place.position if place else None)


def _read(shown: CustomersBooking) -> Outcome:
    return replace(_booked(shown.booking), quantity=shown.booking.quantity)


def _cancelled(cancellation: Cancellation) -> Outcome:
    return Outcome(status="cancelled", booking_id=cancellation.booking.id, promoted=cancellation.promoted_count)


def _gave_back(part: Cancellation) -> Outcome:
    booking = part.booking
    return Outcome(
        status=booking.status.value, booking_id=booking.id, promoted=part.promoted_count, quantity=booking.quantity
    )


def _changed(_: EventState) -> Outcome:
    return Outcome()


def _promoted(count: int) -> Outcome:
    return Outcome(promoted=count)

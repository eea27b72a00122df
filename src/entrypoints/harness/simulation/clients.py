"""Clients that book, cancel, pay, read, repeat unanswered requests, and record the answers."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from ....application.bookings.book_for_other import BookingForOther, Person
from ....application.bookings.cancel_booking import Cancellation
from ....application.bookings.pay_booking import Bill, PaymentUnknown
from ....application.bookings.queries import CustomersBooking
from ....application.ports.errors import Unavailable
from ....application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from ....domain.booking import Booking
from ....domain.decisions.book import Book, Complimentary
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import Edit, EditTicketType, EventChanges
from ....domain.event import EventStatus, WaitingListMode, WaitingListPolicy
from ....domain.payment import PaymentMethod
from ....domain.refusals import PaymentActionRequired, Refusal
from ....domain.tickets.ticket_type import EventState, TicketTypeChanges
from ....domain.user import Actor
from ...container import Container
from ..history import Call, History, Outcome
from .faults import FaultInjector
from .processes import CountedIds, Gone, Process, Work
from .scenario import BOUNDS, Scenario, random_stream
from .trace import Trace

ORGANIZER: Final = Actor(UUID(int=1))
DESKS: Final = (Actor(UUID(int=2)), Actor(UUID(int=3)))
"""Those who book for others at every event."""

WITHOUT_ACCOUNT: Final = 3
"""How many people beyond the customers have no account until a desk books for them."""

LONGEST_ANSWER: Final = 120.0
"""Maximum seconds until a request is answered that was not lost."""

_TOKENS: Final = (
    *("tok_ok", "tok_ok", "tok_ok", "tok_decline", "tok_timeout"),
    *("tok_action", "tok_action_fails", "tok_action_ignored"),
)
"""The cards that customers pay with."""

TRIES: Final = 4
"""Maximum times that a request with a key is sent."""


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


class Clients:
    """All the clients of one simulation."""

    def __init__(
        self,
        scenario: Scenario,
        injector: FaultInjector,
        processes: Sequence[Process],
        events: Sequence[SimulatedEvent],
        history: History,
        ids: CountedIds,
        after_operation: Callable[[int], None],
    ) -> None:
        self.random: Random = random_stream(scenario.seed, "clients")
        self.left: int = scenario.operations
        self.unexpected: list[str] = []
        """Answers that no client may get."""
        self._scenario = scenario
        self._injector = injector
        self._trace: Trace = injector.trace
        self._processes = processes
        self._events = events
        self._history = history
        self._ids = ids
        self._after_operation = after_operation
        self._names = list(scenario.weights)
        self._weights = list(scenario.weights.values())
        self._known: deque[Known] = deque(maxlen=12)
        self._last: Known | None = None
        self._with_price = {event.event_id for event in events if event.has_price}
        self._customers = [customer_of(number) for number in range(scenario.customers)]
        self._keys = 0

    async def client(self, number: int) -> None:
        """Run one client until all operations are done, one operation at a time."""
        random = self.random
        pace = self._scenario.pace
        while self.left > 0:
            await asyncio.sleep(random.expovariate(1 / pace) if pace else 0)
            name = random.choices(self._names, self._weights)[0]
            request = self._request(name)
            if self.left > 0:
                await self._execute(number, request)

    async def _execute(self, number: int, request: Request) -> None:
        """Send a request; with a key, repeat it while its outcome is unknown, and sometimes send it twice at once."""
        call = request.call
        # A key belongs to a customer or a desk.
        may_have_key = call.name in _KEYED and call.customer_id is not None and not call.complimentary
        if not may_have_key or self.random.random() >= self._scenario.keyed:
            await self._send(number, request, None)
            return
        self._keys += 1
        key = f"key {self._keys}"
        for _ in range(TRIES):
            if self.random.random() < 0.1:
                # Repeated while the first one is under way, perhaps in another process.
                await asyncio.gather(self._send(number, request, key), self._send(number, request, key))
                return
            if await self._send(number, request, key) or self.left <= 0:
                return

    async def _send(self, number: int, request: Request, key: str | None) -> bool:
        """Send it once and return whether it was answered."""
        while not any(process.is_up for process in self._processes):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.3)
        self.left -= 1
        self._after_operation(self.left)
        call = request.call
        if key is not None:
            # With a key the server generates the booking id, a new one for each repetition.
            booking_id = None if call.name == "book" else call.booking_id
            call = msgspec.structs.replace(call, key=key, booking_id=booking_id)
        idempotent = None if call.owned_key is None else _idempotent_request(Key(*call.owned_key), request)
        history = self._history
        operation = history.invoke(number, call)
        try:
            outcome = request.to_outcome(await self.call(lambda container: request.work(container, idempotent)))
        except Replayed as replayed:
            payload = replayed.response.payload
            if payload.startswith(_REFUSED):
                return self._fail(operation, call, payload.removeprefix(_REFUSED).decode(), "again")
            outcome = msgspec.json.decode(payload, type=Outcome)
            return self._ok(operation, call, outcome, "again")
        except (Unavailable, PaymentUnknown, PaymentActionRequired, Gone, TimeoutError) as failure:
            # Also after the bank has asked for its customer, the payment may take effect later.
            history.unknown(operation)
            self._trace.outcomes[f"{_kind_of(call)} unknown ({type(failure).__name__})"] += 1
            await asyncio.sleep(2.0 * self.random.random() ** 2)
            return False
        except Refusal as refusal:
            return self._fail(operation, call, refusal.code)
        return self._ok(operation, call, outcome)

    def _ok(self, operation: int, call: Call, outcome: Outcome, how: str = "") -> bool:
        self._history.ok(operation, outcome)
        self._trace.outcomes[" ".join(filter(None, (_kind_of(call), outcome.status or "ok", how)))] += 1
        if call.name == "book" and outcome.booking_id and call.customer_id in self._customers:
            has_price = call.event_id in self._with_price and not call.complimentary
            is_due = has_price and outcome.status in ("held", "confirmed")
            self._known.append(Known(call.event_id, call.customer_id, outcome.booking_id, is_due))
        return True

    def _fail(self, operation: int, call: Call, code: str, how: str = "") -> bool:
        self._history.fail(operation, code)
        self._trace.outcomes[" ".join(filter(None, (_kind_of(call), code, how)))] += 1
        return True

    async def call(self, work: Work) -> Any:
        """Call one of the processes. Raises: what the work raises, Gone, TimeoutError when the client gives up."""
        serving = [process for process in self._processes if process.is_up]
        if not serving:
            raise Gone
        process = serving[int(self.random.random() * len(serving))]
        loop = asyncio.get_running_loop()
        is_impatient = not self._injector.is_off and self.random.random() < 0.02
        began = loop.time()
        try:
            async with asyncio.timeout(self._scenario.patience if is_impatient else LONGEST_ANSWER):
                answer = await process.serve(work)
        except TimeoutError:
            if not is_impatient:
                self.unexpected.append(f"no answer within {LONGEST_ANSWER:g} seconds, from {began:g} s on")
            self._trace.fault("client-gone")
            raise
        except (Refusal, Replayed, Unavailable, PaymentUnknown, Gone):
            raise
        except Exception as error:
            self.unexpected.append(f"a client got {error!r}")
            raise Gone from error
        if self._injector.occurs("answer-lost"):
            self._trace.fault("answer-lost")
            raise Gone
        return answer

    # Requests.

    def _request(self, name: str) -> Request:
        make: dict[str, Callable[[], Request]] = {
            "book": self._book,
            "grant": self._grant,
            "desk": self._book_at_a_desk,
            "cancel": self._cancel,
            "cancel-own": self._cancel_own,
            "pay": self._pay,
            "booking": self._read_booking,
            "status": self._status,
            "total": self._total,
            "promote": self._promote,
        }
        return make[name]() if name in make else self._edit(name)

    def _choose(self, items: Sequence[Any]) -> Any:
        return items[int(self.random.random() * len(items))]

    def _pick(self) -> Known | None:
        """Return a known booking, often the one that another client has just picked."""
        if self._last is not None and self.random.random() < 0.3:
            return self._last
        if not self._known:
            return None
        self._last = self._choose(self._known)
        return self._last

    def _customer(self) -> UUID:
        return customer_of(int(self.random.random() * self._scenario.customers))

    def _book(self) -> Request:
        event: SimulatedEvent = self._choose(self._events)
        customer_id, type_id = self._customer(), self._choose(event.type_ids)
        quantity = 1 + int(self.random.random() * self._scenario.most_quantity)
        only_if_available = self.random.random() < 0.1

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
            quantity=1 + int(self.random.random() * self._scenario.most_quantity),
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
        person = customer_of(int(self.random.random() * (self._scenario.customers + WITHOUT_ACCOUNT)))
        wanted = BookingForOther(
            booking_id=self._ids.new(),
            event_id=event.event_id,
            actor=self._choose(DESKS),
            person=Person(name="A person", email=address_of(person)),
            quantity=1 + int(self.random.random() * self._scenario.most_quantity),
            ticket_type_id=self._choose(event.type_ids),
        )

        def work(container: Container, idempotent: IdempotentRequest[Booking] | None) -> Any:
            booking_id = self._ids.new() if idempotent else wanted.booking_id
            return container.book_for_other()(msgspec.structs.replace(wanted, booking_id=booking_id), idempotent)

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
        is_organizer = self.random.random() < 0.2
        actor = ORGANIZER if is_organizer else Actor(known.customer_id)
        command = Cancel(event_id=known.event_id, actor=actor, booking_id=known.booking_id)
        call = Call(
            name="cancel",
            event_id=known.event_id,
            customer_id=None if is_organizer else known.customer_id,
            booking_id=known.booking_id,
        )
        return Request(call, lambda container, idempotent: container.cancel_booking()(command, idempotent), _cancelled)

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
        is_cash = self.random.random() < 0.1
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
        type_id, total = self._choose(event.type_ids), 1 + int(self.random.random() * 12)
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
                changes = EventChanges(description=f"Changed {int(self.random.random() * 100)}")
            case _:
                changes = EventChanges(status=_STATUSES[name])
        command = Edit(event_id=event.event_id, actor=ORGANIZER, changes=changes)
        values = {"name": name, "event_id": event.event_id, "policy": policy, "waiting_list": waiting_list}
        values["quantity"] = quantity
        call = msgspec.convert(values, Call)
        return Request(call, lambda container, idempotent: container.change_event()(command, idempotent), _changed)


_KEYED: Final = frozenset({"book", "cancel", "pay"})

_REFUSED: Final = b"!"
"""Precedes the code of a refusal in a payload."""

_STATUSES: Final = {
    "pause": EventStatus.PAUSED,
    "resume": EventStatus.ON_SALE,
    "complete": EventStatus.COMPLETED,
    "call_off": EventStatus.CANCELLED,
}


def _kind_of(call: Call) -> str:
    return call.name if call.booked_by is None else "desk"


def _idempotent_request(key: Key, request: Request) -> IdempotentRequest[Any]:
    def render(result: Any) -> Response:
        if isinstance(result, Refusal):
            return Response(_REFUSED + result.code.encode())
        outcome = request.to_outcome(result)
        return Response(msgspec.json.encode(outcome), outcome.booking_id)

    fingerprint = msgspec.json.encode(msgspec.structs.replace(request.call, booking_id=None))
    return IdempotentRequest(key=key, fingerprint=fingerprint, render=render)


def _booked(booking: Booking) -> Outcome:
    place = booking.place
    return Outcome(status=booking.status.value, booking_id=booking.id, position=place.position if place else None)


def _read(shown: CustomersBooking) -> Outcome:
    return _booked(shown.booking)


def _cancelled(cancellation: Cancellation) -> Outcome:
    return Outcome(status="cancelled", booking_id=cancellation.booking.id, promoted=cancellation.promoted_count)


def _changed(_: EventState) -> Outcome:
    return Outcome()


def _promoted(count: int) -> Outcome:
    return Outcome(promoted=count)

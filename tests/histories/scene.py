"""Clients that write down what they ask for and are told, on the real use cases over the in-memory storage."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.bookings.cancel_booking import CancelBooking, Cancellation
from boxoffice.application.bookings.promote_from_waitlist import PromoteFromWaitlist
from boxoffice.application.bookings.queries import ReadBooking
from boxoffice.application.events.change_event import ChangeEvent
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.events.queries import ReadEvent
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import Edit, EditTicketType, Initialize
from boxoffice.domain.event import (
    EventChanges,
    EventDetails,
    EventState,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.harness.history import Call, History, Outcome, Sale, Stored
from boxoffice.entrypoints.harness.history.history import Name
from tests.settable_clock import SettableClock

ORGANIZER = UUID(int=900)
Told = TypeVar("Told")

NAMES: dict[str, Name] = {
    "book": "book",
    "cancel": "cancel",
    "leave": "cancel",
    "booking": "booking",
    "status": "status",
    "statuses": "status",
    "total": "total",
    "strict": "policy",
    "fill": "policy",
    "pause": "pause",
    "resume": "resume",
    "complete": "complete",
    "call_off": "call_off",
    "promote": "promote",
}
"""What a plan may be called, and the call that it becomes: `leave` cancels by event, `statuses` looks at all types."""

STATUS_OF = {
    "pause": EventStatus.PAUSED,
    "resume": EventStatus.ON_SALE,
    "complete": EventStatus.COMPLETED,
    "call_off": EventStatus.CANCELLED,
}


class StoredResponse(Refusal):
    """A refusal that was given before under the same key."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.told = code


class Plan(Struct, frozen=True):
    """One thing that a client does: a name, and numbers that say with what."""

    name: str
    customer: int = 0
    kind: int = 0
    quantity: int = 1
    booking: int = 0
    key: int | None = None


class CountedIds:
    """Ids in the order of their making."""

    def __init__(self) -> None:
        self._numbers = count(1_000_000)

    def new(self) -> UUID:
        return UUID(int=next(self._numbers))


class Scene:
    """One event and its clients. Every step of every transaction lets others run, so that their calls overlap."""

    def __init__(self, storage: Storage | None = None, **turnstile: Any) -> None:
        self.storage = storage or MemoryStorage(self._yield)
        self.ids = CountedIds()
        self.history = History(now=count().__next__)
        clock = SettableClock(datetime(2027, 1, 1, 12, tzinfo=UTC), step=timedelta(milliseconds=1))
        self.turnstile = Turnstile(self.storage, clock, self.ids, **turnstile)
        self.read_event = ReadEvent(self.storage.event_queries)
        self.booked: list[UUID] = []

    @staticmethod
    async def _yield(_: object) -> None:
        await asyncio.sleep(0)

    async def open(self, *totals: int, policy: str = "strict", limit: int = 10) -> Sale:
        """The event, on sale."""
        self.state: EventState = await InitializeEvent(self.turnstile)(
            Initialize(
                event_id=self.ids.new(),
                actor=Actor(ORGANIZER),
                details=EventDetails(
                    name="Jazz night", max_tickets_per_customer=limit, waiting_list_policy=WaitingListPolicy(policy)
                ),
                ticket_types=tuple(
                    (self.ids.new(), TicketTypeSpec(name=f"Kind {number}", total_tickets=total))
                    for number, total in enumerate(totals)
                ),
                currency="EUR",
            )
        )
        self.sale = Sale.of(self.state)
        return self.sale

    async def run(self, *clients: Sequence[Plan]) -> Stored:
        """All clients at once, each one thing after another; what is stored when they are done."""
        await asyncio.gather(*(self._client(number, plans) for number, plans in enumerate(clients)))
        return await self.stored()

    async def stored(self) -> Stored:
        """What is stored, to be read when nothing is under way any more."""
        return await Stored.load(self.storage, self.history)

    async def _client(self, number: int, plans: Sequence[Plan]) -> None:
        for plan in plans:
            call = self._call(plan)
            operation = self.history.invoke(number, call)
            try:
                outcome = await self._do(call)
            except StoredResponse as refusal:
                self.history.fail(operation, refusal.told)
            except Refusal as refusal:
                self.history.fail(operation, refusal.code)
            except Unavailable:
                self.history.unknown(operation)
            else:
                self.history.ok(operation, outcome)

    def _call(self, plan: Plan) -> Call:
        """The call without what its name has no use for."""
        name = NAMES[plan.name]
        booking: UUID | None = None
        if plan.name == "book":
            booking = self.ids.new()
            self.booked.append(booking)
        elif plan.name in ("cancel", "booking"):
            booking = self.booked[plan.booking % len(self.booked)] if self.booked else UUID(int=1)
        is_own = plan.name in ("book", "leave")
        return Call(
            name=name,
            event_id=self.state.event.id,
            customer_id=UUID(int=1 + plan.customer) if is_own else None,
            booking_id=booking,
            ticket_type_id=(
                self.state.ticket_types[plan.kind % len(self.state.ticket_types)].id
                if plan.name in ("book", "status", "total")
                else None
            ),
            quantity=plan.quantity if name in ("book", "total") else None,
            policy=plan.name if name == "policy" else None,
            key=f"key-{plan.key}" if is_own and plan.key is not None else None,
        )

    async def _do(self, call: Call) -> Outcome:
        does: dict[str, Callable[[Call], Awaitable[Outcome]]] = {
            "book": self._book,
            "cancel": self._cancel,
            "booking": self._read,
            "status": self._look,
            "promote": self._promote,
        }
        try:
            return await does.get(call.name, self._change)(call)
        except Replayed as replayed:
            if replayed.answer.status >= 400:
                raise StoredResponse(replayed.response.payload.decode()) from None
            return msgspec.json.decode(replayed.response.payload, type=Outcome)

    async def _promote(self, call: Call) -> Outcome:
        return Outcome(promoted=await PromoteFromWaitlist(self.turnstile)(call.event_id))

    async def _book(self, call: Call) -> Outcome:
        actor = Actor(call.customer_id or ORGANIZER)
        assert call.booking_id is not None
        command = Book(
            booking_id=call.booking_id,
            event_id=call.event_id,
            actor=actor,
            quantity=call.quantity or 1,
            ticket_type_id=call.ticket_type_id,
        )
        return _booked(await BookTicket(self.turnstile)(command, self._once(call, _booked)))

    async def _cancel(self, call: Call) -> Outcome:
        actor = Actor(call.customer_id or ORGANIZER)
        cancel_booking = CancelBooking(self.turnstile, self.storage.booking_queries)
        once = self._once(call, _cancelled)
        if call.booking_id is not None:
            return _cancelled(await cancel_booking.by_id(call.booking_id, actor, once))
        return _cancelled(await cancel_booking(Cancel(event_id=call.event_id, actor=actor), once))

    async def _read(self, call: Call) -> Outcome:
        assert call.booking_id is not None
        booking = await ReadBooking(self.storage.booking_queries)(call.booking_id, Actor(ORGANIZER))
        place = booking.place
        return Outcome(status=booking.status.value, position=place.position if place else None)

    async def _look(self, call: Call) -> Outcome:
        state = await self.read_event(call.event_id, None)
        kinds = [each for each in state.ticket_types if call.ticket_type_id in (None, each.id)]
        return Outcome(
            status=state.event.status.value,
            available=sum(each.available for each in kinds),
            waiting=sum(each.waiting for each in kinds),
        )

    async def _change(self, call: Call) -> Outcome:
        actor = Actor(call.customer_id or ORGANIZER)
        change_event = ChangeEvent(self.turnstile)
        if call.name == "total":
            assert call.ticket_type_id is not None
            assert call.quantity is not None
            await change_event(
                EditTicketType(
                    event_id=call.event_id,
                    actor=actor,
                    ticket_type_id=call.ticket_type_id,
                    changes=TicketTypeChanges(total_tickets=call.quantity),
                )
            )
        elif call.policy is not None:
            changes = EventChanges(waiting_list_policy=WaitingListPolicy(call.policy))
            await change_event(Edit(event_id=call.event_id, actor=actor, changes=changes))
        else:
            await change_event(
                Edit(event_id=call.event_id, actor=actor, changes=EventChanges(status=STATUS_OF[call.name]))
            )
        return Outcome()

    @staticmethod
    def _once(call: Call, told: Callable[[Told], Outcome]) -> IdempotentRequest[Told] | None:
        if call.key is None or call.customer_id is None:
            return None

        def render(result: Told | Exception) -> Response:
            if isinstance(result, Refusal):
                return Response(b"!" + result.code.encode())
            assert not isinstance(result, Exception)
            outcome = told(result)
            return Response(msgspec.json.encode(outcome), outcome.booking_id)

        said = f"{call.name} {call.ticket_type_id} {call.quantity}".encode()
        return IdempotentRequest(key=Key(call.customer_id, call.key), fingerprint=sha256(said).digest(), render=render)


def _booked(booking: Booking) -> Outcome:
    place = booking.place
    return Outcome(status=booking.status.value, booking_id=booking.id, position=place.position if place else None)


def _cancelled(cancellation: Cancellation) -> Outcome:
    return Outcome(
        status=cancellation.booking.status.value,
        booking_id=cancellation.booking.id,
        promoted=cancellation.promoted_count,
    )

"""Clients that record what they ask for and are answered, on the real use cases."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.bookings.cancel_booking import CancelBooking, Cancellation
from boxoffice.application.bookings.give_back_tickets import GiveBackTickets, TicketsToReturn
from boxoffice.application.bookings.queries import ReadBooking
from boxoffice.application.duties import Duties
from boxoffice.application.events.change_event import ChangeEvent
from boxoffice.application.events.commit_to_draw import CommitToDraw
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.events.queries import ReadEvent
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.command_queue import Bounds
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Edit, EditTicketType, EventChanges, Initialize
from boxoffice.domain.event import EventDetails, WaitingListMode, WaitingListPolicy
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.tickets.ticket_type import EventState, TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.harness.history import Call, History, Outcome, Sale, Stored
from boxoffice.entrypoints.harness.history.history import Name
from tests.constants import SECRET

ORGANIZER = Actor(UUID(int=900))
Result = TypeVar("Result")

WEIGHTS: dict[Name, int] = {
    "book": 46,
    "cancel": 20,
    "give_back": 12,
    "booking": 10,
    "status": 12,
    "total": 6,
    "waiting_list": 3,
}
"""What clients do, and how often."""


class Plan(Struct, frozen=True):
    """One thing that a client does: a call, and numbers that say with what."""

    name: Name
    customer: int
    kind: int
    quantity: int
    booking: int
    key: str | None
    is_rare: bool


def plans(chance: random.Random, clients: int, each: int, customers: int) -> list[list[Plan]]:
    """What many clients do, most of it booking and cancelling."""
    return [
        [
            Plan(
                name=name,
                customer=chance.randrange(customers),
                kind=chance.randrange(2),
                quantity=chance.randint(1, 14 if name == "total" else 4),
                booking=chance.randrange(1_000),
                key=f"key-{chance.randrange(30)}" if name == "book" and chance.random() < 0.3 else None,
                is_rare=chance.random() < 0.2,
            )
            for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=each)
        ]
        for _ in range(clients)
    ]


class TickingClock:
    """Every look at it is a moment later."""

    def __init__(self) -> None:
        self._time = datetime(2027, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self._time += timedelta(milliseconds=1)
        return self._time


class CountedIds:
    """Ids in the order of their making."""

    def __init__(self) -> None:
        self._numbers = count(1_000_000)

    def new(self) -> UUID:
        return UUID(int=next(self._numbers))


class RecordingClients:
    """Clients of one event. Each step of a transaction in memory lets others run, so that their calls overlap."""

    sale: Sale

    def __init__(self, storage: Storage | None = None, bounds: Bounds | None = None) -> None:
        self.history = History(now=count().__next__)
        self._storage = storage or MemoryStorage(lambda _: asyncio.sleep(0))
        self._ids = CountedIds()
        turnstile = Turnstile(self._storage, TickingClock(), self._ids, bounds=bounds or Bounds())
        duties = Duties(self._storage.staff_queries)
        self._initialize = InitializeEvent(turnstile, CommitToDraw(lambda: Ed25519CodeSigner(SECRET)))
        self._book_ticket = BookTicket(turnstile, duties)
        self._cancel_booking = CancelBooking(turnstile, self._storage.booking_queries, duties)
        self._give_back = GiveBackTickets(turnstile, self._storage.booking_queries, duties, self._ids)
        self._change_event = ChangeEvent(turnstile, duties)
        self._read_event, self._read_booking = (
            ReadEvent(self._storage.event_queries, duties),
            ReadBooking(self._storage.booking_queries, self._storage.account_queries, duties),
        )
        self._booked: list[UUID] = []
        self._state: EventState

    async def open(self, *totals: int, policy: str = "strict", limit: int = 10) -> None:
        """Put the event on sale."""
        details = EventDetails(
            name="Jazz night", max_tickets_per_customer=limit, waiting_list_policy=WaitingListPolicy(policy)
        )
        specs = [TicketTypeSpec(name=f"Kind {number}", total_tickets=total) for number, total in enumerate(totals)]
        self._state = await self._initialize(
            Initialize(
                event_id=self._ids.new(),
                actor=ORGANIZER,
                details=details,
                ticket_types=tuple((self._ids.new(), spec) for spec in specs),
                currency="EUR",
            )
        )
        self.sale = Sale.of(self._state)

    async def run(self, clients: Sequence[Sequence[Plan]]) -> Stored:
        """Run all clients at once, each one thing after another; return what is stored when they are done."""
        await asyncio.gather(*(self._client(number, each) for number, each in enumerate(clients)))
        return await Stored.load(self._storage, self.history)

    async def _client(self, number: int, planned: Sequence[Plan]) -> None:
        for plan in planned:
            call = self._call(plan)
            operation = self.history.invoke(number, call)
            try:
                self.history.ok(operation, await self._do(call))
            except Refusal as refusal:
                self.history.fail(operation, refusal.code)
            except Replayed as replayed:
                if not replayed.response.payload.startswith(b"!"):
                    self.history.ok(operation, msgspec.json.decode(replayed.response.payload, type=Outcome))
                else:
                    self.history.fail(operation, replayed.response.payload[1:].decode())

    def _call(self, plan: Plan) -> Call:
        """The call, without what it has no use for."""
        booking: UUID | None = None
        if plan.name == "book":
            booking = self._ids.new()
            self._booked.append(booking)
        elif plan.name in ("cancel", "give_back", "booking"):
            booking = self._booked[plan.booking % len(self._booked)] if self._booked else UUID(int=1)
        types = self._state.ticket_types
        return Call(
            name=plan.name,
            event_id=self._state.event.id,
            customer_id=UUID(int=1 + plan.customer) if plan.name == "book" else None,
            booking_id=booking,
            ticket_type_id=None if booking and plan.name != "book" else types[plan.kind % len(types)].id,
            quantity=plan.quantity if plan.name in ("book", "give_back", "total") else None,
            only_if_available=True if plan.name == "book" and plan.is_rare else None,
            waiting_list=("off" if plan.is_rare else "on") if plan.name == "waiting_list" else None,
            key=plan.key,
        )

    async def _do(self, call: Call) -> Outcome:
        match call:
            case Call(name="book", booking_id=UUID() as booking_id, customer_id=UUID() as customer_id):
                command = Book(
                    booking_id=booking_id,
                    event_id=call.event_id,
                    actor=Actor(customer_id),
                    quantity=call.quantity or 1,
                    ticket_type_id=call.ticket_type_id,
                    only_if_available=bool(call.only_if_available),
                )
                return _booked(await self._book_ticket(command, _once(call, customer_id)))
            case Call(name="cancel", booking_id=UUID() as booking_id):
                return _cancelled(await self._cancel_booking.by_id(booking_id, ORGANIZER, None))
            case Call(name="give_back", booking_id=UUID() as booking_id):
                part = TicketsToReturn(booking_id, call.quantity or 1)
                answer = await self._give_back(part, ORGANIZER)
                return replace(_cancelled(answer), quantity=answer.booking.quantity)
            case Call(name="booking", booking_id=UUID() as booking_id):
                found = _booked((await self._read_booking(booking_id, ORGANIZER)).booking)
                return replace(found, booking_id=None)
            case Call(name="total" | "waiting_list"):
                await self._edit(call)
                return Outcome()
            case _:
                state = await self._read_event(call.event_id, None)
                (kind,) = [each for each in state.ticket_types if each.id == call.ticket_type_id]
                return Outcome(status=state.event.status.value, available=kind.available, waiting=kind.waiting)

    async def _edit(self, call: Call) -> None:
        event_id, type_id = call.event_id, call.ticket_type_id
        if call.waiting_list is not None:
            changes = EventChanges(waiting_list=WaitingListMode(call.waiting_list))
            await self._change_event(Edit(event_id=event_id, actor=ORGANIZER, changes=changes))
        elif type_id is not None:
            edit = TicketTypeChanges(total_tickets=call.quantity or 1)
            await self._change_event(
                EditTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=type_id, changes=edit)
            )


def _once(call: Call, customer_id: UUID) -> IdempotentRequest[Booking] | None:
    if call.key is None:
        return None

    def render(result: Booking | Exception) -> Response:
        if isinstance(result, Refusal):
            return Response(b"!" + result.code.encode())
        assert isinstance(result, Booking)
        return Response(msgspec.json.encode(_booked(result)), result.id)

    said = f"{call.ticket_type_id} {call.quantity} {call.only_if_available}".encode()
    return IdempotentRequest(key=Key(customer_id, call.key), fingerprint=sha256(said).digest(), render=render)


def _booked(booking: Booking) -> Outcome:
    place = booking.place
    return Outcome(
        status=booking.status.value,
        booking_id=booking.id,
        position=place.position if place else None,
        quantity=booking.quantity,
    )


def _cancelled(cancellation: Cancellation) -> Outcome:
    return Outcome(
        status=cancellation.booking.status.value,
        booking_id=cancellation.booking.id,
        promoted=cancellation.promoted_count,
    )

"""The application in the test's own process: it prepares a database, and checks what became of it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from boxoffice.adapters.payments.sandbox import EntryKind, SandboxGateway
from boxoffice.application.turnstile.command_queue import LEAST_WAITING
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    Fact,
    TicketsBooked,
    TicketsReturned,
    TicketTypeChanged,
)
from boxoffice.domain.payment import ChargeStatus, Payment, PaymentKind
from boxoffice.domain.tickets.ticket import Ticket
from boxoffice.domain.tickets.ticket_type import EventState, TicketTypeSpec
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container
from tests.faults.concurrency.worker import AnyCommand, BookIt, CancelIt, EditIt, GiveBackIt
from tests.faults.concurrency.worker_pool import Answered

ORGANIZER = Actor(uuid7())


def new_id() -> UUID:
    """A new id, greater than those before it."""
    return uuid7()


def bookings(state: EventState, number: int, quantity: int = 1, *, kind: int = 0) -> list[BookIt]:
    """So many customers want tickets."""
    return [
        BookIt(
            booking=new_id(),
            event=state.event.id,
            customer=new_id(),
            quantity=quantity,
            ticket_type=state.ticket_types[kind].id,
        )
        for _ in range(number)
    ]


def cancels(booked: Iterable[Booking]) -> list[CancelIt]:
    """Their customers want out."""
    return [CancelIt(booking=each.id, actor=each.customer_id) for each in booked]


def edit(state: EventState, **changes: Any) -> EditIt:
    """Its organizer wants the event changed."""
    return EditIt(event=state.event.id, actor=ORGANIZER.user_id, changes=changes)


def shares(commands: Sequence[AnyCommand], number: int = 3) -> list[list[AnyCommand]]:
    """The commands, dealt out."""
    return [list(commands[first::number]) for first in range(number)]


def codes(answered: Iterable[Answered]) -> Counter[str]:
    """Count the outcomes; where one is broken, show all that is known about it."""
    broken = [f"{each.outcome.code}: {each.outcome.detail}" for each in answered if each.outcome.detail]
    assert broken == []
    return Counter(each.outcome.code for each in answered)


class AppDriver:
    """Use cases on a database, and a look at the tables where no use case has one."""

    def __init__(self, container: Container, url: str) -> None:
        self._container = container
        self._url = url

    async def initialize(self, *totals: int, price: int | None = None, **details: Any) -> EventState:
        """Initialize an event on sale, with a ticket type for each total; `price` in cents."""
        amount = None if price is None else Money(price, "EUR")
        return await self._container.initialize_event()(
            Initialize(
                event_id=new_id(),
                actor=ORGANIZER,
                details=EventDetails(**{"name": "Jazz night", **details}),
                ticket_types=tuple(
                    (new_id(), TicketTypeSpec(name=f"Kind {number}", total_tickets=total, price=amount))
                    for number, total in enumerate(totals)
                ),
                currency="EUR",
            )
        )

    async def book(self, state: EventState, number: int, quantity: int = 1, *, kind: int = 0) -> list[Booking]:
        """Book for so many customers, one after the other."""
        book_ticket = self._container.book_ticket()
        commands = [
            Book(
                booking_id=each.booking,
                event_id=each.event,
                actor=Actor(each.customer),
                quantity=each.quantity,
                ticket_type_id=each.ticket_type,
            )
            for each in bookings(state, number, quantity, kind=kind)
        ]
        booked: list[Booking] = []
        for first in range(0, number, LEAST_WAITING):
            booked += await asyncio.gather(*map(book_ticket, commands[first : first + LEAST_WAITING]))
        return booked

    async def read(self, state: EventState) -> EventState:
        """The event as it is committed."""
        return await self._container.read_event()(state.event.id, ORGANIZER)

    async def booking(self, booking: Booking) -> Booking:
        """A booking as it is committed."""
        return (await self._container.read_booking()(booking.id, ORGANIZER)).booking

    async def facts(self, event_id: UUID) -> list[Fact]:
        """All that happened at an event."""
        found: list[Fact] = []
        while some := await self._container.storage().event_queries.facts(event_id, len(found), 2_000):
            found += some
        return found

    async def promoted(self, state: EventState) -> list[UUID]:
        """The bookings that left the line with tickets, in that order."""
        return [
            fact.booking_id
            for fact in await self.facts(state.event.id)
            if isinstance(fact.what, BookingPromoted) and fact.booking_id
        ]

    async def bookings(self, state: EventState) -> list[Booking]:
        """Return all bookings of an event."""
        return await self._container.storage().booking_queries.bookings_of_event(state.event.id, None, None, 10_000)

    async def payments(self, booking: Booking) -> list[Payment]:
        """Return a booking's charges and refunds."""
        return await self._container.storage().payment_queries.payments(booking.id)

    async def tickets(self, booking: Booking) -> list[Ticket]:
        """Return a booking's tickets to which something happened."""
        return await self._container.storage().ticket_queries.of_bookings([booking.id])

    async def balance(self, state: EventState, fees: int = 0) -> int:
        """Return what the provider took and did not give back, these fees of its bookings included.

        Check that every promise is kept and that our payments are the provider's.
        """
        await self.verify()
        ours = set()
        kept = kept_as_fees = 0
        for booking in await self.bookings(state):
            payments = await self.payments(booking)
            assert all(payment.status is not ChargeStatus.PENDING for payment in payments)
            done = [payment for payment in payments if payment.status is ChargeStatus.SUCCEEDED]
            signed = [each.amount.amount * (1 if each.kind is PaymentKind.CHARGE else -1) for each in done]
            is_paid = (booking.status, booking.payment_status) == (BookingStatus.CONFIRMED, PaymentStatus.TAKEN)
            # Tickets or the money, never both, never neither.
            surplus = sum(signed) - (booking.amount.amount if is_paid else 0)
            assert surplus == 0 or fees
            kept_as_fees += surplus
            ours |= {(payment.id, EntryKind(payment.kind), payment.amount) for payment in done}
            kept += sum(signed)
        assert kept_as_fees == fees
        gateway = self._container.payment_gateway()
        assert isinstance(gateway, SandboxGateway)
        entries = [entry for entry in await gateway.entries() if entry.taken]
        assert {(entry.reference, entry.kind, entry.amount) for entry in entries} == ours
        assert (await gateway.balance()).get("EUR", 0) == kept
        return kept

    async def verify(self) -> None:
        """Check that every promise is kept."""
        verdict = await self._container.verify_promises()()
        assert verdict.events > 0
        assert verdict.breaches == []

    async def close(self) -> None:
        """Let go of everything."""
        await self._container.turnstile().close()
        await self._container.storage().close()
        await self._container.payment_gateway().close()

    async def check(self, *events: EventState, answered: Sequence[Answered], booked: Sequence[Booking] = ()) -> None:
        """Check the promises, that every acknowledged outcome is stored, and nothing else."""
        by_booking = await self.check_acknowledged(*events, answered=answered)
        entered = {each.id for each in booked} | {
            each.outcome.booking for each in answered if each.outcome.code in ("confirmed", "waitlisted")
        }
        assert set(by_booking) == entered
        ended = [each.outcome.booking for each in answered if each.outcome.code == "cancelled"]
        assert len(ended) == len(set(ended))
        assert {booking_id for booking_id, facts in by_booking.items() if _last(facts) == "BookingCancelled"} == set(
            ended
        )

    async def check_acknowledged(self, *events: EventState, answered: Sequence[Answered]) -> dict[UUID, list[Fact]]:
        """Check the promises and that every acknowledged outcome is stored; return the facts of each booking."""
        await self.verify()
        history = [fact for state in events for fact in await self.facts(state.event.id)]
        by_booking: dict[UUID, list[Fact]] = {}
        for fact in history:
            if fact.booking_id is not None:
                by_booking.setdefault(fact.booking_id, []).append(fact)
        for each in answered:
            self._check_one(each, history, by_booking)
        return by_booking

    def _check_one(self, answered: Answered, history: list[Fact], by_booking: dict[UUID, list[Fact]]) -> None:
        outcome = answered.outcome
        match answered.command, outcome.code:
            case BookIt() as command, "confirmed" | "waitlisted":
                assert outcome.booking == command.booking
                first = by_booking[command.booking][0].what
                kind = TicketsBooked if outcome.code == "confirmed" else CustomerWaitlisted
                assert isinstance(first, kind)
                assert (first.customer_id, first.quantity) == (command.customer, command.quantity)
                assert getattr(first, "queue_number", None) == outcome.queue_number
            case BookIt() as command, "already-booked":
                assert outcome.booking is not None
                first = by_booking[outcome.booking][0].what
                assert isinstance(first, TicketsBooked | CustomerWaitlisted)
                assert first.customer_id == command.customer
            case CancelIt() as command, "cancelled":
                (end,) = (fact for fact in by_booking[command.booking] if isinstance(fact.what, BookingCancelled))
                assert _served_after(end, history) == outcome.promoted
            case GiveBackIt() as command, "confirmed" | "held" | "waitlisted":
                (part,) = (
                    fact
                    for fact in by_booking[command.booking]
                    if isinstance(fact.what, TicketsReturned)
                    and (fact.what.left, fact.what.quantity) == (outcome.quantity, command.quantity)
                )
                assert _served_after(part, history) == outcome.promoted
            case EditIt() as command, "changed":
                versions = {
                    fact.what.version
                    for fact in history
                    if fact.event_id == command.event and isinstance(fact.what, EventChanged | TicketTypeChanged)
                }
                assert outcome.version in {1, *versions}


def _served_after(freed: Fact, history: list[Fact]) -> int:
    behind = history[history.index(freed) + 1 :]
    return len(list(takewhile(lambda fact: isinstance(fact.what, BookingPromoted), behind)))


def _last(facts: list[Fact]) -> str:
    return facts[-1].kind

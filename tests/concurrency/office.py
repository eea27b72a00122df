"""What the tests do with a database themselves: set the scene, and look at what became of it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine
from uuid_utils.compat import uuid7

from boxoffice.adapters.sql.schema.tables import facts
from boxoffice.application.turnstile.command_queue import LEAST_WAITING
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails, EventState, TicketTypeSpec
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    Fact,
    TicketsBooked,
    TicketTypeChanged,
)
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.container import Container

from .crew import Answered
from .worker import AnyCommand, BookIt, CancelIt, EditIt

ORGANIZER = Actor(uuid7())
AT_ONCE = LEAST_WAITING
"""Commands that the turnstile is given at once when a scene is set."""


def new_id() -> UUID:
    """An id; later ones sort behind."""
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
    """How often each outcome was told; with what is broken, all that is known about it."""
    broken = [f"{each.outcome.code}: {each.outcome.detail}" for each in answered if each.outcome.detail]
    assert broken == []
    return Counter(each.outcome.code for each in answered)


class Office:
    """The application in the test's own process, and a look at the tables where the application has none."""

    def __init__(self, container: Container, url: str) -> None:
        self._container = container
        self._url = url

    async def initialize(self, *totals: int, **details: Any) -> EventState:
        """An event on sale; with several totals it has several ticket types."""
        return await self._container.initialize_event()(
            Initialize(
                event_id=new_id(),
                actor=ORGANIZER,
                details=EventDetails(**{"name": "Jazz night", **details}),
                ticket_types=tuple(
                    (new_id(), TicketTypeSpec(name=f"Kind {number}", total_tickets=total))
                    for number, total in enumerate(totals)
                ),
                currency="EUR",
            )
        )

    async def book(self, state: EventState, number: int, quantity: int = 1, *, kind: int = 0) -> list[Booking]:
        """So many customers book, one after the other."""
        book_ticket = self._container.book_ticket()
        booked: list[Booking] = []
        while len(booked) < number:
            some = bookings(state, min(AT_ONCE, number - len(booked)), quantity, kind=kind)
            booked += await asyncio.gather(
                *(
                    book_ticket(
                        Book(
                            booking_id=each.booking,
                            event_id=each.event,
                            actor=Actor(each.customer),
                            quantity=each.quantity,
                            ticket_type_id=each.ticket_type,
                        )
                    )
                    for each in some
                )
            )
        return booked

    async def read(self, state: EventState) -> EventState:
        """The event as it is committed."""
        return await self._container.read_event()(state.event.id, ORGANIZER)

    async def booking(self, booking: Booking) -> Booking:
        """A booking as it is committed."""
        return await self._container.read_booking()(booking.id, ORGANIZER)

    async def user_of(self, email: str) -> UUID | None:
        """Whose account has this e-mail."""
        user = await self._container.storage().account_queries.user_by_email(email)
        return user.id if user else None

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

    async def transactions(self, state: EventState) -> list[Counter[str]]:
        """What each transaction wrote about an event, in their order: how many facts of each kind."""
        engine = create_async_engine(self._url)
        try:
            async with engine.connect() as connection:
                rows = await connection.execute(
                    select(facts.c.mark, facts.c.kind, func.count())
                    .where(facts.c.event_id == state.event.id)
                    .group_by(facts.c.mark, facts.c.kind)
                    .order_by(func.min(facts.c.seq))
                )
                written: dict[UUID, Counter[str]] = {}
                for mark, kind, count in rows:
                    written.setdefault(mark, Counter())[kind] = count
        finally:
            await engine.dispose()
        return list(written.values())

    async def verify(self) -> None:
        """Every promise is kept."""
        verdict = await self._container.verify_promises()()
        assert verdict.events > 0
        assert verdict.breaches == []

    async def check(self, *events: EventState, answered: Sequence[Answered], booked: Sequence[Booking] = ()) -> None:
        """Every promise is kept, every acknowledged outcome is there, and nothing that nobody was told of."""
        told = await self.check_acknowledged(*events, answered=answered)
        entered = {each.id for each in booked} | {
            each.outcome.booking for each in answered if each.outcome.code in ("confirmed", "waitlisted")
        }
        assert set(told) == entered
        ended = [each.outcome.booking for each in answered if each.outcome.code == "cancelled"]
        assert len(ended) == len(set(ended))
        assert {booking_id for booking_id, facts in told.items() if _last(facts) == "BookingCancelled"} == set(ended)

    async def check_acknowledged(self, *events: EventState, answered: Sequence[Answered]) -> dict[UUID, list[Fact]]:
        """Every promise is kept and every acknowledged outcome is there; the facts of each booking."""
        await self.verify()
        history = [fact for state in events for fact in await self.facts(state.event.id)]
        told: dict[UUID, list[Fact]] = {}
        for fact in history:
            if fact.booking_id is not None:
                told.setdefault(fact.booking_id, []).append(fact)
        for each in answered:
            self._check_one(each, history, told)
        return told

    def _check_one(self, answered: Answered, history: list[Fact], told: dict[UUID, list[Fact]]) -> None:
        outcome = answered.outcome
        match answered.command, outcome.code:
            case BookIt() as command, "confirmed" | "waitlisted":
                assert outcome.booking == command.booking
                first = told[command.booking][0].what
                kind = TicketsBooked if outcome.code == "confirmed" else CustomerWaitlisted
                assert isinstance(first, kind)
                assert (first.customer_id, first.quantity) == (command.customer, command.quantity)
                assert getattr(first, "queue_number", None) == outcome.queue_number
            case BookIt() as command, "already-booked":
                assert outcome.booking is not None
                first = told[outcome.booking][0].what
                assert isinstance(first, TicketsBooked | CustomerWaitlisted)
                assert first.customer_id == command.customer
            case CancelIt() as command, "cancelled":
                (end,) = (fact for fact in told[command.booking] if isinstance(fact.what, BookingCancelled))
                behind = history[history.index(end) + 1 :]
                served = takewhile(lambda fact: isinstance(fact.what, BookingPromoted), behind)
                assert len(list(served)) == outcome.promoted
            case EditIt() as command, "changed":
                versions = {
                    fact.what.version
                    for fact in history
                    if fact.event_id == command.event and isinstance(fact.what, EventChanged | TicketTypeChanged)
                }
                assert outcome.version in {1, *versions}


def _last(facts: list[Fact]) -> str:
    return facts[-1].kind

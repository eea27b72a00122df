"""A history and the stored facts, written by hand side by side, so that the two can contradict each other."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from boxoffice.application.ports.idempotency import Response
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import Event, EventStatus, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    EventInitialized,
    Fact,
    HoldExpired,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    TicketTypeAdded,
    TicketTypeChanged,
    WaitingResumed,
    WaitingSuspended,
)
from boxoffice.domain.tickets.ticket_type import EventState, TicketType
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.harness.history import (
    Breach,
    Call,
    History,
    Outcome,
    Sale,
    Stored,
    check_promises,
)
from boxoffice.entrypoints.harness.history.history import Name

EVENT, KIND, ORGANIZER = UUID(int=800), UUID(int=801), UUID(int=900)
ANA, BEN, CLEO, DAN, EVE = (UUID(int=number) for number in range(1, 6))
NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
FREE = Money(0, "EUR")
TAKING = (BookingStatus.HELD, BookingStatus.CONFIRMED)


def booking_id(name: str) -> UUID:
    """The booking of that name."""
    return UUID(bytes=name.encode().rjust(16, b"."))


class WrittenHistory:
    """What clients saw (`ask`, `answered`, `refused`, `lost`) and what is stored (`takes`, `waits`, `promotes`, …).

    `booked`, `joined`, `cancelled`, `saw` and `switched` are whole calls, seen and stored.
    """

    def __init__(
        self, total: int = 2, policy: str = "strict", limit: int = 10, max_overtakes: int | None = None
    ) -> None:
        self.history = History(now=count().__next__)
        self.sale = Sale(
            event_id=EVENT,
            organizer_id=ORGANIZER,
            totals={KIND: total},
            policy=policy,
            limit=limit,
            max_overtakes=max_overtakes,
        )
        self.facts: list[Fact] = []
        self.bookings: dict[UUID, Booking] = {}
        self.remembered: dict[tuple[UUID, str], Response] = {}
        self.total = total
        self.is_unsettled = False
        self.last_ticket_number = 0
        self._operations: dict[str, int] = {}
        self._time = NOW
        values = {
            "status": "on_sale",
            "waitingListPolicy": policy,
            "maxOvertakes": max_overtakes,
            "maxTicketsPerCustomer": limit,
            "startsAt": None,
            "salesOpenAt": None,
            "salesCloseAt": None,
        }
        kind = TicketTypeAdded(ticket_type_id=KIND, name="All", total_tickets=total, price=None)
        self.happens(EventInitialized(organizer_id=ORGANIZER, currency="EUR", values=values, ticket_types=[kind]))

    # What clients said.

    def ask(self, operation: str, name: Name, customer: UUID | None = None, **call: Any) -> None:
        """A call begins."""
        what = Call(name=name, event_id=EVENT, customer_id=customer, **call)
        self._operations[operation] = self.history.invoke(len(self._operations), what)

    def book(self, operation: str, customer: UUID, quantity: int = 1, **call: Any) -> None:
        """A booking is asked for; the operation is called as the booking is."""
        self.ask(operation, "book", customer, booking_id=booking_id(operation), quantity=quantity, **call)

    def cancel(self, operation: str, name: str, customer: UUID | None = None) -> None:
        """A cancellation is asked for."""
        self.ask(operation, "cancel", customer, booking_id=booking_id(name))

    def answered(self, operation: str, **outcome: Any) -> None:
        """It is acknowledged."""
        self.history.ok(self._operations[operation], Outcome(**outcome))

    def refused(self, operation: str, code: str) -> None:
        """It is refused."""
        self.history.fail(self._operations[operation], code)

    def lost(self, operation: str) -> None:
        """Its outcome is unknown."""
        self.history.unknown(self._operations[operation])

    def booked(self, name: str, customer: UUID, quantity: int = 1) -> None:
        """A whole booking, asked for, stored and acknowledged as confirmed."""
        self.book(name, customer, quantity)
        self.takes(name, customer, quantity)
        self.answered(name, status="confirmed", booking_id=booking_id(name))

    def given(self, name: str, customer: UUID, quantity: int = 1, *, passed_over: int) -> None:
        """A whole gift."""
        self.book(name, customer, quantity, complimentary=True)
        self.gives(name, customer, quantity, passed_over=passed_over)
        self.answered(name, status="confirmed", booking_id=booking_id(name))

    def joined(self, name: str, customer: UUID, quantity: int = 1, position: int = 1) -> None:
        """A whole booking that has to wait."""
        self.book(name, customer, quantity)
        self.waits(name, customer, quantity)
        self.answered(name, status="waitlisted", booking_id=booking_id(name), position=position)

    def cancelled(self, name: str, *promoted: str, says: int | None = None) -> None:
        """A whole cancellation that promotes these; it may say another number of them."""
        operation = f"cancel {len(self._operations)}"
        self.cancel(operation, name, self.bookings[booking_id(name)].customer_id)
        self.ends(name)
        for each in promoted:
            self.promotes(each)
        self.answered(operation, status="cancelled", promoted=len(promoted) if says is None else says)

    def give_back(self, operation: str, name: str, quantity: int = 1) -> None:
        """A part of a booking is to be given back."""
        customer = self.bookings[booking_id(name)].customer_id
        self.ask(operation, "give_back", customer, booking_id=booking_id(name), quantity=quantity)

    def gave_back(self, name: str, quantity: int = 1, *promoted: str, says: int | None = None) -> None:
        """A whole part that promotes these, the booking itself perhaps; it may say another number of them."""
        operation = f"part {len(self._operations)}"
        self.give_back(operation, name, quantity)
        self.shrinks(name, quantity)
        for each in promoted:
            self.promotes(each)
        booking = self.bookings[booking_id(name)]
        count = len(promoted) if says is None else says
        self.answered(operation, status=booking.status.value, quantity=booking.quantity, promoted=count)

    def saw(self, booking: str | None = None, **outcome: Any) -> None:
        """A whole look at the event, or at a booking."""
        operation = f"look {len(self._operations)}"
        if booking is None:
            self.ask(operation, "status")
        else:
            self.ask(operation, "booking", booking_id=booking_id(booking))
        self.answered(operation, **outcome)

    def switched(self, name: Name, status: str) -> None:
        """A whole change of the event's status."""
        operation = f"{name} {len(self._operations)}"
        self.ask(operation, name)
        self.becomes(status=status)
        self.answered(operation)

    def closed_waiting_list(self) -> None:
        """A whole edit that keeps newcomers off the waiting list."""
        operation = f"waiting_list {len(self._operations)}"
        self.ask(operation, "waiting_list", waiting_list="off")
        self.becomes(waitingList="off")
        self.answered(operation)

    # What is stored.

    def happens(self, what: AnyFactPayload, name: str | None = None, *, later: bool = True) -> None:
        """A fact; `later`: of another decision than the one before it."""
        if later:
            self._time += timedelta(seconds=1)
        number = booking_id(name) if name else None
        self.facts.append(
            Fact(event_id=EVENT, seq=len(self.facts) + 1, booking_id=number, occurred_at=self._time, what=what)
        )

    def takes(self, name: str, customer: UUID, quantity: int = 1, *, until: float | None = None) -> None:
        """Tickets are booked; with `until` they are held for so many seconds."""
        status = BookingStatus.CONFIRMED if until is None else BookingStatus.HELD
        expires_at = None if until is None else self._time + timedelta(seconds=until)
        self._enter(name, customer, quantity, status)
        if status is BookingStatus.CONFIRMED:
            self._number(name)
        self.happens(
            TicketsBooked(
                ticket_type_id=KIND,
                customer_id=customer,
                quantity=quantity,
                amount=FREE,
                status=status,
                payment_status=PaymentStatus.NONE,
                expires_at=expires_at,
            ),
            name,
        )

    def gives(self, name: str, customer: UUID, quantity: int = 1, *, passed_over: int) -> None:
        """Tickets are given away."""
        self._enter(name, customer, quantity, BookingStatus.CONFIRMED)
        self._number(name)
        self.happens(
            TicketsGranted(
                ticket_type_id=KIND,
                customer_id=customer,
                quantity=quantity,
                amount=FREE,
                reason="For the band",
                passed_over=passed_over,
                granted_by=ORGANIZER,
            ),
            name,
        )

    def waits(self, name: str, customer: UUID, quantity: int = 1, *, number: int | None = None) -> None:
        """A customer joins the line."""
        queue_number = number or 1 + sum(booking.queue_number is not None for booking in self.bookings.values())
        self._enter(name, customer, quantity, BookingStatus.WAITLISTED, queue_number)
        self.happens(
            CustomerWaitlisted(
                ticket_type_id=KIND, customer_id=customer, quantity=quantity, amount=FREE, queue_number=queue_number
            ),
            name,
        )

    def promotes(self, name: str, *, later: bool = False) -> None:
        """A waiting booking gets tickets."""
        booking = self.moves(name, BookingStatus.CONFIRMED)
        self._number(name)
        self.happens(
            BookingPromoted(
                ticket_type_id=KIND,
                customer_id=booking.customer_id,
                quantity=booking.quantity,
                queue_number=booking.queue_number or 0,
                status=BookingStatus.CONFIRMED,
                payment_status=PaymentStatus.NONE,
            ),
            name,
            later=later,
        )

    def ends(self, name: str, by: str = "customer") -> None:
        """A booking is cancelled."""
        before = self.bookings[booking_id(name)]
        booking = self.moves(name, BookingStatus.CANCELLED)
        self.bookings[booking.id] = replace(booking, is_suspended=False)
        self.happens(
            BookingCancelled(
                ticket_type_id=KIND,
                customer_id=booking.customer_id,
                quantity=booking.quantity,
                was=before.status,
                by=by,
                payment_status=PaymentStatus.NONE,
                was_suspended=before.is_suspended,
                queue_number=before.queue_number,
            ),
            name,
        )

    def shrinks(self, name: str, quantity: int = 1) -> None:
        """A part of a booking is given back, of a confirmed one the highest numbers."""
        before = self.bookings[booking_id(name)]
        left = before.quantity - quantity
        numbers = [] if before.first_ticket_number is None else list(before.ticket_numbers)[left : before.quantity]
        self.bookings[before.id] = replace(before, quantity=left, returned=before.returned + len(numbers))
        self.happens(
            TicketsReturned(
                ticket_type_id=KIND,
                quantity=quantity,
                left=left,
                was=before.status,
                numbers=tuple(numbers),
                queue_number=before.queue_number if before.status is BookingStatus.WAITLISTED else None,
                was_suspended=before.is_suspended,
            ),
            name,
        )

    def suspends(self, name: str) -> None:
        """The account of a waiting customer is disabled."""
        self._moves_in_line(name, WaitingSuspended, is_suspended=True)

    def resumes(self, name: str) -> None:
        """It is enabled again."""
        self._moves_in_line(name, WaitingResumed, is_suspended=False)

    def _moves_in_line(
        self, name: str, kind: type[WaitingSuspended] | type[WaitingResumed], *, is_suspended: bool
    ) -> None:
        booking = replace(self.bookings[booking_id(name)], is_suspended=is_suspended)
        self.bookings[booking.id] = booking
        what = kind(
            ticket_type_id=KIND,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            queue_number=booking.queue_number or 0,
        )
        self.happens(what, name)

    def lapses(self, name: str) -> None:
        """A hold lapses."""
        booking = self.moves(name, BookingStatus.EXPIRED)
        self.happens(HoldExpired(ticket_type_id=KIND, customer_id=booking.customer_id, quantity=booking.quantity), name)

    def moves(self, name: str, status: BookingStatus) -> Booking:
        """A booking's row changes; its facts say nothing of it."""
        booking = replace(self.bookings[booking_id(name)], status=status)
        self.bookings[booking.id] = booking
        return booking

    def becomes(self, **changes: Any) -> None:
        """The event changes."""
        self.happens(EventChanged(version=2, changes=changes))

    def grows(self, total: int) -> None:
        """There are more tickets, or fewer."""
        self.total = total
        self.happens(TicketTypeChanged(version=2, ticket_type_id=KIND, changes={"totalTickets": total}))

    def stored(self) -> Stored:
        """All of it, with counters that are right for the bookings."""
        changes = [fact.what.changes for fact in self.facts if isinstance(fact.what, EventChanged)]
        status = next((each["status"] for each in reversed(changes) if "status" in each), "on_sale")
        mode = next((each["waitingList"] for each in reversed(changes) if "waitingList" in each), "on")
        event = Event(
            id=EVENT,
            organizer_id=ORGANIZER,
            name="Jazz night",
            currency="EUR",
            status=EventStatus(status),
            was_published=True,
            waiting_list_policy=WaitingListPolicy(self.sale.policy),
            waiting_list=WaitingListMode(mode),
            max_overtakes=next(
                (each["maxOvertakes"] for each in reversed(changes) if "maxOvertakes" in each), self.sale.max_overtakes
            ),
            last_seq=len(self.facts),
            last_ticket_number=self.last_ticket_number,
            is_unsettled=self.is_unsettled,
            created_at=NOW,
        )
        waiting = [each for each in self.bookings.values() if each.is_waiting]
        kind = TicketType(
            id=KIND,
            event_id=EVENT,
            ordinal=0,
            name="All",
            total_tickets=self.total,
            taken=sum(each.quantity for each in self.bookings.values() if each.status in TAKING),
            waiting=len(waiting),
            waiting_tickets=sum(each.quantity for each in waiting),
        )
        return Stored(
            events={EVENT: EventState(event=event, ticket_types=(kind,))},
            facts={EVENT: list(self.facts)},
            bookings=dict(self.bookings),
            responses=self.remembered,
        )

    def broken(self, **options: Any) -> set[tuple[int, str]]:
        """Which promises are broken, by which rule.

        What a stranger finds by the public line is left out, unless nothing else is: its rules have tests of their own.
        """
        found = rules(check_promises(self.history, self.stored(), **options))
        return {(promise, rule) for promise, rule in found if not rule.startswith("public-")} or found

    def _number(self, name: str) -> None:
        """Give a booking the next ticket numbers."""
        booking = self.bookings[booking_id(name)]
        self.bookings[booking.id] = replace(booking, first_ticket_number=self.last_ticket_number + 1)
        self.last_ticket_number += booking.quantity

    def _enter(
        self, name: str, customer: UUID, quantity: int, status: BookingStatus, queue_number: int | None = None
    ) -> None:
        self.bookings[booking_id(name)] = Booking(
            id=booking_id(name),
            event_id=EVENT,
            ticket_type_id=KIND,
            customer_id=customer,
            quantity=quantity,
            status=status,
            amount=FREE,
            queue_number=queue_number,
            created_at=NOW,
            updated_at=NOW,
        )


def rules(breaches: Iterable[Breach]) -> set[tuple[int, str]]:
    """The breaches by promise and rule."""
    return {(breach.promise, breach.rule) for breach in breaches}

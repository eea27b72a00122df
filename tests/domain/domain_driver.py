"""Drives the pure decisions for one event, and checks each of them against the promises."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from boxoffice.domain.balance import broken_balances
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book, Complimentary, OtherCustomer, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.check_in import (
    CheckInTickets,
    ScanAnswer,
    UndoCheckIn,
    UndoneCheckIn,
    check_in,
    undo_check_in,
)
from boxoffice.domain.decisions.organize import (
    AddTicketType,
    Edit,
    EditTicketType,
    EventChanges,
    Initialize,
    add_ticket_type,
    edit,
    edit_ticket_type,
    general_admission,
    initialize,
)
from boxoffice.domain.decisions.payments.notices import NoticeKind, PaymentNotice, RecordNotice, record_notice
from boxoffice.domain.decisions.payments.pay import (
    Answer,
    Attempt,
    CompletePayment,
    Pay,
    complete_payment,
    start_payment,
)
from boxoffice.domain.decisions.payments.refunds import GrantRefund, SettleRefund, grant_refund, settle_refund
from boxoffice.domain.decisions.return_tickets import ReturnTickets, return_tickets
from boxoffice.domain.decisions.settle import Cancelled, Settle, settle
from boxoffice.domain.decisions.suspend import ResumeWaiting, SuspendWaiting, resume_waiting, suspend_waiting
from boxoffice.domain.event import EventDetails, EventStatus
from boxoffice.domain.facts import AnyFactPayload, Fact
from boxoffice.domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from boxoffice.domain.payment import Payment, PaymentMethod, refund_of
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.check_in import CheckIn, Scan, ScannedTicket
from boxoffice.domain.tickets.ticket import Ticket, ticket_id
from boxoffice.domain.tickets.ticket_type import EventState, TicketType, TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.user import Actor, Organizers, Role
from boxoffice.domain.values.money import Money

Outcome = TypeVar("Outcome")

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
START = datetime(2027, 5, 1, 19, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ORGANIZER = Actor(UUID(int=900))
ADMIN = Actor(UUID(int=901), Role.ADMIN)
STRANGER = Actor(UUID(int=902))
OTHER_ORGANIZER = Actor(UUID(int=903), Role.ORGANIZER)
ANA, BEN, CLEO, DAN, EVE, FAY = (Actor(UUID(int=number)) for number in range(1, 7))

EVENT_ID = UUID(int=1_000)


def customer(number: int) -> Actor:
    """A customer of a crowd."""
    return Actor(UUID(int=10_000 + number))


def euros(amount: int) -> Money:
    """Whole euros."""
    return Money(amount * 100, "EUR")


def _expected(versions: set[int] | None) -> dict[str, Any]:
    return {"event_id": EVENT_ID, "expected_versions": None if versions is None else frozenset(versions)}


class DomainDriver:
    """One event with all its bookings and payments. For each decision it loads everything.

    After each decision the facts must be gapless and add up to the counters and bookings (7), nothing may be oversold
    (1), no ticket may be idle while it fits a waiting booking (6), and payments and refunds must match (8).
    """

    def __init__(
        self,
        total_tickets: int = 3,
        *,
        price: Money | None = None,
        types: Sequence[TicketTypeSpec] = (),
        status: EventStatus = EventStatus.ON_SALE,
        draw_commitment: str | None = None,
        **details: Any,
    ) -> None:
        self.now = NOW
        self.bookings: dict[UUID, Booking] = {}
        self.payments: dict[UUID, Payment] = {}
        self.tickets: dict[int, Ticket] = {}
        self.check_ins: dict[UUID, CheckIn] = {}
        self.facts: list[Fact] = []
        self._ids = count(5_000)
        self._replay = EventReplay(EVENT_ID)
        specs = types or (general_admission(total_tickets, price),)
        command = Initialize(
            event_id=EVENT_ID,
            actor=ORGANIZER,
            details=EventDetails(**{"name": "Jazz night", **details}),
            ticket_types=tuple((self.new_id(), spec) for spec in specs),
            currency="EUR",
            status=status,
            draw_commitment=draw_commitment,
        )
        self.take(initialize(command, Organizers.EVERYONE, self.now))

    def new_id(self) -> UUID:
        """A new id."""
        return UUID(int=next(self._ids))

    @property
    def inventory(self) -> Inventory:
        """Everything that a decision may need."""
        event, bookings = self.stored.event, tuple(self.bookings.values())
        waiting = tuple(self.in_line())
        whole = {
            each.id: WaitingList(tuple(one for one in waiting if one.ticket_type_id == each.id), None, is_whole=True)
            for each in self.ticket_types
        }
        lines = {type_id: replace(line, front=line) for type_id, line in whole.items()}
        sizes = {type_id: [one.quantity for one in line.head] for type_id, line in lines.items() if line.head}
        live = tuple(each for each in bookings if each.status.is_live)
        waitlisted = tuple(each for each in live if each.status is BookingStatus.WAITLISTED)
        closing = {EventStatus.CANCELLED: live, EventStatus.COMPLETED: waitlisted}.get(event.status)
        held = sorted(
            (each for each in live if each.status is BookingStatus.HELD),
            key=lambda each: (each.expires_at or START, each.id),
        )
        is_completed = event.status is EventStatus.COMPLETED
        due = tuple(each for each in held if is_completed or each.has_lapsed(self.now))
        left = [each.expires_at for each in held[len(due) :]]
        start = event.starts_at
        overlong = tuple(each for each in held if start and each.expires_at and each.expires_at > start)
        return replace(
            self.stored,
            overlong=OverlongHolds(start, overlong) if start else None,
            bookings=bookings,
            of_customers=live,
            payments=tuple(self.payments.values()),
            tickets=tuple(self.tickets.values()),
            check_ins=tuple(self.check_ins.values()),
            due=ExpiredHolds(due, left[0] if left else None) if event.has_lapsed_holds(self.now) else None,
            waiting_lists=lines,
            closing=closing,
            waiting_sizes={type_id: WaitingSizes(min(found), max(found)) for type_id, found in sizes.items()},
        )

    @property
    def state(self) -> EventState:
        """The event as an application returns it."""
        sizes = {each: size.smallest for each, size in self.inventory.waiting_sizes.items()}
        return EventState(event=self.stored.event, ticket_types=self.stored.ticket_types, smallest_waiting=sizes)

    @property
    def ticket_type(self) -> TicketType:
        """The only ticket type, or the first."""
        return self.stored.ticket_types[0]

    @property
    def ticket_types(self) -> tuple[TicketType, ...]:
        """All ticket types, in their order."""
        return self.stored.ticket_types

    def in_line(self) -> list[Booking]:
        """The waiting bookings in the order in which they joined."""
        waiting = (booking for booking in self.bookings.values() if booking.is_waiting)
        return sorted(waiting, key=lambda booking: booking.queue_number or 0)

    def status_of(self, booking: Booking) -> str:
        """The status of a booking."""
        return self.bookings[booking.id].status.value

    def statuses(self, *bookings: Booking) -> list[str]:
        """The status of each booking."""
        return [self.status_of(booking) for booking in bookings]

    def happened(self, since: int = 0) -> list[AnyFactPayload]:
        """The payloads of the facts after this number."""
        return [fact.what for fact in self.facts[since:]]

    def book(
        self,
        actor: Actor,
        quantity: int = 1,
        ticket_type: TicketType | None = None,
        *,
        only_if_available: bool = False,
        on_behalf_of: OtherCustomer | None = None,
        reason: str | None = None,
    ) -> Booking:
        """Book, or join the waiting list."""
        command = Book(
            booking_id=self.new_id(),
            event_id=EVENT_ID,
            actor=actor,
            quantity=quantity,
            ticket_type_id=ticket_type.id if ticket_type else None,
            only_if_available=only_if_available,
            on_behalf_of=on_behalf_of,
            complimentary=None if reason is None else Complimentary(reason),
        )
        return self.take(book(self.inventory, command, self.now))

    def give(
        self, customer: Actor, quantity: int = 1, ticket_type: TicketType | None = None, actor: Actor = ORGANIZER
    ) -> Booking:
        """Give tickets to a customer."""
        person = OtherCustomer(customer.user_id)
        return self.book(actor, quantity, ticket_type, on_behalf_of=person, reason="For the band")

    def crowd(self, size: int, quantity: int = 1) -> list[Booking]:
        """Book for many customers, one after the other."""
        first = len(self.bookings)
        return [self.book(customer(first + number), quantity) for number in range(size)]

    def cancel(self, booking: Booking, actor: Actor | None = None) -> Booking:
        """Cancel by the booking's id; without an actor its customer does."""
        actor = actor or Actor(booking.customer_id)
        command = Cancel(event_id=EVENT_ID, actor=actor, booking_id=booking.id)
        return self.take(cancel(self.inventory, command, self.now)).booking

    def give_back(
        self, booking: Booking, quantity: int, actor: Actor | None = None, numbers: Sequence[int] | None = None
    ) -> Cancelled:
        """Give a part of a booking back; without an actor its customer does."""
        command = ReturnTickets(
            booking_id=booking.id,
            event_id=EVENT_ID,
            actor=actor or Actor(booking.customer_id),
            quantity=quantity,
            ticket_ids=None if numbers is None else tuple(ticket_id(booking.id, number) for number in numbers),
            refund_id=self.new_id(),
        )
        return self.take(return_tickets(self.inventory, command, self.now))

    def cancel_here(self, actor: Actor) -> Booking:
        """Cancel by the event's id."""
        return self.take(cancel(self.inventory, Cancel(event_id=EVENT_ID, actor=actor), self.now)).booking

    def disable(self, customer: Actor) -> None:
        """Suspend the waiting bookings of a customer whose account is disabled."""
        command = SuspendWaiting(event_id=EVENT_ID, customer_id=customer.user_id)
        self.take(suspend_waiting(self.inventory, command, self.now))

    def enable(self, customer: Actor) -> None:
        """Let them wait again."""
        command = ResumeWaiting(event_id=EVENT_ID, customer_id=customer.user_id)
        self.take(resume_waiting(self.inventory, command, self.now))

    def edit(self, actor: Actor = ORGANIZER, versions: set[int] | None = None, **changes: Any) -> EventState:
        """Edit the event."""
        command = Edit(actor=actor, changes=EventChanges(**changes), **_expected(versions))
        return self.take(edit(self.inventory, command, self.now))

    def edit_type(
        self, ticket_type: TicketType, actor: Actor = ORGANIZER, versions: set[int] | None = None, **changes: Any
    ) -> EventState:
        """Edit a ticket type."""
        type_changes = TicketTypeChanges(**changes)
        command = EditTicketType(
            actor=actor, ticket_type_id=ticket_type.id, changes=type_changes, **_expected(versions)
        )
        return self.take(edit_ticket_type(self.inventory, command, self.now))

    def add_type(
        self,
        name: str,
        total_tickets: int = 1,
        price: Money | None = None,
        actor: Actor = ORGANIZER,
        versions: set[int] | None = None,
    ) -> EventState:
        """Add a ticket type."""
        spec = TicketTypeSpec(name=name, total_tickets=total_tickets, price=price)
        command = AddTicketType(actor=actor, ticket_type_id=self.new_id(), spec=spec, **_expected(versions))
        return self.take(add_ticket_type(self.inventory, command, self.now))

    def pause(self) -> None:
        """Pause the event."""
        self.edit(status=EventStatus.PAUSED)

    def resume(self) -> None:
        """Put the event on sale again."""
        self.edit(status=EventStatus.ON_SALE)

    def settle(self) -> Decision[None]:
        """Do one step of an unsettled event."""
        decision = settle(self.inventory, Settle(EVENT_ID), self.now)
        self.take(decision)
        return decision

    def pass_time(self, **delta: float) -> None:
        """Let time pass, and settle lapsed holds as the turnstile does before each decision."""
        self.now += timedelta(**delta)
        while self.stored.event.has_lapsed_holds(self.now):
            self.settle()

    def start(self, booking: Booking, method: str = "card", actor: Actor | None = None, key: str = "") -> Attempt:
        """Begin to pay."""
        command = Pay(
            payment_id=self.new_id(),
            booking_id=booking.id,
            event_id=EVENT_ID,
            actor=actor or Actor(booking.customer_id),
            method=PaymentMethod(method),
            key=key or None,
        )
        return self.take(start_payment(self.inventory, command, self.now))

    def answer(
        self, payment: Payment, answer: Answer, seen: datetime | None = None, provider_id: str | None = None
    ) -> Booking:
        """Record the provider's answer."""
        command = CompletePayment(
            payment_id=payment.id,
            event_id=EVENT_ID,
            booking_id=payment.booking_id,
            customer_id=self.bookings[payment.booking_id].customer_id,
            answer=answer,
            seen=seen or payment.tried_at,
            provider_id=provider_id,
        )
        return self.take(complete_payment(self.inventory, command, self.now)).booking

    def pay(self, booking: Booking) -> Booking:
        """Pay, and the provider takes the money."""
        return self.answer(self.start(booking).payment, Answer.DONE)

    def grant(
        self, booking: Booking, amount: Money, actor: Actor = ORGANIZER, reason: str = "A pillar in the view"
    ) -> Payment:
        """Grant a refund."""
        command = GrantRefund(
            refund_id=self.new_id(),
            booking_id=booking.id,
            event_id=EVENT_ID,
            actor=actor,
            amount=amount,
            reason=reason,
        )
        return self.take(grant_refund(self.inventory, command, self.now))

    def settle_refund(self, payment: Payment, actor: Actor = ORGANIZER, note: str | None = None) -> Payment:
        """Say that a refund was paid by hand."""
        command = SettleRefund(
            payment_id=payment.id, booking_id=payment.booking_id, event_id=EVENT_ID, actor=actor, note=note
        )
        return self.take(settle_refund(self.inventory, command, self.now))

    def notice(self, payment: Payment, kind: NoticeKind, after: float = 0) -> Booking:
        """Let the provider tell something that happened this many seconds after the start; return the booking."""
        command = RecordNotice(
            notice=PaymentNotice(payment_id=payment.id, kind=kind, occurred_at=NOW + timedelta(seconds=after)),
            event_id=EVENT_ID,
            booking_id=payment.booking_id,
            customer_id=self.bookings[payment.booking_id].customer_id,
        )
        self.take(record_notice(self.inventory, command, self.now))
        return self.bookings[payment.booking_id]

    def charge(self, booking: Booking) -> Payment:
        """The charge that paid a booking."""
        paid_by = self.bookings[booking.id].paid_by
        assert paid_by is not None
        return self.payments[paid_by]

    def refund(self, booking: Booking) -> Payment:
        """The refund of a booking's payment."""
        paid_by = self.bookings[booking.id].paid_by
        assert paid_by is not None
        return self.payments[refund_of(paid_by)]

    def scan(
        self, booking: Booking, ticket: int = 0, *, minute: float = 0, serial: int = 1, is_offline: bool = False
    ) -> Scan:
        """A scan of one of the booking's tickets, so many minutes after `NOW`."""
        number = self.bookings[booking.id].ticket_numbers[ticket]
        return Scan(
            id=self.new_id(),
            at=NOW + timedelta(minutes=minute),
            device="Gate",
            is_offline=is_offline,
            ticket=ScannedTicket(booking.id, number, serial),
        )

    def check_in(self, *scans: Scan, actor: Actor = ORGANIZER) -> tuple[ScanAnswer, ...]:
        """Record scans."""
        command = CheckInTickets(event_id=EVENT_ID, actor=actor, scans=scans)
        return self.take(check_in(self.inventory, command, self.now))

    def undo(self, check_in_id: UUID, actor: Actor = ORGANIZER) -> UndoneCheckIn:
        """Undo an entry."""
        command = UndoCheckIn(event_id=EVENT_ID, actor=actor, check_in_id=check_in_id)
        return self.take(undo_check_in(self.inventory, command, self.now))

    def take(self, decision: Decision[Outcome]) -> Outcome:
        """Record a decision and check the promises."""
        self.stored = Inventory(event=decision.inventory.event, ticket_types=decision.inventory.ticket_types)
        for booking in decision.booked:
            assert booking.id not in self.bookings
            assert booking.place is None
            self.bookings[booking.id] = booking
        for change in decision.changed:
            assert self.bookings[change.before.id] == change.before
            self.bookings[change.after.id] = change.after
        for payment in decision.new_payments:
            assert payment.id not in self.payments
            self.payments[payment.id] = payment
        for payment in decision.changed_payments:
            assert payment.id in self.payments
            self.payments[payment.id] = payment
        self.tickets |= {each.number: each for each in decision.tickets}
        self.check_ins.update({each.id: each for each in decision.check_ins})
        self.facts += decision.facts
        self._check_facts(decision)
        self._check_counters()
        self._check_nothing_idles()
        self._check_money(decision)
        self._check_used()
        return decision.outcome

    def _check_money(self, decision: Decision[Any]) -> None:
        """Check promise 8 for the bookings of a decision: of a crowd, all of them would take minutes."""
        touched = {fact.booking_id for fact in decision.facts if fact.booking_id is not None}
        touched |= {each.booking_id for each in (*decision.new_payments, *decision.changed_payments)}
        facts = [fact for fact in self.facts if fact.booking_id in touched]
        for booking_id in touched:
            payments = [each for each in self.payments.values() if each.booking_id == booking_id]
            of_booking = [fact for fact in facts if fact.booking_id == booking_id]
            assert list(broken_balances(self.bookings[booking_id], payments, of_booking)) == []

    def _check_facts(self, decision: Decision[Any]) -> None:
        assert [fact.seq for fact in self.facts] == list(range(1, len(self.facts) + 1))
        for fact in decision.facts:
            assert (fact.event_id, fact.occurred_at) == (EVENT_ID, self.now)
            number = self._replay.apply(fact)
            if number is not None and fact.booking_id is not None:
                assert self.bookings[fact.booking_id].first_ticket_number == number
        self._replay.compare(EventState(event=self.stored.event, ticket_types=self.stored.ticket_types))
        assert self._replay.breaches == []
        touched = {booking.id for booking in decision.booked} | {change.after.id for change in decision.changed}
        of_booking: dict[UUID, list[Fact]] = {booking_id: [] for booking_id in touched}
        for fact in self.facts:
            if fact.booking_id in touched:
                of_booking[fact.booking_id].append(fact)
        for booking_id, facts in of_booking.items():
            assert replay_booking(facts) == replace(self.bookings[booking_id], first_ticket_number=None)
        self._check_ticket_numbers()

    def _check_used(self) -> None:
        """Check that a ticket is used by the earliest entry that counts, and that bookings count their used ones."""
        times: dict[int, list[datetime]] = {}
        for each in self.check_ins.values():
            if each.counts:
                times.setdefault(each.number, []).append(each.at)
        used = {key: each.checked_in_at for key, each in self.tickets.items() if each.checked_in_at is not None}
        assert used == {key: min(of_ticket) for key, of_ticket in times.items()}
        for booking in self.bookings.values():
            tickets = [each for each in self.tickets.values() if each.booking_id == booking.id]
            live = [each for each in tickets if each.checked_in_at is not None and not each.is_returned]
            assert booking.status is not BookingStatus.CONFIRMED or booking.used == len(live)

    def _check_ticket_numbers(self) -> None:
        last = 0
        numbered = [each for each in self.bookings.values() if each.first_ticket_number is not None]
        for each in sorted(numbered, key=lambda one: one.ticket_numbers.start):
            assert each.ticket_numbers.start == last + 1
            last += each.quantity + each.returned
        assert self.stored.event.last_ticket_number == last

    def _check_counters(self) -> None:
        for each in self.stored.ticket_types:
            of_type = [booking for booking in self.bookings.values() if booking.ticket_type_id == each.id]
            waiting = [booking for booking in of_type if booking.is_waiting]
            assert each.taken == sum(booking.quantity for booking in of_type if booking.status.takes_tickets)
            assert each.taken <= each.total_tickets
            assert each.waiting == len(waiting)
            assert each.waiting_tickets == sum(booking.quantity for booking in waiting)

    def _check_nothing_idles(self) -> None:
        event = self.stored.event
        if event.is_unsettled or not event.serves_waiting_list(self.now):
            return
        for each in self.stored.ticket_types:
            line = self.inventory.waiting_lists[each.id].head
            candidates = line if each.allows_overtaking(event) else line[:1]
            assert all(booking.quantity > each.available for booking in candidates)

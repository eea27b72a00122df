"""The model's events with their ticket types and waiting lists."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from .....domain.values.money import Money
from ..box_office import BookingSeen, EventSeen, TicketTypeSeen
from .booking import LIVE, TAKING, ModelBooking

OFFSETS: Final = {"Pacific/Kiritimati": 14, "Etc/GMT+12": -12}
"""Hours between UTC and the time of day in the time zones of events, which have no daylight saving."""

Room = tuple[str, UUID | None]


@dataclass
class ModelType:
    """One ticket type; `waiting_list` has the waiting bookings in order.

    `overtakes` names, for each overtake since there is a bound for them, the bookings that it passed. `room` is the
    kind, and the booking if there is one, of the last fact that freed tickets or changed who is served.
    """

    id: UUID
    name: str
    total: int
    price: Money | None = None
    waiting_list: list[ModelBooking] = field(default_factory=list)
    overtakes: list[list[UUID]] = field(default_factory=list)
    room: Room | None = None
    returned: int = 0
    """The number of tickets that came back."""


class Passing(NamedTuple):
    """What the fact of a booking that gets tickets has to say: how many wait before it, and what made room for it."""

    kind: str
    booking_id: UUID
    passed_over: int
    room: Room | None = None


@dataclass
class ModelEvent:
    """One event with all its bookings.

    `organizer_id` manages it: an admin, once the account of who initialized it is erased.
    """

    id: UUID
    organizer_id: UUID
    status: str
    policy: str
    bound: int | None
    mode: str
    log: str
    limit: int
    starts_at: datetime | None
    zone: str
    deadline_hours: int
    fee: int
    window: int | None
    types: list[ModelType]
    sales_open_at: datetime | None = None
    sales_close_at: datetime | None = None
    currency: str = "EUR"
    was_on_sale: bool = False
    version: int = 1
    bookings: list[ModelBooking] = field(default_factory=list)
    staff: dict[UUID, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.initialized_by: UUID = self.organizer_id
        self.passings: list[Passing] = []
        self.was_on_sale = self.status == "on_sale"

    def boundaries(self) -> list[datetime]:
        """Return the moments at which its state changes by time."""
        of_bookings = [each for booking in self.bookings for each in (booking.expires_at, booking.grace_until)]
        found = [each for each in (*of_bookings, self.sales_open_at, self.sales_close_at) if each]
        if self.starts_at is None:
            return found
        deadlines = {self.deadline_hours, *(booking.deadline_hours for booking in self.bookings)}
        return [*found, self.starts_at, *(self.starts_at - timedelta(hours=hours) for hours in deadlines)]

    def is_within_sales(self, now: datetime) -> bool:
        """Return whether the time is within the sales window."""
        has_opened = self.sales_open_at is None or self.sales_open_at <= now
        return has_opened and (self.sales_close_at is None or now < self.sales_close_at)

    def make_room(self, kind: str, booking: ModelBooking | None = None) -> None:
        """Note the fact that frees tickets of a booking's type, or changes who is served."""
        for ticket_type in self.types if booking is None else [self.type_of(booking.ticket_type_id)]:
            ticket_type.room = (kind, None if booking is None else booking.id)

    def contradicts(self, field: str, value: object, now: datetime) -> bool:
        """Return whether a new value of a field contradicts the time or another field."""
        times = {each: getattr(self, each) for each in ("starts_at", "sales_open_at", "sales_close_at")}
        starts, opens, closes = {**times, field: value}.values() if field in times else times.values()
        return bool(
            (field in ("starts_at", "sales_close_at") and isinstance(value, datetime) and value <= now)
            or (opens and closes and closes <= opens)
            or (field in ("starts_at", "sales_open_at") and opens and starts and opens >= starts)
        )

    def move(self, starts_at: datetime) -> None:
        """Change the start: it ends later holds, and an earlier one or another day allows cancelling."""
        allows_cancelling = (
            self.starts_at is None or starts_at < self.starts_at or self.day(starts_at) != self.day(self.starts_at)
        )
        for booking in self.bookings:
            booking.was_moved = booking.was_moved or allows_cancelling
            if booking.status == "held" and booking.expires_at and booking.expires_at > starts_at:
                booking.expires_at = starts_at
        self.starts_at = starts_at

    def day(self, moment: datetime) -> date:
        """Return the day of a moment at the place of the event."""
        return (moment + timedelta(hours=OFFSETS.get(self.zone, 0))).date()

    def is_late(self, booking: ModelBooking, now: datetime) -> bool:
        """Return whether the deadline for cancelling a booking has passed."""
        return self.starts_at is not None and self.starts_at - timedelta(hours=booking.deadline_hours) <= now

    def free(self, ticket_type: ModelType) -> int:
        """Return the number of free tickets."""
        return ticket_type.total - sum(
            booking.quantity
            for booking in self.bookings
            if booking.ticket_type_id == ticket_type.id and booking.status in TAKING
        )

    def live_of(self, customer_id: UUID) -> list[ModelBooking]:
        """Return a customer's live bookings."""
        return [each for each in self.bookings if each.customer_id == customer_id and each.status in LIVE]

    def type_of(self, ticket_type_id: UUID) -> ModelType:
        """Return a ticket type by its id."""
        return next(each for each in self.types if each.id == ticket_type_id)

    def has_started(self, now: datetime) -> bool:
        """Return whether it has started."""
        return self.starts_at is not None and self.starts_at <= now

    def must_wait(self, ticket_type: ModelType, quantity: int) -> bool:
        """Return whether a newcomer must join the waiting list."""
        if self.policy == "strict":
            is_awaited = bool(ticket_type.waiting_list)
        else:
            has_waited_enough = any(not self.may_pass(ticket_type, each) for each in ticket_type.waiting_list)
            is_awaited = has_waited_enough or self.first_to_serve(ticket_type) is not None
        return quantity > self.free(ticket_type) or is_awaited

    def may_pass(self, ticket_type: ModelType, booking: ModelBooking) -> bool:
        """Return whether a waiting booking may be overtaken once more."""
        suffered = sum(booking.id in passed for passed in ticket_type.overtakes)
        return self.bound is None or suffered < self.bound

    def overtake(self, ticket_type: ModelType, served: ModelBooking | None) -> None:
        """Note whom a booking passes that gets tickets, suspended ones too; None: a newcomer's."""
        earlier = self.bookings if served is None else self.bookings[: self.bookings.index(served)]
        passed = [each for each in earlier if each.ticket_type_id == ticket_type.id and each.status == "waitlisted"]
        if self.bound is not None and any(each in ticket_type.waiting_list for each in passed):
            ticket_type.overtakes.append([each.id for each in passed])

    def count_for_others(self, booking: ModelBooking, ahead: str | None, behind: str | None) -> None:
        """Count what a booking does for those of its type that wait: where it is ahead of them, or else not."""
        order = self.bookings.index(booking) if booking in self.bookings and booking.status == "waitlisted" else None
        for place, each in enumerate(self.bookings):
            if each is not booking and each.ticket_type_id == booking.ticket_type_id and each.status == "waitlisted":
                name = ahead if order is not None and order < place else behind
                if name is not None:
                    each.since[name] += 1

    def leave(self, ticket_type: ModelType, booking: ModelBooking) -> None:
        """Take a booking off the waiting list, and forget the overtakes that none of the others has suffered."""
        ticket_type.waiting_list.remove(booking)
        left = {each.id for each in ticket_type.waiting_list}
        ticket_type.overtakes = [each for each in ticket_type.overtakes if left & set(each)]

    def seen(self) -> EventSeen:
        """Return the expected event."""
        return EventSeen(
            id=self.id,
            organizer_id=self.initialized_by,
            starts_at=self.starts_at,
            sales_open_at=self.sales_open_at,
            sales_close_at=self.sales_close_at,
            time_zone=self.zone,
            max_tickets_per_customer=self.limit,
            payment_window_minutes=self.window,
            cancellation_deadline_hours=self.deadline_hours,
            refund_fee_percent=self.fee,
            waiting_list_policy=self.policy,
            max_overtakes=self.bound,
            waiting_list=self.mode,
            log=self.log,
            status=self.status,
            version=self.version,
            is_sold_out=all(self.must_wait(each, 1) for each in self.types),
            ticket_types=[
                TicketTypeSeen(
                    id=each.id,
                    name=each.name,
                    price=each.price,
                    total_tickets=each.total,
                    available_tickets=self.free(each),
                    waiting_list_count=len(each.waiting_list),
                )
                for each in self.types
            ],
        )

    def seen_booking(self, booking: ModelBooking, now: datetime) -> BookingSeen:
        """Return a booking of it as expected."""
        has_lapsed = booking.status == "held" and booking.expires_at is not None and booking.expires_at <= now
        waiting_list = self.type_of(booking.ticket_type_id).waiting_list
        ahead = waiting_list[: waiting_list.index(booking)] if booking in waiting_list else None
        return BookingSeen(
            id=booking.id,
            event_id=self.id,
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            status="expired" if has_lapsed else booking.status,
            amount=Money(booking.amount, booking.price.currency),
            payment_status="none" if has_lapsed else booking.payment_status,
            position=None if ahead is None else len(ahead) + 1,
            tickets_ahead=None if ahead is None else sum(each.quantity for each in ahead),
            expires_at=booking.expires_at,
            created_at=booking.created_at,
        )

    def serve(self, now: datetime) -> int:
        """Serve the waiting lists, and return the number of promotions."""
        if self.status != "on_sale" or self.has_started(now):
            return 0
        served = 0
        for ticket_type in self.types:
            while (first := self.first_to_serve(ticket_type)) is not None:
                passed_over = ticket_type.waiting_list.index(first)
                self.passings.append(Passing("BookingPromoted", first.id, passed_over, ticket_type.room))
                self.count_for_others(first, "served", "overtookYou")
                self.overtake(ticket_type, first)
                self.leave(ticket_type, first)
                self.lower_price(first, ticket_type)
                self.give_tickets(first, now)
                if self.starts_at and self.is_late(first, now):
                    first.grace_until = min(now + timedelta(days=1), self.starts_at)
                served += 1
        return served

    def price_of(self, ticket_type: ModelType) -> Money:
        """Return what a ticket costs now."""
        return ticket_type.price or Money(0, self.currency)

    def lower_price(self, booking: ModelBooking, ticket_type: ModelType) -> None:
        """Lower the price of a booking that waited to that of now."""
        now, then = self.price_of(ticket_type), booking.price
        if now.amount == 0 or (now.currency == then.currency and now.amount < then.amount):
            booking.price = Money(now.amount, then.currency)

    def give_tickets(self, booking: ModelBooking, now: datetime) -> None:
        """Confirm a booking, or hold its tickets until it is paid."""
        booking.status, booking.payment = "confirmed", "due" if booking.has_price else "none"
        if booking.has_price and self.window is not None:
            booking.status, booking.expires_at = "held", now + timedelta(minutes=self.window)
            if self.starts_at and self.starts_at < booking.expires_at:
                booking.expires_at = self.starts_at
        booking.has_tickets = booking.status == "confirmed"

    def expire_holds(self, now: datetime) -> None:
        """Expire holds that were not paid in time, and serve the waiting lists."""
        due = [each for each in self.bookings if each.status == "held" and each.expires_at and each.expires_at <= now]
        for booking in sorted(due, key=lambda each: (each.expires_at or now, each.id)):
            booking.status, booking.payment = "expired", "none"
            self.type_of(booking.ticket_type_id).returned += booking.quantity
            self.make_room("HoldExpired", booking)
        if due:
            self.serve(now)

    def has_room(self, booking: ModelBooking, now: datetime) -> bool:
        """Return whether an expired booking may get tickets again."""
        ticket_type = self.type_of(booking.ticket_type_id)
        live = self.live_of(booking.customer_id)
        return (
            self.status == "on_sale"
            and not self.has_started(now)
            and not self.must_wait(ticket_type, booking.quantity)
            and all(each.ticket_type_id != booking.ticket_type_id for each in live)
            and sum(each.quantity for each in live) + booking.quantity <= self.limit
        )

    def take_money(self, booking: ModelBooking, now: datetime) -> bool:
        """Apply a successful charge: confirm the booking, or plan a refund. Return whether it has tickets."""
        booking.is_unanswered, booking.questions, booking.ask_at = False, 0, None
        booking.payment, booking.charged = "paid", booking.amount
        if booking.status in TAKING or (booking.status == "expired" and self.has_room(booking, now)):
            if booking.status == "expired":
                self.count_for_others(booking, None, "overtookYou")
                self.overtake(self.type_of(booking.ticket_type_id), None)
            booking.status, booking.expires_at, booking.has_tickets = "confirmed", None, True
            return True
        booking.end(0)
        return False

    def first_to_serve(self, ticket_type: ModelType) -> ModelBooking | None:
        """Return the booking to serve next, if one fits."""
        free = self.free(ticket_type)
        for each in ticket_type.waiting_list:
            if each.quantity <= free:
                return each
            if self.policy == "strict" or not self.may_pass(ticket_type, each):
                return None
        return None

    def suspend(self, booking: ModelBooking) -> None:
        """Take a waiting booking off its waiting list."""
        self.leave(self.type_of(booking.ticket_type_id), booking)
        booking.is_suspended = True
        self.make_room("WaitingSuspended", booking)

    def resume(self, booking: ModelBooking) -> None:
        """Put a suspended booking back where it joined, or cancel it if it asks for too many tickets."""
        ticket_type = self.type_of(booking.ticket_type_id)
        if booking.quantity > ticket_type.total:
            self.cancel(booking, "organizer")
            return
        booking.is_suspended = False
        ticket_type.waiting_list.append(booking)
        ticket_type.waiting_list.sort(key=self.bookings.index)
        self.make_room("WaitingResumed", booking)

    def cancel(self, booking: ModelBooking, by: str, fee: int = 0) -> int | None:
        """Cancel a booking, and plan and return the refund of a paid one."""
        ticket_type = self.type_of(booking.ticket_type_id)
        booking.ended_by = by
        if booking.status == "waitlisted":
            self.count_for_others(booking, "left", None)
        else:
            ticket_type.returned += booking.quantity
        if booking in ticket_type.waiting_list:
            self.leave(ticket_type, booking)
        if not booking.is_suspended:
            self.make_room("BookingCancelled", booking)
        booking.status, booking.expires_at, booking.is_suspended = "cancelled", None, False
        if booking.is_paid:
            return booking.end(fee)
        booking.payment = "none"
        return None

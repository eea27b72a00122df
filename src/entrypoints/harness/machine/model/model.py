"""A naive second implementation of the rules: lists instead of counters, searches instead of indexes.

The model shares no decision with the domain, so that an error must be made twice to stay undetected.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from .....domain.values.money import Money
from ..box_office import DISMISSED, BookingSeen, CancellationSeen, EventSeen, StaffSeen
from .booking import ASKS, DECLINES, LIVE, SILENT, ModelBooking
from .door import ModelDoor
from .event import ModelEvent, ModelType, Passing

ROLES: Final = ("nothing", "door", "desk", "manager", "organizer")
"""What a user is to an event; each may do what those before it may."""

MOST_LIVE_EVENTS: Final = 2
"""Live events that an organizer may have in a run: few, so that the limit is reached."""


class Model:
    """All events. Each command returns the expected result, or the code of a refusal."""

    def __init__(self, admins: frozenset[UUID]) -> None:
        self.admins: frozenset[UUID] = admins
        self.events: dict[UUID, ModelEvent] = {}
        self.erased: set[UUID] = set()
        self.door: ModelDoor = ModelDoor()

    def initialize(self, event: ModelEvent) -> EventSeen | str:
        """Initialize an event."""
        live = ("draft", "on_sale", "paused")
        own = [each for each in self.events.values() if each.organizer_id == event.organizer_id]
        if sum(each.status in live for each in own) >= MOST_LIVE_EVENTS:
            return "too-many-events"
        self.events[event.id] = event
        return event.seen()

    def manages(self, event: ModelEvent, actor_id: UUID) -> bool:
        """Return whether the actor organizes the event or is an admin."""
        return actor_id == event.organizer_id or actor_id in self.admins

    def may(self, event: ModelEvent, actor_id: UUID, role: str) -> bool:
        """Return whether the actor does the work of this role for the event, or more."""
        own = "organizer" if self.manages(event, actor_id) else event.staff.get(actor_id, "nothing")
        return ROLES.index(own) >= ROLES.index(role)

    def may_with(self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, role: str) -> bool:
        """Return whether the actor may treat a booking by this role. Staff are customers of their own bookings."""
        if actor_id == booking.customer_id:
            return self.manages(event, actor_id)
        return self.may(event, actor_id, role)

    def role_refuses(self, event: ModelEvent, actor_id: UUID, role: str) -> str | None:
        """Return the code that refuses what only this role and those above may do, if any."""
        if self.may(event, actor_id, role):
            return None
        return "not-allowed" if event.was_on_sale or self.may(event, actor_id, "door") else "not-found"

    def appoint(self, event: ModelEvent, actor_id: UUID, user_id: UUID, role: str) -> StaffSeen | str:
        """Let a user work for an event."""
        refused = self.role_refuses(event, actor_id, "organizer")
        if refused or user_id in self.erased:
            return refused or "not-found"
        if user_id in event.staff or user_id == event.organizer_id:
            return "already-staff"
        event.staff[user_id] = role
        return StaffSeen(user_id=user_id, role=role)

    def change_duty(self, event: ModelEvent, actor_id: UUID, user_id: UUID, role: str) -> StaffSeen | str:
        """Give a user who works for an event another role."""
        refused = self.role_refuses(event, actor_id, "organizer")
        if refused or user_id not in event.staff:
            return refused or "not-found"
        event.staff[user_id] = role
        return StaffSeen(user_id=user_id, role=role)

    def dismiss(self, event: ModelEvent, actor_id: UUID, user_id: UUID) -> str:
        """End a user's work for an event."""
        refused = self.role_refuses(event, actor_id, "organizer")
        if refused or user_id not in event.staff:
            return refused or "not-found"
        del event.staff[user_id]
        return DISMISSED

    def book(  # noqa: PLR0913 - all that a booking says
        self,
        event: ModelEvent,
        booking_id: UUID,
        customer_id: UUID,
        ticket_type: ModelType,
        quantity: int,
        now: datetime,
        *,
        only_if_available: bool,
        booked_by: UUID | None,
        reason: str | None,
    ) -> BookingSeen | str:
        """Book tickets; `booked_by` is who books for the customer, None: the customer. With a `reason` it is a gift."""
        event.expire_holds(now)
        refused = self._actor_may_not_book(event, customer_id, booked_by, is_gift=reason is not None)
        refused = refused or self._booking_is_refused(event, ticket_type, customer_id, quantity, now)
        if refused:
            return refused
        if reason is not None and quantity > event.free(ticket_type):
            return "sold-out"
        must_wait = reason is None and event.must_wait(ticket_type, quantity)
        status = "waitlisted" if must_wait else "confirmed"
        if status == "waitlisted" and (only_if_available or event.mode == "off"):
            return "sold-out"
        booking = ModelBooking(
            *(booking_id, customer_id, ticket_type.id, quantity, status, event.deadline_hours),
            *(event.price_of(ticket_type) if reason is None else Money(0, event.currency), now),
        )
        booking.fee, booking.is_gift, booking.has_waited = event.fee, reason is not None, must_wait
        if not must_wait:
            kind = "TicketsBooked" if reason is None else "TicketsGranted"
            event.passings.append(Passing(kind, booking_id, len(ticket_type.waiting_list)))
            event.count_for_others(booking, None, "overtookYou" if reason is None else "granted")
            if reason is None:
                event.overtake(ticket_type, None)
        event.bookings.append(booking)
        if status == "waitlisted":
            ticket_type.waiting_list.append(booking)
        else:
            event.give_tickets(booking, now)
        return event.seen_booking(booking, now)

    def _actor_may_not_book(
        self, event: ModelEvent, customer_id: UUID, booked_by: UUID | None, *, is_gift: bool
    ) -> str | None:
        if booked_by is not None:
            return self.role_refuses(event, booked_by, "manager" if is_gift else "desk")
        return None if event.was_on_sale or self.may(event, customer_id, "door") else "not-found"

    def _booking_is_refused(
        self, event: ModelEvent, ticket_type: ModelType, customer_id: UUID, quantity: int, now: datetime
    ) -> str | None:
        live = event.live_of(customer_id)
        refusals = {
            "not-on-sale": event.status != "on_sale" or (not event.has_started(now) and not event.is_within_sales(now)),
            "event-started": event.has_started(now),
            "exceeds-capacity": quantity > ticket_type.total,
            "already-booked": any(booking.ticket_type_id == ticket_type.id for booking in live),
            "limit-exceeded": sum(booking.quantity for booking in live) + quantity > event.limit,
        }
        return next((code for code, applies in refusals.items() if applies), None)

    def cancel(self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, now: datetime) -> CancellationSeen | str:
        """Cancel a booking by its id."""
        event.expire_holds(now)
        is_manager = self.may_with(event, booking, actor_id, "desk")
        if booking.customer_id != actor_id and not is_manager:
            return "not-found"
        closed = self._cancellation_is_closed(event, booking, now, is_manager=is_manager)
        if closed:
            return closed
        if booking.status not in LIVE:
            return "already-cancelled"
        if not is_manager and self.door.has_used(event, booking):
            return "ticket-used"
        if is_manager:
            return self._cancelled(event, booking, "organizer", 0, now)
        return self._cancelled(event, booking, "customer", _fee(booking, now), now)

    def cancel_own(self, event: ModelEvent, customer_id: UUID, now: datetime) -> CancellationSeen | str:
        """Cancel the customer's only live booking of the event."""
        event.expire_holds(now)
        live = event.live_of(customer_id)
        if not live:
            return "not-found"
        if len(live) > 1:
            return "invalid-request"
        closed = self._cancellation_is_closed(event, live[0], now, is_manager=False)
        if closed:
            return closed
        if self.door.has_used(event, live[0]):
            return "ticket-used"
        return self._cancelled(event, live[0], "customer", _fee(live[0], now), now)

    def give_back(
        self,
        event: ModelEvent,
        booking: ModelBooking,
        actor_id: UUID,
        quantity: int,
        numbers: Sequence[int] | None,
        known: Sequence[int],
        now: datetime,
    ) -> CancellationSeen | str:
        """Give a part of a booking back; `known` are the numbers of all its tickets."""
        event.expire_holds(now)
        is_manager = self.may_with(event, booking, actor_id, "desk")
        if booking.customer_id != actor_id and not is_manager:
            return "not-found"
        live = sorted(set(known) - booking.returned) if booking.status == "confirmed" else []
        chosen = live[len(live) - quantity :] if numbers is None else sorted(numbers)
        refused = (
            booking.choice_is_refused(numbers, live)
            or self._cancellation_is_closed(event, booking, now, is_manager=is_manager)
            or booking.part_is_refused(quantity)
            or ("ticket-used" if not is_manager and any(self.door.used_at(event, each) for each in chosen) else None)
        )
        if refused:
            return refused
        refund = booking.give_back(quantity, 0 if is_manager else _fee(booking, now))
        booking.returned.update(chosen)
        if booking.status != "waitlisted":
            event.type_of(booking.ticket_type_id).returned += quantity
        if not booking.is_suspended:
            event.make_room("TicketsReturned", booking)
        return CancellationSeen(
            promoted_count=event.serve(now),
            booking=event.seen_booking(booking, now),
            refund=Money(refund.amount, booking.price.currency) if refund else None,
        )

    def _cancelled(
        self, event: ModelEvent, booking: ModelBooking, by: str, fee: int, now: datetime
    ) -> CancellationSeen:
        refund = event.cancel(booking, by, fee)
        return CancellationSeen(
            promoted_count=event.serve(now),
            booking=event.seen_booking(booking, now),
            refund=Money(refund, booking.price.currency) if refund else None,
        )

    def set_status(self, event: ModelEvent, status: str, actor_id: UUID, now: datetime) -> EventSeen | str:
        """Change the status of an event."""
        is_end = status in ("completed", "cancelled")
        refused = self._edit_is_refused(event, actor_id, now, role="organizer" if is_end else "manager")
        if refused:
            return refused
        if status == event.status:
            return event.seen()
        steps = {
            "draft": ("on_sale", "cancelled"),
            "on_sale": ("paused", "completed", "cancelled"),
            "paused": ("on_sale", "completed", "cancelled"),
        }
        if status not in steps[event.status]:
            return "illegal-status-change"
        event.status = status
        event.was_on_sale = event.was_on_sale or status == "on_sale"
        for booking in event.bookings:
            if status == "completed" and booking.status == "held":
                booking.status, booking.payment = "expired", "none"
            if booking.status in LIVE and (status == "cancelled" or (status == "completed" and _waits(booking))):
                event.cancel(booking, "event")
        event.make_room("EventChanged")
        return self._edited(event, now)

    def edit(self, event: ModelEvent, field: str, value: object, actor_id: UUID, now: datetime) -> EventSeen | str:
        """Change one field of an event."""
        refused = self._edit_is_refused(event, actor_id, now)
        if value == getattr(event, field) or refused in ("not-allowed", "not-found"):
            return refused or event.seen()
        if event.contradicts(field, value, now):
            return "invalid-request"
        if refused:
            return refused
        if field == "starts_at" and isinstance(value, datetime):
            event.move(value)
        else:
            setattr(event, field, value)
        if field in ("policy", "bound", "starts_at"):
            event.make_room("EventChanged")
        if event.bound is None:
            for ticket_type in event.types:
                ticket_type.overtakes = []
        return self._edited(event, now)

    def set_total(
        self, event: ModelEvent, ticket_type: ModelType, total: int, actor_id: UUID, now: datetime
    ) -> EventSeen | str:
        """Change the total of a ticket type."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused or total == ticket_type.total:
            return refused or event.seen()
        taken = ticket_type.total - event.free(ticket_type)
        if total < taken or any(booking.quantity > total for booking in ticket_type.waiting_list):
            return "capacity-below-taken"
        ticket_type.total = total
        ticket_type.room = ("TicketTypeChanged", None)
        return self._edited(event, now)

    def set_price(
        self, event: ModelEvent, ticket_type: ModelType, price: Money | None, actor_id: UUID, now: datetime
    ) -> EventSeen | str:
        """Change the price of a ticket type; of a free event also the currency."""
        refused = self._edit_is_refused(event, actor_id, now)
        is_foreign = price is not None and price.currency != event.currency
        if is_foreign and any(each.price and each.price.amount for each in event.types):
            return "invalid-request"
        if refused or price == ticket_type.price:
            return refused or event.seen()
        ticket_type.price = price
        if price is not None and is_foreign:
            event.currency = price.currency
            for each in event.types:
                if each is not ticket_type and each.price is not None:
                    each.price = Money(0, price.currency)
        return self._edited(event, now)

    def add_type(
        self, event: ModelEvent, type_id: UUID, name: str, total: int, actor_id: UUID, now: datetime
    ) -> EventSeen | str:
        """Add a ticket type."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused:
            return refused
        if any(each.name.lower() == name.lower() for each in event.types):
            return "name-taken"
        event.types.append(ModelType(type_id, name, total))
        return self._edited(event, now)

    def pay(
        self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, token: str, now: datetime
    ) -> BookingSeen | str:
        """Pay by card, or without a token in cash."""
        event.expire_holds(now)
        is_customer, is_manager = actor_id == booking.customer_id, self.may_with(event, booking, actor_id, "desk")
        is_late = booking.status == "expired" and booking.payment == "none"
        refusals = {
            "not-found": not is_customer and not is_manager,
            "not-allowed": not (is_customer if token else is_manager),
            "payment-under-way": booking.has_open_charge and not token,
            "hold-expired": is_late and not booking.has_open_charge and not event.has_room(booking, now),
            "payment-not-due": not is_late
            and not booking.has_open_charge
            and (booking.payment != "due" or event.status == "cancelled"),
        }
        refused = next((code for code, applies in refusals.items() if applies), None)
        if refused:
            return refused
        if booking.awaits_customer or (token == ASKS and not booking.is_unanswered):
            return booking.answer_question(now)
        if token in (DECLINES, SILENT) and not booking.is_unanswered:
            booking.is_unanswered = token == SILENT
            return "payment-unknown" if booking.is_unanswered else "payment-declined"
        booking.in_cash = not token
        if event.take_money(booking, now):
            return event.seen_booking(booking, now)
        return "hold-expired" if booking.status == "expired" else "payment-not-due"

    def sweep(self, now: datetime) -> None:
        """Expire holds and resolve open charges."""
        for event in self.events.values():
            event.expire_holds(now)
            for booking in event.bookings:
                is_due = booking.ask_at is None or booking.ask_at <= now
                if booking.is_unanswered and is_due:
                    event.take_money(booking, now)
                elif booking.awaits_customer and is_due:
                    booking.answer_question(now)

    def set_disabled(self, customer_id: UUID, disabled: bool, now: datetime) -> None:
        """Suspend the waiting bookings of a customer, or let them wait again."""
        for event in self.events.values():
            own = [each for each in event.bookings if each.customer_id == customer_id and _waits(each)]
            own = [each for each in own if each.is_suspended is not disabled]
            if not own:
                continue
            event.expire_holds(now)
            for booking in own:
                if _waits(booking) and disabled:
                    event.suspend(booking)
                elif _waits(booking):
                    event.resume(booking)
            event.serve(now)

    def erase(self, user_id: UUID, now: datetime) -> str | None:
        """End what a user has whose account is erased, unless an event on sale or a booking binds them."""
        organized = [event for event in self.events.values() if event.organizer_id == user_id]
        if any(event.status in ("on_sale", "paused") for event in organized):
            return "still-organizing"
        own = [(event, each) for event in self.events.values() for each in event.bookings]
        own = [(event, each) for event, each in own if each.customer_id == user_id and each.status in LIVE]
        open_ = [(event, each) for event, each in own if event.status not in ("cancelled", "completed")]
        confirmed = [(event, each) for event, each in open_ if each.status == "confirmed"]
        if any(not event.has_started(now) and self._is_bound(event, each, now) for event, each in confirmed):
            return "bookings-bind"
        self.erased.add(user_id)
        for event in self.events.values():
            event.staff.pop(user_id, None)
            for booking in event.bookings:
                if booking.customer_id == user_id:
                    self.door.holders.pop(booking.id, None)
        ending = [
            (event, each) for event, each in open_ if each.status != "confirmed" or not self._is_bound(event, each, now)
        ]
        for event, booking in sorted(ending, key=lambda pair: (pair[1].status, pair[1].id)):
            event.expire_holds(now)
            if booking.status in LIVE and not (booking.status == "confirmed" and self._is_bound(event, booking, now)):
                self._cancelled(event, booking, "customer", _fee(booking, now), now)
        for event in organized:
            if event.status == "draft":
                self.set_status(event, "cancelled", user_id, now)
            event.organizer_id = min(self.admins)
        return None

    def _is_bound(self, event: ModelEvent, booking: ModelBooking, now: datetime) -> bool:
        if booking.status == "confirmed" and self.door.has_used(event, booking):
            return True
        return self._cancellation_is_closed(event, booking, now, is_manager=False) is not None

    def act(self) -> None:
        """Every customer authenticates the charge that waits for it; the application does not know yet."""
        for event in self.events.values():
            for booking in event.bookings:
                if booking.awaits_customer:
                    booking.awaits_customer, booking.is_unanswered = False, True

    def complete_refunds(self, *, refused: bool) -> None:
        """Complete every due refund by card, or let it fail for good; cash waits for a person."""
        for event in self.events.values():
            for booking in event.bookings:
                booking.send_refunds(refused=refused)

    def refunding_is_refused(
        self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, now: datetime, *, role: str
    ) -> str | None:
        """Return the code that refuses to let a user refund the booking, or settle a refund, if any."""
        event.expire_holds(now)
        if self.may_with(event, booking, actor_id, role):
            return None
        is_shown = actor_id == booking.customer_id or self.may(event, actor_id, "desk")
        return "not-allowed" if is_shown else "not-found"

    def reading_is_refused(self, event: ModelEvent, actor_id: UUID) -> str | None:
        """Return the code that refuses to show the details of an event, its facts included, if any."""
        return self.role_refuses(event, actor_id, "manager")

    def bookings_of(self, customer_id: UUID, now: datetime) -> list[BookingSeen]:
        """Return the customer's own bookings, newest first."""
        own = [
            event.seen_booking(booking, now)
            for event in self.events.values()
            for booking in event.bookings
            if booking.customer_id == customer_id
        ]
        return sorted(own, key=lambda booking: booking.id, reverse=True)

    def _cancellation_is_closed(
        self, event: ModelEvent, booking: ModelBooking, now: datetime, *, is_manager: bool
    ) -> str | None:
        if is_manager:
            return "cancellation-closed" if event.status == "cancelled" else None
        if event.status == "cancelled":
            return "already-cancelled"
        if event.status == "completed" or event.has_started(now):
            return "cancellation-closed"
        if booking.status == "confirmed" and event.is_late(booking, now) and not _is_released(booking, now):
            return "cancellation-closed"
        return None

    def _edit_is_refused(
        self, event: ModelEvent, actor_id: UUID, now: datetime, *, role: str = "manager"
    ) -> str | None:
        event.expire_holds(now)
        refused = self.role_refuses(event, actor_id, role)
        if refused:
            return refused
        return "event-closed" if event.status in ("cancelled", "completed") else None

    def _edited(self, event: ModelEvent, now: datetime) -> EventSeen:
        event.version += 1
        event.serve(now)
        return event.seen()


def _is_released(booking: ModelBooking, now: datetime) -> bool:
    return booking.was_moved or (booking.grace_until is not None and now < booking.grace_until)


def _fee(booking: ModelBooking, now: datetime) -> int:
    return 0 if _is_released(booking, now) else booking.fee


def _waits(booking: ModelBooking) -> bool:
    return booking.status == "waitlisted"

"""Booking: take tickets, or join the waiting list; or give tickets away."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import BOOK_RULES, CONFIRMED, WAITLISTED, Booking, Place
from ..event import Event, WaitingListMode
from ..facts import CustomerWaitlisted, TicketsBooked, TicketsGranted
from ..inventory import Decision, Inventory
from ..policy import PersonalRight, Right
from ..refusals import AlreadyBooked, ExceedsCapacity, LimitExceeded, NotAllowed, SoldOut, invalid
from ..tickets.ticket_type import TicketType
from ..user import Actor
from ..values.fields import Rules, checked, set_fields, text
from ..values.money import Money
from .decision_builder import DecisionBuilder
from .draw import close_entries
from .settle import with_tickets

_ALREADY_BOOKED: Final = "This person already has a live booking for this ticket type; cancel it first to book again."


class OtherCustomer(Struct, frozen=True, gc=False):
    """The account that a booking is for, where somebody else books. `is_disabled`: an operator has disabled it."""

    user_id: UUID
    is_disabled: bool = False


COMPLIMENTARY_RULES: Rules = {"reason": text(1, 200)}


class Complimentary(Struct, frozen=True, gc=False):
    """Why tickets are given away: the fact of it has the reason. Raises InvalidRequest if it breaks a rule."""

    reason: str

    def __post_init__(self) -> None:
        set_fields(self, checked({"reason": self.reason}, COMPLIMENTARY_RULES))


class Book(Struct, frozen=True, gc=False, kw_only=True):
    """Book `quantity` tickets of one type; `booking_id` is a new id.

    `ticket_type_id` None means the only type. `only_if_available`: a place in the waiting list is not wanted.
    `on_behalf_of` is the customer, if the actor books for another person. `complimentary`: that person is given the
    tickets. Raises InvalidRequest for a quantity below 1 or above 1,000, and for tickets given to nobody else.
    """

    booking_id: UUID
    event_id: UUID
    actor: Actor
    quantity: int = 1
    ticket_type_id: UUID | None = None
    only_if_available: bool = False
    on_behalf_of: OtherCustomer | None = None
    complimentary: Complimentary | None = None

    def __post_init__(self) -> None:
        checked({"quantity": self.quantity}, BOOK_RULES)
        if self.complimentary is not None and self.on_behalf_of is None:
            raise invalid("needs a person to book for", "complimentary")

    @property
    def customer_id(self) -> UUID:
        """The account that the booking is for."""
        return self.actor.user_id if self.on_behalf_of is None else self.on_behalf_of.user_id

    @property
    def booked_by(self) -> UUID | None:
        """The account that books for the customer; None: the customer."""
        return None if self.on_behalf_of is None else self.actor.user_id


def book(inventory: Inventory, command: Book, now: datetime) -> Decision[Booking]:
    """Confirm or hold if the tickets are free for newcomers; otherwise join the waiting list.

    A booking gets all of its tickets or none. Waiting is an outcome, not a refusal, unless the command or the event
    excludes it. All limits are those of the customer, also when somebody else books. Complimentary tickets are taken
    while some are free, also past those who wait; the fact says how many these are.

    Raises: NotFound, NotAllowed, InvalidRequest, NotOnSale, EventStarted, ExceedsCapacity, AlreadyBooked,
    LimitExceeded, SoldOut.
    """
    inventory.event.check_visible_to(command.actor)
    if command.on_behalf_of is None:
        command.actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, inventory.event.id)
    else:
        _check_may_book_for(inventory.event, command, command.on_behalf_of)
    ticket_type = inventory.ticket_type(command.ticket_type_id)
    inventory.event.check_on_sale(now)
    _check_customer_may_add(inventory, ticket_type, command)
    if command.complimentary is not None:
        return _grant_tickets(inventory, ticket_type, command, command.complimentary, now)
    if ticket_type.must_wait(command.quantity, inventory.event, now):
        if command.only_if_available or inventory.event.waiting_list is WaitingListMode.OFF:
            raise SoldOut
        return _join_waiting_list(inventory, ticket_type, command, now)
    return _take_tickets(inventory, ticket_type, command, now)


def _check_may_book_for(event: Event, command: Book, customer: OtherCustomer) -> None:
    right = Right.BOOK_FOR_OTHERS if command.complimentary is None else Right.GRANT_TICKETS
    event.check_may(command.actor, right)
    if customer.is_disabled:
        raise NotAllowed("Nothing can be booked for this person; ask the operator of the service.")


def _check_customer_may_add(inventory: Inventory, ticket_type: TicketType, command: Book) -> None:
    if command.quantity > ticket_type.total_tickets:
        raise ExceedsCapacity(f"There are only {ticket_type.total_tickets} tickets of this type in all; ask for fewer.")
    taken = 0
    # Integers are faster to compare than UUIDs.
    customer_number, ticket_type_number = command.customer_id.int, ticket_type.id.int
    for booking in inventory.of_customers:
        if booking.customer_id.int == customer_number:
            if booking.ticket_type_id.int == ticket_type_number:
                detail = "" if command.on_behalf_of is None else _ALREADY_BOOKED
                raise AlreadyBooked(detail, booking_id=str(booking.id))
            taken += booking.quantity
    most = inventory.event.max_tickets_per_customer
    if taken + command.quantity > most:
        raise LimitExceeded(f"A customer may have at most {most} tickets of this event; ask for fewer.")


def _new_booking(inventory: Inventory, ticket_type: TicketType, command: Book, now: datetime) -> Booking:
    """Return the booking before it gets tickets."""
    return Booking(
        id=command.booking_id,
        event_id=inventory.event.id,
        ticket_type_id=ticket_type.id,
        customer_id=command.customer_id,
        quantity=command.quantity,
        status=WAITLISTED,
        amount=ticket_type.amount(command.quantity, inventory.event.currency),
        cancellation_deadline_hours=inventory.event.cancellation_deadline_hours,
        reschedules=inventory.event.reschedules,
        refund_fee_percent=inventory.event.refund_fee_percent,
        created_at=now,
        updated_at=now,
    )


def _take_tickets(inventory: Inventory, ticket_type: TicketType, command: Book, now: datetime) -> Decision[Booking]:
    builder = DecisionBuilder(inventory, now)
    booking = builder.enter(with_tickets(_new_booking(inventory, ticket_type, command, now), inventory.event, now))
    if ticket_type.waiting:
        builder.count_overtake(ticket_type.id)
    builder.add_fact(
        TicketsBooked(
            ticket_type_id=ticket_type.id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            amount=booking.amount,
            status=booking.status,
            payment_status=booking.payment_status,
            cancellation_deadline_hours=booking.cancellation_deadline_hours,
            reschedules=booking.reschedules,
            refund_fee_percent=booking.refund_fee_percent,
            expires_at=booking.expires_at,
            booked_by=command.booked_by,
            passed_over=ticket_type.waiting,
        ),
        booking,
    )
    return builder.decision(booking)


def _grant_tickets(
    inventory: Inventory, ticket_type: TicketType, command: Book, complimentary: Complimentary, now: datetime
) -> Decision[Booking]:
    """Give tickets away as long as some are free, also those that the waiting list is about to get."""
    if command.quantity > ticket_type.available:
        raise SoldOut
    builder = DecisionBuilder(inventory, now)
    # What costs nothing is never refunded, so no fee applies.
    gift = replace(
        _new_booking(inventory, ticket_type, command, now),
        status=CONFIRMED,
        amount=Money(0, inventory.event.currency),
        refund_fee_percent=0,
    )
    booking = builder.enter(gift)
    builder.add_fact(
        TicketsGranted(
            ticket_type_id=ticket_type.id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            amount=booking.amount,
            reason=complimentary.reason,
            passed_over=ticket_type.waiting,
            cancellation_deadline_hours=booking.cancellation_deadline_hours,
            reschedules=booking.reschedules,
            granted_by=command.actor.user_id,
        ),
        booking,
    )
    return builder.decision(booking)


def _join_waiting_list(
    inventory: Inventory, ticket_type: TicketType, command: Book, now: datetime
) -> Decision[Booking]:
    builder = DecisionBuilder(inventory, now)
    if not inventory.event.takes_entries(now):
        close_entries(builder)
    waiting = _new_booking(inventory, ticket_type, command, now)
    booking = replace(waiting, queue_number=builder.next_queue_number())
    builder.enter(booking)
    builder.add_fact(
        CustomerWaitlisted(
            ticket_type_id=ticket_type.id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            amount=booking.amount,
            cancellation_deadline_hours=booking.cancellation_deadline_hours,
            reschedules=booking.reschedules,
            refund_fee_percent=booking.refund_fee_percent,
            queue_number=builder.event.last_queue_number,
            booked_by=command.booked_by,
        ),
        booking,
    )
    if inventory.event.awaits_draw:
        return builder.decision(booking)
    return builder.decision(replace(booking, place=Place(ticket_type.waiting + 1, ticket_type.waiting_tickets)))

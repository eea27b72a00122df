"""Giving a part of a booking back: its tickets go to the waiting list in the same decision."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import CONFIRMED, WAITLISTED, Booking
from ..facts import TicketsReturned
from ..inventory import Decision, Inventory
from ..refunds import refund_due
from ..refusals import (
    ExceedsBooking,
    FieldError,
    InvalidRequest,
    NotFound,
    PaymentUnderWay,
    TicketsNotNumbered,
    TicketUsed,
    invalid,
)
from ..tickets.ticket import Ticket, number_in, number_of
from ..user import Actor
from ..values.money import Money
from .cancel import Terms, booking_of, check_live, settle_freed, terms_of
from .decision_builder import DecisionBuilder
from .payments.pay import pending_charge
from .payments.refunds import owe_refund, with_current_payment
from .settle import Cancelled


class ReturnTickets(Struct, frozen=True, gc=False, kw_only=True):
    """Give `quantity` tickets of a booking back, and not all; `refund_id` is a new id.

    `ticket_ids` are the tickets; without them those with the highest numbers go. Raises InvalidRequest for a quantity
    below 1, or if these are not as many and distinct.
    """

    booking_id: UUID
    event_id: UUID
    actor: Actor
    quantity: int
    ticket_ids: tuple[UUID, ...] | None = None
    refund_id: UUID

    def __post_init__(self) -> None:
        errors = []
        if self.quantity < 1:
            errors.append(FieldError(("quantity",), "must be at least 1"))
        if self.ticket_ids is not None:
            if len(self.ticket_ids) != self.quantity:
                errors.append(FieldError(("ticket_ids",), "must be as many as quantity says"))
            elif len(set(self.ticket_ids)) < len(self.ticket_ids):
                errors.append(FieldError(("ticket_ids",), "must be distinct"))
        if errors:
            raise InvalidRequest(*errors)


def return_tickets(inventory: Inventory, command: ReturnTickets, now: datetime) -> Decision[Cancelled]:
    """Make a booking smaller, and promote waiting bookings that the freed tickets fit, in order.

    A waiting booking keeps its place, and a hold its end. A paid booking is refunded the price of what is given back,
    less the fee of a cancellation. The terms are those of cancelling the whole booking.

    Raises: NotFound, NotAllowed, InvalidRequest, CancellationClosed, AlreadyCancelled, PaymentUnderWay, ExceedsBooking,
    TicketUsed, TicketsNotNumbered.
    """
    booking = booking_of(inventory, command.booking_id, command.actor)
    builder = DecisionBuilder(inventory, now)
    if command.ticket_ids is not None:
        _check_has(builder, booking, command.ticket_ids, now)
    terms = terms_of(inventory.event, booking, command.actor, now)
    check_live(booking, now)
    if pending_charge(inventory, booking) is not None:
        raise PaymentUnderWay("A payment for all of its tickets is under way; give some back when it is done.")
    if command.quantity >= booking.quantity:
        raise ExceedsBooking(f"The booking has {booking.quantity} tickets; cancel it to give all of them back.")
    tickets = _void(builder, booking, command, terms) if booking.status is CONFIRMED else []
    refund = _make_smaller(builder, booking, command, terms, tickets)
    settle_freed(builder, inventory, booking.ticket_type_id)
    return builder.decision(Cancelled(builder.latest(booking), refund))


def _check_has(builder: DecisionBuilder, booking: Booking, ticket_ids: Iterable[UUID], now: datetime) -> None:
    """Raise NotFound unless the booking has these tickets, InvalidRequest if it has none yet."""
    status = booking.as_of(now).status
    if status is CONFIRMED:
        _check_numbered(booking)
        for each in ticket_ids:
            number = number_in(booking, each)
            if number is None or builder.ticket(booking, number).is_returned:
                raise NotFound("The booking has no such ticket, or it was given back.")
    elif status.is_live:
        raise invalid("names tickets, but the booking has none before it is confirmed; leave it out", "ticket_ids")


def _check_numbered(booking: Booking) -> None:
    """Raise TicketsNotNumbered for a booking that is older than ticket numbers and has none yet.

    They follow from the facts before, so they are not known in this decision.
    """
    if booking.first_ticket_number is None:
        raise TicketsNotNumbered


def _void(builder: DecisionBuilder, booking: Booking, command: ReturnTickets, terms: Terms) -> list[Ticket]:
    """Void the chosen tickets of a confirmed booking, else those with the highest numbers, and return them."""
    _check_numbered(booking)
    if command.ticket_ids is None:
        live = (each for each in reversed(booking.ticket_numbers) if not builder.ticket(booking, each).is_returned)
        numbers = sorted(islice(live, command.quantity))
    else:
        numbers = sorted(number_of(each) for each in command.ticket_ids)
    tickets = [builder.ticket(booking, number) for number in numbers]
    if terms.by == "customer" and any(each.checked_in_at is not None for each in tickets):
        raise TicketUsed
    for ticket in tickets:
        builder.put_ticket(replace(ticket, is_returned=True))
    return tickets


def _make_smaller(
    builder: DecisionBuilder, booking: Booking, command: ReturnTickets, terms: Terms, tickets: Sequence[Ticket]
) -> Money | None:
    """Take the tickets and their price from the booking. Owe what is refunded of it, and return that; None: nothing."""
    currency = booking.amount.currency
    # All tickets of a booking have one price.
    price = Money(booking.amount.amount // booking.quantity * command.quantity, currency)
    used = sum(each.checked_in_at is not None for each in tickets)
    smaller = replace(
        booking,
        quantity=booking.quantity - command.quantity,
        amount=Money(booking.amount.amount - price.amount, currency),
        returned=booking.returned + len(tickets),
        used=booking.used - used,
        updated_at=builder.now,
    )
    refund = None
    if booking.paid_by is not None and booking.paid_with is not None and booking.payment_status.has_charge:
        refund = refund_due(price, terms.fee_percent, booking.kept)
        if refund is not None:
            owe_refund(
                builder,
                booking,
                refund,
                charge_id=booking.paid_by,
                method=booking.paid_with,
                refund_id=command.refund_id,
            )
            smaller = with_current_payment(builder, smaller)
    builder.change(booking, smaller)
    builder.add_fact(
        TicketsReturned(
            ticket_type_id=booking.ticket_type_id,
            quantity=command.quantity,
            left=smaller.quantity,
            was=booking.status,
            by=terms.by,
            amount=price if price.amount else None,
            payment_status=smaller.payment_status,
            refund=refund,
            refund_id=command.refund_id if refund is not None else None,
            numbers=tuple([each.number for each in tickets]),
            used=used,
            queue_number=booking.queue_number if booking.status is WAITLISTED else None,
            was_suspended=booking.is_suspended,
        ),
        booking,
    )
    if not booking.is_suspended:
        builder.note_room(booking.ticket_type_id)
    return refund

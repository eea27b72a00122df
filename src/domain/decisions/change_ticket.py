"""Naming the holder of a ticket, and giving it a new code."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from ..booking import Booking
from ..event import Event, EventStatus
from ..facts import TicketReissued
from ..inventory import Decision, Inventory
from ..policy import PersonalRight, Right
from ..refusals import EventClosed, EventStarted, NotFound, TicketVoid, invalid
from ..tickets.ticket import HOLDER_RULES, Ticket, TicketStatus, number_in, ticket_status
from ..user import Actor
from ..values.fields import checked
from .decision_builder import DecisionBuilder


class ChangeTicket(Struct, frozen=True, gc=False, kw_only=True):
    """Name a ticket's holder, or replace its code by the next one, or both.

    `holder_name` None: the holder stays. Raises: InvalidRequest for neither of both, or a name that is none.
    """

    event_id: UUID
    booking_id: UUID
    ticket_id: UUID
    actor: Actor
    holder_name: str | None = None
    reissue: bool = False

    def __post_init__(self) -> None:
        if self.holder_name is None and not self.reissue:
            raise invalid("must name a holder, or ask for a new code")
        if self.holder_name is not None:
            force_setattr(self, "holder_name", checked({"holder_name": self.holder_name}, HOLDER_RULES)["holder_name"])


class IssuedTicket(Struct, frozen=True, gc=False):
    """A ticket with its booking."""

    booking: Booking
    ticket: Ticket


def change_ticket(inventory: Inventory, command: ChangeTicket, now: datetime) -> Decision[IssuedTicket]:
    """Change a ticket, whose customer may until the event starts.

    The name is personal data, so it is in no fact. The code is the same for another name; only a new one makes it void.

    Raises: NotFound, NotAllowed, EventStarted, EventClosed, TicketVoid.
    """
    event, booking = inventory.event, inventory.booking(command.booking_id)
    _check_may_change(event, booking, command.actor, now)
    number = number_in(booking, command.ticket_id)
    if number is None:
        raise NotFound
    builder = DecisionBuilder(inventory, now)
    ticket = builder.ticket(booking, number)
    # The bookings of a cancelled event end one after the other.
    if ticket_status(booking.status, ticket) is TicketStatus.VOID or event.status is EventStatus.CANCELLED:
        raise TicketVoid
    if command.holder_name is not None:
        ticket = replace(ticket, holder_name=command.holder_name)
    if command.reissue:
        ticket = replace(ticket, serial=ticket.serial + 1)
        builder.add_fact(TicketReissued(ticket_id=command.ticket_id, serial=ticket.serial), booking)
    builder.put_ticket(ticket)
    return builder.decision(IssuedTicket(booking, ticket))


class ForgetHolders(Struct, frozen=True, gc=False, kw_only=True):
    """Erase the names of the holders of a booking's tickets, because its customer's account was erased."""

    event_id: UUID
    booking_id: UUID


def forget_holders(inventory: Inventory, command: ForgetHolders, now: datetime) -> Decision[Booking]:
    """Erase the names, void tickets' and those that the staff gave too. Raises: NotFound."""
    booking = inventory.booking(command.booking_id)
    builder = DecisionBuilder(inventory, now)
    for ticket in inventory.tickets:
        if ticket.booking_id == booking.id and ticket.holder_name is not None:
            builder.put_ticket(replace(ticket, holder_name=None))
    return builder.decision(booking)


def _check_may_change(event: Event, booking: Booking, actor: Actor, now: datetime) -> None:
    if event.may_with_booking(booking.customer_id, actor, Right.NAME_TICKETS):
        return
    if not actor.is_customer(booking.customer_id):
        event.check_may_with_booking(booking.customer_id, actor, Right.NAME_TICKETS, Right.SEE_TICKETS)
    actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, event.id)
    if event.has_started(now):
        raise EventStarted("The event has started; ask its organizer to change the ticket.")
    if event.status is EventStatus.COMPLETED:
        raise EventClosed("The event is over; its tickets can no longer be changed.")

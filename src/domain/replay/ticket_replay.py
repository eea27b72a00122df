"""Replaying facts of single tickets (promise 7)."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ..booking import Booking
from ..facts import BookingCancelled, CheckInUndone, Fact, TicketCheckedIn, TicketReissued, TicketsReturned
from ..tickets.ticket import Ticket, TicketStatus, number_of, ticket_id, ticket_status


class TicketByFacts(Struct, frozen=True, gc=False):
    """What facts tell of a ticket: which of its codes counts, whether it is used, and whether it was given back.

    Whether a void ticket is used matters no longer, and no fact tells of it.
    """

    serial: int = 1
    is_used: bool = False
    is_returned: bool = False


def replay_tickets(facts: list[Fact]) -> dict[int, TicketByFacts] | None:
    """Return by number the tickets of a booking that its facts, in order, changed; None if they contradict each other.

    Names of holders are in no fact, and that an earlier entry counts is none.
    """
    tickets: dict[int, TicketByFacts] = {}
    for fact in facts:
        match fact.what:
            case TicketsReturned() as what:
                returned = {number: tickets.get(number, _UNCHANGED) for number in what.numbers}
                if any(each.is_returned for each in returned.values()):
                    return None
                for number, each in returned.items():
                    tickets[number] = replace(each, is_used=False, is_returned=True)
            case BookingCancelled():
                tickets = {number: replace(each, is_used=False) for number, each in tickets.items()}
            case TicketReissued() | TicketCheckedIn() | CheckInUndone() as what:
                number = number_of(what.ticket_id)
                after = _ticket_after(tickets.get(number, _UNCHANGED), what)
                if after is None or fact.booking_id is None or what.ticket_id != ticket_id(fact.booking_id, number):
                    return None
                tickets[number] = after
            case _:
                pass
    return _changed(tickets)


def _ticket_after(
    before: TicketByFacts, what: TicketReissued | TicketCheckedIn | CheckInUndone
) -> TicketByFacts | None:
    """Return the ticket after one more fact; None if the fact cannot follow."""
    if before.is_returned:
        return None
    if isinstance(what, TicketReissued):
        return replace(before, serial=what.serial) if what.serial == before.serial + 1 else None
    is_used = isinstance(what, TicketCheckedIn)
    return None if before.is_used is is_used else replace(before, is_used=is_used)


def stored_tickets(booking: Booking, tickets: Iterable[Ticket]) -> dict[int, TicketByFacts]:
    """Return what facts must tell of these tickets, which are the booking's."""
    found = {}
    for each in tickets:
        is_used = ticket_status(booking.status, each) is TicketStatus.USED
        found[each.number] = TicketByFacts(each.serial, is_used, each.is_returned)
    return _changed(found)


def _changed(tickets: dict[int, TicketByFacts]) -> dict[int, TicketByFacts]:
    return {number: each for number, each in tickets.items() if each != _UNCHANGED}


_UNCHANGED: Final = TicketByFacts()

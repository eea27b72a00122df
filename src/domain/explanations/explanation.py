"""Why a booking stands where it stands: a code for programs, a sentence for customers, and the numbers behind both."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from ..booking import HELD, WAITLISTED, Booking, BookingStatus
from ..draws.draw import Admission
from ..event import Event, WaitingListPolicy
from ..facts import BookingCancelled, BookingPromoted, CustomerWaitlisted, Fact, PlaceDrawn, TicketsGranted
from ..tickets.ticket_type import TicketType
from .chance import Chance, chance_of
from .line_history import LineHistory, Since
from .sentences import sentence_of


class ExplanationCode(StrEnum):
    """Why a booking stands where it stands."""

    CONFIRMED_AT_ONCE = "confirmed-at-once"
    PROMOTED = "promoted"
    WAITING_BEHIND_OTHERS = "waiting-behind-others"
    WAITING_FOR_ITS_SIZE = "waiting-for-its-size"
    BLOCKED_BY_BIGGER_GROUP = "blocked-by-bigger-group"
    NOT_SERVED_NOW = "not-served-now"
    HELD = "held"
    HOLD_LAPSED = "hold-lapsed"
    CANCELLED_BY_CUSTOMER = "cancelled-by-customer"
    CANCELLED_BY_ORGANIZER = "cancelled-by-organizer"
    EVENT_CANCELLED = "event-cancelled"
    GRANTED = "granted"


class Explanation(Struct, frozen=True, gc=False, kw_only=True):
    """A booking's status with its reason. `since` counts what happened while it waited.

    `position`, `tickets_ahead` and `chance` are those of a booking on the waiting list.
    """

    status: BookingStatus
    code: ExplanationCode
    sentence: str
    policy: WaitingListPolicy
    position: int | None
    tickets_ahead: int | None
    since: Since
    chance: Chance | None


class Explained(Struct, frozen=True, gc=False, kw_only=True):
    """What an explanation follows from: a booking with its place, its event, its ticket type and its facts in order."""

    booking: Booking
    event: Event
    ticket_type: TicketType
    facts: tuple[Fact, ...]


def explain(found: Explained, history: LineHistory, now: datetime) -> Explanation:
    """Explain a booking. `history` contains at least all facts of the event that `found` follows from."""
    event, ticket_type = found.event, found.ticket_type
    booking = found.booking.as_of(now)
    if event.awaits_draw:
        booking = replace(booking, place=None)
    place = booking.place
    chance = None
    if booking.is_waiting and place is not None:
        returned = history.returned(ticket_type.id, event.last_seq + 1)
        chance = chance_of(event, ticket_type, booking.quantity, place, returned, now)
    code = _code(found, booking, now)
    since = _since(found, history)
    return Explanation(
        status=booking.status,
        code=code,
        sentence=sentence_of(code.value, booking, event, ticket_type, now),
        policy=event.waiting_list_policy,
        position=None if place is None else place.position,
        tickets_ahead=None if place is None else place.tickets_ahead,
        since=since,
        chance=chance,
    )


def _code(found: Explained, booking: Booking, now: datetime) -> ExplanationCode:
    if booking.status is WAITLISTED:
        return _waiting_code(found, booking, now)
    if booking.status is HELD:
        return ExplanationCode.HELD
    if booking.status is BookingStatus.EXPIRED:
        return ExplanationCode.HOLD_LAPSED
    if booking.status is BookingStatus.CANCELLED:
        return _CANCELLED_BY[_canceller(found.facts)]
    if booking.queue_number is not None:
        return ExplanationCode.PROMOTED
    is_gift = any(isinstance(fact.what, TicketsGranted) for fact in found.facts)
    return ExplanationCode.GRANTED if is_gift else ExplanationCode.CONFIRMED_AT_ONCE


_CANCELLED_BY = {
    "customer": ExplanationCode.CANCELLED_BY_CUSTOMER,
    "organizer": ExplanationCode.CANCELLED_BY_ORGANIZER,
    "event": ExplanationCode.EVENT_CANCELLED,
}


def _canceller(facts: Sequence[Fact]) -> str:
    return next(fact.what.by for fact in reversed(facts) if isinstance(fact.what, BookingCancelled))


def _waiting_code(found: Explained, booking: Booking, now: datetime) -> ExplanationCode:
    """Return the first reason that holds. What is free is what newcomers see, so lapsed holds count once they ended."""
    event, available = found.event, found.ticket_type.available
    if booking.is_suspended or not event.serves_waiting_list(now):
        return ExplanationCode.NOT_SERVED_NOW
    if booking.quantity <= available:
        return ExplanationCode.BLOCKED_BY_BIGGER_GROUP
    is_first = booking.place is not None and booking.place.position == 1
    if is_first or (event.waiting_list_policy is WaitingListPolicy.FILL and available > 0):
        return ExplanationCode.WAITING_FOR_ITS_SIZE
    return ExplanationCode.WAITING_BEHIND_OTHERS


def _since(found: Explained, history: LineHistory) -> Since:
    booking, joined = found.booking, _joined(found)
    if joined is None:
        return Since()
    ended = (
        fact.seq
        for fact in found.facts
        if isinstance(fact.what, BookingPromoted)
        or (isinstance(fact.what, BookingCancelled) and fact.what.was is WAITLISTED)
    )
    until = next(ended, found.event.last_seq + 1)
    return history.since(booking.ticket_type_id, booking.queue_number or 0, joined, until)


def _joined(found: Explained) -> int | None:
    """Return the fact that gave the booking its place among others; None: none did, as for an entry before a draw."""
    event, number = found.event, found.booking.queue_number or 0
    seqs = [fact.seq for fact in found.facts if isinstance(fact.what, CustomerWaitlisted | PlaceDrawn)]
    was_entry = event.last_entry is None or number <= event.last_entry
    if event.admission is Admission.DRAW and was_entry and len(seqs) == 1:
        return None
    return seqs[-1] if seqs else None

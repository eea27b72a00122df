"""Follow the facts of one event in order, and find every promise that they show to be broken.

It shares no rule with the domain, so that an error must be made twice to stay undetected. The cost is linear in the
number of facts (times the number of different quantities on a waiting list).
"""

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from uuid import UUID

from .....domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CheckInUndone,
    CustomerWaitlisted,
    DisputeClosed,
    EventChanged,
    EventInitialized,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentDisputed,
    PaymentRefunded,
    PaymentTaken,
    RefundFailed,
    RefundGranted,
    TicketCheckedIn,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    TicketTypeAdded,
    TicketTypeChanged,
    WaitingResumed,
    WaitingSuspended,
)
from .booking_projection import STEP, BookingProjection
from .projected_state import ProjectedType


class FactProjection(BookingProjection):
    """The state of an event after all of its facts.

    A moment is the number of the last fact before it. `breaches` are those that the facts alone show; `changes` are the
    facts of its edits.
    """

    seq: int
    may_be_unsettled: bool

    def __init__(self, event_id: UUID, facts: Sequence[Fact], step: int = STEP) -> None:
        super().__init__(event_id, step)
        self.changes: list[Fact] = []
        self._boundaries: list[int] = []
        previous: Fact | None = None
        for fact in facts:
            self._next(fact, previous)
            previous = fact
        if previous is not None:
            self._end_decision(previous)
        for timeline in self._timelines.values():
            timeline.finish()

    @property
    def only_type(self) -> UUID | None:
        """The ticket type, if there is exactly one."""
        return next(iter(self.types)) if len(self.types) == 1 else None

    def when(self, subject: Hashable, value: Hashable, floor: int, ceiling: int) -> int | None:
        """Return the first moment between two decisions, from `floor` to `ceiling`, at which a subject had a value."""
        timeline = self._timelines.get(subject)
        for first, last in timeline.spans(value, floor) if timeline else ():
            if first > ceiling:
                break
            moment = self.decision_end(max(floor, first))
            if moment <= min(last, ceiling):
                return moment
        return None

    def decision_end(self, seq: int) -> int:
        """Return the last fact of the decision that a fact belongs to."""
        place = bisect_left(self._boundaries, seq)
        return self._boundaries[place] if place < len(self._boundaries) else seq

    def has_unserved_booking(self) -> bool:
        """Return whether a waiting booking could be served now."""
        if not self.event.serves:
            return False
        return any(each.next_to_serve(self.event.policy, self.event.bound) is not None for each in self.types.values())

    def _next(self, fact: Fact, previous: Fact | None) -> None:
        if fact.seq != self.seq + 1:
            self._breach(7, "facts", f"fact {fact.seq} follows fact {self.seq}")
        if previous is not None:
            self._between(fact, previous)
        self.seq = fact.seq
        self._apply(fact)

    def _between(self, fact: Fact, previous: Fact) -> None:
        """Check the end of a decision, if one ended between these two facts."""
        is_new = _begins(fact, previous)
        if is_new or self._changed_bookings >= self._step:
            self._end_decision(previous)
        elif isinstance(fact.what, HoldExpired):
            # The facts do not show whether this is a second decision in the same microsecond or part of the first.
            self._boundaries.append(previous.seq)
        if is_new:
            self._changed_bookings = 0
            self._last_freed = None

    def _end_decision(self, previous: Fact) -> None:
        """Check that no waiting booking fits free tickets, unless the decision reached its step."""
        self._boundaries.append(previous.seq)
        is_idle = bool(self._changed_types) and self.has_unserved_booking()
        if self._changed_bookings >= self._step:
            self.may_be_unsettled = True
        elif not is_idle:
            self.may_be_unsettled = self.may_be_unsettled and self._changed_bookings == 0
        if is_idle and not self.may_be_unsettled:
            self._breach(6, "idle", "tickets are free and a waiting booking fits them")
        self._changed_types.clear()

    def _apply(self, fact: Fact) -> None:
        self.event.now = fact.occurred_at
        match fact.what:
            case EventInitialized() as what:
                for added in what.ticket_types:
                    self._add_type(added)
                self.event.initialize(what.values)
                self._record_fields()
            case EventChanged() as what:
                self.changes.append(fact)
                self._change_event(what)
            case TicketTypeAdded() as what:
                self.changes.append(fact)
                self._add_type(what)
            case TicketTypeChanged() as what:
                self.changes.append(fact)
                self._change_type(what)
            case TicketsBooked() | TicketsGranted() | CustomerWaitlisted() as what:
                self._create(fact, what)
            case BookingPromoted() | BookingCancelled() | HoldShortened() | HoldExpired() | PaymentTaken():
                self._change_booking(fact)
            case (
                TicketsReturned()
                | WaitingSuspended()
                | WaitingResumed()
                | RefundGranted()
                | PaymentRefunded()
                | RefundFailed()
                | PaymentDisputed()
                | DisputeClosed()
            ):
                self._change_booking(fact)
            case TicketCheckedIn() | CheckInUndone():
                self._use_ticket(fact)
                return
            case _:
                return
        self._record_counters()

    def _change_event(self, what: EventChanged) -> None:
        self.event.change(what.changes)
        if {"status", "startsAt", "waitingListPolicy", "maxOvertakes"} & set(what.changes):
            for ticket_type in self.types.values():
                ticket_type.room_made_by = self.seq
        self._record_fields()

    def _add_type(self, what: TicketTypeAdded) -> None:
        self.types[what.ticket_type_id] = ProjectedType(what.total_tickets)
        self._changed_types.add(what.ticket_type_id)

    def _change_type(self, what: TicketTypeChanged) -> None:
        ticket_type = self._type(what.ticket_type_id)
        if "totalTickets" in what.changes:
            ticket_type.total = what.changes["totalTickets"]
            ticket_type.room_made_by = self.seq
        if ticket_type.taken > ticket_type.total:
            taken, total = ticket_type.taken, ticket_type.total
            self._breach(1, "oversold", f"{taken} tickets are taken and the total became {total}")
        self._changed_types.add(what.ticket_type_id)

    def _record_fields(self) -> None:
        self._timeline("status").set(self.seq, self.event.status)
        self._timeline("policy").set(self.seq, self.event.policy)
        self._timeline("waiting_list").set(self.seq, self.event.waiting_list)
        self._timeline("max_overtakes").set(self.seq, self.event.bound)
        if self.event.bound is None:
            for ticket_type in self.types.values():
                ticket_type.overtakes.clear()
        self._changed_types.update(self.types)

    def _record_counters(self) -> None:
        for type_id in self._changed_types:
            ticket_type = self.types[type_id]
            self._timeline(("total", type_id)).set(self.seq, ticket_type.total)
            self._record_counts(type_id, ticket_type.available, ticket_type.waiting)
        types = self.types.values()
        self._record_counts(None, sum(each.available for each in types), sum(each.waiting for each in types))

    def _record_counts(self, type_id: UUID | None, available: int, waiting: int) -> None:
        self._timeline(("available", type_id)).set(self.seq, available)
        self._timeline(("waiting", type_id)).set(self.seq, waiting)
        self._timeline(("counters", type_id)).set(self.seq, (available, waiting))


def _begins(fact: Fact, previous: Fact) -> bool:
    """Return whether a decision begins with this fact.

    All facts of a decision have the same time. Promotions and expired holds are consequences of the fact before them.
    One decision suspends, or resumes, all bookings of a customer.
    """
    if fact.occurred_at != previous.occurred_at:
        return True
    match fact.what:
        case BookingPromoted() | BookingCancelled(by="event") | HoldShortened() | HoldExpired():
            return False
        case WaitingSuspended(customer_id=customer_id) | WaitingResumed(customer_id=customer_id):
            return type(previous.what) is not type(fact.what) or previous.what.customer_id != customer_id
        case EventChanged(version=version):
            return not (isinstance(previous.what, TicketTypeChanged) and previous.what.version == version)
        case _:
            return True

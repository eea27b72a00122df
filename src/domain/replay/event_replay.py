"""Replaying facts: rebuild an event's counters (promise 7) and check the promises on the way.

Memory is bounded by one event's counters and waiting lists or one booking, whatever the length of the history.
"""

from functools import singledispatchmethod
from typing import Any
from uuid import UUID

from msgspec import Struct

from ..booking import BookingStatus
from ..draws.draw import Admission
from ..event import EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from ..facts import (
    SERVING_VALUES,
    BookingCancelled,
    BookingPromoted,
    CheckInUndone,
    CustomerWaitlisted,
    DisputeClosed,
    DrawHeld,
    EventChanged,
    EventInitialized,
    Fact,
    FactPayload,
    HoldExpired,
    HoldShortened,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentStarted,
    PaymentTaken,
    PlaceDrawn,
    RefundFailed,
    RefundGranted,
    TicketCheckedIn,
    TicketReissued,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    TicketTypeAdded,
    TicketTypeChanged,
    WaitingResumed,
    WaitingSuspended,
    tickets_confirmed,
)
from ..tickets.ticket_counts import TicketCounts
from ..tickets.ticket_type import EventState
from .draw_replay import DrawReplay


class Breach(Struct, frozen=True, gc=False):
    """A broken promise, by its number, and the evidence."""

    promise: int
    what: str


class EventReplay:
    """Replays one event's facts in order and records every breach of a promise.

    `numbered_to` is the event's.
    """

    def __init__(self, event_id: UUID, numbered_to: int | None = None) -> None:
        self.event_id: UUID = event_id
        self._numbered_to = numbered_to
        self.seq: int = 0
        self._booking_id: UUID | None = None
        self.status: str = ""
        self.currency: str = ""
        self.policy: str = ""
        self.max_overtakes: int | None = None
        self.waiting_list: str = WaitingListMode.ON
        self.log: str = LogMode.RECEIPTS
        self.was_published: bool = False
        self.reschedules: int = 0
        self.last_ticket_number: int = 0
        self._last_queue_number: int = 0
        self.ticket_types: dict[UUID, TicketCounts] = {}
        self._draw = DrawReplay()
        self.breaches: list[Breach] = []

    def apply(self, fact: Fact) -> int | None:
        """Apply the next fact. Return the first ticket number that its booking got; None: it got none."""
        if fact.seq != self.seq + 1:
            self._add_breach(7, f"fact {fact.seq} follows fact {self.seq}")
        self.seq = fact.seq
        self._booking_id = fact.booking_id
        self._apply_payload(fact.what)
        for counts in self.ticket_types.values():
            if counts.taken > counts.total_tickets:
                self._add_breach(1, f"{counts.taken} of {counts.total_tickets} tickets are taken")
        return self._number(fact)

    def compare(self, state: EventState) -> None:
        """Compare the stored event with its facts."""
        if state.event.last_seq != self.seq:
            self._add_breach(7, f"the event counts {state.event.last_seq} facts, its history has {self.seq}")
        if state.event.status != self.status:
            self._add_breach(7, f"the event is {state.event.status}, its facts say {self.status}")
        if state.event.currency != self.currency:
            self._add_breach(7, f"the currency is {state.event.currency}, the facts say {self.currency}")
        if state.event.waiting_list != self.waiting_list:
            self._add_breach(7, f"the waiting list is {state.event.waiting_list}, the facts say {self.waiting_list}")
        if state.event.log != self.log:
            self._add_breach(7, f"the log is {state.event.log}, the facts say {self.log}")
        if state.event.was_published is not self.was_published:
            self._add_breach(
                7, f"that it was on sale is {state.event.was_published}, its facts say {self.was_published}"
            )
        if state.event.reschedules != self.reschedules:
            self._add_breach(7, f"the event counts {state.event.reschedules} moves, its facts say {self.reschedules}")
        if state.event.last_ticket_number != self.last_ticket_number:
            stored_number = state.event.last_ticket_number
            self._add_breach(7, f"the last ticket number is {stored_number}, the facts say {self.last_ticket_number}")
        replayed = {
            ticket_type_id: (
                counts.total_tickets,
                counts.taken,
                counts.waiting.total(),
                sum(quantity * count for quantity, count in counts.waiting.items()),
            )
            for ticket_type_id, counts in self.ticket_types.items()
        }
        stored = {
            each.id: (each.total_tickets, each.taken, each.waiting, each.waiting_tickets) for each in state.ticket_types
        }
        if replayed != stored:
            self._add_breach(7, f"the counters are {list(stored.values())}, the facts say {list(replayed.values())}")
        self._compare_order(state)

    def _compare_order(self, state: EventState) -> None:
        for problem in self._draw.compare(state.event):
            self._add_breach(7, problem)
        bound = state.event.max_overtakes
        if bound != self.max_overtakes:
            self._add_breach(7, f"the bound for overtakes is {bound}, the facts say {self.max_overtakes}")
        # Until an event is settled, some may be left to be forgotten.
        for each in () if state.event.is_unsettled else state.ticket_types:
            told = self._counts_of(each.id).overtakes
            if each.overtakes != told:
                self._add_breach(7, f"ticket type {each.id} has overtakes {each.overtakes}, the facts say {told}")

    def _number(self, fact: Fact) -> int | None:
        tickets = tickets_confirmed(fact.what)
        if not tickets or (self._numbered_to is not None and fact.seq > self._numbered_to):
            return None
        first = self.last_ticket_number + 1
        self.last_ticket_number += tickets
        return first

    @singledispatchmethod
    def _apply_payload(self, what: FactPayload) -> None:
        raise TypeError(f"no replay for {type(what).__name__}")

    @_apply_payload.register
    def _apply_event_initialized(self, what: EventInitialized) -> None:
        self.currency = what.currency
        self._apply_values(what.values)
        for added in what.ticket_types:
            self._apply_payload(added)

    @_apply_payload.register
    def _apply_event_changed(self, what: EventChanged) -> None:
        self._apply_values(what.changes)
        if not SERVING_VALUES.isdisjoint(what.changes):
            for counts in self.ticket_types.values():
                counts.room_made_by = self.seq

    @_apply_payload.register
    def _apply_ticket_type_added(self, what: TicketTypeAdded) -> None:
        self.ticket_types[what.ticket_type_id] = TicketCounts(what.total_tickets)

    @_apply_payload.register
    def _apply_ticket_type_changed(self, what: TicketTypeChanged) -> None:
        counts = self._counts_of(what.ticket_type_id)
        if "totalTickets" in what.changes:
            counts.total_tickets = what.changes["totalTickets"]
            counts.room_made_by = self.seq

    @_apply_payload.register
    def _apply_tickets_booked(self, what: TicketsBooked) -> None:
        self._check_passed_over(what.passed_over, self._counts_of(what.ticket_type_id).waiting.total())
        self._apply_newcomer(what)

    @_apply_payload.register
    def _apply_tickets_granted(self, what: TicketsGranted) -> None:
        counts = self._counts_of(what.ticket_type_id)
        self._check_on_sale()
        self._check_passed_over(what.passed_over, counts.waiting.total())
        counts.taken += what.quantity

    @_apply_payload.register
    def _apply_payment_taken(self, what: PaymentTaken) -> None:
        if what.was is BookingStatus.EXPIRED and what.status is BookingStatus.CONFIRMED:
            self._apply_newcomer(what)

    @_apply_payload.register
    def _apply_hold_expired(self, what: HoldExpired) -> None:
        counts = self._counts_of(what.ticket_type_id)
        counts.taken -= what.quantity
        counts.room_made_by = self.seq

    @_apply_payload.register(HoldShortened)
    @_apply_payload.register(PaymentStarted)
    @_apply_payload.register(TicketReissued)
    @_apply_payload.register(PaymentFailed)
    @_apply_payload.register(RefundGranted)
    @_apply_payload.register(PaymentRefunded)
    @_apply_payload.register(RefundFailed)
    @_apply_payload.register(PaymentDisputed)
    @_apply_payload.register(DisputeClosed)
    @_apply_payload.register(TicketCheckedIn)
    @_apply_payload.register(CheckInUndone)
    def _apply_nothing(self, what: FactPayload) -> None:
        """Do nothing: no ticket moves."""

    @_apply_payload.register
    def _apply_customer_waitlisted(self, what: CustomerWaitlisted) -> None:
        if self.waiting_list == WaitingListMode.OFF:
            self._add_breach(5, "a customer joined a waiting list that was turned off")
        self._last_queue_number = what.queue_number
        self._note(5, self._draw.join(what.queue_number))
        self._counts_of(what.ticket_type_id).join(self._booking_id, what.queue_number, what.quantity)

    @_apply_payload.register
    def _apply_draw_held(self, what: DrawHeld) -> None:
        self._note(5, self._draw.hold(what))
        for counts in self.ticket_types.values():
            counts.room_made_by = self.seq

    @_apply_payload.register
    def _apply_place_drawn(self, what: PlaceDrawn) -> None:
        self._note(5, self._draw.place(what))
        self._counts_of(what.ticket_type_id).renumber(self._booking_id, what.queue_number)

    @_apply_payload.register
    def _apply_booking_promoted(self, what: BookingPromoted) -> None:
        counts = self._counts_of(what.ticket_type_id)
        self._note(5, self._draw.serve(counts.first))
        is_resumed = counts.resumed.pop(self._booking_id, None) is not None
        is_strict = self.policy == WaitingListPolicy.STRICT
        for number, quantity in counts.resumed.values():
            if number < what.queue_number and (is_strict or quantity == what.quantity):
                self._add_breach(5, f"queue number {number} was overtaken after it was resumed")
        if not is_resumed:
            self._check_order(counts, what, is_strict=is_strict)
        number_before = counts.number_before(what.queue_number)
        self._check_passed_over(what.passed_over, number_before)
        if what.caused_by not in (None, counts.room_made_by):
            self._add_breach(5, f"fact {what.caused_by} is said to have made room, not {counts.room_made_by}")
        if number_before:
            self._count_overtake(counts, what.queue_number)
        counts.leave(self._booking_id, what.quantity)
        counts.taken += what.quantity

    @_apply_payload.register
    def _apply_booking_cancelled(self, what: BookingCancelled) -> None:
        counts = self._counts_of(what.ticket_type_id)
        counts.resumed.pop(self._booking_id, None)
        if what.was_suspended:
            return
        counts.room_made_by = self.seq
        if what.was is BookingStatus.WAITLISTED:
            if what.queue_number not in (None, counts.number_of(self._booking_id)):
                self._add_breach(5, f"who left is said to have had queue number {what.queue_number}")
            counts.leave(self._booking_id, what.quantity)
        else:
            counts.taken -= what.quantity

    @_apply_payload.register
    def _apply_tickets_returned(self, what: TicketsReturned) -> None:
        counts = self._counts_of(what.ticket_type_id)
        if not what.was_suspended:
            counts.room_made_by = self.seq
        if what.was is not BookingStatus.WAITLISTED:
            counts.taken -= what.quantity
        elif not what.was_suspended:
            counts.shrink(self._booking_id, what.queue_number or 0, what.left + what.quantity, what.left)

    @_apply_payload.register
    def _apply_waiting_suspended(self, what: WaitingSuspended) -> None:
        counts = self._counts_of(what.ticket_type_id)
        counts.resumed.pop(self._booking_id, None)
        counts.leave(self._booking_id, what.quantity)
        counts.room_made_by = self.seq

    @_apply_payload.register
    def _apply_waiting_resumed(self, what: WaitingResumed) -> None:
        counts = self._counts_of(what.ticket_type_id)
        counts.resumed[self._booking_id] = (what.queue_number, what.quantity)
        counts.join(self._booking_id, what.queue_number, what.quantity)
        counts.room_made_by = self.seq

    def _check_passed_over(self, told: int | None, waiting: int) -> None:
        """Check how many waiting bookings a fact says that it passed over. Old facts do not say it."""
        if told not in (None, waiting):
            self._add_breach(5, f"it tells of {told} bookings that it passed over, not {waiting}")

    def _count_overtake(self, counts: TicketCounts, queue_number: int) -> None:
        if self.max_overtakes is None:
            return
        if len(counts.overtakes) >= self.max_overtakes:
            self._add_breach(5, f"a waiting booking was overtaken more than {self.max_overtakes} times")
        counts.overtakes = (*counts.overtakes, queue_number)

    def _check_order(self, counts: TicketCounts, what: BookingPromoted, *, is_strict: bool) -> None:
        if what.queue_number <= counts.last_promoted.get(what.quantity, 0):
            self._add_breach(5, f"queue number {what.queue_number} was served after a later one of the same size")
        counts.last_promoted[what.quantity] = what.queue_number
        if is_strict:
            if what.queue_number <= counts.last_promoted_strictly:
                self._add_breach(
                    5, f"queue number {what.queue_number} was overtaken although the waiting list is strict"
                )
            counts.last_promoted_strictly = what.queue_number

    def _apply_newcomer(self, what: TicketsBooked | PaymentTaken) -> None:
        counts = self._counts_of(what.ticket_type_id)
        self._check_on_sale()
        self._note(5, self._draw.serve(counts.first))
        waits = (
            counts.waiting.total() > 0 if self.policy == WaitingListPolicy.STRICT else counts.fits_a_waiting_booking()
        )
        if waits:
            self._add_breach(5, "a newcomer got tickets that a waiting customer could have had")
        if counts.waiting.total():
            self._count_overtake(counts, self._last_queue_number)
        counts.taken += what.quantity

    def _check_on_sale(self) -> None:
        if self.status != EventStatus.ON_SALE:
            self._add_breach(5, f"tickets were booked while the event was {self.status}")

    def _apply_values(self, values: dict[str, Any]) -> None:
        self.status = values.get("status", self.status)
        self.policy = values.get("waitingListPolicy", self.policy)
        self.waiting_list = values.get("waitingList", self.waiting_list)
        self.log = values.get("log", self.log)
        self.max_overtakes = values.get("maxOvertakes", self.max_overtakes)
        if self.max_overtakes is None:
            for counts in self.ticket_types.values():
                counts.overtakes = ()
        self.was_published = self.was_published or self.status == EventStatus.ON_SALE
        self.currency = values.get("currency", self.currency)
        self.reschedules = values.get("reschedules", self.reschedules)
        self._draw.is_a_draw = values.get("admission", Admission.LINE) == Admission.DRAW or self._draw.is_a_draw

    def _counts_of(self, ticket_type_id: UUID) -> TicketCounts:
        if ticket_type_id not in self.ticket_types:
            self._add_breach(7, f"ticket type {ticket_type_id} was never added")
            self.ticket_types[ticket_type_id] = TicketCounts(0)
        return self.ticket_types[ticket_type_id]

    def _note(self, promise: int, problem: str | None) -> None:
        if problem is not None:
            self._add_breach(promise, problem)

    def _add_breach(self, promise: int, what: str) -> None:
        self.breaches.append(Breach(promise, f"event {self.event_id}, fact {self.seq}: {what}"))

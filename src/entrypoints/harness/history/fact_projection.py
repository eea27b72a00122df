"""An event's facts followed one by one: what was the case after each, and every promise that a prefix of them breaks.

It shares no rule with the domain, so that a mistake has to be made twice to stay unseen. Each fact costs the same
however many came before (but for the number of different quantities that are waited for), so it is linear.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from ....domain.booking import Booking, BookingStatus
from ....domain.event import Event, EventState
from ....domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    EventInitialized,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentTaken,
    TicketsBooked,
    TicketTypeAdded,
    TicketTypeChanged,
)

STEP: Final = 500
"""How many bookings one transaction moves at least before it may leave somebody unserved who fits (API.md)."""

NEVER: Final = 1 << 62
"""Later than any fact."""

LIVE: Final = frozenset({"waitlisted", "held", "confirmed"})
TAKING: Final = frozenset({"held", "confirmed"})


class Breach(Struct, frozen=True):
    """A promise that is broken: its number, the rule in one word for programs, and what was seen."""

    promise: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"promise {self.promise} ({self.rule}): {self.what}"


class Entered(Struct, frozen=True, kw_only=True):
    """How a booking came to be, by its first fact. `position` in line, from 1, where it had to wait."""

    seq: int
    event_id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    position: int | None


class Ended(Struct):
    """A cancellation, with how many promotions follow right behind it; `is_whole`: all of them are its own."""

    seq: int
    by: str
    promoted: int = 0
    is_whole: bool = True


class Course:
    """How one thing went, fact by fact, so that it can be asked when it was so."""

    def __init__(self) -> None:
        self._value: Hashable = None
        self._since = 0
        self._spans: dict[Hashable, tuple[list[int], list[int]]] = {}

    def set(self, seq: int, value: Hashable) -> None:
        """From this fact on it is so."""
        if value != self._value:
            self._close(seq - 1)
            self._value, self._since = value, seq

    def finish(self) -> None:
        """Nothing more comes."""
        self._close(NEVER)

    def spans(self, value: Hashable, floor: int) -> list[tuple[int, int]]:
        """From when to when it was so, without what was over before `floor`."""
        first, last = self._spans.get(value, ([], []))
        begin = bisect_left(last, floor)
        return list(zip(first[begin:], last[begin:], strict=True))

    def _close(self, seq: int) -> None:
        first, last = self._spans.setdefault(self._value, ([], []))
        first.append(self._since)
        last.append(seq)


class _Standing(Struct):
    """One booking as the facts tell it."""

    id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    queue_number: int | None
    expires_at: datetime | None = None


class _Type:
    """One ticket type: its numbers, and its line by the quantity that is asked for."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0
        self.waiting = 0
        self.waiting_tickets = 0
        self.line: deque[_Standing] = deque()
        self.by_quantity: dict[int, deque[_Standing]] = {}

    @property
    def available(self) -> int:
        return self.total - self.taken

    def join(self, booking: _Standing) -> None:
        self.waiting += 1
        self.waiting_tickets += booking.quantity
        self.line.append(booking)
        self.by_quantity.setdefault(booking.quantity, deque()).append(booking)

    def leave(self, booking: _Standing) -> None:
        self.waiting -= 1
        self.waiting_tickets -= booking.quantity

    def next(self, policy: str) -> _Standing | None:
        """Who has to be served next: `strict` the head, `fill` the first that fits; None where the tickets fit nobody.

        Whoever has left the line is dropped when it is met, each once.
        """
        if policy == "strict":
            head = _head(self.line)
            return head if head and head.quantity <= self.available else None
        heads = [_head(line) for quantity, line in self.by_quantity.items() if quantity <= self.available]
        return min((head for head in heads if head), key=lambda head: head.queue_number or 0, default=None)


def _head(line: deque[_Standing]) -> _Standing | None:
    while line and line[0].status != "waitlisted":
        line.popleft()
    return line[0] if line else None


class FactProjection:
    """The facts of one event, followed to their end.

    A place in time is the number of the fact that was the last by then. `breaches` are what the facts alone show;
    `entered`, `cancelled` and `paid` say which fact began, ended and paid a booking.
    """

    def __init__(self, event_id: UUID, facts: Sequence[Fact], step: int = STEP) -> None:
        self.event_id = event_id
        self.breaches: list[Breach] = []
        self.entered: dict[UUID, Entered] = {}
        self.cancelled: dict[UUID, Ended] = {}
        self.paid: dict[UUID, int] = {}
        self.changes: list[Fact] = []
        self.seq = 0
        self._step = step
        self._types: dict[UUID, _Type] = {}
        self._bookings: dict[UUID, _Standing] = {}
        self._live: dict[tuple[UUID, UUID], UUID] = {}
        self._tickets_of: dict[UUID, int] = {}
        self._values: dict[str, Any] = {}
        self._times: dict[str, datetime | None] = {}
        self._was_published = False
        self._reschedules = 0
        self._queue_number = 0
        self._courses: dict[Hashable, Course] = {}
        self._boundaries: list[int] = []
        self._dirty: set[UUID] = set()
        self._run = 0
        self._now = datetime.min.replace(tzinfo=UTC)
        self._may_be_unsettled = False
        self._last_cancelled: Ended | None = None
        previous: Fact | None = None
        for fact in facts:
            self._next(fact, previous)
            previous = fact
        if previous is not None:
            self._boundary(previous)
        for course in self._courses.values():
            course.finish()

    @property
    def only_type(self) -> UUID | None:
        """The ticket type of an event that has one."""
        return next(iter(self._types)) if len(self._types) == 1 else None

    def when(self, subject: Hashable, value: Hashable, floor: int, ceiling: int) -> int | None:
        """The earliest moment from `floor` to `ceiling`, between two decisions, at which something was so."""
        course = self._courses.get(subject)
        for first, last in course.spans(value, floor) if course else ():
            if first > ceiling:
                break
            moment = self.settled_from(max(floor, first))
            if moment <= min(last, ceiling):
                return moment
        return None

    def settled_from(self, seq: int) -> int:
        """The end of the decision that a fact belongs to."""
        place = bisect_left(self._boundaries, seq)
        return self._boundaries[place] if place < len(self._boundaries) else seq

    def compare(self, state: EventState, bookings: Mapping[UUID, Booking]) -> None:
        """Hold what is stored against what the facts say (promises 1 and 7)."""
        self._compare_event(state.event)
        for each in state.ticket_types:
            told = self._types.get(each.id, _Type(0))
            kept = (each.total_tickets, each.taken, each.waiting, each.waiting_tickets)
            if kept != (told.total, told.taken, told.waiting, told.waiting_tickets):
                said = (told.total, told.taken, told.waiting, told.waiting_tickets)
                self._breach(1, "counters", f"ticket type {each.id} counts {kept}, its facts say {said}")
        for booking_id in self._types.keys() - {each.id for each in state.ticket_types}:
            self._breach(7, "event", f"ticket type {booking_id} is gone")
        for told_booking in self._bookings.values():
            self._compare_booking(told_booking, bookings.get(told_booking.id))
        for booking_id, booking in bookings.items():
            if booking.event_id == self.event_id and booking_id not in self._bookings:
                self._breach(7, "booking", f"booking {booking_id} is stored and no fact tells of it")
        if self._may_be_unsettled and not state.event.is_unsettled and self._is_idle():
            self._breach(6, "idle", "at the end tickets are free and somebody whom they fit waits for them")

    def _compare_event(self, event: Event) -> None:
        if event.last_seq != self.seq:
            self._breach(7, "facts", f"the event counts {event.last_seq} facts, there are {self.seq}")
        if event.status != self._values.get("status"):
            self._breach(7, "event", f"the event is {event.status}, its facts say {self._values.get('status')}")
        kept = (event.was_published, event.reschedules)
        if kept != (self._was_published, self._reschedules):
            self._breach(
                7, "event", f"on sale and moved: {kept}, its facts say {self._was_published, self._reschedules}"
            )

    def _compare_booking(self, told: _Standing, kept: Booking | None) -> None:
        if kept is None:
            self._breach(2, "lost", f"booking {told.id} has facts and is not stored")
            return
        said = (told.customer_id, told.ticket_type_id, told.quantity, told.status, told.queue_number)
        stored = (kept.customer_id, kept.ticket_type_id, kept.quantity, kept.status.value, kept.queue_number)
        if said != stored:
            self._breach(7, "booking", f"booking {told.id} is stored as {_words(stored)}, its facts say {_words(said)}")

    def _next(self, fact: Fact, previous: Fact | None) -> None:
        if fact.seq != self.seq + 1:
            self._breach(7, "facts", f"fact {fact.seq} follows fact {self.seq}")
        if previous is not None:
            self._pass_over(fact, previous)
        self.seq = fact.seq
        self._take(fact)

    def _pass_over(self, fact: Fact, previous: Fact) -> None:
        """What lies between two facts: the middle of a decision, or the end of one."""
        is_new = _begins(fact, previous)
        if is_new or self._run >= self._step:
            self._boundary(previous)
        elif isinstance(fact.what, HoldExpired):
            # By the facts alone this may be a second decision of the same microsecond, or more of the first.
            self._boundaries.append(previous.seq)
        if is_new:
            self._run = 0
            self._last_cancelled = None

    def _boundary(self, previous: Fact) -> None:
        """Between two decisions nobody waits for free tickets that fit them, unless a whole step was not enough."""
        self._boundaries.append(previous.seq)
        is_idle = bool(self._dirty) and self._is_idle()
        if self._run >= self._step:
            self._may_be_unsettled = True
        elif not is_idle:
            self._may_be_unsettled = self._may_be_unsettled and self._run == 0
        if is_idle and not self._may_be_unsettled:
            self._breach(6, "idle", "tickets are free and somebody whom they fit waits for them")
        self._dirty.clear()

    def _is_idle(self) -> bool:
        if not self._serves:
            return False
        return any(each.next(self._policy) is not None for each in self._types.values())

    @property
    def _policy(self) -> str:
        return str(self._values.get("waitingListPolicy"))

    @property
    def _serves(self) -> bool:
        starts_at = self._times.get("startsAt")
        return self._values.get("status") == "on_sale" and (starts_at is None or self._now < starts_at)

    def _take(self, fact: Fact) -> None:
        self._now = fact.occurred_at
        match fact.what:
            case EventInitialized() as what:
                for added in what.ticket_types:
                    self._add_type(added)
                self._take_values(what.values)
            case EventChanged() as what:
                self.changes.append(fact)
                before = self._times.get("startsAt")
                self._take_values(what.changes)
                self._reschedules += _frees(before, self._times.get("startsAt"))
            case TicketTypeAdded() as what:
                self.changes.append(fact)
                self._add_type(what)
            case TicketTypeChanged() as what:
                self.changes.append(fact)
                self._change_type(what)
            case TicketsBooked() | CustomerWaitlisted() as what:
                self._enter(fact, what)
            case BookingPromoted() | BookingCancelled() | HoldShortened() | HoldExpired() | PaymentTaken():
                self._move(fact)
            case _:
                return
        self._count()

    def _add_type(self, what: TicketTypeAdded) -> None:
        self._types[what.ticket_type_id] = _Type(what.total_tickets)
        self._dirty.add(what.ticket_type_id)

    def _change_type(self, what: TicketTypeChanged) -> None:
        kind = self._type(what.ticket_type_id)
        kind.total = what.changes.get("totalTickets", kind.total)
        if kind.taken > kind.total:
            self._breach(1, "oversold", f"{kind.taken} tickets are taken and the number became {kind.total}")
        self._dirty.add(what.ticket_type_id)

    def _take_values(self, values: Mapping[str, Any]) -> None:
        self._values.update(values)
        for name in ("startsAt", "salesOpenAt", "salesCloseAt"):
            if name in values:
                self._times[name] = msgspec.convert(values[name], datetime | None)
        self._course("status").set(self.seq, self._values.get("status"))
        self._course("policy").set(self.seq, self._values.get("waitingListPolicy"))
        self._was_published = self._was_published or self._values.get("status") == "on_sale"
        self._dirty.update(self._types)

    def _enter(self, fact: Fact, what: TicketsBooked | CustomerWaitlisted) -> None:
        if fact.booking_id is None or fact.booking_id in self._bookings:
            self._breach(3, "twice", f"booking {fact.booking_id} came to be twice")
            return
        kind = self._type(what.ticket_type_id)
        booking = _Standing(
            fact.booking_id,
            what.customer_id,
            what.ticket_type_id,
            what.quantity,
            "waitlisted" if isinstance(what, CustomerWaitlisted) else what.status.value,
            what.queue_number if isinstance(what, CustomerWaitlisted) else None,
            what.expires_at if isinstance(what, TicketsBooked) else None,
        )
        self._check_may_book(booking, kind)
        self._bookings[booking.id] = booking
        if isinstance(what, CustomerWaitlisted):
            self._check_must_wait(booking, kind)
            if what.queue_number <= self._queue_number:
                self._breach(5, "order", f"queue number {what.queue_number} was issued after {self._queue_number}")
            self._queue_number = max(self._queue_number, what.queue_number)
            kind.join(booking)
        else:
            self._check_may_take(booking, kind)
            self._add_tickets(booking, kind)
        self._dirty.add(booking.ticket_type_id)
        self._begin_claim(booking)
        self.entered[booking.id] = Entered(
            seq=fact.seq,
            event_id=fact.event_id,
            customer_id=booking.customer_id,
            ticket_type_id=booking.ticket_type_id,
            quantity=booking.quantity,
            status=booking.status,
            position=kind.waiting if isinstance(what, CustomerWaitlisted) else None,
        )
        self._course(booking.id).set(fact.seq, booking.status)

    def _check_may_book(self, booking: _Standing, kind: _Type) -> None:
        opens, closes = self._times.get("salesOpenAt"), self._times.get("salesCloseAt")
        if not self._serves or (opens and self._now < opens) or (closes and self._now >= closes):
            self._breach(5, "closed", f"booking {booking.id} was made while the event was not on sale")
        if booking.quantity > kind.total:
            self._breach(1, "capacity", f"booking {booking.id} asks for {booking.quantity} of {kind.total} tickets")
        tickets = self._tickets_of.get(booking.customer_id, 0) + booking.quantity
        most = self._values.get("maxTicketsPerCustomer", tickets)
        if tickets > most:
            self._breach(3, "limit", f"with booking {booking.id} its customer has {tickets} of {most} tickets")

    def _check_may_take(self, booking: _Standing, kind: _Type) -> None:
        is_fitting = kind.next("fill") is not None
        if _head(kind.line) if self._policy == "strict" else is_fitting:
            self._breach(5, "overtaken", f"booking {booking.id} took tickets while somebody in line waited for them")

    def _check_must_wait(self, booking: _Standing, kind: _Type) -> None:
        has_to = booking.quantity > kind.available or (
            kind.waiting > 0
            and (self._policy == "strict" or self._may_be_unsettled or self._run >= self._step or kind.next("fill"))
        )
        if not has_to:
            self._breach(6, "needless", f"booking {booking.id} had to wait although its tickets were free")

    def _move(self, fact: Fact) -> None:
        booking = self._bookings.get(fact.booking_id) if fact.booking_id else None
        if booking is None:
            self._breach(7, "booking", f"{fact.kind} of booking {fact.booking_id}, which never came to be")
            return
        kind = self._type(booking.ticket_type_id)
        match fact.what:
            case BookingPromoted() as what:
                self._promote(booking, kind, what)
            case BookingCancelled() as what:
                self._cancel(fact, booking, kind, what)
            case HoldShortened() as what:
                self._shorten(booking, what)
            case HoldExpired():
                self._expire(booking, kind)
            case PaymentTaken() as what:
                self._pay(fact, booking, kind, what)
        self._course(booking.id).set(fact.seq, booking.status)

    def _promote(self, booking: _Standing, kind: _Type, what: BookingPromoted) -> None:
        self._run += 1
        if booking.status != "waitlisted" or what.queue_number != booking.queue_number:
            self._breach(5, "order", f"booking {booking.id} was promoted and is {booking.status}")
            return
        if not self._serves:
            self._breach(5, "closed", f"booking {booking.id} was promoted while the line was not served")
        first = kind.next(self._policy)
        if first is not booking:
            whom = f"booking {first.id} was to be served" if first else "nobody was to be served"
            self._breach(5, "overtaken", f"booking {booking.id} was promoted when {whom}")
        kind.leave(booking)
        booking.status, booking.expires_at = what.status.value, what.expires_at
        self._add_tickets(booking, kind)
        if self._last_cancelled is not None:
            self._last_cancelled.promoted += 1
            if self._run >= self._step:
                self._last_cancelled.is_whole = False

    def _cancel(self, fact: Fact, booking: _Standing, kind: _Type, what: BookingCancelled) -> None:
        self._run += 1
        if booking.status not in LIVE or booking.status != what.was.value or booking.id in self.cancelled:
            self._breach(4, "freed twice", f"booking {booking.id} was cancelled when it was {booking.status}")
            return
        if what.by == "event" and self._values.get("status") not in ("cancelled", "completed"):
            self._breach(2, "unasked", f"booking {booking.id} was cancelled with its event, which is open")
        self._end(booking, kind, "cancelled")
        self.cancelled[booking.id] = self._last_cancelled = Ended(
            fact.seq, what.by, is_whole=not self._may_be_unsettled
        )

    def _expire(self, booking: _Standing, kind: _Type) -> None:
        self._run += 1
        if booking.status != "held":
            self._breach(4, "freed twice", f"the hold of booking {booking.id} lapsed when it was {booking.status}")
            return
        is_early = booking.expires_at is None or self._now < booking.expires_at
        if is_early and self._values.get("status") != "completed":
            self._breach(2, "lapsed early", f"the hold of booking {booking.id} lapsed before {booking.expires_at}")
        self._end(booking, kind, "expired")

    def _shorten(self, booking: _Standing, what: HoldShortened) -> None:
        self._run += 1
        starts_at = self._times.get("startsAt")
        is_longer = booking.expires_at is None or what.expires_at >= booking.expires_at
        if booking.status != "held" or is_longer or what.expires_at != starts_at:
            self._breach(2, "shortened", f"the hold of booking {booking.id} was shortened to {what.expires_at}")
        booking.expires_at = what.expires_at

    def _pay(self, fact: Fact, booking: _Standing, kind: _Type, what: PaymentTaken) -> None:
        if booking.status != what.was.value:
            self._breach(7, "booking", f"booking {booking.id} was paid as {what.was}, it was {booking.status}")
        if what.was is BookingStatus.EXPIRED and what.status is BookingStatus.CONFIRMED:
            self._check_may_take(booking, kind)
            booking.status = "confirmed"
            self._add_tickets(booking, kind)
            self._begin_claim(booking)
        elif what.status is BookingStatus.CONFIRMED and booking.status in TAKING:
            booking.status = "confirmed"
        if what.status is BookingStatus.CONFIRMED:
            self.paid.setdefault(booking.id, fact.seq)

    def _begin_claim(self, booking: _Standing) -> None:
        claim = (booking.customer_id, booking.ticket_type_id)
        if claim in self._live:
            self._breach(3, "two live", f"bookings {self._live[claim]} and {booking.id} of one customer are both live")
        self._live[claim] = booking.id
        self._tickets_of[booking.customer_id] = self._tickets_of.get(booking.customer_id, 0) + booking.quantity
        self._course(("live", *claim)).set(self.seq, True)

    def _end(self, booking: _Standing, kind: _Type, status: str) -> None:
        if booking.status == "waitlisted":
            kind.leave(booking)
        else:
            kind.taken -= booking.quantity
        booking.status = status
        self._dirty.add(booking.ticket_type_id)
        claim = (booking.customer_id, booking.ticket_type_id)
        self._live.pop(claim, None)
        self._tickets_of[booking.customer_id] -= booking.quantity
        self._course(("live", *claim)).set(self.seq, False)

    def _add_tickets(self, booking: _Standing, kind: _Type) -> None:
        kind.taken += booking.quantity
        self._dirty.add(booking.ticket_type_id)
        if kind.taken > kind.total:
            self._breach(1, "oversold", f"{kind.taken} of {kind.total} tickets are taken with booking {booking.id}")

    def _count(self) -> None:
        for type_id in self._dirty:
            kind = self._types[type_id]
            self._course(("total", type_id)).set(self.seq, kind.total)
            self._counted(type_id, kind.available, kind.waiting)
        kinds = self._types.values()
        self._counted(None, sum(kind.available for kind in kinds), sum(kind.waiting for kind in kinds))

    def _counted(self, type_id: UUID | None, available: int, waiting: int) -> None:
        self._course(("available", type_id)).set(self.seq, available)
        self._course(("waiting", type_id)).set(self.seq, waiting)
        self._course(("counters", type_id)).set(self.seq, (available, waiting))

    def _course(self, subject: Hashable) -> Course:
        course = self._courses.get(subject)
        if course is None:
            course = self._courses[subject] = Course()
        return course

    def _type(self, ticket_type_id: UUID) -> _Type:
        if ticket_type_id not in self._types:
            self._breach(7, "event", f"ticket type {ticket_type_id} never came to be")
            self._types[ticket_type_id] = _Type(0)
        return self._types[ticket_type_id]

    def _breach(self, promise: int, rule: str, what: str) -> None:
        self.breaches.append(Breach(promise, rule, f"event {self.event_id}, fact {self.seq}: {what}"))


def _begins(fact: Fact, previous: Fact) -> bool:
    """Whether a decision begins with this fact. What is promoted or let go follows from what came before.

    All facts of a transaction carry the time at which it was decided.
    """
    if fact.occurred_at != previous.occurred_at:
        return True
    match fact.what:
        case BookingPromoted():
            return False
        case BookingCancelled(by="event"):
            return False
        case HoldShortened() | HoldExpired():
            return False
        case EventChanged(version=version):
            return not (isinstance(previous.what, TicketTypeChanged) and previous.what.version == version)
        case _:
            return True


def _frees(before: datetime | None, after: datetime | None) -> bool:
    """Whether a new start is another one that releases those who booked for the old one (API.md, time rules)."""
    if after is None or after == before:
        return False
    return before is None or after < before or after.astimezone(UTC).date() != before.astimezone(UTC).date()


def _words(values: Sequence[object]) -> str:
    return " ".join(str(value) for value in values)

"""Replay a public log's line, and say where the declared policy was not kept.

The entries name neither customers nor the event's start, so a few things have to be excused: see docs/fairness.md.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import UNSET, Struct

from .drawn_line import DrawnLine
from .entry import Entry
from .line import TAKING, Line
from .refused import Refused

MOST_FINDINGS: Final = 10

STEP: Final = 499
"""Bookings that one step of a long settlement changes besides the one that it began with."""

LONGEST_SETTLEMENT: Final = 10_000
"""Entries of others between the steps of a long settlement, at most."""

_SETTLING: Final = frozenset({"BookingPromoted", "HoldExpired", "HoldShortened"})
_ONE_DECISION: Final = frozenset({"TicketTypeChanged", "EventChanged", "WaitingSuspended", "WaitingResumed"})
_NEWCOMERS: Final = frozenset({"TicketsBooked", "TicketsGranted", "CustomerWaitlisted"})
_STEPS: Final = {
    "draft": {"on_sale", "cancelled"},
    "on_sale": {"paused", "completed", "cancelled"},
    "paused": {"on_sale", "completed", "cancelled"},
}
_OF_NONE: Final = 0
_FOR_ALL: Final = 1
_MOST_TYPES: Final = 200

_LEFT_FREE: Final = "tickets were left free that somebody who waits could have had,"


class Finding(Struct, frozen=True):
    """What does not hold, at which entry, in a word and in a sentence."""

    seq: int
    code: str
    sentence: str


class Report(Struct, frozen=True):
    """What a replay found. `caveats` are things that hold only if something is so that the log does not say."""

    entries: int
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
    joined: int
    promoted: int
    overtakes: int
    granted: int
    policies: tuple[str, ...]


class _Idle(Struct):
    """Tickets that somebody who waits could have, since this entry.

    `is_new`: the decision that left them may go on. `has_not_begun`: the entry cannot be after the event's start.
    """

    seq: int
    at: str
    has_not_begun: bool
    is_new: bool = True
    is_reported: bool = False


class Replay:
    """Takes the entries of one log in order."""

    def __init__(self, step: int = STEP) -> None:
        self._step = step
        self._findings: list[Finding] = []
        self._caveats: list[str] = []
        self._lines: dict[str, Line] = {}
        self._codes: dict[str, int] = {}
        self._causes = bytearray()
        self._idle: dict[str, _Idle] = {}
        self._seq = 0
        self._status = ""
        self._policy = ""
        self._bound: int | None = None
        self._draw = DrawnLine(self._find, self._caveats.append)
        self._last_number = 0
        self._run = 0
        self._settling = 0
        self._entry: Entry = Entry(seq=0, kind="", at="", commitment="")
        self._joined = self._promoted = self._overtakes = self._granted = 0
        self._policies: list[str] = []
        self._rules: dict[str, Callable[[Entry, Line], None]] = {
            "TicketsBooked": self._booked,
            "TicketsGranted": self._were_granted,
            "CustomerWaitlisted": self._waits,
            "BookingPromoted": self._was_promoted,
            "BookingCancelled": self._was_cancelled,
            "TicketsReturned": self._came_back,
            "WaitingSuspended": self._was_suspended,
            "WaitingResumed": self._was_resumed,
            "HoldExpired": self._lapsed,
            "PaymentTaken": self._was_paid,
            "TicketTypeChanged": self._type_changed,
            "PlaceDrawn": self._was_placed,
        }

    @property
    def is_over(self) -> bool:
        """Whether so much was found that more would say nothing."""
        return len(self._findings) >= MOST_FINDINGS

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self._entry = entry
        self._seq += 1
        if entry.seq != self._seq:
            self._find("gap", f"the entry says that it is number {entry.seq}, and it is number {self._seq}")
        self._causes.append(_OF_NONE)
        self._check_idle(entry)
        if entry.kind == "EventInitialized":
            self._initialized(entry)
        elif self._seq == 1:
            self._find("gap", "the log does not begin with the event")
        elif entry.kind == "EventChanged":
            self._event_changed(entry)
        elif entry.kind == "DrawHeld":
            self._was_drawn(entry)
        elif entry.kind == "TicketTypeAdded":
            self._add_type(entry.ticket_type_id, entry.total_tickets)
        else:
            self._apply(entry)

    def report(self) -> Report:
        """Return what was found, once there are no more entries."""
        for idle in self._idle.values():
            if idle.has_not_begun and not idle.is_reported and not self._settling:
                self._find("idle", f"{_LEFT_FREE} until the end of the log", idle.seq)
            elif not idle.is_reported:
                self._excuse(idle, "until the end of the log")
        return Report(
            self._seq,
            tuple(self._findings[:MOST_FINDINGS]),
            tuple(self._caveats),
            self._joined,
            self._promoted,
            self._overtakes,
            self._granted,
            tuple(self._policies),
        )

    def _apply(self, entry: Entry) -> None:
        rule = self._rules.get(entry.kind)
        if rule is None:
            return
        line = self._lines.get(entry.ticket_type_id or "")
        if line is None:
            self._find("broken", "it is about a ticket type that the event does not have")
            return
        if entry.kind != "TicketTypeChanged" and (entry.quantity is None or entry.quantity < 1):
            self._find("broken", "it has no quantity")
            return
        rule(entry, line)
        if line.taken > line.total:
            self._find("oversold", f"{line.taken} tickets are taken, and there are {line.total}")
        self._note_idle(entry.ticket_type_id or "", line)

    # What happened to the event

    def _initialized(self, entry: Entry) -> None:
        if self._seq != 1:
            self._find("broken", "the event begins twice")
            return
        self._status = entry.status or ""
        self._policy, self._bound = entry.waiting_list_policy or "", entry.max_overtakes
        self._draw.begins(entry)
        if self._policy not in {"strict", "fill"} or self._status not in {"draft", "on_sale"}:
            self._find("broken", "it does not say by which policy the line is served")
        for each in entry.ticket_types:
            self._add_type(each.ticket_type_id, each.total_tickets)
        self._note_policy()

    def _event_changed(self, entry: Entry) -> None:
        changes = entry.changes
        self._causes[-1] = _FOR_ALL
        if changes.status is not UNSET:
            if changes.status not in _STEPS.get(self._status, ()):
                self._find("broken", f"an event that is {self._status} cannot become {changes.status}")
            self._status = changes.status
        if changes.waiting_list_policy is not UNSET:
            self._policy = changes.waiting_list_policy
        if changes.max_overtakes is not UNSET:
            self._bound = changes.max_overtakes
            if self._bound is None:
                for line in self._lines.values():
                    line.overtakes.clear()
        self._note_policy()
        for idle in self._idle.values():
            if not idle.is_new:
                # If it has moved the start, the line is served from now on.
                self._excuse(idle, f"until entry {entry.seq}")
                idle.seq, idle.at, idle.is_new = entry.seq, entry.at, True
        for ticket_type_id, line in self._lines.items():
            self._note_idle(ticket_type_id, line)

    def _add_type(self, ticket_type_id: str | None, total: int | None) -> None:
        if ticket_type_id is None or total is None or total < 0 or ticket_type_id in self._lines:
            self._find("broken", "a ticket type is there twice, or has no number of tickets")
            return
        if len(self._lines) == _MOST_TYPES:
            raise Refused(f"the event has more than {_MOST_TYPES} ticket types")
        self._lines[ticket_type_id] = Line(total)
        self._codes[ticket_type_id] = _FOR_ALL + len(self._lines)

    def _type_changed(self, entry: Entry, line: Line) -> None:
        if entry.total_tickets is not None:
            line.total = entry.total_tickets
        self._can_cause(entry)

    # What happened to bookings

    def _booked(self, entry: Entry, line: Line) -> None:
        self._newcomer_takes(line)
        if entry.passed_over is not None and entry.passed_over != len(line.waiting):
            self._find("forged", f"it passed {len(line.waiting)} bookings over and says {entry.passed_over}")
        if entry.status not in TAKING:
            self._find("broken", "it says neither that the tickets are confirmed nor that they are held")
            return
        line.take(entry.status, _quantity(entry))

    def _newcomer_takes(self, line: Line) -> None:
        """Check that nobody who waits could have had the tickets, and count the overtake."""
        self._check_on_sale()
        if not self._draw.is_drawn:
            self._find("draw", "somebody got tickets before every entry of the draw had its place")
        if not line.waiting:
            return
        if self._policy == "strict":
            self._find("overtaken", f"a newcomer got tickets while {len(line.waiting)} bookings waited")
        elif line.first(line.free) is not None:
            self._find("overtaken", "a newcomer got tickets that somebody who waits could have had")
        elif self._bound is not None and len(line.overtakes) >= self._bound:
            self._find("overtaken", f"a newcomer got tickets when somebody had been overtaken {self._bound} times")
        self._count_overtake(line, self._last_number)

    def _were_granted(self, entry: Entry, line: Line) -> None:
        self._check_on_sale()
        if entry.passed_over is not None and entry.passed_over != len(line.waiting):
            self._find("forged", f"it passed {len(line.waiting)} bookings over and says {entry.passed_over}")
        self._granted += _quantity(entry)
        line.take("confirmed", _quantity(entry))

    def _waits(self, entry: Entry, line: Line) -> None:
        self._check_on_sale()
        number = entry.queue_number
        expected = self._draw.next_number(entry, self._last_number)
        if number != expected:
            self._find("reordered", f"its queue number is {number}, and the one before was {expected - 1}")
        if number is None or number <= self._last_number:
            return
        self._last_number = number
        self._joined += 1
        line.join(number, _quantity(entry))

    def _was_promoted(self, entry: Entry, line: Line) -> None:
        number, quantity = entry.queue_number, _quantity(entry)
        if number is None or line.waiting.get(number) != quantity:
            self._find("forged", f"no booking with queue number {number} waits for {quantity} tickets")
            return
        if self._status != "on_sale":
            self._find("policy", f"the line was served while the event was {self._status}")
        if not self._draw.is_drawn:
            self._find("draw", f"number {number} was served before every entry of the draw had its place")
        self._check_order(entry, line, number, quantity)
        line.leave(number)
        self._promoted += 1
        if entry.status not in TAKING:
            self._find("broken", "it says neither that the tickets are confirmed nor that they are held")
            return
        line.take(entry.status, quantity)

    def _check_order(self, entry: Entry, line: Line, number: int, quantity: int) -> None:
        before = line.before(number)
        first = line.first() if self._policy == "strict" else line.first(line.free)
        if quantity <= line.free and number != first:
            self._find("overtaken", f"number {number} was served before number {first}, against the policy")
        elif before and self._bound is not None and len(line.overtakes) >= self._bound:
            self._find("overtaken", f"number {number} passed one that had been overtaken {self._bound} times")
        if entry.passed_over is not None and entry.passed_over != before:
            self._find("forged", f"it passed {before} bookings over and says {entry.passed_over}")
        idle = self._idle.get(entry.ticket_type_id or "")
        cause = entry.caused_by
        if cause is not None and not (idle and idle.seq <= cause < entry.seq and self._may_cause(cause, entry)):
            self._find("forged", f"entry {cause} is not what made room for number {number}")
        if before:
            self._count_overtake(line, number)

    def _count_overtake(self, line: Line, number: int) -> None:
        self._overtakes += 1
        if self._bound is not None:
            line.overtakes.append(number)

    def _was_cancelled(self, entry: Entry, line: Line) -> None:
        self._can_cause(entry)
        if entry.was == "waitlisted":
            self._leaves(entry, line)
        elif entry.was not in TAKING or not line.give_back(entry.was, _quantity(entry)):
            self._find("broken", f"no {entry.was} booking has {entry.quantity} tickets")

    def _leaves(self, entry: Entry, line: Line) -> None:
        number = entry.queue_number
        if entry.kind != "WaitingSuspended":
            self._draw.leaves(entry)
        if number in line.suspended:
            del line.suspended[number]
        elif number is not None and line.waiting.get(number) == entry.quantity:
            line.leave(number)
        else:
            self._find("broken", f"no booking with queue number {number} waits for {entry.quantity} tickets")

    def _came_back(self, entry: Entry, line: Line) -> None:
        self._can_cause(entry)
        was, number, left = entry.was or "confirmed", entry.queue_number, entry.left or 0
        before = _quantity(entry) + left
        if was != "waitlisted":
            if not left or not line.give_back(was, before):
                self._find("broken", f"no {was} booking has {before} tickets")
                return
            line.take(was, left)
        elif left and number is not None and line.waiting.get(number) == before:
            line.resize(number, left)
        elif left and number is not None and line.suspended.get(number) == before:
            line.suspended[number] = left
        else:
            self._find("broken", f"no booking with queue number {number} waits for {before} tickets")

    def _was_suspended(self, entry: Entry, line: Line) -> None:
        self._can_cause(entry)
        self._leaves(entry, line)
        if entry.queue_number is not None:
            line.suspended[entry.queue_number] = _quantity(entry)

    def _was_resumed(self, entry: Entry, line: Line) -> None:
        self._can_cause(entry)
        number = entry.queue_number
        if number is None or line.suspended.pop(number, None) != entry.quantity:
            self._find("broken", f"no booking with queue number {number} was suspended")
            return
        line.join(number, _quantity(entry))

    def _was_drawn(self, entry: Entry) -> None:
        self._causes[-1] = _FOR_ALL
        self._last_number = self._draw.held(entry, self._last_number, self._lines.values())
        self._begin_to_serve(entry)

    def _was_placed(self, entry: Entry, line: Line) -> None:
        self._draw.placed(entry, line)
        self._begin_to_serve(entry)

    def _begin_to_serve(self, entry: Entry) -> None:
        """Expect that the lines are served, once every entry of the draw has its place: soon, in steps."""
        if self._draw.is_drawn:
            self._settling = LONGEST_SETTLEMENT
            for ticket_type_id, line in self._lines.items():
                line.reorder()
                self._idle[ticket_type_id] = _Idle(self._draw.held_by, entry.at, has_not_begun=False)
                self._note_idle(ticket_type_id, line)

    def _lapsed(self, entry: Entry, line: Line) -> None:
        self._can_cause(entry)
        if not line.give_back("held", _quantity(entry)):
            self._find("broken", f"no held booking has {entry.quantity} tickets")
        line.sizes["expired", _quantity(entry)] += 1

    def _was_paid(self, entry: Entry, line: Line) -> None:
        quantity = _quantity(entry)
        if entry.status != "confirmed" or entry.was == "confirmed":
            return
        if entry.was == "held" and line.give_back("held", quantity):
            line.take("confirmed", quantity)
        elif entry.was == "expired" and line.sizes["expired", quantity]:
            line.sizes["expired", quantity] -= 1
            self._newcomer_takes(line)
            line.take("confirmed", quantity)
        else:
            self._find("broken", f"no {entry.was} booking has {quantity} tickets")

    # Tickets that somebody who waits could have

    def _note_idle(self, ticket_type_id: str, line: Line) -> None:
        if not self._draw.is_drawn or self._status != "on_sale" or not self._is_owed(line):
            self._idle.pop(ticket_type_id, None)
        elif ticket_type_id not in self._idle:
            entry = self._entry
            self._idle[ticket_type_id] = _Idle(entry.seq, entry.at, has_not_begun=_shows_not_begun(entry))

    def _is_owed(self, line: Line) -> bool:
        """Return whether somebody who waits could have tickets that are free."""
        if line.free <= 0 or not line.waiting:
            return False
        first = line.first()
        if first is not None and line.waiting[first] <= line.free:
            return True
        if self._policy == "strict" or line.first(line.free) is None:
            return False
        return self._bound is None or len(line.overtakes) < self._bound

    def _check_idle(self, entry: Entry) -> None:
        """Judge what was left free before this entry, if another decision begins with it."""
        is_settling = entry.kind in _SETTLING or (entry.kind == "BookingCancelled" and entry.by == "event")
        self._run = self._run + 1 if is_settling else 0
        if self._run >= self._step:
            self._settling = LONGEST_SETTLEMENT
        elif self._settling:
            self._settling -= 1
        for idle in self._idle.values():
            may_go_on = is_settling or entry.kind in _ONE_DECISION
            if idle.is_new and idle.at == entry.at and may_go_on:
                continue
            if self._settling or idle.is_reported:
                continue
            idle.is_new = False
            if idle.has_not_begun or _shows_not_begun(entry):
                idle.is_reported = True
                self._find("idle", f"{_LEFT_FREE} when entry {entry.seq} came", idle.seq)

    def _excuse(self, idle: _Idle, until: str) -> None:
        why = "a long settlement was under way" if self._settling else f"the event had begun by {idle.at}"
        self._caveats.append(f"entry {idle.seq}: {_LEFT_FREE} {until}. That is right only if {why}.")

    # What all entries have in common

    def _find(self, code: str, sentence: str, seq: int | None = None) -> None:
        self._findings.append(Finding(self._seq if seq is None else seq, code, sentence))

    def _check_on_sale(self) -> None:
        if self._status != "on_sale":
            self._find("policy", f"somebody booked while the event was {self._status}")

    def _note_policy(self) -> None:
        policy = self._policy
        if policy == "fill" and self._bound is not None:
            policy = f"fill, at most {self._bound} overtakes"
        if not self._policies or self._policies[-1] != policy:
            self._policies.append(policy)

    def _can_cause(self, entry: Entry) -> None:
        self._causes[-1] = self._codes[entry.ticket_type_id or ""]

    def _may_cause(self, cause: int, entry: Entry) -> bool:
        return self._causes[cause - 1] in {_FOR_ALL, self._codes[entry.ticket_type_id or ""]}


def replay(entries: Iterable[Entry], step: int = STEP) -> Report:
    """Return what the entries of a whole log say of its line."""
    line = Replay(step)
    for entry in entries:
        line.add(entry)
        if line.is_over:
            break
    return line.report()


def _shows_not_begun(entry: Entry) -> bool:
    """Return whether an entry cannot be after the start of the event."""
    match entry.kind:
        case "TicketsBooked" | "TicketsGranted" | "CustomerWaitlisted" | "BookingPromoted":
            return True
        case "BookingCancelled":
            return entry.by == "customer" and entry.was != "waitlisted"
        case "TicketsReturned":
            return entry.by != "organizer"
        case "PaymentTaken":
            return entry.was == "expired" and entry.status == "confirmed"
        case _:
            return False


def _quantity(entry: Entry) -> int:
    return entry.quantity or 0

"""What clients were told, held against what is stored, in linear time.

An event's facts are numbered under its lock, so they say in which order everything happened. That makes what is hard in
general easy: whether the history could have come of that one order is checked by walking along it once. Every
acknowledged operation has its place in it, not before it was asked for and not after it was answered; what a read told
was so at some moment while it ran; nothing has a place that nobody asked for.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from ....application.ports.idempotency import Response
from ....domain.facts import EventChanged, Fact, TicketTypeChanged
from .fact_projection import NEVER, STEP, Breach, Entered, FactProjection
from .history import Call, History, Operation, Outcome
from .stored import NOT_KEPT, Stored

_STATUS_AFTER: Final = {"pause": "paused", "resume": "on_sale", "complete": "completed", "call_off": "cancelled"}


def check_promises(history: History, final: Stored, *, before: Stored | None = None, step: int = STEP) -> list[Breach]:
    """Every promise that the history and the stored end show to be broken; none: empty.

    `before` is what was stored when the history began: nobody has to have asked for that. `step` is how many bookings
    one transaction may move at most. Customers' idempotency keys are taken to be remembered for as long as it lasts.
    """
    return _Check(history, final, before, step).run()


class _Effect(Struct):
    """What may have happened once: an operation, or the same with the same key. `seq` is the fact that did it."""

    operations: list[Operation]
    key: tuple[UUID, str] | None = None
    seq: int | None = None

    @property
    def began(self) -> int:
        return self.operations[0].began

    @property
    def call(self) -> Call:
        return self.operations[0].call

    @property
    def done(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.outcome is not None]

    @property
    def may_have_happened(self) -> bool:
        return any(operation.is_unknown or operation.outcome is not None for operation in self.operations)

    def booking_ids(self) -> list[UUID]:
        """The bookings that its acknowledgements name; else those that it asked for by name."""
        named = [operation.outcome.booking_id for operation in self.done if operation.outcome]
        asked = [operation.call.booking_id for operation in self.operations]
        return _distinct(named) or _distinct(asked)


def _distinct(ids: Iterable[UUID | None]) -> list[UUID]:
    return list(dict.fromkeys(each for each in ids if each))


class _Asked(Struct):
    """What was asked for of one event, by what it may explain."""

    names: set[UUID] = field(default_factory=set)
    failed: dict[UUID, Operation] = field(default_factory=dict)
    unnamed: Counter[tuple[object, ...]] = field(default_factory=Counter)


class _Check:
    def __init__(self, history: History, final: Stored, before: Stored | None, step: int) -> None:
        self._final = final
        self._operations = history.operations()
        self._breaches: list[Breach] = []
        self._given: dict[UUID, Sequence[Fact]] = dict(before.facts) if before else {}
        self._events = {
            event_id: FactProjection(event_id, final.facts.get(event_id, ()), step) for event_id in final.events
        }
        self._effects = _effects(self._operations)
        self._ceilings: list[tuple[int, int]] = []

    def run(self) -> list[Breach]:
        for event_id, unfolding in self._events.items():
            unfolding.compare(self._final.events[event_id], self._final.bookings)
            self._breaches += unfolding.breaches
            self._check_given(event_id)
        of_event: dict[UUID, list[_Effect]] = {event_id: [] for event_id in self._events}
        for effect in self._effects:
            of_event.setdefault(effect.call.event_id, []).append(effect)
        for event_id, effects in of_event.items():
            self._check_event(event_id, effects)
        self._check_keys()
        return self._breaches

    def _check_given(self, event_id: UUID) -> None:
        given = self._given.get(event_id, ())
        if list(self._final.facts[event_id][: len(given)]) != list(given):
            self._breach(2, "rewritten", f"event {event_id}: its first {len(given)} facts are not those it had before")

    def _check_event(self, event_id: UUID, effects: list[_Effect]) -> None:
        if event_id not in self._events:
            if any(effect.done for effect in effects):
                self._breach(2, "lost", f"event {event_id} is not stored")
            return
        unfolding = self._events[event_id]
        self._check_bookings(unfolding, [effect for effect in effects if effect.call.name == "book"])
        self._check_cancellations(unfolding, [effect for effect in effects if effect.call.name == "cancel"])
        self._check_payments(unfolding, [effect for effect in effects if effect.call.name == "pay"])
        self._check_changes(unfolding, effects)
        self._check_order(unfolding, effects)

    # Keys (promise 3).

    def _check_keys(self) -> None:
        of_key: dict[tuple[UUID, str], list[_Effect]] = defaultdict(list)
        for effect in self._effects:
            if effect.key is not None:
                of_key[effect.key].append(effect)
        for key, effects in of_key.items():
            done = [operation for effect in effects for operation in effect.done]
            operations = [operation for effect in effects for operation in effect.operations]
            refused = [each for each in operations if each.code is not None and each.code not in NOT_KEPT]
            if sum(bool(effect.done) for effect in effects) > 1:
                self._breach(3, "key", f"different requests with one key were done: {_lines(done)}")
            elif len({each.outcome for each in done} | {each.code for each in refused}) > 1:
                self._breach(3, "key", f"one key got different answers: {_lines([*done, *refused])}")
            if self._final.responses is not None:
                for effect in effects:
                    self._check_response(effect, self._final.responses.get(key))

    def _check_response(self, effect: _Effect, response: Response | None) -> None:
        """Effect and answer are kept together or not at all."""
        if response is None:
            if effect.done or effect.seq is not None:
                self._breach(3, "forgotten", f"it was done and its key is free: {_lines(effect.operations)}")
        elif effect.done and effect.call.name == "book" and response.subject_id not in (None, *effect.booking_ids()):
            self._breach(3, "key", f"its response is about another booking, {response.subject_id}: {effect.done[0]}")

    # Bookings.

    def _check_bookings(self, unfolding: FactProjection, effects: list[_Effect]) -> None:
        asked = _Asked()
        for effect in effects:
            if effect.may_have_happened:
                self._place_booking(unfolding, effect, asked)
            else:
                for operation in effect.operations:
                    if operation.call.booking_id:
                        asked.failed[operation.call.booking_id] = operation
        given = len(self._given.get(unfolding.event_id, ()))
        for booking_id, entered in unfolding.entered.items():
            if entered.seq <= given or booking_id in asked.names:
                continue
            wanted = (entered.customer_id, entered.ticket_type_id, entered.quantity)
            if asked.unnamed[wanted] > 0:
                asked.unnamed[wanted] -= 1
            elif booking_id in asked.failed:
                self._breach(2, "failed", f"booking {booking_id} exists: {asked.failed[booking_id]}")
            else:
                self._breach(2, "unasked", f"nobody asked for booking {booking_id} of {entered.customer_id}")

    def _place_booking(self, unfolding: FactProjection, effect: _Effect, asked: _Asked) -> None:
        ids = effect.booking_ids()
        made = [booking_id for booking_id in ids if booking_id in unfolding.entered]
        if not ids:
            call = effect.call
            type_id = call.ticket_type_id or unfolding.only_type
            asked.unnamed[call.customer_id, type_id, call.quantity or 1] += 1
            return
        if effect.done and not made:
            self._breach(2, "lost", f"what was acknowledged is not there: {effect.done[0]}")
        if len(made) > 1:
            self._breach(3, "twice", f"one request made {len(made)} bookings: {_lines(effect.operations)}")
        for booking_id in made:
            if booking_id in asked.names and effect.done:
                self._breach(3, "twice", f"booking {booking_id} answers two requests: {effect.done[0]}")
            asked.names.add(booking_id)
            effect.seq = unfolding.entered[booking_id].seq
            self._check_booking(unfolding, effect, unfolding.entered[booking_id])

    def _check_booking(self, unfolding: FactProjection, effect: _Effect, entered: Entered) -> None:
        call = effect.call
        type_id = call.ticket_type_id or unfolding.only_type
        wanted = (call.customer_id or entered.customer_id, type_id or entered.ticket_type_id, call.quantity or 1)
        if wanted != (entered.customer_id, entered.ticket_type_id, entered.quantity):
            self._breach(2, "altered", f"what is stored is not what was asked for: {effect.operations[0]}")
        for operation in effect.done:
            outcome = operation.outcome
            if outcome is None:
                continue
            if outcome.status is not None and outcome.status != entered.status:
                self._breach(2, "altered", f"it was told, and it was {entered.status}: {operation}")
            if outcome.position is not None and outcome.position != entered.position:
                self._breach(5, "position", f"it was told, and it was number {entered.position} in line: {operation}")

    # Cancellations.

    def _check_cancellations(self, unfolding: FactProjection, effects: list[_Effect]) -> None:
        asked = _Asked()
        done: dict[UUID, Operation] = {}
        for effect in effects:
            ids = effect.booking_ids()
            if not effect.may_have_happened:
                asked.failed.update((booking_id, effect.operations[0]) for booking_id in ids)
                continue
            if not ids:
                asked.unnamed[(effect.call.customer_id,)] += 1
            asked.names.update(ids)
            for booking_id in ids if effect.done else ():
                if booking_id in done:
                    self._breach(4, "freed twice", f"two cancellations: {done[booking_id]}; {effect.done[0]}")
                done[booking_id] = effect.done[0]
                self._check_cancellation(unfolding, effect, booking_id)
        given = len(self._given.get(unfolding.event_id, ()))
        for booking_id, ended in unfolding.cancelled.items():
            if ended.seq <= given or ended.by == "event" or booking_id in asked.names:
                continue
            customer_id = unfolding.entered[booking_id].customer_id
            if asked.unnamed[(customer_id,)] > 0:
                asked.unnamed[(customer_id,)] -= 1
            elif booking_id in asked.failed:
                self._breach(2, "failed", f"the booking is cancelled: {asked.failed[booking_id]}")
            else:
                self._breach(2, "unasked", f"nobody asked to cancel booking {booking_id}")

    def _check_cancellation(self, unfolding: FactProjection, effect: _Effect, booking_id: UUID) -> None:
        ended = unfolding.cancelled.get(booking_id)
        if ended is None or ended.by == "event":
            self._breach(2, "lost", f"the acknowledged cancellation did not happen: {effect.done[0]}")
            return
        effect.seq = ended.seq
        for operation in effect.done:
            promoted = operation.outcome.promoted if operation.outcome else None
            if promoted is not None and (promoted > ended.promoted or (ended.is_whole and promoted < ended.promoted)):
                self._breach(2, "altered", f"it was told, and it promoted {ended.promoted}: {operation}")

    # Payments and changes of the event.

    def _check_payments(self, unfolding: FactProjection, effects: list[_Effect]) -> None:
        given = len(self._given.get(unfolding.event_id, ()))
        asked = {each.call.booking_id for effect in effects for each in effect.operations}
        for effect in effects:
            for operation in effect.done:
                if operation.call.booking_id not in unfolding.paid:
                    self._breach(2, "lost", f"the acknowledged payment is not there: {operation}")
        for booking_id, seq in unfolding.paid.items():
            if seq > given and booking_id not in asked:
                self._breach(2, "unasked", f"nobody asked to pay for booking {booking_id}")

    def _check_changes(self, unfolding: FactProjection, effects: list[_Effect]) -> None:
        """Whatever changed about the event, somebody asked for it, as often as it changed."""
        calls = [effect.call for effect in effects if effect.may_have_happened]
        if any(call.name == "edit" for call in calls):
            return
        asked = Counter(
            wanted for call in calls for wanted in [change_wanted(call, unfolding.only_type)] if wanted is not None
        )
        given = len(self._given.get(unfolding.event_id, ()))
        for fact in unfolding.changes:
            for made in changes_made(fact) if fact.seq > given else ():
                asked[made] -= 1
                if asked[made] < 0:
                    failed = any(
                        change_wanted(each.call, unfolding.only_type) == made and not each.may_have_happened
                        for each in effects
                    )
                    rule = "failed" if failed else "unasked"
                    self._breach(2, rule, f"event {unfolding.event_id}, fact {fact.seq}: nobody asked for {made}")

    # Real time.

    def _check_order(self, unfolding: FactProjection, effects: list[_Effect]) -> None:
        """Walk along the history: what had ended when something began lies before it."""
        effect_of = {each.number: effect for effect in effects for each in effect.operations}
        self._ceilings = _ceilings(effects)
        floors = _Floors()
        operations = sorted((each for effect in effects for each in effect.operations), key=lambda each: each.began)
        earliest: dict[int, int] = {}
        for operation in operations:
            floor = floors.at(operation.began)
            effect = effect_of[operation.number]
            earliest.setdefault(id(effect), floor)
            seq = self._place(unfolding, operation, effect, earliest[id(effect)])
            if operation.ended is not None:
                floors.add(operation.ended, seq)

    def _place(self, unfolding: FactProjection, operation: Operation, effect: _Effect, floor: int) -> int:
        """Where in the order of the facts the operation stands, at the earliest."""
        if operation.ended is None:
            if effect.seq is not None and effect.seq <= floor and operation is effect.operations[0]:
                self._breach(
                    5, "order", f"fact {effect.seq}, before it was asked (fact {floor} was there): {operation}"
                )
            return 0
        ceiling = self._ceiling(operation.ended)
        if operation.outcome is None:
            return self._place_refusal(unfolding, operation, floor, ceiling)
        if effect.seq is None:
            return self._place_read(unfolding, operation, floor, ceiling)
        if effect.seq <= floor:
            self._breach(5, "order", f"fact {effect.seq}, before it was asked (fact {floor} was there): {operation}")
        return unfolding.settled_from(effect.seq)

    def _place_read(self, unfolding: FactProjection, operation: Operation, floor: int, ceiling: int) -> int:
        for subject, value in _told(operation, unfolding.only_type):
            moment = unfolding.when(subject, value, floor, ceiling)
            if moment is None and value == "expired":
                # A hold counts as expired from the moment that its time is over, settled or not.
                moment = unfolding.when(subject, "held", floor, ceiling)
            if moment is None:
                last = "now" if ceiling == NEVER else f"fact {ceiling}"
                self._breach(2, "stale", f"it was not so at any moment from fact {floor} to {last}: {operation}")
                return floor
            floor = max(floor, moment)
        return floor

    def _place_refusal(self, unfolding: FactProjection, operation: Operation, floor: int, ceiling: int) -> int:
        """The refusals that the facts can tell of: there was a moment at which they were right."""
        call = operation.call
        type_id = call.ticket_type_id or unfolding.only_type
        found: int | None
        match call.name, operation.code:
            case "book", "already-booked":
                found = unfolding.when(("live", call.customer_id, type_id), True, floor, ceiling)
            case "cancel" | "pay", "already-cancelled" if call.booking_id in unfolding.entered:
                ended = [unfolding.when(call.booking_id, each, floor, ceiling) for each in ("cancelled", "expired")]
                held = unfolding.when(call.booking_id, "held", floor, ceiling)
                off = unfolding.when("status", "cancelled", floor, ceiling)
                found = min((each for each in (*ended, held, off) if each is not None), default=None)
            case "cancel" | "booking", "not-found" if self._is_theirs(call, unfolding):
                entered = unfolding.entered.get(call.booking_id) if call.booking_id else None
                found = None if entered and entered.seq <= floor else floor
            case _:
                return floor
        if found is None:
            self._breach(2, "refused", f"the refusal was not right at any moment from fact {floor}: {operation}")
            return floor
        return found

    @staticmethod
    def _is_theirs(call: Call, unfolding: FactProjection) -> bool:
        entered = unfolding.entered.get(call.booking_id) if call.booking_id else None
        return entered is not None and call.customer_id in (None, entered.customer_id)

    def _ceiling(self, ended: int) -> int:
        """The last fact that may have been there when something ended, by what was asked for only afterwards."""
        place = bisect_right(self._ceilings, (ended, NEVER))
        return self._ceilings[place][1] if place < len(self._ceilings) else NEVER

    def _breach(self, promise: int, rule: str, what: str) -> None:
        self._breaches.append(Breach(promise, rule, what))


class _Floors:
    """What was certain at each place of the history: the highest fact of any operation that had ended by then."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int]] = []
        self._highest = 0

    def add(self, ended: int, seq: int) -> None:
        """An operation ends there and stands at this fact."""
        heappush(self._open, (ended, seq))

    def at(self, began: int) -> int:
        """For an operation that begins there; later calls ask for later places."""
        while self._open and self._open[0][0] < began:
            self._highest = max(self._highest, heappop(self._open)[1])
        return self._highest


def _effects(operations: Sequence[Operation]) -> list[_Effect]:
    """One for each operation, and one for all operations of a customer's key that ask for the same."""
    effects: list[_Effect] = []
    of_key: dict[tuple[object, ...], _Effect] = {}
    for operation in operations:
        call = operation.call
        if call.key is None or call.customer_id is None:
            effects.append(_Effect([operation]))
            continue
        asked = (call.customer_id, call.key, *_asked(call))
        if asked not in of_key:
            of_key[asked] = _Effect([], (call.customer_id, call.key))
            effects.append(of_key[asked])
        of_key[asked].operations.append(operation)
    return effects


def _ceilings(effects: Iterable[_Effect]) -> list[tuple[int, int]]:
    """Where effects began, with the last fact before any of those that began there or later."""
    known = sorted((effect.began, effect.seq) for effect in effects if effect.seq is not None)
    ceilings: list[tuple[int, int]] = []
    lowest = NEVER
    for began, seq in reversed(known):
        lowest = min(lowest, seq - 1)
        ceilings.append((began, lowest))
    return ceilings[::-1]


def _told(operation: Operation, only_type: UUID | None) -> list[tuple[object, object]]:
    """What an acknowledgement said that the facts can confirm: subjects and their values."""
    call, outcome = operation.call, operation.outcome
    told: list[tuple[object, object]] = []
    if outcome is not None and call.name == "status":
        told = _told_counters(call.ticket_type_id, outcome)
    elif outcome is not None and call.name == "booking" and outcome.status:
        told = [(call.booking_id, outcome.status)]
    elif call.name == "total":
        told = [(("total", call.ticket_type_id or only_type), call.quantity)]
    elif call.name == "policy":
        told = [("policy", call.policy)]
    elif call.name in _STATUS_AFTER:
        told = [("status", _STATUS_AFTER[call.name])]
    return told


def _told_counters(type_id: UUID | None, outcome: Outcome) -> list[tuple[object, object]]:
    if outcome.available is not None and outcome.waiting is not None:
        return [(("counters", type_id), (outcome.available, outcome.waiting))]
    told = {"available": outcome.available, "waiting": outcome.waiting}
    return [((name, type_id), value) for name, value in told.items() if value is not None]


def _asked(call: Call) -> tuple[object, ...]:
    """What makes two requests the same; with `book` the id is not part of what is asked for."""
    meant = None if call.name == "book" else call.booking_id
    return (call.name, call.event_id, call.ticket_type_id, call.quantity or 1, call.policy, meant)


def change_wanted(call: Call, only_type: UUID | None) -> tuple[object, ...] | None:
    """The change of an event that a call asks for, in the words of `changes_made`; None: it asks for none."""
    match call.name:
        case "total":
            return ("total", call.ticket_type_id or only_type, call.quantity)
        case "policy":
            return ("policy", call.policy)
        case name if name in _STATUS_AFTER:
            return ("status", _STATUS_AFTER[name])
        case _:
            return None


def changes_made(fact: Fact) -> list[tuple[object, ...]]:
    """What a fact changed about its event that clients can ask for one by one."""
    match fact.what:
        case TicketTypeChanged(ticket_type_id=type_id, changes=changes):
            return [("total", type_id, changes["totalTickets"])] if "totalTickets" in changes else []
        case EventChanged(changes=changes):
            named: Mapping[str, str] = {"waitingListPolicy": "policy", "status": "status"}
            return [(named[name], value) for name, value in changes.items() if name in named]
        case _:
            return []


def _lines(operations: Iterable[Operation]) -> str:
    return "; ".join(str(operation) for operation in operations)

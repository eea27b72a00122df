"""Check that answers agree with the real-time order of operations: an earlier one has an earlier fact."""

from bisect import bisect_right
from collections.abc import Iterable
from heapq import heappop, heappush
from uuid import UUID

from .breach import Breach
from .effects import Effect
from .event_changes import STATUS_AFTER
from .history import Call, Operation, Outcome
from .projection.fact_projection import FactProjection
from .projection.timeline import NEVER


def check_order(projection: FactProjection, effects: list[Effect]) -> list[Breach]:
    """Check that an operation that ended before another began has an earlier fact, and that reads were true then."""
    return _OrderCheck(projection, effects).run()


class _OrderCheck:
    def __init__(self, projection: FactProjection, effects: list[Effect]) -> None:
        self._projection = projection
        self._effects = effects
        self._ceilings = _ceilings(effects)
        self._breaches: list[Breach] = []

    def run(self) -> list[Breach]:
        effect_of = {each.number: effect for effect in self._effects for each in effect.operations}
        floors = _Floors()
        operations = sorted(
            (each for effect in self._effects for each in effect.operations), key=lambda each: each.began
        )
        earliest: dict[int, int] = {}
        for operation in operations:
            floor = floors.at(operation.began)
            effect = effect_of[operation.number]
            earliest.setdefault(id(effect), floor)
            seq = self._check_operation(operation, effect, earliest[id(effect)])
            if operation.ended is not None:
                floors.add(operation.ended, seq)
        return self._breaches

    def _check_operation(self, operation: Operation, effect: Effect, floor: int) -> int:
        """Return the earliest fact at which the operation may have taken effect."""
        if operation.ended is None:
            if effect.seq is not None and effect.seq <= floor and operation is effect.operations[0]:
                self._breach_order(effect.seq, floor, operation)
            return 0
        ceiling = self._ceiling(operation.ended)
        if operation.outcome is None:
            return self._check_refusal(operation, floor, ceiling)
        if effect.seq is None:
            return self._check_read(operation, floor, ceiling)
        if effect.seq <= floor:
            self._breach_order(effect.seq, floor, operation)
        return self._projection.decision_end(effect.seq)

    def _breach_order(self, seq: int, floor: int, operation: Operation) -> None:
        self._breach(5, "order", f"its fact {seq} precedes the request (fact {floor} existed): {operation}")

    def _check_read(self, operation: Operation, floor: int, ceiling: int) -> int:
        for subject, value in _answered_values(operation, self._projection.only_type):
            moment = self._projection.when(subject, value, floor, ceiling)
            if moment is None and value == "expired":
                # A hold reads as expired from its `expires_at` on, before the event is settled.
                moment = self._projection.when(subject, "held", floor, ceiling)
            if moment is None:
                last = "now" if ceiling == NEVER else f"fact {ceiling}"
                self._breach(2, "stale", f"it was not true at any moment from fact {floor} to {last}: {operation}")
                return floor
            floor = max(floor, moment)
        return floor

    def _check_refusal(self, operation: Operation, floor: int, ceiling: int) -> int:
        """Check a refusal that the facts can confirm: it was correct at some moment while the operation ran."""
        call = operation.call
        type_id = call.ticket_type_id or self._projection.only_type
        found: int | None
        match call.name, operation.code:
            case "book", "already-booked":
                found = self._projection.when(("live", call.customer_id, type_id), True, floor, ceiling)
            case "cancel" | "give_back" | "pay", "already-cancelled" if call.booking_id in self._projection.created:
                ended = [
                    self._projection.when(call.booking_id, each, floor, ceiling) for each in ("cancelled", "expired")
                ]
                held = self._projection.when(call.booking_id, "held", floor, ceiling)
                off = self._projection.when("status", "cancelled", floor, ceiling)
                found = min((each for each in (*ended, held, off) if each is not None), default=None)
            case "cancel" | "booking", "not-found" if self._may_see(call):
                created = self._projection.created.get(call.booking_id) if call.booking_id else None
                found = None if created and created.seq <= floor else floor
            case _:
                return floor
        if found is None:
            self._breach(2, "refused", f"the refusal was not correct at any moment from fact {floor}: {operation}")
            return floor
        return found

    def _may_see(self, call: Call) -> bool:
        created = self._projection.created.get(call.booking_id) if call.booking_id else None
        return created is not None and call.customer_id in (None, created.customer_id)

    def _ceiling(self, ended: int) -> int:
        """Return the last fact that may have existed at an end: later requests made the facts after it."""
        place = bisect_right(self._ceilings, (ended, NEVER))
        return self._ceilings[place][1] if place < len(self._ceilings) else NEVER

    def _breach(self, promise: int, rule: str, what: str) -> None:
        self._breaches.append(Breach(promise, rule, what))


class _Floors:
    """The highest fact of the operations that ended before a place of the history."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int]] = []
        self._highest = 0

    def add(self, ended: int, seq: int) -> None:
        """Add an operation that ends at this place and took effect at this fact."""
        heappush(self._open, (ended, seq))

    def at(self, began: int) -> int:
        """Return it for an operation that begins at this place. Places of later calls must not be smaller."""
        while self._open and self._open[0][0] < began:
            self._highest = max(self._highest, heappop(self._open)[1])
        return self._highest


def _ceilings(effects: Iterable[Effect]) -> list[tuple[int, int]]:
    """Return where effects began, each with the last fact before those of all effects that began there or later."""
    known = sorted((effect.began, effect.seq) for effect in effects if effect.seq is not None)
    ceilings: list[tuple[int, int]] = []
    lowest = NEVER
    for began, seq in reversed(known):
        lowest = min(lowest, seq - 1)
        ceilings.append((began, lowest))
    return ceilings[::-1]


def _answered_values(operation: Operation, only_type: UUID | None) -> list[tuple[object, object]]:
    """Return the subjects and values of an acknowledgement that the facts can confirm."""
    call, outcome = operation.call, operation.outcome
    values: list[tuple[object, object]] = []
    if outcome is not None and call.name == "status":
        values = _answered_counters(call.ticket_type_id, outcome)
    elif outcome is not None and call.name == "booking" and outcome.status:
        values = [(call.booking_id, outcome.status)]
    elif call.name == "total":
        values = [(("total", call.ticket_type_id or only_type), call.quantity)]
    elif call.name in ("policy", "waiting_list"):
        values = [(call.name, getattr(call, call.name))]
    elif call.name == "max_overtakes":
        values = [(call.name, call.quantity)]
    elif call.name in STATUS_AFTER:
        values = [("status", STATUS_AFTER[call.name])]
    return values


def _answered_counters(type_id: UUID | None, outcome: Outcome) -> list[tuple[object, object]]:
    if outcome.available is not None and outcome.waiting is not None:
        return [(("counters", type_id), (outcome.available, outcome.waiting))]
    values = {"available": outcome.available, "waiting": outcome.waiting}
    return [((name, type_id), value) for name, value in values.items() if value is not None]

"""Compare the answers that clients got with what is stored, in linear time.

The facts of an event are numbered under its lock, so their order is the order of execution, and one pass along it is
enough. Every acknowledged operation has a fact between its beginning and its end; what a read returned was true at
some moment while it ran; every fact was requested.
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
from .breach import Breach
from .fact_projection import STEP, FactProjection
from .history import Call, History, Operation, Outcome
from .projected_state import CreatedBooking
from .stored import NOT_KEPT, Stored
from .stored_comparison import compare_with_stored
from .timeline import NEVER

_STATUS_AFTER: Final = {"pause": "paused", "resume": "on_sale", "complete": "completed", "call_off": "cancelled"}


def check_promises(history: History, final: Stored, *, before: Stored | None = None, step: int = STEP) -> list[Breach]:
    """Return every broken promise that the history and the final storage show.

    `before` is what was stored when the history began; its facts need no request. `step` is the maximum number of
    bookings that one transaction changes. Idempotency keys are assumed to be valid for the whole history.
    """
    return _Check(history, final, before, step).run()


class _Effect(Struct):
    """The operations that have at most one effect: one, or all with the same key. `seq` is the effect's fact."""

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
        """Return the bookings in its acknowledgements; without any, those in its requests."""
        answered = [operation.outcome.booking_id for operation in self.done if operation.outcome]
        requested = [operation.call.booking_id for operation in self.operations]
        return _distinct(answered) or _distinct(requested)


def _distinct(ids: Iterable[UUID | None]) -> list[UUID]:
    return list(dict.fromkeys(each for each in ids if each))


class _Requests(Struct):
    """The requests for an event: the bookings they name, those that failed, and the number without an id."""

    booking_ids: set[UUID] = field(default_factory=set)
    failed: dict[UUID, Operation] = field(default_factory=dict)
    without_id: Counter[tuple[object, ...]] = field(default_factory=Counter)


class _Check:
    def __init__(self, history: History, final: Stored, before: Stored | None, step: int) -> None:
        self._final = final
        self._operations = history.operations()
        self._breaches: list[Breach] = []
        self._facts_before: dict[UUID, Sequence[Fact]] = dict(before.facts) if before else {}
        self._events = {
            event_id: FactProjection(event_id, final.facts.get(event_id, ()), step) for event_id in final.events
        }
        self._effects = _effects(self._operations)
        self._ceilings: list[tuple[int, int]] = []

    def run(self) -> list[Breach]:
        for event_id, projection in self._events.items():
            self._breaches += projection.breaches
            self._breaches += compare_with_stored(projection, self._final.events[event_id], self._final.bookings)
            self._check_facts_before(event_id)
        of_event: dict[UUID, list[_Effect]] = {event_id: [] for event_id in self._events}
        for effect in self._effects:
            of_event.setdefault(effect.call.event_id, []).append(effect)
        for event_id, effects in of_event.items():
            self._check_event(event_id, effects)
        self._check_keys()
        return self._breaches

    def _check_facts_before(self, event_id: UUID) -> None:
        before = self._facts_before.get(event_id, ())
        if list(self._final.facts[event_id][: len(before)]) != list(before):
            self._breach(2, "rewritten", f"event {event_id}: its first {len(before)} facts have changed")

    def _count_before(self, projection: FactProjection) -> int:
        return len(self._facts_before.get(projection.event_id, ()))

    def _check_event(self, event_id: UUID, effects: list[_Effect]) -> None:
        if event_id not in self._events:
            if any(effect.done for effect in effects):
                self._breach(2, "lost", f"event {event_id} is not stored")
            return
        projection = self._events[event_id]
        self._check_bookings(projection, [effect for effect in effects if effect.call.name == "book"])
        self._check_cancellations(projection, [effect for effect in effects if effect.call.name == "cancel"])
        self._check_payments(projection, [effect for effect in effects if effect.call.name == "pay"])
        self._check_changes(projection, effects)
        self._check_order(projection, effects)

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
                self._breach(3, "key", f"different requests with one key succeeded: {_lines(done)}")
            elif len({each.outcome for each in done} | {each.code for each in refused}) > 1:
                self._breach(3, "key", f"one key got different answers: {_lines([*done, *refused])}")
            if self._final.responses is not None:
                for effect in effects:
                    self._check_response(effect, self._final.responses.get(key))

    def _check_response(self, effect: _Effect, response: Response | None) -> None:
        """An effect and its stored response are committed together (promise 3)."""
        if response is None:
            if effect.done or effect.seq is not None:
                self._breach(3, "forgotten", f"it succeeded without a stored response: {_lines(effect.operations)}")
        elif effect.done and effect.call.name == "book" and response.subject_id not in (None, *effect.booking_ids()):
            self._breach(
                3, "key", f"its stored response names another booking, {response.subject_id}: {effect.done[0]}"
            )

    # Bookings.

    def _check_bookings(self, projection: FactProjection, effects: list[_Effect]) -> None:
        requests = _Requests()
        for effect in effects:
            if effect.may_have_happened:
                self._check_booking_effect(projection, effect, requests)
            else:
                for operation in effect.operations:
                    if operation.call.booking_id:
                        requests.failed[operation.call.booking_id] = operation
        before = self._count_before(projection)
        for booking_id, created in projection.created.items():
            if created.seq <= before or booking_id in requests.booking_ids:
                continue
            wanted = (created.customer_id, created.ticket_type_id, created.quantity)
            if requests.without_id[wanted] > 0:
                requests.without_id[wanted] -= 1
            elif booking_id in requests.failed:
                self._breach(2, "failed", f"booking {booking_id} exists: {requests.failed[booking_id]}")
            else:
                self._breach(2, "unasked", f"no request for booking {booking_id} of {created.customer_id}")

    def _check_booking_effect(self, projection: FactProjection, effect: _Effect, requests: _Requests) -> None:
        ids = effect.booking_ids()
        made = [booking_id for booking_id in ids if booking_id in projection.created]
        if not ids:
            call = effect.call
            type_id = call.ticket_type_id or projection.only_type
            requests.without_id[call.customer_id, type_id, call.quantity or 1] += 1
            return
        if effect.done and not made:
            self._breach(2, "lost", f"the acknowledged booking is not stored: {effect.done[0]}")
        if len(made) > 1:
            self._breach(3, "twice", f"one request made {len(made)} bookings: {_lines(effect.operations)}")
        for booking_id in made:
            if booking_id in requests.booking_ids and effect.done:
                self._breach(3, "twice", f"booking {booking_id} is the answer to two requests: {effect.done[0]}")
            requests.booking_ids.add(booking_id)
            effect.seq = projection.created[booking_id].seq
            self._check_booking(projection, effect, projection.created[booking_id])

    def _check_booking(self, projection: FactProjection, effect: _Effect, created: CreatedBooking) -> None:
        call = effect.call
        type_id = call.ticket_type_id or projection.only_type
        wanted = (call.customer_id or created.customer_id, type_id or created.ticket_type_id, call.quantity or 1)
        if wanted != (created.customer_id, created.ticket_type_id, created.quantity):
            self._breach(2, "altered", f"the stored booking differs from the request: {effect.operations[0]}")
        for operation in effect.done:
            outcome = operation.outcome
            if outcome is None:
                continue
            if outcome.status is not None and outcome.status != created.status:
                self._breach(2, "altered", f"the booking was {created.status}: {operation}")
            if outcome.position is not None and outcome.position != created.position:
                self._breach(5, "position", f"the position was {created.position}: {operation}")

    # Cancellations.

    def _check_cancellations(self, projection: FactProjection, effects: list[_Effect]) -> None:
        requests = _Requests()
        done: dict[UUID, Operation] = {}
        for effect in effects:
            ids = effect.booking_ids()
            if not effect.may_have_happened:
                requests.failed.update((booking_id, effect.operations[0]) for booking_id in ids)
                continue
            if not ids:
                requests.without_id[(effect.call.customer_id,)] += 1
            requests.booking_ids.update(ids)
            for booking_id in ids if effect.done else ():
                if booking_id in done:
                    self._breach(4, "freed twice", f"two cancellations: {done[booking_id]}; {effect.done[0]}")
                done[booking_id] = effect.done[0]
                self._check_cancellation(projection, effect, booking_id)
        before = self._count_before(projection)
        for booking_id, cancelled in projection.cancelled.items():
            if cancelled.seq <= before or cancelled.is_automatic or booking_id in requests.booking_ids:
                continue
            customer_id = projection.created[booking_id].customer_id
            if requests.without_id[(customer_id,)] > 0:
                requests.without_id[(customer_id,)] -= 1
            elif booking_id in requests.failed:
                self._breach(2, "failed", f"the booking is cancelled: {requests.failed[booking_id]}")
            else:
                self._breach(2, "unasked", f"no request to cancel booking {booking_id}")

    def _check_cancellation(self, projection: FactProjection, effect: _Effect, booking_id: UUID) -> None:
        cancelled = projection.cancelled.get(booking_id)
        if cancelled is None or cancelled.by == "event":
            self._breach(2, "lost", f"the acknowledged cancellation did not happen: {effect.done[0]}")
            return
        effect.seq = cancelled.seq
        for operation in effect.done:
            promoted = operation.outcome.promoted if operation.outcome else None
            if promoted is not None and (
                promoted > cancelled.promoted or (cancelled.is_complete and promoted < cancelled.promoted)
            ):
                self._breach(2, "altered", f"the cancellation promoted {cancelled.promoted}: {operation}")

    # Payments and changes of the event.

    def _check_payments(self, projection: FactProjection, effects: list[_Effect]) -> None:
        before = self._count_before(projection)
        requested = {each.call.booking_id for effect in effects for each in effect.operations}
        for effect in effects:
            for operation in effect.done:
                if operation.call.booking_id not in projection.paid:
                    self._breach(2, "lost", f"the acknowledged payment is not stored: {operation}")
        for booking_id, seq in projection.paid.items():
            if seq > before and booking_id not in requested:
                self._breach(2, "unasked", f"no request to pay for booking {booking_id}")

    def _check_changes(self, projection: FactProjection, effects: list[_Effect]) -> None:
        """Every change of the event was requested, once for each time."""
        calls = [effect.call for effect in effects if effect.may_have_happened]
        if any(call.name == "edit" for call in calls):
            return
        requested = Counter(
            wanted for call in calls for wanted in [change_wanted(call, projection.only_type)] if wanted is not None
        )
        before = self._count_before(projection)
        for fact in projection.changes:
            for made in changes_made(fact) if fact.seq > before else ():
                requested[made] -= 1
                if requested[made] < 0:
                    failed = any(
                        change_wanted(each.call, projection.only_type) == made and not each.may_have_happened
                        for each in effects
                    )
                    rule = "failed" if failed else "unasked"
                    self._breach(2, rule, f"event {projection.event_id}, fact {fact.seq}: no request for {made}")

    # The order of operations.

    def _check_order(self, projection: FactProjection, effects: list[_Effect]) -> None:
        """Check that an operation that ended before another began has an earlier fact."""
        effect_of = {each.number: effect for effect in effects for each in effect.operations}
        self._ceilings = _ceilings(effects)
        floors = _Floors()
        operations = sorted((each for effect in effects for each in effect.operations), key=lambda each: each.began)
        earliest: dict[int, int] = {}
        for operation in operations:
            floor = floors.at(operation.began)
            effect = effect_of[operation.number]
            earliest.setdefault(id(effect), floor)
            seq = self._check_operation(projection, operation, effect, earliest[id(effect)])
            if operation.ended is not None:
                floors.add(operation.ended, seq)

    def _check_operation(self, projection: FactProjection, operation: Operation, effect: _Effect, floor: int) -> int:
        """Return the earliest fact at which the operation may have taken effect."""
        if operation.ended is None:
            if effect.seq is not None and effect.seq <= floor and operation is effect.operations[0]:
                self._breach_order(effect.seq, floor, operation)
            return 0
        ceiling = self._ceiling(operation.ended)
        if operation.outcome is None:
            return self._check_refusal(projection, operation, floor, ceiling)
        if effect.seq is None:
            return self._check_read(projection, operation, floor, ceiling)
        if effect.seq <= floor:
            self._breach_order(effect.seq, floor, operation)
        return projection.decision_end(effect.seq)

    def _breach_order(self, seq: int, floor: int, operation: Operation) -> None:
        self._breach(5, "order", f"its fact {seq} precedes the request (fact {floor} existed): {operation}")

    def _check_read(self, projection: FactProjection, operation: Operation, floor: int, ceiling: int) -> int:
        for subject, value in _answered_values(operation, projection.only_type):
            moment = projection.when(subject, value, floor, ceiling)
            if moment is None and value == "expired":
                # A hold reads as expired from its `expires_at` on, before the event is settled.
                moment = projection.when(subject, "held", floor, ceiling)
            if moment is None:
                last = "now" if ceiling == NEVER else f"fact {ceiling}"
                self._breach(2, "stale", f"it was not true at any moment from fact {floor} to {last}: {operation}")
                return floor
            floor = max(floor, moment)
        return floor

    def _check_refusal(self, projection: FactProjection, operation: Operation, floor: int, ceiling: int) -> int:
        """Check a refusal that the facts can confirm: it was correct at some moment while the operation ran."""
        call = operation.call
        type_id = call.ticket_type_id or projection.only_type
        found: int | None
        match call.name, operation.code:
            case "book", "already-booked":
                found = projection.when(("live", call.customer_id, type_id), True, floor, ceiling)
            case "cancel" | "pay", "already-cancelled" if call.booking_id in projection.created:
                ended = [projection.when(call.booking_id, each, floor, ceiling) for each in ("cancelled", "expired")]
                held = projection.when(call.booking_id, "held", floor, ceiling)
                off = projection.when("status", "cancelled", floor, ceiling)
                found = min((each for each in (*ended, held, off) if each is not None), default=None)
            case "cancel" | "booking", "not-found" if self._may_see(call, projection):
                created = projection.created.get(call.booking_id) if call.booking_id else None
                found = None if created and created.seq <= floor else floor
            case _:
                return floor
        if found is None:
            self._breach(2, "refused", f"the refusal was not correct at any moment from fact {floor}: {operation}")
            return floor
        return found

    @staticmethod
    def _may_see(call: Call, projection: FactProjection) -> bool:
        created = projection.created.get(call.booking_id) if call.booking_id else None
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


def _effects(operations: Sequence[Operation]) -> list[_Effect]:
    """Return one effect for each operation, but only one for all equal requests with the same key."""
    effects: list[_Effect] = []
    by_request: dict[tuple[object, ...], _Effect] = {}
    for operation in operations:
        call = operation.call
        if call.key is None or call.customer_id is None:
            effects.append(_Effect([operation]))
            continue
        request = (call.customer_id, call.key, *_fingerprint(call))
        if request not in by_request:
            by_request[request] = _Effect([], (call.customer_id, call.key))
            effects.append(by_request[request])
        by_request[request].operations.append(operation)
    return effects


def _ceilings(effects: Iterable[_Effect]) -> list[tuple[int, int]]:
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
    elif call.name in _STATUS_AFTER:
        values = [("status", _STATUS_AFTER[call.name])]
    return values


def _answered_counters(type_id: UUID | None, outcome: Outcome) -> list[tuple[object, object]]:
    if outcome.available is not None and outcome.waiting is not None:
        return [(("counters", type_id), (outcome.available, outcome.waiting))]
    values = {"available": outcome.available, "waiting": outcome.waiting}
    return [((name, type_id), value) for name, value in values.items() if value is not None]


def _fingerprint(call: Call) -> tuple[object, ...]:
    """Return what makes two requests equal; the id of a booking to create is not part of it."""
    booking_id = None if call.name == "book" else call.booking_id
    return (
        *(call.name, call.event_id, call.ticket_type_id, call.quantity or 1, call.policy, call.waiting_list),
        *(call.only_if_available, booking_id),
    )


def change_wanted(call: Call, only_type: UUID | None) -> tuple[object, ...] | None:
    """Return the change of an event that a call requests, in the form of `changes_made`, if any."""
    match call.name:
        case "total":
            return ("total", call.ticket_type_id or only_type, call.quantity)
        case "policy" | "waiting_list":
            return (call.name, getattr(call, call.name))
        case name if name in _STATUS_AFTER:
            return ("status", _STATUS_AFTER[name])
        case _:
            return None


def changes_made(fact: Fact) -> list[tuple[object, ...]]:
    """Return the changes of an event in a fact, each of which a client can request."""
    match fact.what:
        case TicketTypeChanged(ticket_type_id=type_id, changes=changes):
            return [("total", type_id, changes["totalTickets"])] if "totalTickets" in changes else []
        case EventChanged(changes=changes):
            named: Mapping[str, str] = {
                "waitingListPolicy": "policy",
                "waitingList": "waiting_list",
                "status": "status",
            }
            return [(named[name], value) for name, value in changes.items() if name in named]
        case _:
            return []


def _lines(operations: Iterable[Operation]) -> str:
    return "; ".join(str(operation) for operation in operations)

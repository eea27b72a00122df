"""Compare the answers that clients got with what is stored, in linear time.

The facts of an event are numbered under its lock, so their order is the order of execution, and one pass along it is
enough. Every acknowledged operation has a fact between its beginning and its end; what a read returned was true at
some moment while it ran; every fact was requested.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct, field

from ....application.ports.idempotency import Response
from ....domain.facts import Fact
from .breach import Breach
from .effects import Effect, effects_of
from .event_changes import change_wanted, changes_made
from .history import History, Operation
from .projection.booking_projection import STEP
from .projection.fact_projection import FactProjection
from .projection.projected_state import CreatedBooking, FreedTickets
from .public_line import check_public_line
from .real_time_order import check_order
from .stored import NOT_KEPT, Stored
from .stored_comparison import compare_with_stored


def check_promises(history: History, final: Stored, *, before: Stored | None = None, step: int = STEP) -> list[Breach]:
    """Return every broken promise that the history and the final storage show.

    `before` is what was stored when the history began; its facts need no request. `step` is the maximum number of
    bookings that one transaction changes. Idempotency keys are assumed to be valid for the whole history.
    """
    return _Check(history, final, before, step).run()


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
        self._step = step
        self._facts_before: dict[UUID, Sequence[Fact]] = dict(before.facts) if before else {}
        self._events = {
            event_id: FactProjection(event_id, final.facts.get(event_id, ()), step) for event_id in final.events
        }
        self._effects = effects_of(self._operations)

    def run(self) -> list[Breach]:
        for event_id, projection in self._events.items():
            self._breaches += projection.breaches
            self._breaches += check_public_line(self._final.facts.get(event_id, ()), self._step)
            self._breaches += compare_with_stored(projection, self._final.events[event_id], self._final.bookings)
            self._check_facts_before(event_id)
        of_event: dict[UUID, list[Effect]] = {event_id: [] for event_id in self._events}
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

    def _check_event(self, event_id: UUID, effects: list[Effect]) -> None:
        if event_id not in self._events:
            if any(effect.done for effect in effects):
                self._breach(2, "lost", f"event {event_id} is not stored")
            return
        projection = self._events[event_id]
        self._check_bookings(projection, [effect for effect in effects if effect.call.name == "book"])
        self._check_cancellations(projection, [effect for effect in effects if effect.call.name == "cancel"])
        self._check_parts(projection, [effect for effect in effects if effect.call.name == "give_back"])
        self._check_payments(projection, [effect for effect in effects if effect.call.name == "pay"])
        self._check_changes(projection, effects)
        self._breaches += check_order(projection, effects)

    # Keys (promise 3).

    def _check_keys(self) -> None:
        of_key: dict[tuple[UUID, str], list[Effect]] = defaultdict(list)
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

    def _check_response(self, effect: Effect, response: Response | None) -> None:
        """An effect and its stored response are committed together (promise 3)."""
        if response is None:
            if effect.done or effect.seq is not None:
                self._breach(3, "forgotten", f"it succeeded without a stored response: {_lines(effect.operations)}")
        elif effect.done and effect.call.name == "book" and response.subject_id not in (None, *effect.booking_ids()):
            self._breach(
                3, "key", f"its stored response names another booking, {response.subject_id}: {effect.done[0]}"
            )

    # Bookings.

    def _check_bookings(self, projection: FactProjection, effects: list[Effect]) -> None:
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

    def _check_booking_effect(self, projection: FactProjection, effect: Effect, requests: _Requests) -> None:
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

    def _check_booking(self, projection: FactProjection, effect: Effect, created: CreatedBooking) -> None:
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

    def _check_cancellations(self, projection: FactProjection, effects: list[Effect]) -> None:
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

    def _check_cancellation(self, projection: FactProjection, effect: Effect, booking_id: UUID) -> None:
        cancelled = projection.cancelled.get(booking_id)
        if cancelled is None or cancelled.by == "event":
            self._breach(2, "lost", f"the acknowledged cancellation did not happen: {effect.done[0]}")
            return
        effect.seq = cancelled.seq
        self._check_promoted(effect, cancelled)

    def _check_promoted(self, effect: Effect, freed: FreedTickets) -> None:
        for operation in effect.done:
            promoted = operation.outcome.promoted if operation.outcome else None
            if promoted is not None and (
                promoted > freed.promoted or (freed.is_complete and promoted < freed.promoted)
            ):
                self._breach(2, "altered", f"it promoted {freed.promoted}: {operation}")

    # Parts.

    def _check_parts(self, projection: FactProjection, effects: list[Effect]) -> None:
        """Every acknowledged part was given back once, and every other one was requested."""
        known: dict[tuple[UUID, int], Operation] = {}
        unknown: Counter[tuple[UUID | None, int | None]] = Counter()
        for effect in effects:
            call = effect.call
            if not effect.done:
                unknown[call.booking_id, call.quantity] += effect.may_have_happened
                continue
            outcome = effect.done[0].outcome
            left = outcome.quantity if outcome else None
            part = projection.parts.get(call.booking_id, {}).get(left) if call.booking_id and left else None
            if call.booking_id is None or left is None or part is None or part.quantity != call.quantity:
                self._breach(2, "lost", f"the acknowledged part was not given back: {effect.done[0]}")
                continue
            if (call.booking_id, left) in known:
                self._breach(4, "freed twice", f"one part: {known[call.booking_id, left]}; {effect.done[0]}")
            known[call.booking_id, left] = effect.done[0]
            effect.seq = part.seq
            self._check_promoted(effect, part)
        before = self._count_before(projection)
        for booking_id, parts in projection.parts.items():
            for left, part in parts.items():
                if part.seq <= before or (booking_id, left) in known:
                    continue
                unknown[booking_id, part.quantity] -= 1
                if unknown[booking_id, part.quantity] < 0:
                    self._breach(2, "unasked", f"no request to give {part.quantity} of booking {booking_id} back")

    # Payments and changes of the event.

    def _check_payments(self, projection: FactProjection, effects: list[Effect]) -> None:
        before = self._count_before(projection)
        requested = {each.call.booking_id for effect in effects for each in effect.operations}
        for effect in effects:
            for operation in effect.done:
                if operation.call.booking_id not in projection.paid:
                    self._breach(2, "lost", f"the acknowledged payment is not stored: {operation}")
        for booking_id, seq in projection.paid.items():
            if seq > before and booking_id not in requested:
                self._breach(2, "unasked", f"no request to pay for booking {booking_id}")

    def _check_changes(self, projection: FactProjection, effects: list[Effect]) -> None:
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

    def _breach(self, promise: int, rule: str, what: str) -> None:
        self._breaches.append(Breach(promise, rule, what))


def _lines(operations: Iterable[Operation]) -> str:
    return "; ".join(str(operation) for operation in operations)

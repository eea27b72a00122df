"""The sequential specification of one event, for checking concurrent histories.

It follows the HTTP contract and shares no code with the domain. Times are left out: bookings are neither too early nor
too late, and a hold expires with an `expire` operation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .sale import Sale
from .sequential_state import (
    CANCELLED,
    CONFIRMED,
    EXPIRED,
    HELD,
    LIVE,
    NONE,
    PAID,
    SUSPENDED,
    TAKING,
    WAITLISTED,
    WORDS,
    Answer,
    Claim,
    Request,
    State,
    Step,
    TypeState,
    changed,
    forgetting,
    may_pass,
    overtaking,
    waiting_list,
)
from .stored import NOT_KEPT

_STATUS_CHANGES: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset({"on_sale", "cancelled"}),
    "on_sale": frozenset({"paused", "completed", "cancelled"}),
    "paused": frozenset({"on_sale", "completed", "cancelled"}),
}
_STATUS_AFTER: Final = {"pause": "paused", "resume": "on_sale", "complete": "completed", "call_off": "cancelled"}


class Specification:
    """The rules of one sale, for the bookings that a history may create."""

    def __init__(self, sale: Sale, claims: Sequence[Claim], keys: int) -> None:
        self._sale = sale
        self._claims = claims
        self._of_customer: dict[int | None, list[int]] = {}
        for number, claim in enumerate(claims):
            self._of_customer.setdefault(claim.customer, []).append(number)
        self._costs = [type_id in sale.prices for type_id in sale.totals]
        self.start: State = State(
            bytes(len(claims)),
            tuple(claim.quantity for claim in claims),
            tuple(TypeState(total, 0, ()) for total in sale.totals.values()),
            sale.status,
            sale.policy,
            sale.max_overtakes,
            sale.waiting_list,
            (None,) * keys,
        )
        self._rules: dict[str, Callable[[State, Request], Step]] = {
            "book": self._book,
            "cancel": self._cancel,
            "give_back": self._give_back,
            "pay": self._pay,
            "booking": self._booking,
            "status": self._status,
            "total": self._total,
            "policy": self._change_policy,
            "waiting_list": self._change_waiting_list,
            "max_overtakes": self._change_bound,
            "promote": self._promote,
            "expire": self._expire,
            "suspend": self._suspend,
            "resume waiting": self._resume,
            **dict.fromkeys(_STATUS_AFTER, self._change_status),
        }

    def apply(self, state: State, request: Request) -> Step:
        """Return the next state and the answer. Refusals and reads change only the response of a key."""
        rule = self._rules.get(request.name)
        if rule is None:
            return state, Answer()
        if request.key is None:
            return rule(state, request)
        before = state.responses[request.key]
        if before is not None:
            return state, before[1] if before[0] == request.fingerprint else Answer("idempotency-key-reused")
        state, answer = rule(state, request)
        if answer.code in NOT_KEPT:
            return state, answer
        responses = list(state.responses)
        responses[request.key] = (request.fingerprint, answer)
        return state._replace(responses=tuple(responses)), answer

    # Bookings.

    def _book(self, state: State, request: Request) -> Step:
        number, type_index = request.booking, request.type_index
        if not 1 <= request.quantity <= 1_000:
            return state, Answer("invalid-request")
        if number is None or type_index is None or type_index < 0:
            return state, Answer("not-found" if type_index == -1 else "invalid-request")
        refused = self._booking_refused(state, request, type_index)
        if refused:
            return state, Answer(refused)
        ticket_type = state.types[type_index]
        if request.is_complimentary and request.quantity <= ticket_type.available:
            # Nothing has to be paid.
            taken = ticket_type._replace(taken=ticket_type.taken + request.quantity)
            state = changed(state, {number: PAID}, {type_index: taken})
        elif request.quantity > ticket_type.available or self._must_wait_for_others(state, ticket_type):
            if request.is_complimentary or request.only_if_available or state.waiting_list == "off":
                return state, Answer("sold-out")
            ticket_type = ticket_type._replace(waiting_list=(*ticket_type.waiting_list, number))
            state = changed(state, {number: WAITLISTED}, {type_index: ticket_type})
            return state, Answer(status="waitlisted", position=len(waiting_list(state, ticket_type)), booking=number)
        else:
            state = self._give(overtaking(state, type_index), number)
        return state, Answer(status=WORDS[state.booking_states[number]], booking=number)

    def _booking_refused(self, state: State, request: Request, type_index: int) -> str | None:
        if state.status != "on_sale":
            return "not-found" if state.status == "draft" and not request.manages else "not-on-sale"
        if request.quantity > state.types[type_index].total:
            return "exceeds-capacity"
        return self._claim_refused(state, request.customer, type_index, request.quantity)

    def _claim_refused(self, state: State, customer: int | None, type_index: int, quantity: int) -> str | None:
        live = [each for each in self._of_customer.get(customer, ()) if state.booking_states[each] in LIVE]
        if any(self._claims[each].type_index == type_index for each in live):
            return "already-booked"
        if sum(state.quantities[each] for each in live) + quantity > self._sale.limit:
            return "limit-exceeded"
        return None

    def _must_wait_for_others(self, state: State, ticket_type: TypeState) -> bool:
        waiting = waiting_list(state, ticket_type)
        if state.policy == "strict" or not all(may_pass(state, ticket_type, each) for each in waiting):
            return bool(waiting)
        return any(state.quantities[each] <= ticket_type.available for each in waiting_list(state, ticket_type))

    def _cancel(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None:
            live = [each for each in self._of_customer.get(request.customer, ()) if state.booking_states[each] in LIVE]
            if not live or state.status == "cancelled":
                return state, Answer("not-found")
            if len(live) > 1:
                return state, Answer("invalid-request")
            number = live[0]
        refused = self._cancellation_refused(state, request, number)
        if refused:
            return state, Answer(refused)
        state, promoted = self._serve(self._end(state, number))
        return state, Answer(status="cancelled", promoted=promoted, booking=number)

    def _give_back(self, state: State, request: Request) -> Step:
        number = -1 if request.booking is None else request.booking
        refused = self._cancellation_refused(state, request, number)
        if refused:
            return state, Answer(refused)
        left = state.quantities[number] - request.quantity
        if left < 1:
            return state, Answer("exceeds-booking")
        quantities = list(state.quantities)
        quantities[number] = left
        state = state._replace(quantities=tuple(quantities))
        if state.booking_states[number] in TAKING:
            type_index = self._claims[number].type_index
            ticket_type = state.types[type_index]
            taken = ticket_type._replace(taken=ticket_type.taken - request.quantity)
            state = changed(state, {}, {type_index: taken})
        state, promoted = self._serve(state)
        status = WORDS[state.booking_states[number]]
        return state, Answer(status=status, promoted=promoted, quantity=left, booking=number)

    def _cancellation_refused(self, state: State, request: Request, number: int) -> str | None:
        if number == -1 or state.booking_states[number] == NONE:
            return "not-found"
        is_manager = request.booking is not None and request.manages
        if not is_manager and self._claims[number].customer != request.customer:
            return "not-found"
        if state.status == "cancelled":
            return "cancellation-closed" if is_manager else "already-cancelled"
        if state.status == "completed" and not is_manager:
            return "cancellation-closed"
        return None if state.booking_states[number] in LIVE else "already-cancelled"

    def _booking(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None or number == -1 or state.booking_states[number] == NONE:
            return state, Answer("not-found")
        claim = self._claims[number]
        if claim.customer != request.customer and not request.manages:
            return state, Answer("not-found")
        waiting = waiting_list(state, state.types[claim.type_index])
        position = waiting.index(number) + 1 if number in waiting else None
        status, quantity = WORDS[state.booking_states[number]], state.quantities[number]
        return state, Answer(status=status, position=position, quantity=quantity, booking=number)

    def _pay(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None or number == -1 or state.booking_states[number] == NONE:
            return state, Answer("not-found")
        claim, booking_state, quantity = self._claims[number], state.booking_states[number], state.quantities[number]
        if claim.customer != request.customer and not request.manages:
            return state, Answer("not-found")
        if booking_state == EXPIRED:
            ticket_type = state.types[claim.type_index]
            if (
                state.status != "on_sale"
                or self._claim_refused(state, claim.customer, claim.type_index, quantity)
                or quantity > ticket_type.available
                or self._must_wait_for_others(state, ticket_type)
            ):
                return state, Answer("hold-expired")
            state = overtaking(state, claim.type_index)
            ticket_type = state.types[claim.type_index]
            taken = ticket_type._replace(taken=ticket_type.taken + quantity)
            return changed(state, {number: PAID}, {claim.type_index: taken}), Answer(status="confirmed", booking=number)
        is_due = booking_state == HELD or (booking_state == CONFIRMED and self._costs[claim.type_index])
        if not is_due or state.status == "cancelled":
            return state, Answer("payment-not-due")
        return changed(state, {number: PAID}, {}), Answer(status="confirmed", booking=number)

    def _expire(self, state: State, request: Request) -> Step:
        number = request.booking or 0
        if state.booking_states[number] != HELD:
            return state, Answer("payment-not-due")
        state, promoted = self._serve(self._end(state, number, EXPIRED))
        return state, Answer(promoted=promoted, booking=number)

    def _suspend(self, state: State, request: Request) -> Step:
        number = request.booking or 0
        if state.booking_states[number] != WAITLISTED:
            return state, Answer("not-found")
        state, promoted = self._serve(forgetting(changed(state, {number: SUSPENDED}, {})))
        return state, Answer(promoted=promoted, booking=number)

    def _resume(self, state: State, request: Request) -> Step:
        number = request.booking or 0
        ticket_type = state.types[self._claims[number].type_index]
        if state.booking_states[number] != SUSPENDED:
            return state, Answer("not-found")
        if state.quantities[number] > ticket_type.total:
            return self._end(state, number), Answer(promoted=0, booking=number)
        state, promoted = self._serve(changed(state, {number: WAITLISTED}, {}))
        return state, Answer(promoted=promoted, booking=number)

    # The event.

    def _status(self, state: State, request: Request) -> Step:
        if request.type_index == -1:
            return state, Answer("not-found")
        types = state.types if request.type_index is None else (state.types[request.type_index],)
        available = sum(ticket_type.available for ticket_type in types)
        return state, Answer(
            status=state.status,
            available=available,
            waiting=sum(len(waiting_list(state, ticket_type)) for ticket_type in types),
        )

    def _total(self, state: State, request: Request) -> Step:
        type_index = request.type_index
        if type_index is None or type_index == -1 or not 1 <= request.quantity <= 1_000_000:
            return state, Answer("not-found" if type_index == -1 else "invalid-request")
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        ticket_type = state.types[type_index]
        largest = max((state.quantities[each] for each in waiting_list(state, ticket_type)), default=0)
        if request.quantity < ticket_type.total and request.quantity < max(ticket_type.taken, largest):
            return state, Answer("capacity-below-taken")
        state, promoted = self._serve(changed(state, {}, {type_index: ticket_type._replace(total=request.quantity)}))
        return state, Answer(promoted=promoted)

    def _change_policy(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        state, promoted = self._serve(state._replace(policy=request.policy or state.policy))
        return state, Answer(promoted=promoted)

    def _change_bound(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        state = state._replace(max_overtakes=request.bound)
        if request.bound is None:
            state = state._replace(types=tuple(each._replace(overtakes=()) for each in state.types))
        state, promoted = self._serve(state)
        return state, Answer(promoted=promoted)

    def _change_waiting_list(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        state, promoted = self._serve(state._replace(waiting_list=request.waiting_list or state.waiting_list))
        return state, Answer(promoted=promoted)

    def _change_status(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        status = _STATUS_AFTER[request.name]
        if not refused and status != state.status and status not in _STATUS_CHANGES[state.status]:
            refused = "illegal-status-change"
        if refused:
            return state, Answer(refused)
        state = state._replace(status=status)
        for number, booking_state in enumerate(state.booking_states):
            if booking_state in (WAITLISTED, SUSPENDED) and status in ("completed", "cancelled"):
                state = self._end(state, number)
            elif booking_state == HELD and status == "completed":
                state = self._end(state, number, EXPIRED)
            elif booking_state in LIVE and status == "cancelled":
                state = self._end(state, number)
        state, promoted = self._serve(state)
        return state, Answer(promoted=promoted)

    def _edit_refused(self, state: State, request: Request) -> str | None:
        if not request.manages:
            return "not-found" if state.status == "draft" else "not-allowed"
        return "event-closed" if state.status in ("cancelled", "completed") else None

    def _promote(self, state: State, _: Request) -> Step:
        state, promoted = self._serve(state)
        return state, Answer(promoted=promoted)

    # Tickets.

    def _give(self, state: State, number: int) -> State:
        claim = self._claims[number]
        ticket_type = state.types[claim.type_index]
        booking_state = HELD if self._sale.holds and self._costs[claim.type_index] else CONFIRMED
        left = tuple(each for each in ticket_type.waiting_list if each != number)
        taken = ticket_type._replace(taken=ticket_type.taken + state.quantities[number], waiting_list=left)
        return changed(state, {number: booking_state}, {claim.type_index: taken})

    def _end(self, state: State, number: int, booking_state: int = CANCELLED) -> State:
        claim = self._claims[number]
        ticket_type = state.types[claim.type_index]
        if state.booking_states[number] in (WAITLISTED, SUSPENDED):
            ticket_type = ticket_type._replace(
                waiting_list=tuple(each for each in ticket_type.waiting_list if each != number)
            )
        else:
            ticket_type = ticket_type._replace(taken=ticket_type.taken - state.quantities[number])
        return forgetting(changed(state, {number: booking_state}, {claim.type_index: ticket_type}))

    def _serve(self, state: State) -> tuple[State, int]:
        promoted = 0
        while state.status == "on_sale":
            first = next((each for ticket_type in state.types for each in self._to_serve(state, ticket_type)), None)
            if first is None:
                break
            state = overtaking(state, self._claims[first].type_index, first)
            state = forgetting(self._give(state, first))
            promoted += 1
        return state, promoted

    def _to_serve(self, state: State, ticket_type: TypeState) -> Sequence[int]:
        waiting = waiting_list(state, ticket_type)
        bound = next((place for place, each in enumerate(waiting) if not may_pass(state, ticket_type, each)), None)
        last = 0 if state.policy == "strict" else bound
        candidates = waiting if last is None else waiting[: last + 1]
        return [each for each in candidates if state.quantities[each] <= ticket_type.available]

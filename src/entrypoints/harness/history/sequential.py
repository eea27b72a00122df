"""One event as if one caller came after another: the sequential specification that concurrent histories are held to.

It follows the HTTP contract and shares no code with the domain. A state is small, never changes and can be hashed, so
that a search can remember where it has been. Times are left out: nobody books before the sale opens or after the start
here, and a hold lapses when an `expire` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from ....domain.event import EventState
from .stored import NOT_KEPT

NONE, WAITLISTED, HELD, CONFIRMED, PAID, CANCELLED, EXPIRED = range(7)
"""Where a booking stands; `PAID` is confirmed and paid."""

WORDS: Final = ("", "waitlisted", "held", "confirmed", "confirmed", "cancelled", "expired")
LIVE: Final = frozenset({WAITLISTED, HELD, CONFIRMED, PAID})
TAKING: Final = frozenset({HELD, CONFIRMED, PAID})

_STEPS: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset({"on_sale", "cancelled"}),
    "on_sale": frozenset({"paused", "completed", "cancelled"}),
    "paused": frozenset({"on_sale", "completed", "cancelled"}),
}
_BECOMES: Final = {"pause": "paused", "resume": "on_sale", "complete": "completed", "call_off": "cancelled"}


class Sale(Struct, frozen=True, kw_only=True):
    """An event as it was when the history began, without any booking.

    `totals` are the tickets of each type and `prices` the types that cost something; `holds`: what costs something is
    held until it is paid. `may_lapse`: time goes on, so that holds may lapse at any moment.
    """

    event_id: UUID
    organizer_id: UUID | None = None
    totals: dict[UUID, int]
    prices: frozenset[UUID] = frozenset()
    policy: str = "strict"
    limit: int = 10
    status: str = "on_sale"
    holds: bool = False
    may_lapse: bool = False

    @classmethod
    def of(cls, state: EventState, *, may_lapse: bool = False) -> "Sale":
        """What the event's initialization (or a look at it before anybody booked) told."""
        event = state.event
        return cls(
            event_id=event.id,
            organizer_id=event.organizer_id,
            totals={each.id: each.total_tickets for each in state.ticket_types},
            prices=frozenset(each.id for each in state.ticket_types if each.price and each.price.amount),
            policy=event.waiting_list_policy.value,
            limit=event.max_tickets_per_customer,
            status=event.status.value,
            holds=event.payment_window_minutes is not None,
            may_lapse=may_lapse,
        )


class Kind(NamedTuple):
    """One ticket type: its number, what is taken, and its line, the bookings in order."""

    total: int
    taken: int
    line: tuple[int, ...]

    @property
    def available(self) -> int:
        return self.total - self.taken


class Answer(NamedTuple):
    """What the specification answers: a refusal's code, or what an acknowledgement may say (None: nothing of it)."""

    code: str | None = None
    status: str | None = None
    position: int | None = None
    promoted: int | None = None
    available: int | None = None
    waiting: int | None = None
    booking: int | None = None

    def __str__(self) -> str:
        said = [f"{name}={value}" for name, value in self._asdict().items() if value is not None and name != "booking"]
        return " ".join(said) or "ok"


class State(NamedTuple):
    """The event at one moment: `standings` of all bookings by number, its types, and what keys were answered."""

    standings: bytes
    kinds: tuple[Kind, ...]
    status: str
    policy: str
    answers: tuple[tuple[int, Answer] | None, ...]


class Claim(NamedTuple):
    """What a booking asks for, whether or not it comes to be: its customer's number, its type's, its tickets."""

    customer: int
    kind: int
    quantity: int


class Request(NamedTuple):
    """A call in numbers. -1 stands for what does not exist, None for what was not said.

    `booking` is the one to make or meant; `asker` is the customer who asks, `manages` whether that is the organizer;
    `key` is the place of its key's answer, and requests with the same `asked` are the same request.
    """

    name: str
    asker: int | None
    manages: bool
    booking: int | None
    kind: int | None
    quantity: int
    policy: str | None
    key: int | None
    asked: int


Step = tuple[State, Answer]


class Specification:
    """The rules of one sale, for the bookings that a history may bring into being."""

    def __init__(self, sale: Sale, claims: Sequence[Claim], keys: int) -> None:
        self._sale = sale
        self._claims = claims
        self._of_customer: dict[int | None, list[int]] = {}
        for number, claim in enumerate(claims):
            self._of_customer.setdefault(claim.customer, []).append(number)
        self._costs = [type_id in sale.prices for type_id in sale.totals]
        self.start = State(
            bytes(len(claims)),
            tuple(Kind(total, 0, ()) for total in sale.totals.values()),
            sale.status,
            sale.policy,
            (None,) * keys,
        )
        self._rules: dict[str, Callable[[State, Request], Step]] = {
            "book": self._book,
            "cancel": self._cancel,
            "pay": self._pay,
            "booking": self._booking,
            "status": self._status,
            "total": self._total,
            "policy": self._change_policy,
            "promote": self._promote,
            "expire": self._expire,
            **dict.fromkeys(_BECOMES, self._change_status),
        }

    def apply(self, state: State, request: Request) -> Step:
        """What comes of a request now. Refusals and reads leave the state as it is, but for what keys are answered."""
        rule = self._rules.get(request.name)
        if rule is None:
            return state, Answer()
        if request.key is None:
            return rule(state, request)
        before = state.answers[request.key]
        if before is not None:
            return state, before[1] if before[0] == request.asked else Answer("idempotency-key-reused")
        state, answer = rule(state, request)
        if answer.code in NOT_KEPT:
            return state, answer
        kept = list(state.answers)
        kept[request.key] = (request.asked, answer)
        return state._replace(answers=tuple(kept)), answer

    # Bookings.

    def _book(self, state: State, request: Request) -> Step:
        number, place = request.booking, request.kind
        if not 1 <= request.quantity <= 1_000:
            return state, Answer("invalid-request")
        if number is None or place is None or place < 0:
            return state, Answer("not-found" if place == -1 else "invalid-request")
        refused = self._booking_refused(state, request, place)
        if refused:
            return state, Answer(refused)
        kind = state.kinds[place]
        if request.quantity > kind.available or self._somebody_comes_first(state, kind):
            kind = kind._replace(line=(*kind.line, number))
            state = _with(state, {number: WAITLISTED}, {place: kind})
            return state, Answer(status="waitlisted", position=len(kind.line), booking=number)
        state = self._give(state, number)
        return state, Answer(status=WORDS[state.standings[number]], booking=number)

    def _booking_refused(self, state: State, request: Request, place: int) -> str | None:
        if state.status != "on_sale":
            return "not-found" if state.status == "draft" and not request.manages else "not-on-sale"
        if request.quantity > state.kinds[place].total:
            return "exceeds-capacity"
        return self._claim_refused(state, request.asker, place, request.quantity)

    def _claim_refused(self, state: State, customer: int | None, place: int, quantity: int) -> str | None:
        live = [each for each in self._of_customer.get(customer, ()) if state.standings[each] in LIVE]
        if any(self._claims[each].kind == place for each in live):
            return "already-booked"
        if sum(self._claims[each].quantity for each in live) + quantity > self._sale.limit:
            return "limit-exceeded"
        return None

    def _somebody_comes_first(self, state: State, kind: Kind) -> bool:
        if state.policy == "strict":
            return bool(kind.line)
        return any(self._claims[each].quantity <= kind.available for each in kind.line)

    def _cancel(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None:
            live = [each for each in self._of_customer.get(request.asker, ()) if state.standings[each] in LIVE]
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

    def _cancellation_refused(self, state: State, request: Request, number: int) -> str | None:
        if number == -1 or state.standings[number] == NONE:
            return "not-found"
        is_manager = request.booking is not None and request.manages
        if not is_manager and self._claims[number].customer != request.asker:
            return "not-found"
        if state.status == "cancelled":
            return "cancellation-closed" if is_manager else "already-cancelled"
        if state.status == "completed":
            return "cancellation-closed"
        return None if state.standings[number] in LIVE else "already-cancelled"

    def _booking(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None or number == -1 or state.standings[number] == NONE:
            return state, Answer("not-found")
        claim = self._claims[number]
        if claim.customer != request.asker and not request.manages:
            return state, Answer("not-found")
        line = state.kinds[claim.kind].line
        position = line.index(number) + 1 if number in line else None
        return state, Answer(status=WORDS[state.standings[number]], position=position, booking=number)

    def _pay(self, state: State, request: Request) -> Step:
        number = request.booking
        if number is None or number == -1 or state.standings[number] == NONE:
            return state, Answer("not-found")
        claim, standing = self._claims[number], state.standings[number]
        if claim.customer != request.asker and not request.manages:
            return state, Answer("not-found")
        if standing == EXPIRED:
            kind = state.kinds[claim.kind]
            if (
                state.status != "on_sale"
                or self._claim_refused(state, claim.customer, claim.kind, claim.quantity)
                or claim.quantity > kind.available
                or self._somebody_comes_first(state, kind)
            ):
                return state, Answer("hold-expired")
            taken = kind._replace(taken=kind.taken + claim.quantity)
            return _with(state, {number: PAID}, {claim.kind: taken}), Answer(status="confirmed", booking=number)
        is_due = standing == HELD or (standing == CONFIRMED and self._costs[claim.kind])
        if not is_due or state.status == "cancelled":
            return state, Answer("payment-not-due")
        return _with(state, {number: PAID}, {}), Answer(status="confirmed", booking=number)

    def _expire(self, state: State, request: Request) -> Step:
        number = request.booking or 0
        if state.standings[number] != HELD:
            return state, Answer("payment-not-due")
        state, promoted = self._serve(self._end(state, number, EXPIRED))
        return state, Answer(promoted=promoted, booking=number)

    # The event.

    def _status(self, state: State, request: Request) -> Step:
        if request.kind == -1:
            return state, Answer("not-found")
        kinds = state.kinds if request.kind is None else (state.kinds[request.kind],)
        available = sum(kind.available for kind in kinds)
        return state, Answer(status=state.status, available=available, waiting=sum(len(kind.line) for kind in kinds))

    def _total(self, state: State, request: Request) -> Step:
        place = request.kind
        if place is None or place == -1 or not 1 <= request.quantity <= 1_000_000:
            return state, Answer("not-found" if place == -1 else "invalid-request")
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        kind = state.kinds[place]
        largest = max((self._claims[each].quantity for each in kind.line), default=0)
        if request.quantity < kind.total and request.quantity < max(kind.taken, largest):
            return state, Answer("capacity-below-taken")
        state, promoted = self._serve(_with(state, {}, {place: kind._replace(total=request.quantity)}))
        return state, Answer(promoted=promoted)

    def _change_policy(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        if refused:
            return state, Answer(refused)
        state, promoted = self._serve(state._replace(policy=request.policy or state.policy))
        return state, Answer(promoted=promoted)

    def _change_status(self, state: State, request: Request) -> Step:
        refused = self._edit_refused(state, request)
        status = _BECOMES[request.name]
        if not refused and status != state.status and status not in _STEPS[state.status]:
            refused = "illegal-status-change"
        if refused:
            return state, Answer(refused)
        state = state._replace(status=status)
        for number, standing in enumerate(state.standings):
            if standing == WAITLISTED and status in ("completed", "cancelled"):
                state = self._end(state, number)
            elif standing == HELD and status == "completed":
                state = self._end(state, number, EXPIRED)
            elif standing in LIVE and status == "cancelled":
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
        kind = state.kinds[claim.kind]
        standing = HELD if self._sale.holds and self._costs[claim.kind] else CONFIRMED
        left = tuple(each for each in kind.line if each != number)
        taken = kind._replace(taken=kind.taken + claim.quantity, line=left)
        return _with(state, {number: standing}, {claim.kind: taken})

    def _end(self, state: State, number: int, standing: int = CANCELLED) -> State:
        claim = self._claims[number]
        kind = state.kinds[claim.kind]
        if state.standings[number] == WAITLISTED:
            kind = kind._replace(line=tuple(each for each in kind.line if each != number))
        else:
            kind = kind._replace(taken=kind.taken - claim.quantity)
        return _with(state, {number: standing}, {claim.kind: kind})

    def _serve(self, state: State) -> tuple[State, int]:
        promoted = 0
        while state.status == "on_sale":
            first = next((each for kind in state.kinds for each in self._to_serve(state, kind)), None)
            if first is None:
                break
            state = self._give(state, first)
            promoted += 1
        return state, promoted

    def _to_serve(self, state: State, kind: Kind) -> Sequence[int]:
        candidates = kind.line[:1] if state.policy == "strict" else kind.line
        return [each for each in candidates if self._claims[each].quantity <= kind.available]


def _with(state: State, standings: Mapping[int, int], kinds: Mapping[int, Kind]) -> State:
    changed = bytearray(state.standings)
    for number, standing in standings.items():
        changed[number] = standing
    return state._replace(
        standings=bytes(changed),
        kinds=tuple(kinds.get(place, kind) for place, kind in enumerate(state.kinds)),
    )

"""Whether a concurrent history of one event could have come of one caller after another.

Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects" (ACM TOPLAS 12(3), 1990), say what
that means: every operation takes effect at one moment between its beginning and its end. The search is that of Wing and
Gong, "Testing and Verifying Concurrent Objects" (J. Parallel and Distributed Computing 17, 1993), with Lowe's memory of
where it has been, "Testing for Linearizability" (Concurrency and Computation 29(4), 2017): the set of operations that
have a place by now, and the state that they lead to. Histories of several events are judged event by event, which is
enough by the locality that Herlihy and Wing prove (Horn and Kroening, "Faster Linearizability Checking via
P-Compositionality", FORTE 2015).

An operation whose end nobody knows may have its place anywhere after its beginning, or none. Two things keep the search
small: reads and refusals change nothing, so each is placed at the first moment at which it is right; and of the others
the one that ended first is tried first.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

from msgspec import Struct

from ....domain.booking import Booking
from ....domain.facts import (
    BookingCancelled,
    CustomerWaitlisted,
    HoldExpired,
    PaymentTaken,
    TicketsBooked,
)
from .fact_projection import NEVER
from .history import History, Operation
from .promises import change_wanted, changes_made
from .sequential import CANCELLED, NONE, WORDS, Answer, Claim, Request, Sale, Specification, State
from .stored import Stored

MOST_STATES: Final = 50_000
"""How many states are looked at before the search gives up."""

MOST_SHOWN: Final = 12
"""How many operations a verdict shows of those that it could explain."""

READS: Final = frozenset({"status", "booking", "edit", "promote"})
"""What changes nothing. Nobody is left to promote where every decision serves the line itself."""

_NAMED_BY: Final[dict[type[object], str]] = {
    TicketsBooked: "book",
    CustomerWaitlisted: "book",
    BookingCancelled: "cancel",
    HoldExpired: "expire",
    PaymentTaken: "pay",
}
"""What a client asked for, or time did, where this is the fact."""

SAY_NOTHING: Final = frozenset(
    {
        "request-in-progress",
        "too-many-requests",
        "payment-under-way",
        "payment-declined",
        "not-signed-in",
        "invalid-token",
        "stale-version",
    }
)
"""Refusals that may come at any time, whatever the state of the event."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What the search found.

    `order`: the operations in an order that explains them all or, where there is none, the longest beginning of one;
    `stuck`: why none of those that were next could follow it. `states`: how many were looked at.
    """

    answer: Literal["linearizable", "not linearizable", "undecided"]
    order: tuple[Operation, ...] = ()
    stuck: tuple[str, ...] = ()
    states: int = 0

    @property
    def is_linearizable(self) -> bool:
        """Whether an order was found. Not so: there is none, or the search gave up."""
        return self.answer == "linearizable"

    def __str__(self) -> str:
        lines = [f"{self.answer} after {self.states} states"]
        if not self.is_linearizable:
            lines += [f"{len(self.order)} operations can be explained, these last:"]
            lines += [f"  {operation}" for operation in self.order[-MOST_SHOWN:]]
            lines += ["There it is stuck:", *(f"  {why}" for why in self.stuck)]
        return "\n".join(lines)


def check_linearizable(
    history: History, sale: Sale, *, final: Stored | None = None, most_states: int = MOST_STATES
) -> Verdict:
    """Look for an order that explains what the history tells of one event.

    `sale` is the event as it was when the history began, without bookings. With `final`, what is stored at the end, the
    order has to lead there too; it also says which operations of unknown end happened, which makes the search shorter.
    """
    return _Search(_Problem(history, sale, final), most_states).run()


_Change = tuple[object, ...]


class _Op(NamedTuple):
    """An operation in numbers. `operation` None: a hold lapses. `is_pure`: it is a read or a refusal.

    `rank`: which fact it made, as far as anybody knows. That is only about what to try first, not about what is right.
    """

    bit: int
    began: int
    ended: int
    request: Request
    operation: Operation | None
    is_pure: bool
    is_needed: bool
    change: _Change | None


class _Group:
    """The operations that bring one booking into being at most: one, or all that came with one key."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.operations: list[Operation] = []
        self.found: UUID | None = None

    @property
    def ids(self) -> list[UUID]:
        """What its booking may be called. `found`: an answer that was lost, told by what is stored."""
        named = [each.outcome.booking_id for each in self.operations if each.outcome and each.outcome.booking_id]
        asked = [each.call.booking_id for each in self.operations if each.call.booking_id]
        found = [self.found] if self.found else []
        return list(dict.fromkeys(named or asked or found))

    @property
    def is_lost(self) -> bool:
        """Whether nobody was told what its booking is called."""
        return not self.ids and all(each.is_unknown for each in self.operations)


class _Problem:
    """A history in numbers."""

    def __init__(self, history: History, sale: Sale, final: Stored | None) -> None:
        self.sale = sale
        self.final = final
        self.contradictions: list[str] = []
        self.is_unclear = False
        operations = [each for each in history.of_event(sale.event_id).operations() if each.code not in SAY_NOTHING]
        operations = [each for each in operations if not (each.is_unknown and each.call.name in READS)]
        self._types = {type_id: place for place, type_id in enumerate(sale.totals)}
        self._only_type = next(iter(sale.totals)) if len(sale.totals) == 1 else None
        self._customers: dict[UUID, int] = {}
        self._asked: dict[tuple[object, ...], int] = {}
        self._keys = self._shared_keys(operations)
        self.groups = self._grouped(operations)
        self._number_of = self._named()
        claims = [self._claim(group) for group in self.groups]
        self._find_lost(claims)
        self._made = self._changes_made()
        self.specification = Specification(sale, claims, len(self._keys))
        self.ops = self._compiled(operations)
        self.guide = self._guided()

    def is_end(self, state: State) -> bool:
        """Whether the state is what is stored at the end."""
        if self.final is None or self.sale.event_id not in self.final.events:
            return True
        stored = self.final.events[self.sale.event_id]
        kinds = {each.id: (each.total_tickets, each.taken, each.waiting) for each in stored.ticket_types}
        told = {
            type_id: (kind.total, kind.taken, len(kind.line))
            for type_id, kind in zip(self._types, state.kinds, strict=True)
        }
        return (
            (stored.event.status, stored.event.waiting_list_policy, kinds) == (state.status, state.policy, told)
            and all(
                WORDS[state.standings[group.number]] == self._stored_status(group) for group in self.groups if group.ids
            )
            and self._is_line(state)
        )

    def end_of(self, state: State) -> str:
        """How a state differs from the stored end."""
        standings = ", ".join(
            f"booking {group.ids[0]} is {self._stored_status(group) or 'not there'} instead of {told or 'not there'}"
            for group in self.groups
            if group.ids and (told := WORDS[state.standings[group.number]]) != self._stored_status(group)
        )
        return f"the order does not lead to what is stored: {standings or 'the counters or the line differ'}"

    def _is_line(self, state: State) -> bool:
        """Whether those of the line whose ids are known stand in the stored order."""
        stored = self.final.bookings if self.final else {}
        for kind in state.kinds:
            ids = [each for number in kind.line for each in self.groups[number].ids if each in stored]
            places = [stored[each].queue_number or 0 for each in ids]
            if places != sorted(places):
                return False
        return True

    def _stored_status(self, group: _Group) -> str:
        stored = self.final.bookings if self.final else {}
        return next((stored[each].status.value for each in group.ids if each in stored), "")

    @staticmethod
    def _shared_keys(operations: Sequence[Operation]) -> dict[tuple[UUID, str], int]:
        calls = [(each.call.customer_id, each.call.key) for each in operations]
        counted = Counter((customer, key) for customer, key in calls if customer is not None and key is not None)
        return {key: place for place, key in enumerate(key for key, count in counted.items() if count > 1)}

    def _key(self, operation: Operation) -> tuple[UUID, str] | None:
        call = operation.call
        key = (call.customer_id, call.key) if call.customer_id is not None and call.key is not None else None
        return key if key in self._keys else None

    def _grouped(self, operations: Sequence[Operation]) -> list[_Group]:
        groups: list[_Group] = []
        by_key: dict[tuple[object, ...], _Group] = {}
        for operation in operations:
            if operation.call.name != "book":
                continue
            key = (self._key(operation) or operation.number, self._asked_number(operation))
            if key not in by_key:
                by_key[key] = _Group(len(groups))
                groups.append(by_key[key])
            by_key[key].operations.append(operation)
        return groups

    def _named(self) -> dict[UUID, int]:
        numbers: dict[UUID, int] = {}
        for group in self.groups:
            done = [each for each in group.operations if each.outcome is not None]
            named = {each.outcome.booking_id for each in done if each.outcome and each.outcome.booking_id}
            if len(named) > 1:
                self.contradictions.append(f"one request made several bookings: {'; '.join(map(str, done))}")
            for booking_id in group.ids:
                other = self.groups[numbers[booking_id]] if booking_id in numbers else None
                if other and done and any(each.outcome is not None for each in other.operations):
                    self.contradictions.append(f"two requests made one booking: {done[0]}; {other.operations[0]}")
                if other is None or done:
                    numbers[booking_id] = group.number
        return numbers

    def _claim(self, group: _Group) -> Claim:
        call = group.operations[0].call
        kind = self._kind(call.ticket_type_id)
        return Claim(self._customer(call.customer_id), -1 if kind is None else kind, call.quantity or 1)

    def _customer(self, customer_id: UUID | None) -> int:
        if customer_id is None:
            return -1
        return self._customers.setdefault(customer_id, len(self._customers))

    def _kind(self, type_id: UUID | None) -> int | None:
        if type_id is None:
            return 0 if len(self._types) == 1 else None
        return self._types.get(type_id, -1)

    def _asked_number(self, operation: Operation) -> int:
        call = operation.call
        meant = None if call.name == "book" else call.booking_id
        asked = (call.name, call.ticket_type_id, call.quantity or 1, call.policy, meant)
        return self._asked.setdefault(asked, len(self._asked))

    def _compiled(self, operations: Sequence[Operation]) -> list[_Op]:
        number_of_group = {each.number: group.number for group in self.groups for each in group.operations}
        made = [
            (operation, self._request(operation, number_of_group.get(operation.number))) for operation in operations
        ]
        cancelled = {self._told_of(each, request) for each, request in made if each.call.name == "cancel"}
        unknown = Counter(request.booking for each, request in made if each.call.name == "cancel" and each.is_unknown)
        ops: list[_Op] = []
        for operation, request in made:
            needed = True
            if operation.is_unknown:
                happened = self._happened(operation, request, cancelled, unknown)
                if happened is False:
                    continue
                needed = happened is True
            is_pure = request.key is None and (operation.call.name in READS or operation.code is not None)
            ended = NEVER if operation.ended is None else operation.ended
            change = change_wanted(operation.call, self._only_type)
            ops.append(_Op(0, operation.began, ended, request, operation, is_pure, needed, change))
        for group, began in self._lapsing():
            request = Request("expire", None, True, group.number, None, 1, None, None, -1)
            ops.append(_Op(0, began, NEVER, request, None, False, False, None))
        ops.sort(key=lambda op: op.began)
        return [op._replace(bit=1 << place) for place, op in enumerate(ops)]

    def _told_of(self, operation: Operation, request: Request) -> int | None:
        """The booking that an acknowledgement is about."""
        told = operation.outcome.booking_id if operation.outcome else None
        return self._number_of.get(told, request.booking) if told else (request.booking if operation.outcome else None)

    def _request(self, operation: Operation, number: int | None) -> Request:
        call = operation.call
        booking = number
        if call.name != "book" and call.booking_id is not None:
            booking = self._meant(call.booking_id, call.customer_id)
        key = self._key(operation)
        return Request(
            name=call.name,
            asker=None if call.customer_id is None else self._customer(call.customer_id),
            manages=call.customer_id in (None, self.sale.organizer_id),
            booking=booking,
            kind=None if call.name == "status" and call.ticket_type_id is None else self._kind(call.ticket_type_id),
            quantity=1 if call.quantity is None else call.quantity,
            policy=call.policy,
            key=None if key is None else self._keys[key],
            asked=self._asked_number(operation),
        )

    def _guided(self) -> list[_Change]:
        """What happened and in which order, as the stored facts tell it."""
        told: list[_Change] = []
        for fact in self.final.facts.get(self.sale.event_id, ()) if self.final else ():
            name = _NAMED_BY.get(type(fact.what))
            if name is not None and not (isinstance(fact.what, BookingCancelled) and fact.what.by == "event"):
                told.append((name, self._number_of.get(fact.booking_id) if fact.booking_id else None))
            told += changes_made(fact)
        return told

    def _find_lost(self, claims: Sequence[Claim]) -> None:
        """The bookings that are stored and that no answer told of are those of the answers that were lost."""
        if self.final is None:
            return
        stored: dict[Claim, deque[UUID]] = {}
        for fact in self.final.facts.get(self.sale.event_id, ()):
            booking = self.final.bookings.get(fact.booking_id) if fact.booking_id else None
            if booking is not None and booking.id not in self._number_of and _NAMED_BY.get(type(fact.what)) == "book":
                stored.setdefault(self._claim_of(booking), deque()).append(booking.id)
        lost = Counter(claims[group.number] for group in self.groups if group.is_lost)
        for group in [group for group in self.groups if group.is_lost]:
            left = stored.get(claims[group.number])
            if left:
                # Of several that ask for the same, it is a guess which made which.
                self.is_unclear = self.is_unclear or lost[claims[group.number]] > 1
                group.found = left.popleft()
                self._number_of[group.found] = group.number

    def _claim_of(self, booking: Booking) -> Claim:
        kind = self._types.get(booking.ticket_type_id, -1)
        return Claim(self._customer(booking.customer_id), kind, booking.quantity)

    def _meant(self, booking_id: UUID, customer_id: UUID | None) -> int:
        """Which booking an id names; one that no answer told of may be that of a request whose answer was lost."""
        if booking_id not in self._number_of:
            self._number_of[booking_id] = -1
            self.is_unclear = self.is_unclear or any(
                group.is_lost and customer_id in (None, self.sale.organizer_id, group.operations[0].call.customer_id)
                for group in self.groups
            )
        return self._number_of[booking_id]

    def _changes_made(self) -> set[tuple[object, ...]] | None:
        """What changed about the event, as the stored facts tell; None: nobody knows."""
        if self.final is None or self.sale.event_id not in self.final.facts:
            return None
        return {made for fact in self.final.facts[self.sale.event_id] for made in changes_made(fact)}

    def _happened(
        self, operation: Operation, request: Request, cancelled: set[int | None], unknown: Counter[int | None]
    ) -> bool | None:
        """Whether an operation of unknown end happened, as far as the stored end tells; None: perhaps."""
        call = operation.call
        if self.final is None or self._made is None:
            return None
        if request.key is not None:
            is_kept = self.final.responses is None or (call.customer_id, call.key) in self.final.responses
            # What the background finds out about a charge answers nobody, and so no key.
            return None if is_kept or call.name == "pay" else False
        wanted = change_wanted(call, self._only_type)
        if wanted is not None and wanted not in self._made:
            return False
        if wanted is not None or request.booking is None:
            return None
        return self._booking_happened(operation, request.booking, cancelled, unknown)

    def _booking_happened(
        self, operation: Operation, number: int, cancelled: set[int | None], unknown: Counter[int | None]
    ) -> bool | None:
        if number == -1:
            return False
        group, name = self.groups[number], operation.call.name
        status = self._stored_status(group)
        if name == "book" and len(group.operations) == 1:
            return status != WORDS[NONE]
        if name == "cancel" and group.ids:
            is_only = number not in cancelled and unknown[number] == 1 and unknown[None] == 0
            may_be_other = not is_only or self._is_closed()
            return False if status != WORDS[CANCELLED] else (None if may_be_other else True)
        return None

    def _is_closed(self) -> bool:
        event = self.final.events.get(self.sale.event_id) if self.final else None
        return event is None or event.event.status.is_closed

    def _lapsing(self) -> Iterator[tuple[_Group, int]]:
        if not (self.sale.holds and self.sale.may_lapse):
            return
        facts = self.final.facts.get(self.sale.event_id, ()) if self.final else ()
        lapsed = {fact.booking_id for fact in facts if isinstance(fact.what, HoldExpired)}
        for group in self.groups:
            if self.final is None or not group.ids or lapsed.intersection(group.ids):
                yield group, min(each.began for each in group.operations)


class _Path(NamedTuple):
    """The operations placed so far, last one first."""

    before: "_Path | None"
    op: _Op


class _Node(NamedTuple):
    """`changes`: how many of the operations placed changed the event."""

    placed: int
    state: State
    path: _Path | None
    changes: int


class _Search:
    def __init__(self, problem: _Problem, most_states: int) -> None:
        self._problem = problem
        self._ops = problem.ops
        self._needed = sum(op.bit for op in problem.ops if op.is_needed)
        self._most_states = most_states
        self._guide: list[_Change] | None = None
        self._seen: set[tuple[int, State, int]] = set()
        self._best = -1
        self._best_node = _Node(0, problem.specification.start, None, 0)

    def run(self) -> Verdict:
        if self._problem.contradictions:
            return Verdict(answer="not linearizable", stuck=tuple(self._problem.contradictions))
        found: _Node | None = None
        looked_at = 0
        # The order that the facts tell explains everything where all is well, and is quickly tried.
        for guide in [self._problem.guide, None] if self._problem.guide else [None]:
            self._guide = guide
            self._seen.clear()
            found = self._found()
            looked_at += len(self._seen)
            if found is not None:
                return Verdict(answer="linearizable", order=_order(found), states=looked_at)
        is_sure = len(self._seen) < self._most_states and not self._problem.is_unclear
        return Verdict(
            answer="not linearizable" if is_sure else "undecided",
            order=_order(self._best_node),
            stuck=tuple(self._why(self._best_node)),
            states=looked_at,
        )

    def _found(self) -> _Node | None:
        root = self._with_reads(_Node(0, self._problem.specification.start, None, 0))
        stack = [self._visit(root)]
        if self._is_done(root):
            return root
        while stack and len(self._seen) < self._most_states:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            if self._place(node) in self._seen:
                continue
            if self._is_done(node):
                return node
            stack.append(self._visit(node))
        return None

    def _is_done(self, node: _Node) -> bool:
        return node.placed & self._needed == self._needed and self._problem.is_end(node.state)

    def _place(self, node: _Node) -> tuple[int, State, int]:
        """What the rest of the search depends on."""
        return node.placed, node.state, 0 if self._guide is None else node.changes

    def _visit(self, node: _Node) -> Iterator[_Node]:
        self._seen.add(self._place(node))
        placed = (node.placed & self._needed).bit_count()
        if placed > self._best:
            self._best, self._best_node = placed, node
        return self._followers(node)

    def _followers(self, node: _Node) -> Iterator[_Node]:
        apply = self._problem.specification.apply
        found: list[tuple[bool, int, _Node]] = []
        for op in self._next(node.placed):
            state, answer = apply(node.state, op.request)
            is_change = state[:-1] != node.state[:-1]
            if op.ended == NEVER:
                is_possible = state != node.state or (op.is_needed and answer.code is None)
            else:
                is_possible = self._is_right(op, answer)
            if is_possible and (not is_change or self._is_guided(node, op, answer)):
                following = _Node(node.placed | op.bit, state, _Path(node.path, op), node.changes + is_change)
                found.append((is_change, op.ended, following))
        for _, _, following in sorted(found, key=lambda each: each[:2]):
            yield self._with_reads(following)

    def _is_guided(self, node: _Node, op: _Op, answer: Answer) -> bool:
        """Whether this is what the facts say came next; where nobody asks them everything is."""
        if self._guide is None:
            return True
        if node.changes >= len(self._guide):
            return False
        told = self._guide[node.changes]
        if told[0] == op.request.name and told[-1] is None:
            return True
        return told == (op.change or (op.request.name, answer.booking))

    def _with_reads(self, node: _Node) -> _Node:
        """Place every read and refusal that is right just now: no order becomes impossible by it."""
        placed, path = node.placed, node.path
        while True:
            before = placed
            for op in self._next(placed):
                is_settled = op.request.key is not None and node.state.answers[op.request.key] is not None
                if (op.is_pure or is_settled) and self._is_right(
                    op, self._problem.specification.apply(node.state, op.request)[1]
                ):
                    placed, path = placed | op.bit, _Path(path, op)
            if placed == before:
                return _Node(placed, node.state, path, node.changes)

    def _next(self, placed: int) -> list[_Op]:
        """The operations that nothing has to come before."""
        found: list[_Op] = []
        first_end = NEVER
        for place in range(_first_unset(placed), len(self._ops)):
            op = self._ops[place]
            if placed & op.bit:
                continue
            if op.began > first_end:
                break
            first_end = min(first_end, op.ended)
            found.append(op)
        return found

    def _is_right(self, op: _Op, answer: Answer) -> bool:
        """Whether the client was told what the specification answers."""
        operation = op.operation
        if operation is None:
            return answer.code is None
        if operation.outcome is None:
            return answer.code == operation.code
        outcome = operation.outcome
        said = (outcome.status, outcome.promoted, outcome.available, outcome.waiting)
        told = (answer.status, answer.promoted, answer.available, answer.waiting)
        return (
            answer.code is None
            and all(one is None or other is None or one == other for one, other in zip(said, told, strict=True))
            and outcome.position in (None, answer.position)
        )

    def _why(self, node: _Node) -> Iterator[str]:
        if node.placed & self._needed == self._needed:
            yield self._problem.end_of(node.state)
        for op in self._next(node.placed):
            if op.operation is not None and op.ended != NEVER:
                _, answer = self._problem.specification.apply(node.state, op.request)
                is_right = self._is_right(op, answer)
                yield f"{op.operation}; {'that leads nowhere' if is_right else f'the specification answers {answer}'}"


def _first_unset(bits: int) -> int:
    return (~bits & (bits + 1)).bit_length() - 1


def _order(node: _Node) -> tuple[Operation, ...]:
    placed: list[Operation] = []
    path = node.path
    while path is not None:
        if path.op.operation is not None:
            placed.append(path.op.operation)
        path = path.before
    return tuple(placed[::-1])

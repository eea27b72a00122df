"""Decide whether a concurrent history of one event is linearizable.

Linearizability (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", ACM TOPLAS 12(3),
1990): every operation takes effect at one moment between its beginning and its end. The search is that of Wing and
Gong ("Testing and Verifying Concurrent Objects", J. Parallel and Distributed Computing 17, 1993) with Lowe's cache of
visited pairs of placed operations and state ("Testing for Linearizability", Concurrency and Computation 29(4), 2017).
Each event is judged on its own, which suffices (Horn and Kroening, "Faster Linearizability Checking via
P-Compositionality", FORTE 2015).

An operation with an unknown outcome may take effect at any moment after its beginning, or never. Two rules keep the
search small: reads and refusals do not change the state, so each is placed as soon as it is correct; of the others, the
one that ended first is tried first.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from .history import History, Operation
from .projection.timeline import NEVER
from .sale import Sale
from .search_problem import Change, Op, Problem
from .sequential_state import Answer, State
from .stored import Stored

MOST_STATES: Final = 50_000
"""Visited states after which the search gives up."""

MOST_SHOWN: Final = 12
"""Explained operations that a verdict shows."""


class Verdict(Struct, frozen=True, kw_only=True):
    """The result of the search.

    `order` explains all operations or, if no order does, is the longest prefix that was found; `stuck` says why no
    operation could follow it. `states` is the number of visited states.
    """

    answer: Literal["linearizable", "not linearizable", "undecided"]
    order: tuple[Operation, ...] = ()
    stuck: tuple[str, ...] = ()
    states: int = 0

    @property
    def is_linearizable(self) -> bool:
        """Whether an order was found."""
        return self.answer == "linearizable"

    def __str__(self) -> str:
        lines = [f"{self.answer} after {self.states} states"]
        if not self.is_linearizable:
            lines += [f"{len(self.order)} operations can be explained; the last of them:"]
            lines += [f"  {operation}" for operation in self.order[-MOST_SHOWN:]]
            lines += ["The search is stuck:", *(f"  {why}" for why in self.stuck)]
        return "\n".join(lines)


def check_linearizable(
    history: History, sale: Sale, *, final: Stored | None = None, most_states: int = MOST_STATES
) -> Verdict:
    """Search for an order of the operations on one event that explains all of their outcomes.

    `sale` is the event when the history began, without bookings. With `final`, the final storage, the order must also
    lead to that state; it also shows which operations of unknown outcome took effect, which shortens the search.
    """
    return _Search(Problem(history, sale, final), most_states).run()


class _Path(NamedTuple):
    """The placed operations, last one first."""

    before: "_Path | None"
    op: Op


class _Node(NamedTuple):
    """A point of the search. `changes` is the number of placed operations that changed the event."""

    placed: int
    state: State
    path: _Path | None
    changes: int


class _Search:
    def __init__(self, problem: Problem, most_states: int) -> None:
        self._problem = problem
        self._ops = problem.ops
        self._needed = sum(op.bit for op in problem.ops if op.is_needed)
        self._most_states = most_states
        self._guide: list[Change] | None = None
        self._seen: set[tuple[int, State, int]] = set()
        self._best = -1
        self._best_node = _Node(0, problem.specification.start, None, 0)

    def run(self) -> Verdict:
        if self._problem.contradictions:
            return Verdict(answer="not linearizable", stuck=tuple(self._problem.contradictions))
        found: _Node | None = None
        visited = 0
        # The order of the facts explains a correct history, and is tried quickly.
        for guide in [self._problem.guide, None] if self._problem.guide else [None]:
            self._guide = guide
            self._seen.clear()
            found = self._found()
            visited += len(self._seen)
            if found is not None:
                return Verdict(answer="linearizable", order=_order(found), states=visited)
        is_sure = len(self._seen) < self._most_states and not self._problem.is_ambiguous
        return Verdict(
            answer="not linearizable" if is_sure else "undecided",
            order=_order(self._best_node),
            stuck=tuple(self._reasons(self._best_node)),
            states=visited,
        )

    def _found(self) -> _Node | None:
        root = self._place_reads(_Node(0, self._problem.specification.start, None, 0))
        stack = [self._visit(root)]
        if self._is_done(root):
            return root
        while stack and len(self._seen) < self._most_states:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            if self._key(node) in self._seen:
                continue
            if self._is_done(node):
                return node
            stack.append(self._visit(node))
        return None

    def _is_done(self, node: _Node) -> bool:
        return node.placed & self._needed == self._needed and self._problem.is_end(node.state)

    def _key(self, node: _Node) -> tuple[int, State, int]:
        """Return all that the rest of the search depends on."""
        return node.placed, node.state, 0 if self._guide is None else node.changes

    def _visit(self, node: _Node) -> Iterator[_Node]:
        self._seen.add(self._key(node))
        placed = (node.placed & self._needed).bit_count()
        if placed > self._best:
            self._best, self._best_node = placed, node
        return self._successors(node)

    def _successors(self, node: _Node) -> Iterator[_Node]:
        apply = self._problem.specification.apply
        found: list[tuple[bool, int, _Node]] = []
        for op in self._next(node.placed):
            state, answer = apply(node.state, op.request)
            is_change = state[:-1] != node.state[:-1]
            if op.ended == NEVER:
                is_possible = state != node.state or (op.is_needed and answer.code is None)
            else:
                is_possible = self._is_consistent(op, answer)
            if is_possible and (not is_change or self._follows_guide(node, op, answer)):
                following = _Node(node.placed | op.bit, state, _Path(node.path, op), node.changes + is_change)
                found.append((is_change, op.ended, following))
        for _, _, following in sorted(found, key=lambda each: each[:2]):
            yield self._place_reads(following)

    def _follows_guide(self, node: _Node, op: Op, answer: Answer) -> bool:
        """Return whether the operation is the next change by the facts; without a guide, every one is."""
        if self._guide is None:
            return True
        if node.changes >= len(self._guide):
            return False
        change = self._guide[node.changes]
        if change[0] == op.request.name and change[-1] is None:
            return True
        return change == (op.change or (op.request.name, answer.booking))

    def _place_reads(self, node: _Node) -> _Node:
        """Place every read and refusal that is consistent with the state; this excludes no order."""
        placed, path = node.placed, node.path
        while True:
            before = placed
            for op in self._next(placed):
                is_answered = op.request.key is not None and node.state.responses[op.request.key] is not None
                if (op.is_pure or is_answered) and self._is_consistent(
                    op, self._problem.specification.apply(node.state, op.request)[1]
                ):
                    placed, path = placed | op.bit, _Path(path, op)
            if placed == before:
                return _Node(placed, node.state, path, node.changes)

    def _next(self, placed: int) -> list[Op]:
        """Return the operations that may be placed next: they began before any unplaced one ended."""
        found: list[Op] = []
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

    def _is_consistent(self, op: Op, answer: Answer) -> bool:
        """Return whether the client got the answer of the specification."""
        operation = op.operation
        if operation is None:
            return answer.code is None
        if operation.outcome is None:
            return answer.code == operation.code
        outcome = operation.outcome
        actual = (outcome.status, outcome.promoted, outcome.available, outcome.waiting, outcome.quantity)
        expected = (answer.status, answer.promoted, answer.available, answer.waiting, answer.quantity)
        return (
            answer.code is None
            and all(one is None or other is None or one == other for one, other in zip(actual, expected, strict=True))
            and outcome.position in (None, answer.position)
        )

    def _reasons(self, node: _Node) -> Iterator[str]:
        if node.placed & self._needed == self._needed:
            yield self._problem.difference(node.state)
        for op in self._next(node.placed):
            if op.operation is not None and op.ended != NEVER:
                _, answer = self._problem.specification.apply(node.state, op.request)
                is_consistent = self._is_consistent(op, answer)
                reason = "no order continues with it" if is_consistent else f"the specification answers {answer}"
                yield f"{op.operation}; {reason}"


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

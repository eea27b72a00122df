"""The states of the sequential specification, and the numbers that requests and answers are made of.

A state is small, immutable and hashable, so that a search can record the visited states.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

NONE, WAITLISTED, HELD, CONFIRMED, PAID, CANCELLED, EXPIRED, SUSPENDED = range(8)
"""States of a booking; `PAID` is confirmed and nothing is due, `SUSPENDED` waitlisted and passed over for a time."""

WORDS: Final = ("", "waitlisted", "held", "confirmed", "confirmed", "cancelled", "expired", "waitlisted")
LIVE: Final = frozenset({WAITLISTED, HELD, CONFIRMED, PAID, SUSPENDED})
TAKING: Final = frozenset({HELD, CONFIRMED, PAID})


class TypeState(NamedTuple):
    """One ticket type: its total, the taken tickets, and the numbers of the waitlisted bookings in order.

    `overtakes` has, for each overtake since there is a bound for them, the numbers of the bookings that it passed.
    """

    total: int
    taken: int
    waiting_list: tuple[int, ...]
    overtakes: tuple[tuple[int, ...], ...] = ()

    @property
    def available(self) -> int:
        """The number of free tickets."""
        return self.total - self.taken


class Answer(NamedTuple):
    """The answer of the specification: a refusal's code, or the fields of an acknowledgement."""

    code: str | None = None
    status: str | None = None
    position: int | None = None
    promoted: int | None = None
    available: int | None = None
    waiting: int | None = None
    quantity: int | None = None
    booking: int | None = None

    def __str__(self) -> str:
        fields = [
            f"{name}={value}" for name, value in self._asdict().items() if value is not None and name != "booking"
        ]
        return " ".join(fields) or "ok"


class State(NamedTuple):
    """The event at one moment; `responses` are the fingerprint and the answer of each key.

    `quantities` are the tickets of each booking, or that it asks for.
    """

    booking_states: bytes
    quantities: tuple[int, ...]
    types: tuple[TypeState, ...]
    status: str
    policy: str
    max_overtakes: int | None
    waiting_list: str
    responses: tuple[tuple[int, Answer] | None, ...]


class Claim(NamedTuple):
    """A requested booking: its customer's number, its ticket type's index, and its quantity at first."""

    customer: int
    type_index: int
    quantity: int


class Request(NamedTuple):
    """A call as numbers. -1 means that something does not exist, None that it was not given.

    `booking` is the booking to create or change, `manages` whether the organizer asks. `key` is the index of the key's
    response; requests with the same `fingerprint` are equal.
    """

    name: str
    customer: int | None
    manages: bool
    booking: int | None
    type_index: int | None
    quantity: int
    bound: int | None
    policy: str | None
    waiting_list: str | None
    only_if_available: bool
    is_complimentary: bool
    key: int | None
    fingerprint: int


Step = tuple[State, Answer]


def waiting_list(state: State, ticket_type: TypeState) -> tuple[int, ...]:
    """Return the numbers of the bookings that wait, in order, without suspended ones."""
    if SUSPENDED not in state.booking_states:
        return ticket_type.waiting_list
    return tuple(each for each in ticket_type.waiting_list if state.booking_states[each] == WAITLISTED)


def may_pass(state: State, ticket_type: TypeState, number: int) -> bool:
    """Return whether a waiting booking may be overtaken once more."""
    suffered = sum(number in passed for passed in ticket_type.overtakes)
    return state.max_overtakes is None or suffered < state.max_overtakes


def overtaking(state: State, type_index: int, served: int | None = None) -> State:
    """Return the state with whom a booking passes that gets tickets, suspended ones too; None: a newcomer's."""
    ticket_type = state.types[type_index]
    in_line = ticket_type.waiting_list
    passed = in_line if served is None else in_line[: in_line.index(served)]
    if state.max_overtakes is None or not set(passed) & set(waiting_list(state, ticket_type)):
        return state
    return changed(state, {}, {type_index: ticket_type._replace(overtakes=(*ticket_type.overtakes, passed))})


def forgetting(state: State) -> State:
    """Return the state without the overtakes that no booking on a waiting list has suffered."""
    if not any(each.overtakes for each in state.types):
        return state
    types = []
    for each in state.types:
        left = set(waiting_list(state, each))
        types.append(each._replace(overtakes=tuple(passed for passed in each.overtakes if left & set(passed))))
    return state._replace(types=tuple(types))


def changed(state: State, booking_states: Mapping[int, int], types: Mapping[int, TypeState]) -> State:
    states = bytearray(state.booking_states)
    for number, booking_state in booking_states.items():
        states[number] = booking_state
    return state._replace(
        booking_states=bytes(states),
        types=tuple(types.get(type_index, ticket_type) for type_index, ticket_type in enumerate(state.types)),
    )

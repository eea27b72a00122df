"""Compile a history for the search, with bookings, customers and ticket types as numbers."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from ....domain.booking import Booking
from ....domain.event import Event
from ....domain.facts import (
    BookingCancelled,
    CustomerWaitlisted,
    Fact,
    HoldExpired,
    PaymentTaken,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    WaitingResumed,
    WaitingSuspended,
)
from .event_changes import change_wanted, changes_made
from .history import History, Operation
from .projection.timeline import NEVER
from .sale import Sale
from .sequential import Specification
from .sequential_state import CANCELLED, NONE, WORDS, Claim, Request, State, waiting_list
from .stored import Stored

READS: Final = frozenset({"status", "booking", "edit", "promote"})
"""Operations that change no state. `promote` does not, because every decision serves the waiting list itself."""

_NAME_OF_FACT: Final[dict[type[object], str]] = {
    TicketsBooked: "book",
    TicketsGranted: "book",
    CustomerWaitlisted: "book",
    BookingCancelled: "cancel",
    TicketsReturned: "give_back",
    HoldExpired: "expire",
    PaymentTaken: "pay",
    WaitingSuspended: "suspend",
    WaitingResumed: "resume waiting",
}
"""The operation, passage of time or change of an account that leads to a fact."""

STATELESS_REFUSALS: Final = frozenset(
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
"""Refusals that do not depend on the state of the event."""


Change = tuple[object, ...]


class Op(NamedTuple):
    """An operation for the search. `operation` None: a hold expires, or a customer's account is disabled or enabled.

    `is_pure`: it is a read or a refusal.
    """

    bit: int
    began: int
    ended: int
    request: Request
    operation: Operation | None
    is_pure: bool
    is_needed: bool
    change: Change | None


class Group:
    """The operations that create at most one booking: one, or all with the same key."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.operations: list[Operation] = []
        self.found: UUID | None = None
        """The id of a booking whose answer was lost, by the storage."""

    @property
    def ids(self) -> list[UUID]:
        """The possible ids of its booking."""
        answered = [each.outcome.booking_id for each in self.operations if each.outcome and each.outcome.booking_id]
        requested = [each.call.booking_id for each in self.operations if each.call.booking_id]
        found = [self.found] if self.found else []
        return list(dict.fromkeys(answered or requested or found))

    @property
    def is_lost(self) -> bool:
        """Whether no request or answer contains the id of its booking."""
        return not self.ids and all(each.is_unknown for each in self.operations)


class Problem:
    """A history, compiled for the search."""

    def __init__(self, history: History, sale: Sale, final: Stored | None) -> None:
        self.sale = sale
        self.final = final
        self.contradictions: list[str] = []
        self.is_ambiguous: bool = False
        """Whether the number of a booking is a guess, so that a failed search proves nothing."""
        operations = [each for each in history.of_event(sale.event_id).operations() if not _is_stateless_refusal(each)]
        operations = [each for each in operations if not (each.is_unknown and each.call.name in READS)]
        self._types = {type_id: index for index, type_id in enumerate(sale.totals)}
        self._only_type = next(iter(sale.totals)) if len(sale.totals) == 1 else None
        self._customers: dict[UUID, int] = {}
        self._fingerprints: dict[tuple[object, ...], int] = {}
        self._keys = self._shared_keys(operations)
        self.groups: list[Group] = self._grouped(operations)
        self._number_of = self._booking_numbers()
        claims = [self._claim(group) for group in self.groups]
        self._identify_lost(claims)
        self._changes = self._stored_changes()
        facts = final.facts.get(sale.event_id, ()) if final else ()
        self._smaller = {each.booking_id for each in facts if isinstance(each.what, TicketsReturned)}
        self.specification: Specification = Specification(sale, claims, len(self._keys))
        self.ops: list[Op] = self._compiled(operations)
        self.guide: list[Change] = self._stored_order()

    def is_end(self, state: State) -> bool:
        """Return whether the state is the stored one."""
        if self.final is None or self.sale.event_id not in self.final.events:
            return True
        stored = self.final.events[self.sale.event_id]
        types = {each.id: (each.total_tickets, each.taken, each.waiting) for each in stored.ticket_types}
        expected = {
            type_id: (ticket_type.total, ticket_type.taken, len(waiting_list(state, ticket_type)))
            for type_id, ticket_type in zip(self._types, state.types, strict=True)
        }
        return (
            (*self._stored_fields(stored.event), types)
            == (state.status, state.policy, state.max_overtakes, state.waiting_list, expected)
            and all(self._is_stored(state, group) for group in self.groups if group.ids)
            and self._is_stored_waiting_list(state)
        )

    def _is_stored(self, state: State, group: Group) -> bool:
        """Return whether a booking of known ids is stored as it is in the state."""
        stored = self._stored_booking(group)
        if stored is None or WORDS[state.booking_states[group.number]] != stored.status:
            return stored is None and state.booking_states[group.number] == NONE
        return state.quantities[group.number] == stored.quantity

    @staticmethod
    def _stored_fields(event: Event) -> tuple[object, ...]:
        return event.status, event.waiting_list_policy, event.max_overtakes, event.waiting_list

    def difference(self, state: State) -> str:
        """Describe how a state differs from the stored one."""
        differences = ", ".join(
            f"booking {group.ids[0]} is {self._stored_status(group) or 'missing'} instead of {expected or 'missing'}"
            for group in self.groups
            if group.ids and (expected := WORDS[state.booking_states[group.number]]) != self._stored_status(group)
        )
        return f"the order does not lead to what is stored: {differences or 'the counters or the waiting list differ'}"

    def _is_stored_waiting_list(self, state: State) -> bool:
        """Return whether the waiting bookings with known ids are in the stored order."""
        stored = self.final.bookings if self.final else {}
        for ticket_type in state.types:
            ids = [each for number in ticket_type.waiting_list for each in self.groups[number].ids if each in stored]
            places = [stored[each].queue_number or 0 for each in ids]
            if places != sorted(places):
                return False
        return True

    def _stored_status(self, group: Group) -> str:
        stored = self._stored_booking(group)
        return WORDS[NONE] if stored is None else stored.status.value

    def _stored_booking(self, group: Group) -> Booking | None:
        stored = self.final.bookings if self.final else {}
        return next((stored[each] for each in group.ids if each in stored), None)

    @staticmethod
    def _shared_keys(operations: Sequence[Operation]) -> dict[tuple[UUID, str], int]:
        keys = (each.call.owned_key for each in operations)
        counted = Counter(key for key in keys if key is not None)
        return {key: index for index, key in enumerate(key for key, count in counted.items() if count > 1)}

    def _key(self, operation: Operation) -> tuple[UUID, str] | None:
        key = operation.call.owned_key
        return key if key in self._keys else None

    def _grouped(self, operations: Sequence[Operation]) -> list[Group]:
        groups: list[Group] = []
        by_key: dict[tuple[object, ...], Group] = {}
        for operation in operations:
            if operation.call.name != "book":
                continue
            key = (self._key(operation) or operation.number, self._fingerprint_number(operation))
            if key not in by_key:
                by_key[key] = Group(len(groups))
                groups.append(by_key[key])
            by_key[key].operations.append(operation)
        return groups

    def _booking_numbers(self) -> dict[UUID, int]:
        numbers: dict[UUID, int] = {}
        for group in self.groups:
            done = [each for each in group.operations if each.outcome is not None]
            answered = {each.outcome.booking_id for each in done if each.outcome and each.outcome.booking_id}
            if len(answered) > 1:
                self.contradictions.append(f"one request created several bookings: {'; '.join(map(str, done))}")
            for booking_id in group.ids:
                other = self.groups[numbers[booking_id]] if booking_id in numbers else None
                if other and done and any(each.outcome is not None for each in other.operations):
                    self.contradictions.append(f"two requests created one booking: {done[0]}; {other.operations[0]}")
                if other is None or done:
                    numbers[booking_id] = group.number
        return numbers

    def _claim(self, group: Group) -> Claim:
        call = group.operations[0].call
        type_index = self._type_index(call.ticket_type_id)
        return Claim(self._customer(call.customer_id), -1 if type_index is None else type_index, call.quantity or 1)

    def _customer(self, customer_id: UUID | None) -> int:
        if customer_id is None:
            return -1
        return self._customers.setdefault(customer_id, len(self._customers))

    def _type_index(self, type_id: UUID | None) -> int | None:
        if type_id is None:
            return 0 if len(self._types) == 1 else None
        return self._types.get(type_id, -1)

    def _fingerprint_number(self, operation: Operation) -> int:
        call = operation.call
        booking_id = None if call.name == "book" else call.booking_id
        fingerprint = (
            *(call.name, call.customer_id, call.ticket_type_id, call.quantity or 1, call.policy, call.waiting_list),
            *(call.only_if_available, call.complimentary, booking_id),
        )
        return self._fingerprints.setdefault(fingerprint, len(self._fingerprints))

    def _compiled(self, operations: Sequence[Operation]) -> list[Op]:
        number_of_group = {each.number: group.number for group in self.groups for each in group.operations}
        compiled = [
            (operation, self._request(operation, number_of_group.get(operation.number))) for operation in operations
        ]
        cancelled = {self._answered_booking(each, request) for each, request in compiled if each.call.name == "cancel"}
        unknown = Counter(
            request.booking for each, request in compiled if each.call.name == "cancel" and each.is_unknown
        )
        ops: list[Op] = []
        for operation, request in compiled:
            needed = True
            if operation.is_unknown:
                took_effect = self._took_effect(operation, request, cancelled, unknown)
                if took_effect is False:
                    continue
                needed = took_effect is True
            is_pure = request.key is None and (operation.call.name in READS or operation.code is not None)
            ended = NEVER if operation.ended is None else operation.ended
            change = change_wanted(operation.call, self._only_type)
            ops.append(Op(0, operation.began, ended, request, operation, is_pure, needed, change))
        for name, group in [*self._expiring(), *self._suspended_and_resumed()]:
            request = Request(name, None, True, group.number, None, 1, None, None, None, False, False, None, -1)
            began = min(each.began for each in group.operations)
            ops.append(Op(0, began, NEVER, request, None, False, False, None))
        ops.sort(key=lambda op: op.began)
        return [op._replace(bit=1 << index) for index, op in enumerate(ops)]

    def _answered_booking(self, operation: Operation, request: Request) -> int | None:
        """Return the number of the booking in an acknowledgement."""
        if operation.outcome is None:
            return None
        booking_id = operation.outcome.booking_id
        return self._number_of.get(booking_id, request.booking) if booking_id else request.booking

    def _request(self, operation: Operation, number: int | None) -> Request:
        call = operation.call
        booking = number
        if call.name != "book" and call.booking_id is not None:
            booking = self._booking_number(call.booking_id, call.customer_id)
        key = self._key(operation)
        return Request(
            name=call.name,
            customer=None if call.customer_id is None else self._customer(call.customer_id),
            manages=call.customer_id in (None, self.sale.organizer_id),
            booking=booking,
            type_index=None
            if call.name == "status" and call.ticket_type_id is None
            else self._type_index(call.ticket_type_id),
            quantity=1 if call.quantity is None else call.quantity,
            bound=call.quantity,
            policy=call.policy,
            waiting_list=call.waiting_list,
            only_if_available=bool(call.only_if_available),
            is_complimentary=bool(call.complimentary),
            key=None if key is None else self._keys[key],
            fingerprint=self._fingerprint_number(operation),
        )

    def _stored_order(self) -> list[Change]:
        """Return the changes in the order of the stored facts."""
        changes: list[Change] = []
        for fact in self.final.facts.get(self.sale.event_id, ()) if self.final else ():
            name = _NAME_OF_FACT.get(type(fact.what))
            if _may_end_a_suspension(fact):
                name = "resume waiting"
            if name is not None and not (isinstance(fact.what, BookingCancelled) and fact.what.by == "event"):
                changes.append((name, self._number_of.get(fact.booking_id) if fact.booking_id else None))
            changes += changes_made(fact)
        return changes

    def _identify_lost(self, claims: Sequence[Claim]) -> None:
        """Match stored bookings that no answer contains with requests whose answers were lost."""
        if self.final is None:
            return
        stored: dict[Claim, deque[UUID]] = {}
        for fact in self.final.facts.get(self.sale.event_id, ()):
            booking = self.final.bookings.get(fact.booking_id) if fact.booking_id else None
            if (
                booking is not None
                and booking.id not in self._number_of
                and isinstance(fact.what, TicketsBooked | TicketsGranted | CustomerWaitlisted)
            ):
                stored.setdefault(self._claim_of(booking, fact.what.quantity), deque()).append(booking.id)
        lost = Counter(claims[group.number] for group in self.groups if group.is_lost)
        for group in [group for group in self.groups if group.is_lost]:
            left = stored.get(claims[group.number])
            if left:
                # Which of several equal requests created which booking is a guess.
                self.is_ambiguous = self.is_ambiguous or lost[claims[group.number]] > 1
                group.found = left.popleft()
                self._number_of[group.found] = group.number

    def _claim_of(self, booking: Booking, quantity: int) -> Claim:
        """Return the claim of a booking that had so many tickets at first."""
        type_index = self._types.get(booking.ticket_type_id, -1)
        return Claim(self._customer(booking.customer_id), type_index, quantity)

    def _booking_number(self, booking_id: UUID, customer_id: UUID | None) -> int:
        """Return the number of a booking; an unknown id may belong to a request whose answer was lost."""
        if booking_id not in self._number_of:
            self._number_of[booking_id] = -1
            self.is_ambiguous = self.is_ambiguous or any(
                group.is_lost and customer_id in (None, self.sale.organizer_id, group.operations[0].call.customer_id)
                for group in self.groups
            )
        return self._number_of[booking_id]

    def _stored_changes(self) -> set[tuple[object, ...]] | None:
        """Return the changes of the event by the stored facts; None: the facts are unknown."""
        if self.final is None or self.sale.event_id not in self.final.facts:
            return None
        return {made for fact in self.final.facts[self.sale.event_id] for made in changes_made(fact)}

    def _took_effect(
        self, operation: Operation, request: Request, cancelled: set[int | None], unknown: Counter[int | None]
    ) -> bool | None:
        """Return whether an operation of unknown outcome took effect, by what is stored; None: this is not certain."""
        call = operation.call
        if self.final is None or self._changes is None:
            return None
        if request.key is not None:
            is_stored = self.final.responses is None or call.owned_key in self.final.responses
            # A charge that the background completes stores no response.
            return None if is_stored or call.name == "pay" else False
        wanted = change_wanted(call, self._only_type)
        if wanted is not None and wanted not in self._changes:
            return False
        if wanted is not None or request.booking is None:
            return None
        return self._booking_took_effect(operation, request.booking, cancelled, unknown)

    def _booking_took_effect(
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
        if name == "give_back" and not any(each in self._smaller for each in group.ids):
            return False
        return None

    def _is_closed(self) -> bool:
        event = self.final.events.get(self.sale.event_id) if self.final else None
        return event is None or event.event.status.is_closed

    def _suspended_and_resumed(self) -> Iterator[tuple[str, Group]]:
        """Yield what accounts that were disabled or enabled did, each as often as the facts say."""
        for fact in self.final.facts.get(self.sale.event_id, ()) if self.final else ():
            number = self._number_of.get(fact.booking_id, -1) if fact.booking_id else -1
            if number < 0:
                continue
            if isinstance(fact.what, WaitingSuspended):
                yield "suspend", self.groups[number]
            elif isinstance(fact.what, WaitingResumed) or _may_end_a_suspension(fact):
                yield "resume waiting", self.groups[number]

    def _expiring(self) -> Iterator[tuple[str, Group]]:
        if not (self.sale.holds and self.sale.may_lapse):
            return
        facts = self.final.facts.get(self.sale.event_id, ()) if self.final else ()
        lapsed = {fact.booking_id for fact in facts if isinstance(fact.what, HoldExpired)}
        for group in self.groups:
            if self.final is None or not group.ids or lapsed.intersection(group.ids):
                yield "expire", group


def _is_stateless_refusal(operation: Operation) -> bool:
    """Return whether it was refused for a reason outside the event: nothing is booked for a disabled account."""
    is_for_other = operation.call.complimentary or operation.call.booked_by is not None
    return (is_for_other and operation.code == "not-allowed") or operation.code in STATELESS_REFUSALS


def _may_end_a_suspension(fact: Fact) -> bool:
    """Return whether a booking may have been cancelled instead of resumed, because it asked for too many tickets."""
    return isinstance(fact.what, BookingCancelled) and fact.what.was_suspended and fact.what.by == "organizer"

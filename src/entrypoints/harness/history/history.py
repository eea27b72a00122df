"""Record the requests of clients and their answers, in the order in which they occur.

The checkers rely on the order of the entries: an operation that ended before another began precedes it; two that
overlap may have taken effect in either order. The idea is Jepsen's (https://jepsen.io).
"""

import time
from collections.abc import Callable, Iterable
from heapq import merge as merged_by
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Name = Literal[
    "book",
    "cancel",
    "give_back",
    "pay",
    "booking",
    "status",
    "total",
    "policy",
    "waiting_list",
    "max_overtakes",
    "pause",
    "resume",
    "complete",
    "call_off",
    "promote",
    "edit",
]
"""The operations.

`book`, `cancel`, `give_back` (a part of it) and `pay` change a booking, `booking` reads one; `status` reads an event or
one of its ticket types; `total` sets the total of a ticket type; `policy`, `waiting_list`, `max_overtakes`, `pause`,
`resume`, `complete` (status completed), `call_off` (status cancelled) and `edit` (anything else) change the event;
`promote` serves its waiting lists.
"""
Kind = Literal["invoke", "ok", "fail", "unknown"]


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request.

    `customer_id` None: the organizer's. `booking_id` None: with `book` the server generates the id, which the outcome
    contains; with `cancel` the customer's only live booking of the event. `ticket_type_id` None: the only type, with
    `status` the whole event. `quantity`: the tickets to book or to give back; with `total` the new total, with
    `max_overtakes` the new bound (None: none). `policy` and `waiting_list`: the new value of that name.
    `only_if_available`: `book` without a place in the waiting list. `complimentary`: `book` as a gift from the
    organizer. `booked_by`: who books for the customer, None: the customer. `key`: the idempotency key of who sends the
    request.
    """

    name: Name
    event_id: UUID
    customer_id: UUID | None = None
    booking_id: UUID | None = None
    ticket_type_id: UUID | None = None
    quantity: int | None = None
    policy: str | None = None
    waiting_list: str | None = None
    only_if_available: bool | None = None
    complimentary: bool | None = None
    booked_by: UUID | None = None
    key: str | None = None

    @property
    def owned_key(self) -> tuple[UUID, str] | None:
        """The idempotency key with its user; None: there is none, or it is the organizer's."""
        owner = self.booked_by or self.customer_id
        return None if owner is None or self.key is None else (owner, self.key)


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of an acknowledgement that are known; None is not checked.

    `status` of the booking (confirmed, held, waitlisted, cancelled, expired) and its `position` in the waiting list;
    `promoted`: the number of promotions by a cancellation, a part or an edit; `available` tickets and `waiting`
    bookings by a read of the event; `quantity`: the tickets of a booking that was read or became smaller.
    """

    status: str | None = None
    booking_id: UUID | None = None
    position: int | None = None
    promoted: int | None = None
    available: int | None = None
    waiting: int | None = None
    quantity: int | None = None


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a history.

    `operation` connects the beginning and end of a call. `invoke` has a `call`, `ok` an `outcome`, `fail` a `code`.
    `at`: microseconds of the machine's monotonic clock, used by `History.merged`.
    """

    operation: int
    client: int
    kind: Kind
    call: Call | None = None
    outcome: Outcome | None = None
    code: str | None = None
    at: int


class Operation(Struct, frozen=True, kw_only=True):
    """A call with its end. `began` and `ended` are indexes of entries; `ended` None: it may still take effect.

    It has an `outcome` (ok), a `code` (fail: it has no effect) or neither (unknown).
    """

    number: int
    client: int
    call: Call
    began: int
    ended: int | None = None
    outcome: Outcome | None = None
    code: str | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether its outcome is unknown."""
        return self.ended is None

    def is_before(self, other: "Operation") -> bool:
        """Return whether it ended before the other began."""
        return self.ended is not None and self.ended < other.began

    def __str__(self) -> str:
        fields = [f"{name}={value}" for name, value in _set_fields(self.call) if name not in ("name", "event_id")]
        if self.code is not None:
            end = f"refused: {self.code}"
        elif self.outcome is not None:
            end = " ".join(f"{name}={value}" for name, value in _set_fields(self.outcome)) or "ok"
        else:
            end = "unknown"
        span = f"[{self.began}, {'…' if self.ended is None else self.ended}]"
        return f"#{self.number} client {self.client} {span} {self.call.name} {' '.join(fields)} → {end}"


def _set_fields(struct: Struct) -> Iterable[tuple[str, object]]:
    return ((name, value) for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not None)


def monotonic_microseconds() -> int:
    """Return the machine's monotonic clock, which its processes share."""
    return time.monotonic_ns() // 1_000


_ENTRY_DECODER: Final = msgspec.json.Decoder(Entry)


class History:
    """The requests and answers of several clients, which may be asyncio tasks of one thread.

    `now` returns monotonic microseconds. `write` gets each line at once; with the `write` of an unbuffered binary file,
    the history survives a crash of its process.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        now: Callable[[], int] = monotonic_microseconds,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        self.entries: list[Entry] = []
        self._now = now
        self._write = write
        self._client_of: dict[int, int] = {}
        self._next = 1
        for entry in entries:
            self._take(entry)

    def invoke(self, client: int, call: Call) -> int:
        """Record a request before it is sent, and return the number of the operation."""
        number = self._next
        self._take(Entry(operation=number, client=client, kind="invoke", call=call, at=self._now()))
        return number

    def ok(self, operation: int, outcome: Outcome) -> None:
        """Record an acknowledgement after the answer has arrived."""
        self._end(operation, "ok", outcome=outcome)

    def fail(self, operation: int, code: str) -> None:
        """Record a refusal: the operation has no effect, now or later."""
        self._end(operation, "fail", code=code)

    def unknown(self, operation: int) -> None:
        """Record an unknown outcome, for example a 503, a lost connection or a crash.

        The operation may have taken effect, may do so later, or never, like one without an end.
        """
        self._end(operation, "unknown")

    def operations(self) -> list[Operation]:
        """Return each call with its end, in the order of their beginnings."""
        found: dict[int, Operation] = {}
        for place, entry in enumerate(self.entries):
            if entry.call is not None:
                found[entry.operation] = Operation(
                    number=entry.operation, client=entry.client, call=entry.call, began=place
                )
            elif entry.kind != "unknown":
                found[entry.operation] = replace(
                    found[entry.operation], ended=place, outcome=entry.outcome, code=entry.code
                )
        return list(found.values())

    def of_event(self, event_id: UUID) -> "History":
        """Return the operations on one event, with the same numbers."""
        calls = (entry for entry in self.entries if entry.call is not None)
        numbers = {entry.operation for entry in calls if entry.call and entry.call.event_id == event_id}
        return History((entry for entry in self.entries if entry.operation in numbers), now=self._now)

    def to_lines(self) -> bytes:
        """Return it as JSON lines, one for each entry."""
        return b"".join(_line(entry) for entry in self.entries)

    @classmethod
    def from_lines(cls, lines: bytes) -> "History":
        """Return the history of such lines, without an incomplete last line.

        Raises: msgspec.DecodeError, ValueError for lines of another form.
        """
        complete = lines[: lines.rfind(b"\n") + 1]
        return cls(_ENTRY_DECODER.decode(line) for line in complete.splitlines() if line)

    @classmethod
    def merged(cls, histories: Iterable["History"]) -> "History":
        """Merge the histories of several processes of one machine by its clock.

        Each keeps its own order. Clients and operations get new numbers, because every process counts from 1. Of
        entries with the same microsecond, beginnings come first, so that operations of unknown order overlap.
        """
        clients: dict[tuple[int, int], int] = {}
        operations: dict[tuple[int, int], int] = {}
        numbered = [
            [(entry.at, entry.kind != "invoke", number, entry) for entry in history.entries]
            for number, history in enumerate(histories)
        ]
        merged = cls()
        for _, _, number, entry in merged_by(*numbered, key=lambda each: each[:2]):
            merged._take(
                replace(
                    entry,
                    client=clients.setdefault((number, entry.client), len(clients)),
                    operation=operations.setdefault((number, entry.operation), len(operations) + 1),
                )
            )
        return merged

    def __len__(self) -> int:
        return len(self.entries)

    def _end(self, operation: int, kind: Kind, *, outcome: Outcome | None = None, code: str | None = None) -> None:
        client = self._client_of.get(operation)
        if client is None:
            raise ValueError(f"operation {operation} is not under way")
        self._take(
            Entry(operation=operation, client=client, kind=kind, outcome=outcome, code=code, at=self._now()),
        )

    def _take(self, entry: Entry) -> None:
        if entry.kind == "invoke":
            if entry.call is None or entry.operation in self._client_of:
                raise ValueError(f"not the beginning of an operation: {entry}")
            self._client_of[entry.operation] = entry.client
            self._next = max(self._next, entry.operation + 1)
        elif (
            self._client_of.pop(entry.operation, None) is None
            or (entry.kind == "ok") is (entry.outcome is None)
            or (entry.kind == "fail") is (entry.code is None)
        ):
            raise ValueError(f"not the end of an operation under way: {entry}")
        self.entries.append(entry)
        if self._write is not None:
            self._write(_line(entry))


def _line(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"

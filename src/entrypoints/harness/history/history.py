"""Writing down what clients asked for and what they were told, in the order in which it happened.

The order of the entries is the truth that the checkers go by: an operation that ended before another began came before
it; two that overlap may have come in either order. The idea is Jepsen's (https://jepsen.io).
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
    "pay",
    "booking",
    "status",
    "total",
    "policy",
    "pause",
    "resume",
    "complete",
    "call_off",
    "promote",
    "edit",
]
"""What a client may ask for.

`book`, `cancel`, `pay` change a booking, `booking` reads one; `status` reads an event or one of its ticket types;
`total` sets a type's number of tickets; `policy`, `pause`, `resume`, `complete` (status completed), `call_off` (status
cancelled) and `edit` (anything else) change the event; `promote` serves its line.
"""
Kind = Literal["invoke", "ok", "fail", "unknown"]


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asked for.

    `customer_id` is who asks; None: the organizer. `booking_id` is which booking; None with `book`: the server makes
    the id (then the outcome names it), with `cancel`: the customer's only live booking of the event. `ticket_type_id`
    None: the only type there is, with `status` the event as a whole. `quantity`: the tickets to book or, with `total`,
    the new number of tickets. `policy`: the new one. `key`: the idempotency key, which belongs to the customer.
    """

    name: Name
    event_id: UUID
    customer_id: UUID | None = None
    booking_id: UUID | None = None
    ticket_type_id: UUID | None = None
    quantity: int | None = None
    policy: str | None = None
    key: str | None = None


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an acknowledgement said. None: it did not say, or nobody looked; then nothing is checked of it.

    `status` of the booking (confirmed, held, waitlisted, cancelled, expired) with its `position` in line, from 1, while
    it waits; `promoted`: how many a cancellation or an edit promoted; `available` tickets and `waiting` bookings as
    `status` told them.
    """

    status: str | None = None
    booking_id: UUID | None = None
    position: int | None = None
    promoted: int | None = None
    available: int | None = None
    waiting: int | None = None


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a history.

    `operation` joins the beginning of a call with its end, `client` is who made it. `call` comes with `invoke`,
    `outcome` with `ok`, `code` with `fail`. `at`: microseconds of the machine's monotonic clock, for people and for
    merging.
    """

    operation: int
    client: int
    kind: Kind
    call: Call | None = None
    outcome: Outcome | None = None
    code: str | None = None
    at: int


class Operation(Struct, frozen=True, kw_only=True):
    """A call with its end. `began` and `ended` are places in the history; `ended` None: it may still take effect.

    Exactly one of these: `outcome` (ok), `code` (fail, certainly without effect), neither (unknown).
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
        """Whether nobody knows if it happened."""
        return self.ended is None

    def is_before(self, other: "Operation") -> bool:
        """Whether it had ended when the other began."""
        return self.ended is not None and self.ended < other.began

    def __str__(self) -> str:
        asked = " ".join(f"{name}={value}" for name, value in _said(self.call) if name not in ("name", "event_id"))
        if self.code is not None:
            end = f"refused: {self.code}"
        elif self.outcome is not None:
            end = " ".join(f"{name}={value}" for name, value in _said(self.outcome)) or "ok"
        else:
            end = "unknown"
        span = f"[{self.began}, {'…' if self.ended is None else self.ended}]"
        return f"#{self.number} client {self.client} {span} {self.call.name} {asked} → {end}"


def _said(what: Struct) -> Iterable[tuple[str, object]]:
    return ((name, value) for name in what.__struct_fields__ if (value := getattr(what, name)) is not None)


def monotonic_microseconds() -> int:
    """The machine's monotonic clock, the same for all its processes."""
    return time.monotonic_ns() // 1_000


_LINE: Final = msgspec.json.Decoder(Entry)


class History:
    """What several clients asked for and were told. For one thread, with as many asyncio tasks as you like.

    `now` tells microseconds that never go back; a simulation puts its own. `write` is given each line as it happens
    (the `write` of a file opened in binary, unbuffered), so that a history outlives the process that wrote it.
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
        """A client asks. Say it before anything is sent. The operation's number."""
        number = self._next
        self._take(Entry(operation=number, client=client, kind="invoke", call=call, at=self._now()))
        return number

    def ok(self, operation: int, outcome: Outcome) -> None:
        """It was acknowledged. Say it after the answer is there."""
        self._end(operation, "ok", outcome=outcome)

    def fail(self, operation: int, code: str) -> None:
        """It was refused: it certainly has no effect, now or later."""
        self._end(operation, "fail", code=code)

    def unknown(self, operation: int) -> None:
        """Nobody knows: a 503, a lost connection, a crash. It may have happened, may happen later, or never.

        An operation that never ends in a history is the same.
        """
        self._end(operation, "unknown")

    def operations(self) -> list[Operation]:
        """Each call with its end, in the order in which they began."""
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
        """What concerns one event, under the same numbers."""
        calls = (entry for entry in self.entries if entry.call is not None)
        meant = {entry.operation for entry in calls if entry.call and entry.call.event_id == event_id}
        return History((entry for entry in self.entries if entry.operation in meant), now=self._now)

    def to_lines(self) -> bytes:
        """JSON lines, one for each entry."""
        return b"".join(_line(entry) for entry in self.entries)

    @classmethod
    def from_lines(cls, lines: bytes) -> "History":
        """The history of such lines; a last line that was cut off in the middle of writing is left out.

        Raises: msgspec.DecodeError, ValueError where the lines are none.
        """
        whole = lines[: lines.rfind(b"\n") + 1]
        return cls(_LINE.decode(line) for line in whole.splitlines() if line)

    @classmethod
    def merged(cls, histories: Iterable["History"]) -> "History":
        """One history of several processes of one machine, by their clock.

        Each keeps its own order. Clients and operations get new numbers, since every process counts from its own first.
        Of what happened in the same microsecond in two processes beginnings come first: then the two overlap, which
        claims nothing that is not known.
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

"""What the machine needs of an application, whatever it is built on and however it is reached.

The machine chooses the ids in its commands; an application that makes ids of its own maps them. What comes back names
everything by the machine's ids (see `Names`), so that answers of different applications can be compared as they are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from ....application.bookings.pay_booking import Bill
from ....domain.decisions.book import Book
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import AddTicketType, Edit, EditTicketType, Initialize
from ....domain.user import Actor
from ....domain.values.money import Money
from .troubled import Trouble

Command = Initialize | Book | Cancel | Bill | Edit | EditTicketType | AddTicketType

START = datetime(2030, 1, 1, tzinfo=UTC)


class HarnessClock:
    """A clock that moves when the machine moves it, by whole hours; all applications of a run share it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time


class Seen(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something as an application tells of it. As JSON it has the names that it has over HTTP."""


class BookingSeen(Seen, frozen=True, kw_only=True):
    """A booking as it counts now: a hold whose time is over has expired."""

    id: UUID
    event_id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int
    status: str
    amount: Money
    payment_status: str
    position: int | None
    tickets_ahead: int | None
    expires_at: datetime | None
    created_at: datetime


class CancellationSeen(Seen, frozen=True, kw_only=True):
    """A cancelled booking, and how many bookings its tickets promoted."""

    booking: BookingSeen
    promoted_count: int


class TicketTypeSeen(Seen, frozen=True, kw_only=True):
    """A kind of ticket with its counters."""

    id: UUID
    name: str
    price: Money | None
    total_tickets: int
    available_tickets: int
    waiting_list_count: int


class EventSeen(Seen, frozen=True, kw_only=True):
    """An event with its ticket types in their order."""

    id: UUID
    organizer_id: UUID
    starts_at: datetime | None
    max_tickets_per_customer: int
    payment_window_minutes: int | None
    cancellation_deadline_hours: int
    waiting_list_policy: str
    status: str
    version: int
    is_sold_out: bool
    ticket_types: list[TicketTypeSeen]


class FactSeen(Seen, frozen=True, kw_only=True):
    """What happened to an event; `data` as JSON."""

    seq: int
    kind: str
    booking_id: UUID | None
    occurred_at: datetime
    data: dict[str, Any]


class PaymentSeen(Seen, frozen=True, kw_only=True):
    """A charge or a refund."""

    id: UUID
    kind: str
    status: str
    method: str
    amount: Money
    created_at: datetime
    settled_at: datetime | None


Answer = BookingSeen | CancellationSeen | EventSeen | str
"""What is answered to a command; a `str` is the code of a refusal, or `payment-unknown`."""


class Replay(Struct, frozen=True):
    """What was answered when the key came first, told again."""

    answer: Answer


Outcome = Answer | Replay
"""What comes of an order."""


class Order(Struct, frozen=True):
    """A command, maybe with an idempotency key."""

    command: Command
    key: str | None = None

    def read(self, body: bytes) -> Answer:
        """What it is answered where nothing refuses it, from JSON."""
        match self.command:
            case Book() | Bill():
                return msgspec.json.decode(body, type=BookingSeen)
            case Cancel():
                return msgspec.json.decode(body, type=CancellationSeen)
            case _:
                return msgspec.json.decode(body, type=EventSeen)


class EventLook(Struct, frozen=True, kw_only=True):
    """All that may be read of an event: its bookings newest first, and the changes since the look before this one."""

    event: EventSeen
    bookings: list[BookingSeen]
    waiting_list: list[BookingSeen]
    changes: list[FactSeen]


class BookingLook(Struct, frozen=True, kw_only=True):
    """All that may be read of a booking; its charges and refunds oldest first."""

    booking: BookingSeen
    payments: list[PaymentSeen]


class BoxOffice(Protocol):
    """A whole application with nothing in it yet, on the machine's clock. Where a `str` comes back, it was refused."""

    async def give(self, orders: Sequence[Order]) -> list[Outcome]:
        """Commands that arrive at once, in this order; what came of each."""

    async def event(self, event_id: UUID, actor: Actor) -> EventLook | str:
        """An event and all that lies below it, read by somebody."""

    async def booking(self, booking_id: UUID, actor: Actor) -> BookingLook | str:
        """A booking, read by somebody."""

    async def bookings_of(self, actor: Actor) -> list[BookingSeen]:
        """Somebody's own bookings, newest first."""

    async def promote(self, event_id: UUID) -> int:
        """What an operator does: serve an event's line; how many were promoted."""

    async def sweep(self) -> int:
        """One round of the background work; how many payments the provider was asked about."""

    async def trouble(self, trouble: Trouble) -> None:
        """One of the next commits gets into this. No outcome may be another for it."""

    async def money_kept(self) -> int:
        """What the payment provider took and did not give back, by its own books, in minor units."""

    async def breaches(self) -> list[str]:
        """What `VerifyPromises` finds broken."""

    async def close(self) -> None:
        """Let go of everything; nothing is asked after it."""


class Names:
    """Which of an application's ids is which of the machine's.

    Ids that no command named (of payments, say) are numbered in the order in which they are met.
    """

    def __init__(self) -> None:
        self._names: dict[UUID, UUID] = {}
        self._ids: dict[UUID, UUID] = {}
        self._met = 0

    def give(self, name: UUID, id_: UUID) -> None:
        """The machine means this one."""
        self._names[id_] = name
        self._ids[name] = id_

    def id_of(self, name: UUID) -> UUID:
        """The application's id. Raises: KeyError."""
        return self._ids[name]

    def name_of(self, id_: UUID) -> UUID:
        """The machine's id."""
        if id_ not in self._names:
            self._met += 1
            self.give(UUID(int=(1 << 127) + self._met), id_)
        return self._names[id_]

    def translated(self, value: Any) -> Any:
        """Something that was seen, with the machine's ids: a `Seen`, or what JSON is made of."""
        match value:
            case UUID():
                return self.name_of(value)
            case Struct():
                fields = {name: self.translated(getattr(value, name)) for name in value.__struct_fields__}
                return type(value)(**fields)
            case dict():
                return {name: self.translated(each) for name, each in value.items()}
            case list():
                return [self.translated(each) for each in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _text(self, text: str) -> str:
        try:
            id_ = UUID(text)
        except ValueError:
            return text
        return str(self.name_of(id_))


def difference(found: Any, expected: Any, where: str = "") -> str | None:
    """Where two things that were seen differ first, and how; None where they do not."""
    if found == expected:
        return None
    if isinstance(found, Struct) and type(found) is type(expected):
        pairs = [(f"{where}.{name}", getattr(found, name), getattr(expected, name)) for name in found.__struct_fields__]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(found, expected, strict=True))]
    else:
        pairs = []
    differences = (difference(one, other, place) for place, one, other in pairs)
    return next((each for each in differences if each), f"{where or 'it'} is {found!r}, not {expected!r}")

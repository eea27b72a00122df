"""What the machine needs of an application, for every adapter and every protocol.

The machine chooses the ids in its commands; an application that generates its own ids maps them. Results contain the
machine's ids (see `Names`), so that those of different applications can be compared.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from ....application.api_keys.create_api_key import NewApiKey
from ....application.bookings.book_for_other import BookingForOther
from ....application.bookings.pay_booking import Bill
from ....application.payments.grant_refund import Grant
from ....application.payments.settle_refund import Settlement
from ....domain.decisions.book import Book
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.payments.notices import PaymentNotice
from ....domain.facts import Fact
from ....domain.payment import Payment
from ....domain.user import Actor
from ....domain.values.money import Money
from .commands import Appoint, Command, Dismiss, GiveBack
from .container.troubled import Trouble

START = datetime(2030, 1, 1, tzinfo=UTC)


FIRST_WITHOUT_ACCOUNT: Final = 301
"""Users from this number on have no account until somebody books for them, and cannot sign in."""


def address_of(user_id: UUID) -> str:
    """Return the e-mail address of a machine's user."""
    return f"user{user_id.int}@example.org"


def user_of(address: str) -> UUID:
    """Return the machine's user with this e-mail address."""
    return UUID(int=int(address.removeprefix("user").removesuffix("@example.org")))


def has_account(user_id: UUID) -> bool:
    """Return whether a machine's user has an account from the beginning."""
    return user_id.int < FIRST_WITHOUT_ACCOUNT


class HarnessClock:
    """A clock that only the machine advances; all applications of a run share it."""

    def __init__(self) -> None:
        self.time: datetime = START

    def now(self) -> datetime:
        """Return the time that was set."""
        return self.time


class Seen(Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a result. As JSON its fields have the names of the HTTP interface."""


class BookingSeen(Seen, frozen=True, kw_only=True):
    """A booking; a hold after its `expires_at` is expired."""

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
    """A cancelled booking, the number of promotions, and what is refunded."""

    booking: BookingSeen
    promoted_count: int
    refund: Money | None


class TicketTypeSeen(Seen, frozen=True, kw_only=True):
    """A ticket type with its counters."""

    id: UUID
    name: str
    price: Money | None
    total_tickets: int
    available_tickets: int
    waiting_list_count: int


class EventSeen(Seen, frozen=True, kw_only=True):
    """An event with its ticket types in order."""

    id: UUID
    organizer_id: UUID
    starts_at: datetime | None
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    time_zone: str
    max_tickets_per_customer: int
    payment_window_minutes: int | None
    cancellation_deadline_hours: int
    refund_fee_percent: int
    waiting_list_policy: str
    max_overtakes: int | None
    waiting_list: str
    log: str
    status: str
    version: int
    is_sold_out: bool
    ticket_types: list[TicketTypeSeen]


class FactSeen(Seen, frozen=True, kw_only=True):
    """A fact of an event; `data` as JSON."""

    seq: int
    kind: str
    booking_id: UUID | None
    occurred_at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, fact: Fact) -> "FactSeen":
        """Return what is seen of a fact."""
        return cls(
            seq=fact.seq,
            kind=fact.kind,
            booking_id=fact.booking_id,
            occurred_at=fact.occurred_at,
            data=msgspec.json.decode(msgspec.json.encode(fact.what.all_values)),
        )


class PaymentSeen(Seen, frozen=True, kw_only=True):
    """A charge or a refund."""

    id: UUID
    kind: str
    status: str
    method: str
    amount: Money
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, payment: Payment) -> "PaymentSeen":
        """Return what is seen of a charge or a refund."""
        return cls(
            id=payment.id,
            kind=payment.kind.value,
            status=payment.status.value,
            method=payment.method.value,
            amount=payment.amount,
            created_at=payment.created_at,
            settled_at=payment.settled_at,
        )


class StaffSeen(Seen, frozen=True, kw_only=True):
    """A user who works for an event."""

    user_id: UUID
    role: str


DISMISSED: Final = "dismissed"
"""The answer to `Dismiss`."""

Answer = BookingSeen | CancellationSeen | EventSeen | PaymentSeen | StaffSeen | str
"""The answer to a command; a `str` is the code of a refusal, `payment-unknown` or `dismissed`."""


class Replay(Struct, frozen=True):
    """The repeated answer to the first request with a key."""

    answer: Answer


Outcome = Answer | Replay
"""The outcome of an order."""


class Order(Struct, frozen=True):
    """A command, optionally with an idempotency key, by its actor or with an API key of theirs (the machine's id)."""

    command: Command
    key: str | None = None
    api_key: UUID | None = None

    def read(self, body: bytes) -> Answer:
        """Decode the answer to the command from JSON."""
        match self.command:
            case Book() | BookingForOther() | Bill():
                return msgspec.json.decode(body, type=BookingSeen)
            case Cancel() | GiveBack():
                return msgspec.json.decode(body, type=CancellationSeen)
            case Grant() | Settlement():
                return msgspec.json.decode(body, type=PaymentSeen)
            case Appoint():
                return msgspec.json.decode(body, type=StaffSeen)
            case Dismiss():
                return DISMISSED
            case _:
                return msgspec.json.decode(body, type=EventSeen)


class AttendeeSeen(Seen, frozen=True, kw_only=True):
    """A ticket of an event."""

    number: int
    ticket_type_id: UUID
    status: str
    booking_id: UUID
    checked_in_at: datetime | None


HOLDERS: Final = ("Grace", "Hopper")
"""Names that holders of tickets are given. No account has them."""


class ScanSent(Struct, frozen=True, kw_only=True):
    """A scan of a ticket's code, which may be of another event; without a booking of what is no code."""

    id: UUID
    event_id: UUID
    booking_id: UUID | None
    number: int
    serial: int = 1
    at: datetime
    is_offline: bool


class TicketSeen(Seen, frozen=True, kw_only=True):
    """A ticket with the serial of its code, and the name that it was given."""

    number: int
    serial: int
    holder: str | None
    status: str


class ScanSeen(Seen, frozen=True, kw_only=True):
    """The answer to a scan, with the number of its ticket."""

    id: UUID
    result: str
    number: int | None
    admitted_at: datetime | None


class UndoneSeen(Seen, frozen=True, kw_only=True):
    """An entry that was undone, and when its ticket counts as used now."""

    number: int
    checked_in_at: datetime | None


class DoorLook(Struct, frozen=True, kw_only=True):
    """What a scanner reads by number: void, used and reissued tickets, and the entries of those let in twice."""

    void: list[int]
    used: list[tuple[int, datetime]]
    reissued: list[tuple[int, int]]
    conflicts: list[tuple[int, list[UUID]]]


class ExplanationSeen(Seen, frozen=True, kw_only=True):
    """Why a booking stands where it stands; `since` and `chance` as JSON."""

    status: str
    code: str
    sentence: str
    policy: str
    position: int | None
    tickets_ahead: int | None
    since: dict[str, int]
    chance: dict[str, int] | None


class EventLook(Struct, frozen=True, kw_only=True):
    """The details of an event: its bookings, newest first, its tickets, and the facts since the previous look."""

    event: EventSeen
    bookings: list[BookingSeen]
    waiting_list: list[BookingSeen]
    attendees: list[AttendeeSeen]
    changes: list[FactSeen]


class BookingLook(Struct, frozen=True, kw_only=True):
    """The details of a booking; its charges and refunds, oldest first."""

    booking: BookingSeen
    payments: list[PaymentSeen]
    explanation: ExplanationSeen


class BoxOffice(Protocol):
    """A whole application, without data, on the machine's clock. A returned `str` is the code of a refusal."""

    async def give(self, orders: Sequence[Order]) -> list[Outcome]:
        """Execute commands that arrive concurrently, in this order, and return their outcomes."""

    async def event(self, event_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> EventLook | str:
        """Return an event with its details, as this actor may read it, or this API key of theirs."""

    async def booking(self, booking_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> BookingLook | str:
        """Return a booking with its payments, as this actor may read it, or this API key of theirs."""

    async def lists(self, event_id: UUID, actor: Actor) -> list[BookingSeen] | str:
        """Return an event's bookings, newest first, then those on its waiting list, as this actor may read them."""

    async def tickets(self, booking_id: UUID, actor: Actor) -> list[TicketSeen] | str:
        """Return the tickets of a booking, as this actor may see them."""

    async def change_ticket(
        self, booking_id: UUID, number: int, actor: Actor, holder: str | None, *, reissue: bool
    ) -> TicketSeen | str:
        """Name the holder of a ticket, or give it a new code, or both."""

    async def scan(self, event_id: UUID, actor: Actor, scans: Sequence[ScanSent]) -> list[ScanSeen] | str:
        """Check tickets in, in one command, and return the answers in the order of the scans."""

    async def undo_check_in(self, event_id: UUID, check_in_id: UUID, actor: Actor) -> UndoneSeen | str:
        """Undo an entry."""

    async def door(self, event_id: UUID, actor: Actor) -> DoorLook | str:
        """Return what a scanner reads of an event."""

    async def bookings_of(self, actor: Actor) -> list[BookingSeen]:
        """Return the actor's own bookings, newest first."""

    async def make_api_key(self, key_id: UUID, command: NewApiKey) -> str | None:
        """Make an API key, and return the code of a refusal if there is one."""

    async def revoke_api_key(self, key_id: UUID, actor: Actor) -> str | None:
        """Revoke an API key of the actor's at once, and return the code of a refusal if there is one."""

    async def set_disabled(self, user_id: UUID, disabled: bool) -> None:
        """Disable or enable the account of a user, who gives no command while it is disabled."""

    async def erase(self, user_id: UUID) -> str | None:
        """Erase an account, whose user asks for it; a `str` is the code of a refusal."""

    async def promote(self, event_id: UUID) -> int:
        """Serve an event's waiting lists, and return the number of promotions."""

    async def sweep(self) -> int:
        """Run one round of the background work, and return the number of payments that it checked."""

    async def act(self) -> None:
        """Let every customer authenticate, at the payment provider, the charge that waits for it."""

    async def refuse_refunds(self, refuses: bool) -> None:
        """Let the payment provider refuse refunds for good, or pay them again."""

    async def notice(self, notice: PaymentNotice) -> None:
        """Let the payment provider tell something of a payment, which has the machine's id."""

    async def trouble(self, trouble: Trouble) -> None:
        """Let one of the next commits fail in this way. No outcome may change."""

    async def money_kept(self) -> int:
        """Return what the payment provider took and did not refund, by its ledger, in minor units."""

    async def breaches(self) -> list[str]:
        """Return the broken promises that `VerifyPromises` finds, and what a stranger finds in a public log."""

    async def close(self) -> None:
        """Release all resources. No other call follows."""


class Names:
    """The mapping between an application's ids and the machine's.

    Ids that are in no command, for example of payments, are numbered in the order of their first use.
    """

    def __init__(self) -> None:
        self._names: dict[UUID, UUID] = {}
        self._ids: dict[UUID, UUID] = {}
        self._unnamed = 0

    def give(self, name: UUID, id_: UUID) -> None:
        """Map a machine's id to an application's id."""
        self._names[id_] = name
        self._ids[name] = id_

    def id_of(self, name: UUID) -> UUID:
        """Return the application's id. Raises: KeyError."""
        return self._ids[name]

    def meet(self, name: UUID, id_: UUID) -> None:
        """Map a machine's id that may be known already. Raises: AssertionError if it is another id's."""
        assert self._ids.setdefault(name, id_) == id_, f"{name} is {self._ids[name]}, not {id_}"
        self._names[id_] = name

    def name_of(self, id_: UUID) -> UUID:
        """Return the machine's id."""
        if id_ not in self._names:
            self._unnamed += 1
            self.give(UUID(int=(1 << 127) + self._unnamed), id_)
        return self._names[id_]

    def translated(self, value: Any) -> Any:
        """Return a `Seen` or a JSON value with the machine's ids."""
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
    """Describe the first difference between two results; None: they are equal."""
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

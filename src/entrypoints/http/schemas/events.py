"""Bodies of events and their ticket types."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, cast
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from ....domain.decisions.organize import EVENT_CHANGE_RULES, general_admission
from ....domain.draws.draw import Admission, DrawSource
from ....domain.event import EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from ....domain.facts import Fact
from ....domain.tickets.ticket_type import (
    TICKET_TYPE_CHANGE_RULES,
    TICKET_TYPE_RULES,
    EventState,
    TicketTypeSpec,
)
from ....domain.values.fields import Rules
from ....domain.values.money import MOST, Money, currency
from ....domain.values.time_zones import LONGEST_ZONE
from ..decoding import RequestBody
from ..problems.problem import FieldProblem, pointer
from .fields import CreatedAt, CurrencyCode, Description, EventId, Name, NextCursor, TicketTypeId, Time, Venue, View

_STARTS_AT = Meta(description="When it starts; `null`: not set.", examples=["2027-05-01T19:00:00Z"])
_ENDS_AT = Meta(description="When it ends.")
_TIME_ZONE = Meta(
    description="The IANA name of its time zone: mails tell times in it, and a move to another day is judged in it.",
    examples=["Europe/Paris"],
)
_SALES_OPEN_AT = Meta(description="When the sale opens; `null`: at once.")
_SALES_CLOSE_AT = Meta(description="When the sale closes; `null`: at the start.")
_MOST_TICKETS = Meta(description="The most live tickets of one customer.")
_PAYMENT_WINDOW = Meta(description="How long tickets are held for payment; `null`: bookings are confirmed at once.")
_DEADLINE = Meta(description="Customers may cancel until this many hours before the start.")
_FEE = Meta(description="The part of a refund, in percent, that a customer's own cancellation costs.")
_POLICY = Meta(
    description="`strict`: no waiting booking is overtaken; `fill`: freed tickets go to the first booking they fit."
)
_NEW_POLICY = Meta(description="A new policy, by which the waiting list is served at once.")
_BOUND = Meta(
    description="With `fill`: how often a waiting booking may be overtaken before nobody behind it is served, no "
    "newcomer either; `null`: no bound."
)
_WAITING_LIST = Meta(
    description="`on`: newcomers who find too few tickets join the waiting list; `off`: they are refused (`sold-out`). "
    "Bookings that wait keep their places and are served either way."
)
_PRICE = Meta(description="The price of one ticket; `null`: free.")
_TOTAL = Meta(description="The number of tickets.", examples=[100])
_NEW_TOTAL = Meta(
    description="The number of tickets: at least those taken, and those that any one waiting booking asks for. 0: the "
    "type is withdrawn from sale.",
    examples=[100],
)
_LOG = Meta(
    description="`receipts`: customers get receipts of their bookings from the event's log. `public`: everybody may "
    "read the log too. `off`: there is none."
)
_ADMISSION = Meta(
    description="`line`: first come, first served. `draw`: bookings before `drawClosesAt` are entries of a draw, in "
    "whose order the waiting list begins. It never changes."
)
_DRAW_CLOSES_AT = Meta(description="When the draw stops taking entries; `null`: there is no draw. It never changes.")
_DRAW_SOURCE = Meta(
    description="Where the draw's randomness comes from. `drand`: a public beacon of a minute after the closing, which "
    "nobody can know before. `operator`: a secret of the service, committed to at the beginning and published by the "
    "draw; weaker, because its operator could know it. `null`: there is no draw. It never changes."
)
_AVAILABLE = Meta(description="Tickets that are not taken.", examples=[98])
_WAITING = Meta(description="The number of bookings in the waiting list.", examples=[0])
_SOLD_OUT = Meta(description="Whether a newcomer cannot get a ticket of any type without waiting.")
_STATUS = Meta(description="The event's status.")
_TicketCount = Annotated[int, Meta(ge=1, le=1_000_000)]
_NewTicketCount = Annotated[int, Meta(ge=0, le=1_000_000)]
_PerCustomer = Annotated[int, Meta(ge=1, le=1_000)]
_TimeZone = Annotated[str, Meta(extra_json_schema={"minLength": 2, "maxLength": LONGEST_ZONE})]
_Minutes = Annotated[int, Meta(ge=1, le=43_200)]
_Hours = Annotated[int, Meta(ge=0, le=8_760)]
_Percent = Annotated[int, Meta(ge=0, le=100)]
_Overtakes = Annotated[int, Meta(ge=0, le=1_000)]


class InitialStatus(StrEnum):
    """The status of a new event. A `draft` is hidden until it is put on sale."""

    ON_SALE = "on_sale"
    DRAFT = "draft"


class Price(RequestBody, frozen=True, kw_only=True):
    """The price of one ticket; an `amount` of 0 is free."""

    # The rule of the enclosing struct's field converts it to `Money`.
    rules: ClassVar[Rules] = {"currency": currency}

    amount: Annotated[int, Meta(ge=0, le=MOST, description="Minor units, such as cents.", examples=[2_500])]
    currency: Annotated[CurrencyCode, Meta(description="An ISO 4217 code.", examples=["EUR"])]


class TicketTypeRequest(RequestBody, frozen=True, kw_only=True):
    """A new ticket type."""

    rules: ClassVar[Rules] = TICKET_TYPE_RULES

    name: Annotated[Name, Meta(description="Its name, unique in the event regardless of case.", examples=["Balcony"])]
    total_tickets: Annotated[_TicketCount, Meta(description="The number of tickets.", examples=[40])]
    price: Annotated[Price | None, _PRICE] = None


class TicketTypeChangesRequest(RequestBody, frozen=True, kw_only=True):
    """Changes to a ticket type."""

    rules: ClassVar[Rules] = TICKET_TYPE_CHANGE_RULES

    name: Annotated[Name | UnsetType, Meta(description="A new name.")] = UNSET
    total_tickets: Annotated[_NewTicketCount | UnsetType, _NEW_TOTAL] = UNSET
    price: Annotated[Price | UnsetType | None, _PRICE] = UNSET


_TicketTypes = Annotated[list[TicketTypeRequest], Meta(min_length=1, max_length=50)]


class InitializeRequest(RequestBody, frozen=True, kw_only=True):
    """A new event. Either `totalTickets` (and `price`) for one ticket type, or `ticketTypes` for several.

    Defaults: `timeZone` `UTC`, `maxTicketsPerCustomer` 10, `cancellationDeadlineHours` 0, `waitingListPolicy` `strict`,
    `waitingList` `on`, `log` `receipts`, `admission` `line`, `drawSource` of a draw `drand`, `status` `on_sale`;
    everything else is empty or not set.
    """

    rules: ClassVar[Rules] = EVENT_CHANGE_RULES

    name: Annotated[Name, Meta(description="The event's name.", examples=["Jazz night"])]
    description: Annotated[Description, Meta(description="A description, which may have line breaks.")] = ""
    venue: Annotated[Venue, Meta(description="The venue.")] = ""
    starts_at: Annotated[Time | None, _STARTS_AT] = None
    ends_at: Annotated[Time | None, _ENDS_AT] = None
    time_zone: Annotated[_TimeZone, _TIME_ZONE] = "UTC"
    sales_open_at: Annotated[Time | None, _SALES_OPEN_AT] = None
    sales_close_at: Annotated[Time | None, _SALES_CLOSE_AT] = None
    max_tickets_per_customer: Annotated[_PerCustomer, _MOST_TICKETS] = 10
    payment_window_minutes: Annotated[_Minutes | None, _PAYMENT_WINDOW] = None
    cancellation_deadline_hours: Annotated[_Hours, _DEADLINE] = 0
    refund_fee_percent: Annotated[_Percent, _FEE] = 0
    waiting_list_policy: Annotated[WaitingListPolicy, _POLICY] = WaitingListPolicy.STRICT
    max_overtakes: Annotated[_Overtakes | None, _BOUND] = None
    waiting_list: Annotated[WaitingListMode, _WAITING_LIST] = WaitingListMode.ON
    log: Annotated[LogMode, _LOG] = LogMode.RECEIPTS
    admission: Annotated[Admission, _ADMISSION] = Admission.LINE
    draw_closes_at: Annotated[Time | None, _DRAW_CLOSES_AT] = None
    draw_source: Annotated[DrawSource | None, _DRAW_SOURCE] = None
    status: Annotated[InitialStatus, Meta(description="`draft`: hidden until it is put on sale.")] = (
        InitialStatus.ON_SALE
    )
    total_tickets: Annotated[_TicketCount | UnsetType, _TOTAL] = UNSET
    price: Annotated[Price | UnsetType | None, _PRICE] = UNSET
    ticket_types: Annotated[_TicketTypes | UnsetType, Meta(description="Several ticket types.")] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Require one ticket type or a list of them."""
        if "ticketTypes" in given:
            beside = [name for name in ("totalTickets", "price") if name in given]
            yield from (FieldProblem(pointer(name), "must not be combined with ticketTypes") for name in beside)
        elif "totalTickets" not in given:
            yield FieldProblem(pointer("totalTickets"), "is required unless ticketTypes is given")

    def to_specs(self) -> list[TicketTypeSpec]:
        """Return the specifications of the ticket types."""
        if isinstance(self.ticket_types, list):
            return [each.to(TicketTypeSpec) for each in self.ticket_types]
        # Decoding has checked that the number is given, and converted the price to `Money`.
        return [general_admission(cast("int", self.total_tickets), cast("Money | None", self.price or None))]


class EventChangesRequest(RequestBody, frozen=True, kw_only=True):
    """Changes to an event; `totalTickets` and `price` only if it has one ticket type."""

    rules: ClassVar[Rules] = EVENT_CHANGE_RULES

    name: Annotated[Name | UnsetType, Meta(description="A new name.")] = UNSET
    description: Annotated[Description | UnsetType, Meta(description="A new description.")] = UNSET
    venue: Annotated[Venue | UnsetType, Meta(description="A new venue.")] = UNSET
    starts_at: Annotated[Time | UnsetType | None, _STARTS_AT] = UNSET
    ends_at: Annotated[Time | UnsetType | None, _ENDS_AT] = UNSET
    time_zone: Annotated[_TimeZone | UnsetType, _TIME_ZONE] = UNSET
    sales_open_at: Annotated[Time | UnsetType | None, _SALES_OPEN_AT] = UNSET
    sales_close_at: Annotated[Time | UnsetType | None, _SALES_CLOSE_AT] = UNSET
    max_tickets_per_customer: Annotated[_PerCustomer | UnsetType, _MOST_TICKETS] = UNSET
    payment_window_minutes: Annotated[_Minutes | UnsetType | None, _PAYMENT_WINDOW] = UNSET
    cancellation_deadline_hours: Annotated[_Hours | UnsetType, _DEADLINE] = UNSET
    refund_fee_percent: Annotated[_Percent | UnsetType, _FEE] = UNSET
    waiting_list_policy: Annotated[WaitingListPolicy | UnsetType, _NEW_POLICY] = UNSET
    max_overtakes: Annotated[_Overtakes | UnsetType | None, _BOUND] = UNSET
    waiting_list: Annotated[WaitingListMode | UnsetType, _WAITING_LIST] = UNSET
    log: Annotated[LogMode | UnsetType, _LOG] = UNSET
    status: Annotated[EventStatus | UnsetType, Meta(description="The next status.")] = UNSET
    total_tickets: Annotated[_TicketCount | UnsetType, _TOTAL] = UNSET
    price: Annotated[Price | UnsetType | None, _PRICE] = UNSET


class TicketTypeView(View, frozen=True, kw_only=True):
    """A ticket type."""

    id: TicketTypeId
    name: Annotated[str, Meta(description="Its name.", examples=["General admission"])]
    price: Annotated[Money | None, _PRICE]
    total_tickets: Annotated[int, _TOTAL]
    available: Annotated[int, _AVAILABLE] = field(name="availableTickets")
    waiting: Annotated[int, _WAITING] = field(name="waitingListCount")


class EventView(View, frozen=True, kw_only=True):
    """An event with its ticket types."""

    id: EventId
    organizer_id: Annotated[UUID, Meta(description="The account that initialized it.")]
    name: Annotated[str, Meta(description="The event's name.", examples=["Jazz night"])]
    description: Annotated[str, Meta(description="The description.")]
    venue: Annotated[str, Meta(description="The venue.")]
    starts_at: Annotated[Time | None, _STARTS_AT]
    ends_at: Annotated[Time | None, _ENDS_AT]
    time_zone: Annotated[str, _TIME_ZONE]
    sales_open_at: Annotated[Time | None, _SALES_OPEN_AT]
    sales_close_at: Annotated[Time | None, _SALES_CLOSE_AT]
    max_tickets_per_customer: Annotated[int, _MOST_TICKETS]
    payment_window_minutes: Annotated[int | None, _PAYMENT_WINDOW]
    cancellation_deadline_hours: Annotated[int, _DEADLINE]
    refund_fee_percent: Annotated[int, _FEE]
    waiting_list_policy: Annotated[WaitingListPolicy, Meta(description="How the waiting list is served.")]
    max_overtakes: Annotated[int | None, _BOUND]
    waiting_list: Annotated[WaitingListMode, _WAITING_LIST]
    log: Annotated[LogMode, _LOG]
    admission: Annotated[Admission, _ADMISSION]
    draw_closes_at: Annotated[Time | None, _DRAW_CLOSES_AT]
    draw_source: Annotated[DrawSource | None, _DRAW_SOURCE]
    status: Annotated[EventStatus, _STATUS]
    price: Annotated[Money | None, Meta(description="The price of one ticket; `null`: free, or several ticket types.")]
    total_tickets: Annotated[int, _TOTAL]
    available_tickets: Annotated[int, _AVAILABLE]
    waiting_list_count: Annotated[int, _WAITING]
    is_sold_out: Annotated[bool, _SOLD_OUT]
    ticket_types: Annotated[list[TicketTypeView], Meta(description="Its ticket types.")]
    version: Annotated[int, Meta(description="Incremented by edits, not by bookings.", examples=[1])]
    created_at: CreatedAt

    @classmethod
    def at(cls, state: EventState, now: datetime) -> "EventView":
        """Return an event with the sums of its ticket types. Whether it is sold out depends on `now`."""
        types = state.ticket_types
        return cls.of(state.event, price=types[0].price if len(types) == 1 else None, **_counters(state, now))


class EventPage(View, frozen=True, kw_only=True):
    """A page of events."""

    items: Annotated[list[EventView], Meta(description="The events of this page, soonest first.")]
    next_cursor: NextCursor


class StatusView(View, frozen=True, kw_only=True):
    """How many tickets of an event are left."""

    event_id: EventId
    name: Annotated[str, Meta(description="The event's name.", examples=["Jazz night"])]
    status: Annotated[EventStatus, _STATUS]
    total_tickets: Annotated[int, _TOTAL]
    available_tickets: Annotated[int, _AVAILABLE]
    waiting_list_count: Annotated[int, _WAITING]
    is_sold_out: Annotated[bool, _SOLD_OUT]
    ticket_types: Annotated[list[TicketTypeView], Meta(description="The same for each ticket type.")]

    @classmethod
    def at(cls, state: EventState, now: datetime) -> "StatusView":
        """Return the counters of an event and of its ticket types."""
        return cls.of(state.event, event_id=state.event.id, **_counters(state, now))


def _counters(state: EventState, now: datetime) -> dict[str, Any]:
    types = state.ticket_types
    return {
        "total_tickets": sum(each.total_tickets for each in types),
        "available_tickets": sum(each.available for each in types),
        "waiting_list_count": sum(each.waiting for each in types),
        "is_sold_out": state.is_sold_out(now),
        "ticket_types": [TicketTypeView.of(each) for each in types],
    }


class FactView(View, frozen=True, kw_only=True):
    """A fact of an event."""

    seq: Annotated[int, Meta(description="Its sequence number in the event, gapless from 1.", examples=[2])]
    kind: Annotated[str, Meta(description="The fact's kind, as listed for webhooks.", examples=["TicketsBooked"])]
    booking_id: Annotated[UUID | None, Meta(description="The booking concerned; `null`: the event itself.")]
    occurred_at: Annotated[Time, Meta(description="When it happened.")]
    data: Annotated[dict[str, Any], Meta(description="What changed; the webhook of its kind lists the members.")]


class ChangesView(View, frozen=True, kw_only=True):
    """Facts in order."""

    items: Annotated[
        list[FactView], Meta(description="The facts after the requested number; empty if there are no new ones.")
    ]
    last_seq: Annotated[int, Meta(description="Set `after` to this in the next request.", examples=[2])]

    @classmethod
    def after(cls, facts: list[Fact], after: int) -> "ChangesView":
        """Return facts and the number after which to continue."""
        items = [FactView.of(fact, data=fact.what.all_values) for fact in facts]
        return cls(items=items, last_seq=items[-1].seq if items else after)

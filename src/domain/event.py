"""Events and their ticket types: what an organizer sets up, and the rules for its values."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs

from .refusals import (
    EventStarted,
    FieldError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotOnSale,
    TooManyEvents,
    TooManyTicketTypes,
    invalid,
)
from .user import Actor, Role
from .values.characters import look_alike_key
from .values.fields import Rules, checked, moment, optional, text, whole
from .values.money import Money, price

MOST_TICKET_TYPES = 50
MOST_LIVE_EVENTS = 200
"""Drafts and events on sale or paused that one organizer has at a time."""

GENERAL_ADMISSION = "General admission"
"""The one ticket type of an event that names none."""


class EventStatus(StrEnum):
    """The life of an event. Nothing leaves `cancelled` or `completed`."""

    DRAFT = "draft"
    ON_SALE = "on_sale"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def is_closed(self) -> bool:
        """Whether the event is over for good."""
        return self in (EventStatus.CANCELLED, EventStatus.COMPLETED)

    def may_become(self, other: "EventStatus") -> bool:
        """Whether the life cycle has this step."""
        return other in _STEPS[self]


_ON_SALE: Final = EventStatus.ON_SALE
_COMPLETED: Final = EventStatus.COMPLETED
_STEPS = {
    EventStatus.DRAFT: {EventStatus.ON_SALE, EventStatus.CANCELLED},
    EventStatus.ON_SALE: {EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED},
    EventStatus.PAUSED: {EventStatus.ON_SALE, EventStatus.COMPLETED, EventStatus.CANCELLED},
    EventStatus.COMPLETED: set[EventStatus](),
    EventStatus.CANCELLED: set[EventStatus](),
}


class WaitingListPolicy(StrEnum):
    """`strict`: nobody is overtaken. `fill`: freed tickets go to the first in line whom they fit."""

    STRICT = "strict"
    FILL = "fill"


EVENT_RULES: Rules = {
    "name": text(1, 200),
    "description": text(0, 1_000, lines=True),
    "venue": text(0, 200),
    "starts_at": optional(moment),
    "ends_at": optional(moment),
    "sales_open_at": optional(moment),
    "sales_close_at": optional(moment),
    "max_tickets_per_customer": whole(1, 1_000),
    "payment_window_minutes": optional(whole(1, 43_200)),
    "cancellation_deadline_hours": whole(0, 8_760),
}
TICKET_TYPE_RULES: Rules = {
    "name": text(1, 200),
    "total_tickets": whole(1, 1_000_000),
    "price": optional(price),
}


class EventDetails(Struct, frozen=True, gc=False, kw_only=True):
    """What the organizer says of an event, apart from its tickets. Times are in UTC once checked."""

    name: str
    description: str = ""
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    sales_open_at: datetime | None = None
    sales_close_at: datetime | None = None
    max_tickets_per_customer: int = 10
    payment_window_minutes: int | None = None
    cancellation_deadline_hours: int = 0
    waiting_list_policy: WaitingListPolicy = WaitingListPolicy.STRICT

    def check_times(self, before: "EventDetails | None" = None) -> None:
        """`before` is what an edit starts from: what it leaves as it was may be older than a rule.

        Raises: InvalidRequest where times contradict each other.
        """
        errors = []
        if self.ends_at and not self.starts_at:
            errors.append(FieldError(("ends_at",), "needs a start"))
        elif self.ends_at and self.starts_at and self.ends_at <= self.starts_at:
            errors.append(FieldError(("ends_at",), "must be after the start"))
        if self.sales_open_at and self.sales_close_at and self.sales_close_at <= self.sales_open_at:
            errors.append(FieldError(("sales_close_at",), "must be after the opening of the sale"))
        is_new = before is None or (before.starts_at, before.sales_open_at) != (self.starts_at, self.sales_open_at)
        if is_new and self.starts_at and self.sales_open_at and self.sales_open_at >= self.starts_at:
            errors.append(FieldError(("sales_open_at",), "must be before the start"))
        if errors:
            raise InvalidRequest(*errors)


class Event(EventDetails, frozen=True, kw_only=True):
    """What people attend.

    `version` counts edits. `last_seq` is the number of the newest fact and `last_queue_number` the newest place issued
    in a waiting list: both are issued under the event's lock only. `is_unsettled` says that more has to be done for the
    event's bookings than went into one bounded transaction; until then newcomers wait. No hold lapses before
    `earliest_expiry` (None: there is no hold); it is a lower bound, so that paying or cancelling needs not raise it.
    `was_published` says that it has been on sale: before that only those who manage it see it, even once it is
    cancelled. `reschedules` counts the moves of the start that release earlier bookings from their deadline.
    """

    id: UUID
    organizer_id: UUID
    currency: str
    status: EventStatus
    was_published: bool
    reschedules: int = 0
    version: int = 1
    last_seq: int = 0
    last_queue_number: int = 0
    is_unsettled: bool = False
    earliest_expiry: datetime | None = None
    created_at: datetime

    def is_managed_by(self, actor: Actor) -> bool:
        """Its organizer and admins manage an event (promise 9)."""
        return actor.user_id == self.organizer_id or actor.role is Role.ADMIN

    def check_visible_to(self, actor: Actor | None) -> None:
        """Those who manage it alone see an event that never was on sale, cancelled or not. Raises: NotFound."""
        if not self.was_published and (actor is None or not self.is_managed_by(actor)):
            raise NotFound

    def check_managed_by(self, actor: Actor) -> None:
        """Raises: NotFound where the event may not even be seen, NotAllowed where it may."""
        self.check_visible_to(actor)
        if not self.is_managed_by(actor):
            raise NotAllowed

    def has_started(self, now: datetime) -> bool:
        """Whether the event has begun; one without a start never does."""
        return self.starts_at is not None and now >= self.starts_at

    def serves_its_line(self, now: datetime) -> bool:
        """Whether freed tickets go to the waiting list: on sale and not begun, whatever the sales window says."""
        return self.status is _ON_SALE and not self.has_started(now)

    def check_on_sale(self, now: datetime) -> None:
        """Raises: NotOnSale, EventStarted."""
        if self.status is not _ON_SALE:
            raise NotOnSale
        if self.has_started(now):
            raise EventStarted
        if self.sales_open_at and now < self.sales_open_at:
            raise NotOnSale(f"The sale opens at {self.sales_open_at.isoformat()}.")
        if self.sales_close_at and now >= self.sales_close_at:
            raise NotOnSale("The sale is closed.")

    def is_past_deadline(self, hours: int, now: datetime) -> bool:
        """Whether fewer than so many hours are left before the start; without a start there always are more."""
        return self.starts_at is not None and now >= self.starts_at - timedelta(hours=hours)

    def has_lapsed_holds(self, now: datetime) -> bool:
        """Whether holds may have to be settled before anything else is decided. A completed event ends all of them."""
        if self.earliest_expiry is None:
            return False
        return self.earliest_expiry <= now or self.status is _COMPLETED

    def is_freed_by_moving_to(self, starts_at: datetime) -> bool:
        """Whether this start releases bookings from their deadline: it is earlier, or on another day in UTC."""
        before = self.starts_at
        return before is None or starts_at < before or starts_at.date() != before.date()


class TicketType(Struct, frozen=True, gc=False, kw_only=True):
    """A kind of ticket, with counters only, so that deciding costs the same for ten tickets or a million.

    `taken` are held or confirmed tickets and never exceed `total_tickets` (promise 1); `waiting` counts the bookings in
    line and `waiting_tickets` what they ask for. `price` None: free. `ordinal` counts from 0.
    """

    id: UUID
    event_id: UUID
    ordinal: int
    name: str
    price: Money | None = None
    total_tickets: int
    taken: int = 0
    waiting: int = 0
    waiting_tickets: int = 0

    @property
    def available(self) -> int:
        """Tickets not taken."""
        return self.total_tickets - self.taken

    def amount(self, quantity: int, currency: str) -> Money:
        """What a booking costs; 0 in the event's currency where it is free."""
        return self.price.times(quantity) if self.price else Money(0, currency)

    def must_wait(self, quantity: int, event: Event, now: datetime, smallest_waiting: int | None = None) -> bool:
        """Whether a newcomer has to join the line: a free ticket belongs to whoever waits for it (promise 5).

        Under `strict` nobody is overtaken. Under `fill` a newcomer may take what fits nobody in line; while the line is
        served and settled that is all that is left (promise 6). Where it is not served, `smallest_waiting`, the
        fewest tickets that somebody in line asks for, decides; unknown (None) it is taken to fit.
        """
        if quantity > self.available:
            return True
        if self.waiting == 0:
            return False
        if event.waiting_list_policy is WaitingListPolicy.STRICT or event.is_unsettled:
            return True
        if event.serves_its_line(now):
            return False
        return smallest_waiting is None or smallest_waiting <= self.available


class EventState(Struct, frozen=True, gc=False, kw_only=True):
    """An event with its ticket types, as one transaction saw them. `smallest_waiting` as in `TicketType.must_wait`."""

    event: Event
    ticket_types: tuple[TicketType, ...]
    smallest_waiting: Mapping[UUID, int] = {}

    def is_sold_out(self, now: datetime, ticket_type: TicketType | None = None) -> bool:
        """Whether a newcomer asking for one ticket, of whatever type or of this one, would have to wait."""
        meant = self.ticket_types if ticket_type is None else (ticket_type,)
        return all(each.must_wait(1, self.event, now, self.smallest_waiting.get(each.id)) for each in meant)


class TicketTypeSpec(Struct, frozen=True, gc=False, kw_only=True):
    """A ticket type as an organizer asks for it. Raises InvalidRequest when its values break a rule."""

    name: str
    total_tickets: int
    price: Money | None = None

    def __post_init__(self) -> None:
        _keep(self, checked(structs.asdict(self), TICKET_TYPE_RULES))


class TicketTypeChanges(Struct, frozen=True, gc=False, kw_only=True):
    """What shall be different about a ticket type; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _keep(self, checked(given(self), TICKET_TYPE_RULES))


class EventChanges(Struct, frozen=True, gc=False, kw_only=True):
    """What shall be different about an event; UNSET stays as it is.

    `total_tickets` and `price` speak of the only ticket type and are refused where there are several.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    venue: str | UnsetType = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    sales_open_at: datetime | UnsetType | None = UNSET
    sales_close_at: datetime | UnsetType | None = UNSET
    max_tickets_per_customer: int | UnsetType = UNSET
    payment_window_minutes: int | UnsetType | None = UNSET
    cancellation_deadline_hours: int | UnsetType = UNSET
    waiting_list_policy: WaitingListPolicy | UnsetType = UNSET
    status: EventStatus | UnsetType = UNSET
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _keep(self, checked(given(self), EVENT_CHANGE_RULES))


EVENT_CHANGE_RULES: Rules = {
    **EVENT_RULES,
    "total_tickets": TICKET_TYPE_RULES["total_tickets"],
    "price": TICKET_TYPE_RULES["price"],
}


def given(changes: Struct) -> dict[str, object]:
    """The fields that were given, UNSET ones left out."""
    return {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}


def _keep(struct: Struct, values: dict[str, object]) -> None:
    for name, value in values.items():
        structs.force_setattr(struct, name, value)


def check_ticket_types(specs: Sequence[TicketTypeSpec], currency: str) -> None:
    """1 to 50 types, their names distinct without case and invisible characters, one currency.

    Raises: InvalidRequest.
    """
    if not specs:
        raise invalid("must name at least one ticket type", "ticket_types")
    if len(specs) > MOST_TICKET_TYPES:
        raise invalid(f"must name at most {MOST_TICKET_TYPES} ticket types", "ticket_types")
    errors = []
    seen: set[str] = set()
    for index, spec in enumerate(specs):
        key = look_alike_key(spec.name)
        if key in seen:
            errors.append(FieldError(("ticket_types", index, "name"), "must differ from the other names"))
        seen.add(key)
        if spec.price and spec.price.currency != currency:
            errors.append(
                FieldError(("ticket_types", index, "price", "currency"), f"must be {currency}, as the others")
            )
    if errors:
        raise InvalidRequest(*errors)


def check_currency(given_price: Money | None, currency: str) -> None:
    """One currency an event. Raises: InvalidRequest."""
    if given_price and given_price.currency != currency:
        raise invalid(f"must be {currency}, the currency of the event", "price", "currency")


def check_room_for_event(live_events: int, most: int = MOST_LIVE_EVENTS) -> None:
    """Raises: TooManyEvents."""
    if live_events >= most:
        raise TooManyEvents(f"You have {most} events that are drafts, on sale or paused; complete or cancel one first.")


def check_room_for_another(ticket_types: Sequence[TicketType]) -> None:
    """Raises: TooManyTicketTypes."""
    if len(ticket_types) >= MOST_TICKET_TYPES:
        raise TooManyTicketTypes(f"An event has at most {MOST_TICKET_TYPES} ticket types.")

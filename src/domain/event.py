"""Events, and the rules for their values."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from .draws.draw import Admission, DrawSource, DrawState
from .policy import RULES, PersonalRight, Right, Standing, who_may
from .refusals import (
    EventStarted,
    FieldError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotOnSale,
    NotSignedIn,
    TooManyEvents,
)
from .user import Actor, Role
from .values.fields import Rules, optional, text, utc_time, whole_number
from .values.time_zones import local_time, time_zone

MOST_LIVE_EVENTS = 200
"""Most events of one organizer that are drafts, on sale or paused at a time."""


class EventStatus(StrEnum):
    """The life cycle of an event. `cancelled` and `completed` are final."""

    DRAFT = "draft"
    ON_SALE = "on_sale"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def is_closed(self) -> bool:
        """Whether the status is final."""
        return self in (EventStatus.CANCELLED, EventStatus.COMPLETED)

    def may_become(self, other: "EventStatus") -> bool:
        """Return whether the life cycle allows this change."""
        return other in _STEPS[self]


class When(StrEnum):
    """Events that are not over, those that are, or all. See `EventDetails.is_over`."""

    UPCOMING = "upcoming"
    PAST = "past"
    ALL = "all"


_ON_SALE: Final = EventStatus.ON_SALE
_COMPLETED: Final = EventStatus.COMPLETED
_DRAW: Final = Admission.DRAW
_STEPS = {
    EventStatus.DRAFT: {EventStatus.ON_SALE, EventStatus.CANCELLED},
    EventStatus.ON_SALE: {EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED},
    EventStatus.PAUSED: {EventStatus.ON_SALE, EventStatus.COMPLETED, EventStatus.CANCELLED},
    EventStatus.COMPLETED: set[EventStatus](),
    EventStatus.CANCELLED: set[EventStatus](),
}


class WaitingListPolicy(StrEnum):
    """`strict`: no booking is overtaken. `fill`: the first waiting booking that fits gets the freed tickets.

    With a bound (`EventDetails.max_overtakes`), `fill` overtakes a waiting booking that often at most.
    """

    STRICT = "strict"
    FILL = "fill"


class WaitingListMode(StrEnum):
    """Whether newcomers who find too few tickets join the waiting list, or are refused.

    Bookings that wait when it is turned off keep their places and are served as before.
    """

    ON = "on"
    OFF = "off"


class LogMode(StrEnum):
    """Who may read an event's log: nobody, because there is none; customers their receipts; or everybody all of it."""

    OFF = "off"
    RECEIPTS = "receipts"
    PUBLIC = "public"


EVENT_RULES: Rules = {
    "name": text(1, 200),
    "description": text(0, 1_000, lines=True),
    "venue": text(0, 200),
    "starts_at": optional(utc_time),
    "ends_at": optional(utc_time),
    "time_zone": time_zone,
    "sales_open_at": optional(utc_time),
    "sales_close_at": optional(utc_time),
    "max_tickets_per_customer": whole_number(1, 1_000),
    "payment_window_minutes": optional(whole_number(1, 43_200)),
    "cancellation_deadline_hours": whole_number(0, 8_760),
    "refund_fee_percent": whole_number(0, 100),
    "max_overtakes": optional(whole_number(0, 1_000)),
    "draw_closes_at": optional(utc_time),
}


class EventDetails(Struct, frozen=True, gc=False, kw_only=True):
    """An event's values apart from its ticket types. Times are in UTC once checked.

    `time_zone` is an IANA name: days are judged in it, and mails write times in it. `max_overtakes`: how often, under
    `fill`, a waiting booking may be overtaken before no booking behind it and no newcomer is served; None: no bound.
    `admission`, `draw_closes_at` and `draw_source` never change; the latter two exist for a draw only. Bookings before
    the closing are entries of the draw. All others wait behind them, and nobody is served before it was held.
    """

    name: str
    description: str = ""
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    time_zone: str = "UTC"
    sales_open_at: datetime | None = None
    sales_close_at: datetime | None = None
    max_tickets_per_customer: int = 10
    payment_window_minutes: int | None = None
    cancellation_deadline_hours: int = 0
    refund_fee_percent: int = 0
    waiting_list_policy: WaitingListPolicy = WaitingListPolicy.STRICT
    max_overtakes: int | None = None
    waiting_list: WaitingListMode = WaitingListMode.ON
    log: LogMode = LogMode.RECEIPTS
    admission: Admission = Admission.LINE
    draw_closes_at: datetime | None = None
    draw_source: DrawSource | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether it has ended, or has begun and has no end."""
        over_at = self.ends_at or self.starts_at
        return over_at is not None and over_at <= now

    def check_times(self, before: "EventDetails | None" = None) -> None:
        """Raise InvalidRequest where times contradict each other.

        `before` holds the values before an edit: values that it leaves alone may be older than a rule.
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

    def check_draw(self) -> None:
        """Raise InvalidRequest where the values of a draw contradict each other or the event's others."""
        errors = []
        is_draw = self.admission is Admission.DRAW
        if is_draw and self.draw_closes_at is None:
            errors.append(FieldError(("draw_closes_at",), "is needed for a draw"))
        elif not is_draw and self.draw_closes_at is not None:
            errors.append(FieldError(("draw_closes_at",), "needs a draw"))
        if not is_draw and self.draw_source is not None:
            errors.append(FieldError(("draw_source",), "needs a draw"))
        if self.draw_closes_at and self.starts_at and self.draw_closes_at >= self.starts_at:
            errors.append(FieldError(("starts_at",), "must be after the closing of the draw"))
        if is_draw and self.log is LogMode.OFF:
            errors.append(FieldError(("log",), "must not be off for a draw, which is made from it"))
        if is_draw and self.waiting_list is WaitingListMode.OFF:
            errors.append(FieldError(("waiting_list",), "must be on for a draw, whose entries wait"))
        if errors:
            raise InvalidRequest(*errors)


class Event(EventDetails, frozen=True, kw_only=True):
    """What people attend.

    `version` counts edits. `last_seq` is the number of the newest fact, `last_queue_number` the newest queue number of
    its waiting lists, `last_ticket_number` that of its tickets; all are issued under the event's lock only.
    `numbered_to`: only what the facts up to this one confirmed has ticket numbers, because it is older than these;
    None: everything has. `is_unsettled`: settling needs another step, and newcomers wait until it is done.
    `earliest_expiry` is a lower bound for the end of every hold (None: no hold), so paying or cancelling need not raise
    it. `was_published`: it has been on sale; before that only its managers see it, even once it is cancelled.
    `reschedules` counts the moves of the start that release earlier bookings from their cancellation deadline.
    `draw_commitment` is the SHA-256, in hexadecimal digits, of the secret of a draw whose source is the operator.
    `last_entry` is the last queue number before the closing of the draw; None: it is open, or nothing happened since.
    `was_drawn`: the draw was held. `is_drawing`: some of its entries may be without their places still.
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
    last_ticket_number: int = 0
    numbered_to: int | None = None
    is_unsettled: bool = False
    earliest_expiry: datetime | None = None
    draw_commitment: str | None = None
    last_entry: int | None = None
    was_drawn: bool = False
    is_drawing: bool = False
    created_at: datetime

    def standing_of(self, actor: Actor) -> Standing:
        """Return where the actor stands towards the event, within the bounds of the API key that they use."""
        if actor.user_id == self.organizer_id or actor.role is Role.ADMIN:
            standing = Standing.ORGANIZER
        else:
            duty = actor.duties.get(self.id)
            standing = Standing.NONE if duty is None else duty.standing
        return standing if actor.scope is None else actor.scope.bounds(standing, self.id)

    def may(self, actor: Actor, right: Right) -> bool:
        """Return whether the actor has the right (promise 9)."""
        rule = RULES[right]
        if actor.scope is not None and not actor.scope.allows(right):
            return False
        if rule.in_person and actor.user_id != self.organizer_id:
            return False
        return self.standing_of(actor) >= rule.least

    def is_visible_to(self, actor: Actor | None) -> bool:
        """Return whether the event was ever on sale, or the actor sees it before that."""
        return self.was_published or (actor is not None and self.may(actor, Right.SEE_UNPUBLISHED))

    def check_visible_to(self, actor: Actor | None) -> None:
        """Raise NotFound if the actor may not see the event."""
        if not self.is_visible_to(actor):
            raise NotFound

    def check_may(self, actor: Actor, right: Right) -> None:
        """Raise NotFound if the actor may not see the event, NotAllowed if they see it and lack the right."""
        self.check_visible_to(actor)
        if not self.may(actor, right):
            raise _not_allowed(right)

    def shows_booking(self, customer_id: UUID, actor: Actor, right: Right = Right.SEE_BOOKINGS) -> bool:
        """Return whether the actor has the right to see it of others, or it is their own and they may see that."""
        is_shown = actor.is_customer(customer_id) and actor.may_personally(PersonalRight.SEE_OWN_BOOKINGS, self.id)
        return is_shown or self.may(actor, right)

    def check_shows_booking(self, customer_id: UUID, actor: Actor, right: Right = Right.SEE_BOOKINGS) -> None:
        """Raise NotFound unless the actor is the booking's customer or has the right to see it of others.

        Raise NotAllowed if it is their own, and they use an API key that may not see that.
        """
        if self.may(actor, right):
            return
        if not actor.is_customer(customer_id):
            raise NotFound
        actor.check_may_personally(PersonalRight.SEE_OWN_BOOKINGS, self.id)

    def may_with_booking(self, customer_id: UUID, actor: Actor, right: Right) -> bool:
        """Return whether the actor has the right towards a booking. Towards their own, staff are customers."""
        if actor.user_id == customer_id and self.standing_of(actor) < Standing.ORGANIZER:
            return False
        return self.may(actor, right)

    def check_may_with_booking(
        self, customer_id: UUID, actor: Actor, right: Right, seeing: Right = Right.SEE_BOOKINGS
    ) -> None:
        """Raise NotFound if the actor may not see the thing, NotAllowed if they see it and lack the right."""
        if not self.may_with_booking(customer_id, actor, right):
            self.check_shows_booking(customer_id, actor, seeing)
            raise _not_allowed(right)

    def check_shows_log(self, actor: Actor | None) -> None:
        """Raise NotFound if there is no log; NotSignedIn or NotAllowed unless everybody may read it, or the actor.

        Whether the actor may see the event is checked before.
        """
        if self.log is LogMode.OFF:
            raise NotFound
        if self.log is not LogMode.PUBLIC:
            if actor is None:
                raise NotSignedIn
            if not self.may(actor, Right.SEE_LOG):
                raise _not_allowed(Right.SEE_LOG)

    def has_started(self, now: datetime) -> bool:
        """Return whether the event has started; without a start time it never does."""
        return self.starts_at is not None and now >= self.starts_at

    def serves_waiting_list(self, now: datetime) -> bool:
        """Return whether freed tickets go to the waiting list: on sale, drawn if need be, and not started."""
        return self.status is _ON_SALE and not self.has_started(now) and not self.awaits_draw

    @property
    def awaits_draw(self) -> bool:
        """Whether the order of its waiting lists is still to be drawn, so nobody is served and no place is known."""
        return self.admission is _DRAW and (self.is_drawing or not self.was_drawn)

    def takes_entries(self, now: datetime) -> bool:
        """Return whether a booking is an entry of its draw."""
        return self.admission is _DRAW and self.last_entry is None and not self.is_draw_due(now)

    def is_draw_due(self, now: datetime) -> bool:
        """Return whether its draw has a closing time that is over."""
        return self.draw_closes_at is not None and self.draw_closes_at <= now

    def draw_state(self, now: datetime) -> DrawState | None:
        """Return the state of its draw; None: it has none."""
        if self.admission is Admission.LINE:
            return None
        if self.was_drawn:
            return DrawState.DRAWN
        return DrawState.OPEN if self.takes_entries(now) else DrawState.CLOSED

    def check_on_sale(self, now: datetime) -> None:
        """Raise NotOnSale or EventStarted unless the event takes bookings."""
        if self.status is not _ON_SALE:
            raise NotOnSale
        if self.has_started(now):
            raise EventStarted
        if self.sales_open_at and now < self.sales_open_at:
            raise NotOnSale(f"The sale opens at {self.sales_open_at.replace(tzinfo=None).isoformat()}Z.")
        if self.sales_close_at and now >= self.sales_close_at:
            raise NotOnSale("The sale is closed.")

    def is_past_deadline(self, hours: int, now: datetime) -> bool:
        """Return whether fewer than `hours` hours are left before the start; without a start time, never."""
        return self.starts_at is not None and now >= self.starts_at - timedelta(hours=hours)

    def has_lapsed_holds(self, now: datetime) -> bool:
        """Return whether holds may have to be expired before the next decision. A completed event ends all of them."""
        if self.earliest_expiry is None:
            return False
        return self.earliest_expiry <= now or self.status is _COMPLETED

    def local_time(self, moment: datetime) -> datetime:
        """Return the time of day in the event's time zone."""
        return local_time(moment, self.time_zone)

    def is_rescheduled_from(self, before: datetime | None) -> bool:
        """Return whether its start, moved from `before`, releases bookings from their deadline.

        It does if it is earlier, or on another day in the event's time zone.
        """
        after = self.starts_at
        if after is None or after == before:
            return False
        return before is None or after < before or self.local_time(after).date() != self.local_time(before).date()


def _not_allowed(right: Right) -> NotAllowed:
    return NotAllowed(f"You may see this, but only {who_may(right)} may do it.")


def check_room_for_event(live_events: int, most: int = MOST_LIVE_EVENTS) -> None:
    """Raise TooManyEvents if the organizer has `most` live events."""
    if live_events >= most:
        raise TooManyEvents(f"You have {most} events that are drafts, on sale or paused; complete or cancel one first.")

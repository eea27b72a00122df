"""The state of an event as its facts describe it: its fields, ticket types, waiting lists and bookings."""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

LIVE: Final = frozenset({"waitlisted", "held", "confirmed"})
TAKING: Final = frozenset({"held", "confirmed"})


class CreatedBooking(Struct, frozen=True, kw_only=True):
    """A booking by its first fact; `position` is its first position in the waiting list."""

    seq: int
    event_id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    position: int | None


class FreedTickets(Struct):
    """A cancellation, or a part that was given back, with the number of promotions that follow it directly.

    `is_complete`: this number is exactly the number of its own promotions. `is_automatic`: it needs no request, because
    the event was closed, or the booking was suspended and asks for more tickets than there are. `quantity` are the
    tickets that it freed, or that are no longer asked for.
    """

    seq: int
    by: str
    quantity: int
    is_automatic: bool = False
    promoted: int = 0
    is_complete: bool = True


class ProjectedBooking(Struct):
    """One booking after the last fact."""

    id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    queue_number: int | None
    expires_at: datetime | None = None
    payment_status: str = "none"
    first_ticket_number: int | None = None
    is_suspended: bool = False
    used: set[int] = field(default_factory=set)
    """The numbers of its tickets that were let in."""
    returned: set[int] = field(default_factory=set)
    """The numbers of its tickets that were given back."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is on the waiting list."""
        return self.status == "waitlisted" and not self.is_suspended


class ProjectedType:
    """One ticket type: its counters, and its waiting list as a whole and by quantity."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken: int = 0
        self.waiting: int = 0
        self.waiting_tickets: int = 0
        self.waiting_list: deque[ProjectedBooking] = deque()
        self.by_quantity: dict[int, deque[ProjectedBooking]] = {}
        self.overtakes: list[int] = []
        """For each overtake that the head has suffered, the queue number served or, by a newcomer, the last one."""

        self.room_made_by: int | None = None
        """The last fact that freed tickets, or changed who is served."""

    @property
    def available(self) -> int:
        """The number of free tickets."""
        return self.total - self.taken

    def join(self, booking: ProjectedBooking) -> None:
        """Append a booking to the waiting list."""
        self.waiting += 1
        self.waiting_tickets += booking.quantity
        self.waiting_list.append(booking)
        self.by_quantity.setdefault(booking.quantity, deque()).append(booking)

    def leave(self, booking: ProjectedBooking) -> None:
        """Count a booking out of the waiting list; its entry is dropped when it reaches the head."""
        self.waiting -= 1
        self.waiting_tickets -= booking.quantity
        if self.overtakes:
            head = _head(self.waiting_list, besides=booking)
            self.overtakes = [each for each in self.overtakes if head and each >= (head.queue_number or 0)]

    def rejoin(self, booking: ProjectedBooking) -> None:
        """Put a booking that left back at the place of its queue number."""
        self.waiting += 1
        self.waiting_tickets += booking.quantity
        for waiting in (self.waiting_list, self.by_quantity.setdefault(booking.quantity, deque())):
            # Its earlier entry may not have been dropped.
            others = [each for each in waiting if each is not booking]
            waiting.clear()
            waiting.extend(sorted([*others, booking], key=lambda each: each.queue_number or 0))

    def shrink(self, booking: ProjectedBooking, left: int) -> None:
        """Let a waiting booking ask for fewer tickets. It keeps its place."""
        self.waiting_tickets -= booking.quantity - left
        self.by_quantity[booking.quantity].remove(booking)
        booking.quantity = left
        others = self.by_quantity.get(left, ())
        self.by_quantity[left] = deque(sorted([*others, booking], key=lambda each: each.queue_number or 0))

    def next_to_serve(self, policy: str, bound: int | None) -> ProjectedBooking | None:
        """Return the booking to serve next: with `strict` the head if it fits, with `fill` the first that fits.

        No booking is overtaken more often than the bound allows.
        """
        if policy == "strict" or self.has_reached(bound):
            head = self.head()
            return head if head and head.quantity <= self.available else None
        heads = [_head(waiting) for quantity, waiting in self.by_quantity.items() if quantity <= self.available]
        return min((head for head in heads if head), key=lambda head: head.queue_number or 0, default=None)

    def has_reached(self, bound: int | None) -> bool:
        """Return whether the head was overtaken as often as the bound allows."""
        return bound is not None and len(self.overtakes) >= bound

    def number_before(self, booking: ProjectedBooking) -> int:
        """Return how many bookings wait before this one."""
        if self.head() is booking:
            return 0
        number = booking.queue_number or 0
        return sum(each.is_waiting and (each.queue_number or 0) < number for each in self.waiting_list)

    def head(self) -> ProjectedBooking | None:
        """Return the first booking of the waiting list."""
        return _head(self.waiting_list)


def _head(waiting: deque[ProjectedBooking], besides: ProjectedBooking | None = None) -> ProjectedBooking | None:
    while waiting and (waiting[0] is besides or not waiting[0].is_waiting):
        waiting.popleft()
    return waiting[0] if waiting else None


class ProjectedEvent:
    """The fields of an event after the last fact, under their names in the facts."""

    def __init__(self) -> None:
        self.now: datetime = datetime.min.replace(tzinfo=UTC)
        self.was_published: bool = False
        self.reschedules: int = 0
        self._values: dict[str, Any] = {}
        self._times: dict[str, datetime | None] = {}

    @property
    def status(self) -> str | None:
        """The event's status; None before its first fact."""
        return self._values.get("status")

    @property
    def policy(self) -> str:
        """The policy of its waiting lists."""
        return str(self._values.get("waitingListPolicy"))

    @property
    def bound(self) -> int | None:
        """How often a waiting booking may be overtaken; None: there is no bound."""
        return self._values.get("maxOvertakes")

    @property
    def waiting_list(self) -> str:
        """Whether newcomers may join its waiting lists: on or off."""
        return str(self._values.get("waitingList", "on"))

    @property
    def log(self) -> str:
        """Who may read its log."""
        return str(self._values.get("log", "receipts"))

    @property
    def starts_at(self) -> datetime | None:
        """The start, if there is one."""
        return self._times.get("startsAt")

    @property
    def serves(self) -> bool:
        """Whether its waiting lists are served: it is on sale and has not started."""
        starts_at = self.starts_at
        return self.status == "on_sale" and (starts_at is None or self.now < starts_at)

    @property
    def takes_bookings(self) -> bool:
        """Whether bookings are allowed: `serves`, within the sales period."""
        opens, closes = self._times.get("salesOpenAt"), self._times.get("salesCloseAt")
        return self.serves and not (opens and self.now < opens) and not (closes and self.now >= closes)

    def limit(self, default: int) -> int:
        """Return the maximum number of tickets per customer."""
        return int(self._values.get("maxTicketsPerCustomer", default))

    def initialize(self, values: Mapping[str, Any]) -> None:
        """Apply the fields of the first fact."""
        self._values.update(values)
        for name in ("startsAt", "salesOpenAt", "salesCloseAt"):
            if name in values:
                self._times[name] = msgspec.convert(values[name], datetime | None)
        self.was_published = self.was_published or self.status == "on_sale"

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply changed fields, and count a new start that allows customers to cancel."""
        before = self.starts_at
        self.initialize(changes)
        self.reschedules += _allows_cancelling(before, self.starts_at, ZoneInfo(self._values.get("timeZone", "UTC")))


def _allows_cancelling(before: datetime | None, after: datetime | None, zone: ZoneInfo) -> bool:
    """Return whether a new start lets customers cancel after the deadline (API.md, time rules)."""
    if after is None or after == before:
        return False
    return before is None or after < before or after.astimezone(zone).date() != before.astimezone(zone).date()

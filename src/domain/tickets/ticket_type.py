"""Ticket types, and the rules for their values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs

from ..event import Event, WaitingListPolicy
from ..refusals import FieldError, InvalidRequest, TooManyTicketTypes, invalid
from ..values.characters import look_alike_key
from ..values.fields import Rules, checked, given, optional, set_fields, text, whole_number
from ..values.money import Money, price

MOST_TICKET_TYPES = 50
MOST_TICKETS = 1_000_000
"""Most tickets of one type."""

GENERAL_ADMISSION = "General admission"
"""The name of the only ticket type where an organizer names none."""

TICKET_TYPE_RULES: Rules = {
    "name": text(1, 200),
    "total_tickets": whole_number(1, MOST_TICKETS),
    "price": optional(price),
}
TICKET_TYPE_CHANGE_RULES: Rules = {**TICKET_TYPE_RULES, "total_tickets": whole_number(0, MOST_TICKETS)}
"""Only a change may leave a type without any ticket, which withdraws it from sale."""


class TicketType(Struct, frozen=True, gc=False, kw_only=True):
    """A kind of ticket, with counters only, so that deciding costs the same for ten tickets or a million.

    `taken` counts held and confirmed tickets and never exceeds `total_tickets` (promise 1); `waiting` counts waiting
    bookings and `waiting_tickets` their tickets. `price` None: free. `ordinal` counts from 0. A type
    of no tickets at all was withdrawn from sale.

    `overtakes` are those that the first waiting booking has suffered while the event had a bound for them. Each is the
    queue number of the booking that was served, or the event's last one when a newcomer was. It counts for all waiting
    bookings with this number or a lower one, so none was overtaken more often than the first; once it counts for none,
    it is forgotten. `room_made_by` is the number of the last fact that made room for waiting bookings, while the event
    is unsettled; afterwards None.
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
    overtakes: tuple[int, ...] = ()
    room_made_by: int | None = None

    @property
    def available(self) -> int:
        """Tickets not taken."""
        return self.total_tickets - self.taken

    @property
    def is_free(self) -> bool:
        """Whether a ticket costs nothing."""
        return self.price is None or self.price.amount == 0

    def amount(self, quantity: int, currency: str) -> Money:
        """Return the price of a booking; 0 in the event's currency where it is free."""
        return self.price.times(quantity) if self.price else Money(0, currency)

    def must_wait(self, quantity: int, event: Event, now: datetime, smallest_waiting: int | None = None) -> bool:
        """Return whether a newcomer has to join the waiting list (promise 5).

        Under `fill` a newcomer may take tickets that fit no waiting booking, unless the first one was overtaken too
        often; while the waiting list is served and settled, all free tickets are such (promise 6). While it is not
        served, `smallest_waiting` decides: the smallest quantity of a waiting booking; if unknown (None), it is assumed
        to fit. Until a draw was held everybody waits.
        """
        if quantity > self.available or event.awaits_draw:
            return True
        if self.waiting == 0:
            return False
        if event.is_unsettled or not self.allows_overtaking(event):
            return True
        if event.serves_waiting_list(now):
            return False
        return smallest_waiting is None or smallest_waiting <= self.available

    def allows_overtaking(self, event: Event) -> bool:
        """Return whether others than the first waiting booking may be served while it does not fit."""
        if event.waiting_list_policy is WaitingListPolicy.STRICT:
            return False
        return event.max_overtakes is None or len(self.overtakes) < event.max_overtakes

    def overtaken_by(self, queue_number: int) -> "TicketType":
        """Return the type after an overtake: see `overtakes`."""
        return structs.replace(self, overtakes=(*self.overtakes, queue_number))

    def with_first_in_line(self, queue_number: int | None) -> "TicketType":
        """Return the type without the overtakes that no waiting booking has suffered. None: no booking waits."""
        kept = () if queue_number is None else tuple([each for each in self.overtakes if each >= queue_number])
        return self if len(kept) == len(self.overtakes) else structs.replace(self, overtakes=kept)


class EventState(Struct, frozen=True, gc=False, kw_only=True):
    """An event with its ticket types, read together. `smallest_waiting` as in `TicketType.must_wait`."""

    event: Event
    ticket_types: tuple[TicketType, ...]
    smallest_waiting: Mapping[UUID, int] = {}

    def is_sold_out(self, now: datetime, ticket_type: TicketType | None = None) -> bool:
        """Return whether a newcomer who wants one ticket, of any type or of this one, would have to wait."""
        ticket_types = self.ticket_types if ticket_type is None else (ticket_type,)
        return all(each.must_wait(1, self.event, now, self.smallest_waiting.get(each.id)) for each in ticket_types)


class TicketTypeSpec(Struct, frozen=True, gc=False, kw_only=True):
    """The values of a new ticket type. Raises InvalidRequest when they break a rule."""

    name: str
    total_tickets: int
    price: Money | None = None

    def __post_init__(self) -> None:
        set_fields(self, checked(structs.asdict(self), TICKET_TYPE_RULES))


class TicketTypeChanges(Struct, frozen=True, gc=False, kw_only=True):
    """Changes of a ticket type; UNSET fields stay as they are. A total of 0 withdraws it from sale."""

    name: str | UnsetType = UNSET
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        set_fields(self, checked(given(self), TICKET_TYPE_CHANGE_RULES))


def check_ticket_types(specs: Sequence[TicketTypeSpec], currency: str) -> None:
    """Raise InvalidRequest unless there are 1 to 50 types with distinct names and one currency.

    Names that differ only in case, invisible characters or white space are the same.
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
                FieldError(("ticket_types", index, "price", "currency"), f"must be {currency}, like the others")
            )
    if errors:
        raise InvalidRequest(*errors)


def check_currency(price: Money | None, currency: str) -> None:
    """Raise InvalidRequest for a price in another currency than the event's."""
    if price and price.currency != currency:
        raise invalid(f"must be {currency}, the currency of the event", "price", "currency")


def check_room_for_another(ticket_types: Sequence[TicketType]) -> None:
    """Raise TooManyTicketTypes if the event has no room for another type."""
    if len(ticket_types) >= MOST_TICKET_TYPES:
        raise TooManyTicketTypes(f"An event has at most {MOST_TICKET_TYPES} ticket types.")

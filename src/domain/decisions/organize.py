"""Organizing: initialize and edit events and their ticket types, and change an event's status."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, to_builtins
from msgspec.structs import asdict, replace

from ..draws.draw import Admission, DrawSource
from ..event import (
    EVENT_RULES,
    MOST_LIVE_EVENTS,
    Event,
    EventDetails,
    EventStatus,
    LogMode,
    WaitingListMode,
    WaitingListPolicy,
    check_room_for_event,
)
from ..facts import SERVING_VALUES, EventChanged, EventInitialized, TicketTypeAdded, TicketTypeChanged
from ..inventory import Decision, Inventory
from ..policy import PersonalRight, Right
from ..refusals import (
    CapacityBelowTaken,
    EventClosed,
    FieldError,
    FieldPath,
    IllegalStatusChange,
    InvalidRequest,
    NameTaken,
    NotAllowed,
    StaleVersion,
    invalid,
)
from ..tickets.ticket_type import (
    GENERAL_ADMISSION,
    TICKET_TYPE_RULES,
    EventState,
    TicketType,
    TicketTypeChanges,
    TicketTypeSpec,
    check_currency,
    check_room_for_another,
    check_ticket_types,
)
from ..user import Actor, Organizers
from ..values.characters import look_alike_key
from ..values.fields import Rules, check_all, checked, given, set_fields
from ..values.money import Money
from .decision_builder import DecisionBuilder
from .payments.prices import Objection, any_price, check_prices
from .settle import settle_event

_ENDS: Final = frozenset(status for status in EventStatus if status.is_closed)


EVENT_CHANGE_RULES: Rules = {
    **EVENT_RULES,
    "total_tickets": TICKET_TYPE_RULES["total_tickets"],
    "price": TICKET_TYPE_RULES["price"],
}


class EventChanges(Struct, frozen=True, gc=False, kw_only=True):
    """Changes of an event; UNSET fields stay as they are.

    `total_tickets` and `price` belong to the only ticket type and are refused where there are several.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    venue: str | UnsetType = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    sales_open_at: datetime | UnsetType | None = UNSET
    sales_close_at: datetime | UnsetType | None = UNSET
    max_tickets_per_customer: int | UnsetType = UNSET
    payment_window_minutes: int | UnsetType | None = UNSET
    cancellation_deadline_hours: int | UnsetType = UNSET
    refund_fee_percent: int | UnsetType = UNSET
    waiting_list_policy: WaitingListPolicy | UnsetType = UNSET
    max_overtakes: int | UnsetType | None = UNSET
    waiting_list: WaitingListMode | UnsetType = UNSET
    log: LogMode | UnsetType = UNSET
    status: EventStatus | UnsetType = UNSET
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        set_fields(self, checked(given(self), EVENT_CHANGE_RULES))


class Initialize(Struct, frozen=True, gc=False, kw_only=True):
    """Create an event with its tickets, on sale at once or as a draft.

    `ticket_types` pairs a new id with each ticket type; `names_types` is False if its author named none, so that the
    only price is the event's. `currency` applies where no price names one. `draw_commitment` is the one of the event's
    secret, if its operator draws.
    """

    event_id: UUID
    actor: Actor
    details: EventDetails
    ticket_types: tuple[tuple[UUID, TicketTypeSpec], ...]
    currency: str
    status: EventStatus = EventStatus.ON_SALE
    names_types: bool = True
    draw_commitment: str | None = None


class Edit(Struct, frozen=True, gc=False, kw_only=True):
    """Change an event. With `expected_versions`, its current version must be one of them."""

    event_id: UUID
    actor: Actor
    changes: EventChanges
    expected_versions: frozenset[int] | None = None


class EditTicketType(Struct, frozen=True, gc=False, kw_only=True):
    """Change one ticket type; `expected_versions` as in `Edit`."""

    event_id: UUID
    actor: Actor
    ticket_type_id: UUID
    changes: TicketTypeChanges
    expected_versions: frozenset[int] | None = None


class AddTicketType(Struct, frozen=True, gc=False, kw_only=True):
    """Add a ticket type; `ticket_type_id` is a new id; `expected_versions` as in `Edit`."""

    event_id: UUID
    actor: Actor
    ticket_type_id: UUID
    spec: TicketTypeSpec
    expected_versions: frozenset[int] | None = None


def initialize(
    command: Initialize,
    organizers: Organizers,
    now: datetime,
    live_events: int = 0,
    most: int = MOST_LIVE_EVENTS,
    objection: Objection = any_price,
) -> Decision[EventState]:
    """Create an event with its ticket types; the actor becomes its organizer.

    `live_events` is the number of live events that the organizer already has, `most` the limit. `objection` is the
    payment provider's to a price.

    Raises: InvalidRequest, NotAllowed, TooManyEvents.
    """
    specs = [spec for _, spec in command.ticket_types]
    prices = [spec.price for spec in specs if spec.price]
    currency = prices[0].currency if prices else command.currency
    check_all(
        lambda: _checked_details(command.details, now),
        lambda: check_ticket_types(specs, currency),
        lambda: check_prices(_initial_prices(command), objection),
        lambda: _check_first_status(command.status),
    )
    details = _checked_details(command.details, now)
    if not command.actor.may_organize(organizers):
        raise NotAllowed("Only organizers may initialize events here; ask an operator for the role.")
    command.actor.check_may_personally(PersonalRight.INITIALIZE_EVENTS)
    check_room_for_event(live_events, most)
    event = Event(
        **asdict(details),
        id=command.event_id,
        organizer_id=command.actor.user_id,
        currency=currency,
        status=command.status,
        was_published=command.status is EventStatus.ON_SALE,
        draw_commitment=command.draw_commitment,
        created_at=now,
    )
    ticket_types = tuple(
        TicketType(
            id=ticket_type_id,
            event_id=event.id,
            ordinal=ordinal,
            name=spec.name,
            price=spec.price,
            total_tickets=spec.total_tickets,
        )
        for ordinal, (ticket_type_id, spec) in enumerate(command.ticket_types)
    )
    builder = DecisionBuilder(Inventory(event=event, ticket_types=()), now)
    for ticket_type in ticket_types:
        builder.add_ticket_type(ticket_type)
    builder.add_fact(
        EventInitialized(
            organizer_id=event.organizer_id,
            currency=currency,
            values=_fact_values({**asdict(details), "status": event.status, **_draw_values(event)}),
            ticket_types=[_added_fact(ticket_type) for ticket_type in ticket_types],
        )
    )
    return builder.decision(state(builder.current), is_new_event=True)


def _draw_values(event: Event) -> dict[str, Any]:
    """Return what the first fact tells of a draw; of none, nothing."""
    names = ("draw_closes_at", "draw_source", "draw_commitment")
    return {name: UNSET if (value := getattr(event, name)) is None else value for name in names}


def _initial_prices(command: Initialize) -> dict[FieldPath, Money | None]:
    prices = [spec.price for _, spec in command.ticket_types]
    if not command.names_types:
        return {("price",): prices[0]}
    return {("ticket_types", index, "price"): price for index, price in enumerate(prices)}


def check_new_price(command: Edit | EditTicketType | AddTicketType, objection: Objection) -> None:
    """Raise InvalidRequest if the provider could never charge the price that an edit sets."""
    price = command.spec.price if isinstance(command, AddTicketType) else command.changes.price
    check_prices({("price",): price}, objection)


def general_admission(total_tickets: int, price: Money | None = None) -> TicketTypeSpec:
    """Return the ticket type of an event that names none."""
    return TicketTypeSpec(name=GENERAL_ADMISSION, total_tickets=total_tickets, price=price)


def edit(inventory: Inventory, command: Edit, now: datetime) -> Decision[EventState]:
    """Change fields or status, and settle: serve the waiting list, or cancel the bookings of a closed event.

    An edit that changes nothing gives no new version and no fact.

    Raises: NotFound, NotAllowed, InvalidRequest, StaleVersion, EventClosed, IllegalStatusChange, CapacityBelowTaken.
    """
    event = inventory.event
    event.check_may(command.actor, Right.EDIT_EVENT)
    changes = given(command.changes)
    if changes.get("status") in _ENDS:
        event.check_may(command.actor, Right.END_EVENT)
    ticket_changes: dict[str, Any] = {name: changes.pop(name) for name in ("total_tickets", "price") if name in changes}
    if ticket_changes and len(inventory.ticket_types) > 1:
        errors = [
            FieldError((name,), "belongs to a ticket type, because the event has several") for name in ticket_changes
        ]
        raise InvalidRequest(*errors)
    _check_currency(inventory, ticket_changes.get("price"))
    edited = _edited_event(event, changes, now)
    _check_may_edit(event, command.expected_versions)
    _check_transition(event.status, edited.status)

    builder = DecisionBuilder(inventory, now)
    if edited != event:
        builder.set_event(edited)
    if ticket_changes:
        _edit_ticket_type(builder, inventory, inventory.ticket_types[0], ticket_changes)
    if edited.max_overtakes is None and event.max_overtakes is not None:
        # Another bound counts from its own beginning.
        for ticket_type in builder.ticket_types:
            builder.set_ticket_type(ticket_type.with_first_in_line(None))
    # `was_published` follows from the statuses, so no fact records it.
    return _finish(builder, inventory, _differences(event, replace(edited, was_published=event.was_published)))


def edit_ticket_type(inventory: Inventory, command: EditTicketType, now: datetime) -> Decision[EventState]:
    """Change a ticket type; more tickets serve its waiting list at once. A new price does not change bookings.

    Raises: NotFound, NotAllowed, InvalidRequest, StaleVersion, EventClosed, CapacityBelowTaken, NameTaken.
    """
    inventory.event.check_visible_to(command.actor)
    ticket_type = inventory.ticket_type(command.ticket_type_id)
    inventory.event.check_may(command.actor, Right.EDIT_EVENT)
    changes = given(command.changes)
    _check_currency(inventory, command.changes.price or None)
    _check_may_edit(inventory.event, command.expected_versions)
    builder = DecisionBuilder(inventory, now)
    _edit_ticket_type(builder, inventory, ticket_type, changes)
    return _finish(builder, inventory, {})


def add_ticket_type(inventory: Inventory, command: AddTicketType, now: datetime) -> Decision[EventState]:
    """Add a ticket type.

    Raises: NotFound, NotAllowed, InvalidRequest, StaleVersion, EventClosed, TooManyTicketTypes, NameTaken.
    """
    event = inventory.event
    event.check_may(command.actor, Right.EDIT_EVENT)
    _check_currency(inventory, command.spec.price)
    _check_may_edit(event, command.expected_versions)
    check_room_for_another(inventory.ticket_types)
    _check_name_is_free(inventory, command.spec.name, None)
    ticket_type = TicketType(
        id=command.ticket_type_id,
        event_id=event.id,
        ordinal=len(inventory.ticket_types),
        name=command.spec.name,
        price=command.spec.price,
        total_tickets=command.spec.total_tickets,
    )
    builder = DecisionBuilder(inventory, now)
    _take_currency(builder, ticket_type)
    builder.add_ticket_type(ticket_type)
    builder.add_fact(_added_fact(ticket_type))
    return _finish(builder, inventory, {})


def _checked_details(details: EventDetails, now: datetime) -> EventDetails:
    kept = replace(details, **checked(asdict(details), EVENT_RULES))
    if kept.admission is Admission.DRAW and kept.draw_source is None:
        kept = replace(kept, draw_source=DrawSource.DRAND)
    check_all(
        lambda: _check_future(kept.starts_at, "starts_at", now),
        lambda: _check_future(kept.sales_close_at, "sales_close_at", now),
        lambda: _check_future(kept.draw_closes_at, "draw_closes_at", now),
        kept.check_times,
        kept.check_draw,
    )
    return kept


def _check_future(time: datetime | None, field: str, now: datetime) -> None:
    if time and time <= now:
        raise invalid("must be in the future", field)


def _check_first_status(status: EventStatus) -> None:
    if status not in (EventStatus.ON_SALE, EventStatus.DRAFT):
        raise invalid("must be on_sale or draft at first", "status")


def _edited_event(event: Event, changes: Mapping[str, Any], now: datetime) -> Event:
    edited = replace(event, **changes)
    moved_to = edited.starts_at if edited.starts_at != event.starts_at else None
    closes_at = edited.sales_close_at if edited.sales_close_at != event.sales_close_at else None
    check_all(
        lambda: _check_future(moved_to, "starts_at", now),
        lambda: _check_future(closes_at, "sales_close_at", now),
        lambda: edited.check_times(event),
        lambda: edited.check_draw() if event.awaits_draw else None,
    )
    return replace(
        edited,
        was_published=event.was_published or edited.status is EventStatus.ON_SALE,
        reschedules=event.reschedules + edited.is_rescheduled_from(event.starts_at),
    )


def _check_may_edit(event: Event, expected_versions: frozenset[int] | None) -> None:
    if expected_versions is not None and event.version not in expected_versions:
        raise StaleVersion
    if event.status.is_closed:
        raise EventClosed


def _check_transition(status: EventStatus, other: EventStatus) -> None:
    if other is not status and not status.may_become(other):
        raise IllegalStatusChange(f"An event that is {status.value} cannot become {other.value}.")


def _check_name_is_free(inventory: Inventory, name: str, except_id: UUID | None) -> None:
    key = look_alike_key(name)
    if any(look_alike_key(each.name) == key and each.id != except_id for each in inventory.ticket_types):
        raise NameTaken(f"The event has a ticket type named {name} already; choose another name.")


def _edit_ticket_type(
    builder: DecisionBuilder, inventory: Inventory, ticket_type: TicketType, changes: Mapping[str, Any]
) -> None:
    edited = replace(ticket_type, **changes)
    if edited == ticket_type:
        return
    if edited.total_tickets < ticket_type.total_tickets:
        _check_capacity(inventory, ticket_type, edited.total_tickets)
    if edited.name != ticket_type.name:
        # Names that were chosen under earlier rules may stay.
        _check_name_is_free(inventory, edited.name, ticket_type.id)
    _take_currency(builder, edited)
    _replace_ticket_type(builder, ticket_type, edited)


def _replace_ticket_type(builder: DecisionBuilder, ticket_type: TicketType, edited: TicketType) -> None:
    builder.set_ticket_type(edited)
    builder.add_fact(
        TicketTypeChanged(
            version=builder.event.version + 1,
            ticket_type_id=ticket_type.id,
            changes=_differences(ticket_type, edited),
        )
    )
    if edited.total_tickets != ticket_type.total_tickets:
        builder.note_room(ticket_type.id)


def _check_currency(inventory: Inventory, price: Money | None) -> None:
    """Raise InvalidRequest for a price in another currency than the event's, unless the event is free."""
    if not all(each.is_free for each in inventory.ticket_types):
        check_currency(price, inventory.event.currency)


def _take_currency(builder: DecisionBuilder, priced: TicketType) -> None:
    """Give a free event the currency of a new price, also in the other types' prices of nothing."""
    if priced.price is None or priced.price.currency == builder.event.currency:
        return
    currency = priced.price.currency
    builder.set_event(replace(builder.event, currency=currency))
    for each in builder.ticket_types:
        if each.id != priced.id and each.price is not None:
            _replace_ticket_type(builder, each, replace(each, price=Money(0, currency)))


def _check_capacity(inventory: Inventory, ticket_type: TicketType, total_tickets: int) -> None:
    if total_tickets < ticket_type.taken:
        raise CapacityBelowTaken(f"{ticket_type.taken} tickets are taken; the number cannot go below that.")
    if ticket_type.waiting and total_tickets < inventory.waiting_sizes[ticket_type.id].largest:
        raise CapacityBelowTaken(
            f"A booking on the waiting list asks for {inventory.waiting_sizes[ticket_type.id].largest} tickets; "
            "the number cannot go below that."
        )


def _finish(builder: DecisionBuilder, inventory: Inventory, changes: dict[str, Any]) -> Decision[EventState]:
    """Increase the version, add the fact and settle."""
    if builder.current != inventory:
        builder.set_event(replace(builder.event, version=inventory.event.version + 1))
        if builder.event.currency != inventory.event.currency:
            changes = {**changes, "currency": builder.event.currency}
        if changes:
            builder.add_fact(EventChanged(version=builder.event.version, changes=changes))
        if not SERVING_VALUES.isdisjoint(changes):
            builder.note_room(*[each.id for each in builder.ticket_types])
        settle_event(builder, [ticket_type.id for ticket_type in builder.ticket_types])
    return builder.decision(state(builder.current))


def state(inventory: Inventory) -> EventState:
    """Return the inventory's event with its ticket types."""
    smallest = {ticket_type_id: sizes.smallest for ticket_type_id, sizes in inventory.waiting_sizes.items()}
    return EventState(event=inventory.event, ticket_types=inventory.ticket_types, smallest_waiting=smallest)


def _added_fact(ticket_type: TicketType) -> TicketTypeAdded:
    return TicketTypeAdded(
        ticket_type_id=ticket_type.id,
        name=ticket_type.name,
        total_tickets=ticket_type.total_tickets,
        price=ticket_type.price,
    )


def _differences(before: Struct, after: Struct) -> dict[str, Any]:
    old = asdict(before)
    return _fact_values({name: value for name, value in asdict(after).items() if value != old[name]})


def _fact_values(values: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = to_builtins({_camel(name): value for name, value in values.items() if value is not UNSET})
    return named


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))

"""Events: /initialize, /events and what lies below it, /status."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, cast
from uuid import UUID

from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.change_event import ChangeEvent
from ...application.idempotency import Answer
from ...application.initialize_event import InitializeEvent
from ...application.ports import Clock, Ids
from ...application.queries import ListEventBookings, ListEvents, ReadChanges, ReadEvent, ReadWaitingList
from ...domain.booking import BookingStatus
from ...domain.event import (
    EVENT_CHANGE_RULES,
    TICKET_TYPE_RULES,
    EventChanges,
    EventDetails,
    EventState,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from ...domain.money import Money
from ...domain.organize import AddTicketType, Edit, EditTicketType, Initialize, general_admission
from .body import Body, read
from .bookings import BOOKING
from .bookings import STATUS as BOOKING_STATUS
from .exchange import Request, Response
from .idempotency import answer_of, read_once, respond
from .identity import actor_of
from .operation import CURSOR, IF_MATCH, IF_NONE_MATCH, LIMIT, NO_BLANK, Operation, Parameter
from .paths import id_in_path
from .problems import FieldProblem, pointer
from .query import (
    GREATEST,
    Listed,
    booking_cursors,
    event_cursors,
    identifier,
    limit,
    one_of,
    page_of,
    query,
    search_text,
    sequence_number,
    waiting_cursors,
)
from .routing import get, patch, post
from .tags import expected_versions, tagged
from .views import BookingView, ChangesView, EventView, StatusView

_TICKET_TYPE: Final = {
    "id": BOOKING["ticketTypeId"],
    "name": "General admission",
    "price": {"amount": 2500, "currency": "EUR"},
    "totalTickets": 100,
    "availableTickets": 98,
    "waitingListCount": 0,
}
_DETAILS: Final = {
    "name": "Jazz night",
    "description": "",
    "venue": "",
    "startsAt": "2027-05-01T19:00:00Z",
    "endsAt": None,
    "salesOpenAt": None,
    "salesCloseAt": None,
    "maxTicketsPerCustomer": 10,
    "paymentWindowMinutes": None,
    "cancellationDeadlineHours": 0,
    "waitingListPolicy": "strict",
    "status": "on_sale",
    "totalTickets": 100,
    "price": {"amount": 2500, "currency": "EUR"},
}
_EVENT: Final = {
    "id": BOOKING["eventId"],
    "organizerId": "019a0000-0000-7000-8000-000000000009",
    **_DETAILS,
    "availableTickets": 98,
    "waitingListCount": 0,
    "isSoldOut": False,
    "ticketTypes": [_TICKET_TYPE],
    "version": 1,
    "createdAt": "2027-01-01T12:00:00Z",
}
_MANAGED: Final = ("not-found", "not-allowed")
_EDITED: Final = (*_MANAGED, "stale-version", "event-closed")


class TicketTypeBody(Body, frozen=True, kw_only=True):
    """A kind of ticket; `price` null: free."""

    rules = TICKET_TYPE_RULES

    name: str
    total_tickets: int
    price: Money | None = None

    def spec(self) -> TicketTypeSpec:
        """As the rules know it."""
        return TicketTypeSpec(name=self.name, total_tickets=self.total_tickets, price=self.price)


class TicketTypeChangesBody(Body, frozen=True, kw_only=True):
    """What shall be different about a ticket type."""

    rules = TICKET_TYPE_RULES

    name: str | UnsetType = UNSET
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET


class InitializeBody(Body, frozen=True, kw_only=True):
    """A new event. Either `totalTickets` (and `price`) for one kind of ticket, or `ticketTypes` for several."""

    rules = EVENT_CHANGE_RULES

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
    status: Literal["on_sale", "draft"] = "on_sale"
    total_tickets: int | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET
    ticket_types: list[TicketTypeBody] | UnsetType = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """One kind of ticket or a list of them."""
        if "ticketTypes" not in given:
            if "totalTickets" not in given:
                yield FieldProblem(pointer("totalTickets"), "is required, or ticketTypes")
            return
        for name in ("totalTickets", "price"):
            if name in given:
                yield FieldProblem(pointer(name), "must not stand beside ticketTypes")

    def details(self) -> EventDetails:
        """What is said of the event apart from its tickets."""
        return EventDetails(**{name: getattr(self, name) for name in EventDetails.__struct_fields__})

    def specs(self) -> list[TicketTypeSpec]:
        """The kinds of tickets."""
        if isinstance(self.ticket_types, list):
            return [each.spec() for each in self.ticket_types]
        total_tickets = cast("int", self.total_tickets)  # Given, or there would have been a contradiction.
        return [general_admission(total_tickets, self.price or None)]


class EventChangesBody(Body, frozen=True, kw_only=True):
    """What shall be different about an event; `totalTickets` and `price` only where it has one kind of ticket."""

    rules = EVENT_CHANGE_RULES

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

    def changes(self) -> EventChanges:
        """As the rules know them."""
        return EventChanges(**{name: getattr(self, name) for name in EventChanges.__struct_fields__})


@post(
    "/initialize",
    Operation(
        "InitializeEvent",
        "Initialize an event with its tickets",
        tag="Events",
        signed_in=True,
        takes_key=True,
        body=InitializeBody,
        example=_DETAILS,
        answer=EventView,
        answer_example={**_EVENT, "availableTickets": 100, "ticketTypes": [{**_TICKET_TYPE, "availableTickets": 100}]},
        status=201,
        has_location=True,
        has_etag=True,
        problems=("not-allowed",),
    ),
)
async def initialize_event(
    request: Request[Caller],
    initialize_event: InitializeEvent,
    clock: Clock,
    ids: Ids,
    default_currency: str,
) -> Response:
    """On sale at once unless it is a draft; whoever initializes it organizes it."""
    asked = await read_once(request, InitializeBody)
    body, now = asked.body, clock.now()

    def answer(state: EventState) -> Answer:
        return _created(EventView.of(state, now))

    command = Initialize(
        event_id=ids.new(),
        actor=request.caller.actor,
        details=body.details(),
        ticket_types=tuple((ids.new(), spec) for spec in body.specs()),
        currency=default_currency,
        status=EventStatus(body.status),
    )
    return respond(answer(await initialize_event(command, asked.once(answer))))


def _created(view: EventView) -> Answer:
    return answer_of(view, view.id, status=201, location=f"/events/{view.id}", version=view.version)


@get(
    "/events",
    Operation(
        "ListEvents",
        "Events, soonest first",
        tag="Events",
        answer=Listed[EventView],
        answer_example={"items": [_EVENT], "nextCursor": None},
        has_etag=True,
        parameters=(
            Parameter(
                "status",
                "Only events that stand so; without it those on sale and paused. Drafts: one's own (an admin: all).",
                {"type": "string", "enum": [each.value for each in EventStatus]},
            ),
            Parameter(
                "q",
                "Text in name or venue, literally, without case.",
                {"type": "string", "minLength": 1, "maxLength": 200, "pattern": NO_BLANK},
            ),
            CURSOR,
            LIMIT,
            IF_NONE_MATCH,
        ),
        problems=("invalid-request",),
    ),
)
async def list_events(
    request: Request[Caller | None],
    list_events: ListEvents,
    clock: Clock,
) -> Response:
    """Soonest first, those without a start last."""
    actor = actor_of(request.caller)
    asked = query(request, status=one_of(EventStatus), q=search_text, limit=limit, cursor=str)
    status, q = asked.get("status"), asked.get("q")
    # Only a list of drafts depends on who asks.
    cursors = event_cursors("events", status, q, actor if status is EventStatus.DRAFT else None)
    page = await list_events(actor, status=status, q=q, after=cursors.read_from(asked), limit=asked.get("limit", 50))
    now = clock.now()
    return tagged(request, page_of(page, lambda state: EventView.of(state, now), cursors))


@get(
    "/events/{event_id}",
    Operation(
        "ReadEvent",
        "See an event",
        tag="Events",
        answer=EventView,
        answer_example=_EVENT,
        has_etag=True,
        parameters=(IF_NONE_MATCH,),
        problems=("not-found",),
    ),
)
async def read_event(
    request: Request[Caller | None],
    event_id: str,
    read_event: ReadEvent,
    clock: Clock,
) -> Response:
    """For anyone; a draft for its organizer and admins."""
    state = await read_event(id_in_path(event_id), actor_of(request.caller))
    return tagged(request, EventView.of(state, clock.now()), version=state.event.version)


@get(
    "/status/{event_id}",
    Operation(
        "ReadStatus",
        "How many tickets are left",
        tag="Events",
        answer=StatusView,
        answer_example={
            "eventId": BOOKING["eventId"],
            **{
                name: _EVENT[name]
                for name in ("name", "status", "totalTickets", "availableTickets", "waitingListCount", "isSoldOut")
            },
            "ticketTypes": [_TICKET_TYPE],
        },
        has_etag=True,
        parameters=(IF_NONE_MATCH,),
        problems=("not-found",),
    ),
)
async def read_status(
    request: Request[Caller | None],
    event_id: str,
    read_event: ReadEvent,
    clock: Clock,
) -> Response:
    """Always what is committed."""
    state = await read_event(id_in_path(event_id), actor_of(request.caller))
    return tagged(request, StatusView.of(state, clock.now()), version=state.event.version)


@patch(
    "/events/{event_id}",
    Operation(
        "ChangeEvent",
        "Change an event, or lead it through its life",
        tag="Events",
        signed_in=True,
        body=EventChangesBody,
        example={"status": "paused"},
        answer=EventView,
        answer_example={**_EVENT, "status": "paused", "version": 2},
        has_etag=True,
        parameters=(IF_MATCH,),
        problems=(*_EDITED, "illegal-status-change", "capacity-below-taken"),
    ),
)
async def change_event(
    request: Request[Caller],
    event_id: str,
    change_event: ChangeEvent,
    clock: Clock,
) -> Response:
    """More tickets, a new policy and resuming serve the waiting list in the same transaction."""
    body = await read(request, EventChangesBody)
    state = await change_event(
        Edit(
            event_id=id_in_path(event_id),
            actor=request.caller.actor,
            changes=body.changes(),
            expected_versions=expected_versions(request),
        )
    )
    return tagged(request, EventView.of(state, clock.now()), version=state.event.version)


@post(
    "/events/{event_id}/ticket-types",
    Operation(
        "AddTicketType",
        "Add a kind of ticket",
        tag="Events",
        signed_in=True,
        takes_key=True,
        body=TicketTypeBody,
        example={"name": "Balcony", "totalTickets": 40, "price": {"amount": 4000, "currency": "EUR"}},
        answer=EventView,
        answer_example=_EVENT,
        status=201,
        has_location=True,
        has_etag=True,
        parameters=(IF_MATCH,),
        problems=(*_EDITED, "too-many-ticket-types", "name-taken"),
    ),
)
async def add_ticket_type(
    request: Request[Caller],
    event_id: str,
    change_event: ChangeEvent,
    clock: Clock,
    ids: Ids,
) -> Response:
    """The event with one more kind of ticket."""
    asked = await read_once(request, TicketTypeBody)
    now = clock.now()

    def answer(state: EventState) -> Answer:
        return _created(EventView.of(state, now))

    command = AddTicketType(
        event_id=id_in_path(event_id),
        actor=request.caller.actor,
        ticket_type_id=ids.new(),
        spec=asked.body.spec(),
        expected_versions=expected_versions(request),
    )
    return respond(answer(await change_event(command, asked.once(answer, command.event_id))))


@patch(
    "/events/{event_id}/ticket-types/{ticket_type_id}",
    Operation(
        "ChangeTicketType",
        "Change a kind of ticket",
        tag="Events",
        signed_in=True,
        body=TicketTypeChangesBody,
        example={"totalTickets": 60},
        answer=EventView,
        answer_example=_EVENT,
        has_etag=True,
        parameters=(IF_MATCH,),
        problems=(*_EDITED, "capacity-below-taken", "name-taken"),
    ),
)
async def change_ticket_type(
    request: Request[Caller],
    event_id: str,
    ticket_type_id: str,
    change_event: ChangeEvent,
    clock: Clock,
) -> Response:
    """More tickets serve the waiting list at once. A new price touches no booking already made."""
    body = await read(request, TicketTypeChangesBody)
    state = await change_event(
        EditTicketType(
            event_id=id_in_path(event_id),
            actor=request.caller.actor,
            ticket_type_id=id_in_path(ticket_type_id),
            changes=TicketTypeChanges(name=body.name, total_tickets=body.total_tickets, price=body.price),
            expected_versions=expected_versions(request),
        )
    )
    return tagged(request, EventView.of(state, clock.now()), version=state.event.version)


@get(
    "/events/{event_id}/bookings",
    Operation(
        "ListEventBookings",
        "An event's bookings, newest first",
        tag="Events",
        signed_in=True,
        answer=Listed[BookingView],
        answer_example={"items": [BOOKING], "nextCursor": None},
        has_etag=True,
        parameters=(BOOKING_STATUS, CURSOR, LIMIT, IF_NONE_MATCH),
        problems=("invalid-request", *_MANAGED),
    ),
)
async def list_event_bookings(
    request: Request[Caller],
    event_id: str,
    list_event_bookings: ListEventBookings,
    clock: Clock,
) -> Response:
    """For its organizer and admins."""
    asked = query(request, status=one_of(BookingStatus), limit=limit, cursor=str)
    status = asked.get("status")
    cursors = booking_cursors("event bookings", event_id.lower(), status)
    before = cursors.read_from(asked)
    page = await list_event_bookings(
        id_in_path(event_id), request.caller.actor, status=status, before=before, limit=asked.get("limit", 50)
    )
    now = clock.now()
    return tagged(request, page_of(page, lambda booking: BookingView.of(booking, now), cursors))


@get(
    "/events/{event_id}/waiting-list",
    Operation(
        "ReadWaitingList",
        "An event's waiting list, by ticket type, then position",
        tag="Events",
        signed_in=True,
        answer=Listed[BookingView],
        answer_example={
            "items": [{**BOOKING, "status": "waitlisted", "paymentStatus": "none", "position": 1, "ticketsAhead": 0}],
            "nextCursor": None,
        },
        has_etag=True,
        parameters=(
            Parameter("ticketTypeId", "Only the line for this kind of ticket.", {"type": "string", "format": "uuid"}),
            CURSOR,
            LIMIT,
            IF_NONE_MATCH,
        ),
        problems=("invalid-request", *_MANAGED),
    ),
)
async def read_waiting_list(
    request: Request[Caller],
    event_id: str,
    read_waiting_list: ReadWaitingList,
    clock: Clock,
) -> Response:
    """For its organizer and admins."""
    asked = query(request, ticketTypeId=identifier, limit=limit, cursor=str)
    ticket_type_id: UUID | None = asked.get("ticketTypeId")
    cursors = waiting_cursors("waiting list", event_id.lower(), ticket_type_id)
    after = cursors.read_from(asked)
    page = await read_waiting_list(
        id_in_path(event_id),
        request.caller.actor,
        ticket_type_id=ticket_type_id,
        after=after,
        limit=asked.get("limit", 50),
    )
    now = clock.now()
    return tagged(request, page_of(page, lambda booking: BookingView.of(booking, now), cursors))


@get(
    "/events/{event_id}/changes",
    Operation(
        "ReadChanges",
        "What happened to an event, gapless and in order",
        tag="Events",
        signed_in=True,
        answer=ChangesView,
        answer_example={
            "items": [
                {
                    "seq": 2,
                    "kind": "CustomerWaitlisted",
                    "bookingId": BOOKING["id"],
                    "occurredAt": "2027-01-01T12:00:00Z",
                    "data": {
                        "ticketTypeId": BOOKING["ticketTypeId"],
                        "customerId": BOOKING["customerId"],
                        "quantity": 2,
                        "amount": BOOKING["amount"],
                        "queueNumber": 1,
                        "cancellationDeadlineHours": 0,
                    },
                }
            ],
            "lastSeq": 2,
        },
        has_etag=True,
        parameters=(
            Parameter(
                "after",
                "The sequence number after which to go on.",
                {"type": "integer", "minimum": 0, "maximum": GREATEST, "default": 0},
            ),
            LIMIT,
            IF_NONE_MATCH,
        ),
        problems=("invalid-request", *_MANAGED),
    ),
)
async def read_changes(
    request: Request[Caller],
    event_id: str,
    read_changes: ReadChanges,
) -> Response:
    """For its organizer and admins. Ask again with `after=lastSeq`; no items: nothing new."""
    asked = query(request, after=sequence_number, limit=limit)
    after = asked.get("after", 0)
    facts = await read_changes(id_in_path(event_id), request.caller.actor, after=after, limit=asked.get("limit", 50))
    return tagged(request, ChangesView.of(facts, after))

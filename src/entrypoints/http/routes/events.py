"""Events: /initialize, /events, /status."""

from datetime import datetime
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from ....application.bookings.queries import ListEventBookings, ReadWaitingList
from ....application.events.change_event import ChangeEvent
from ....application.events.initialize_event import InitializeEvent
from ....application.events.queries import ListEvents, ReadChanges, ReadEvent
from ....application.ports.system import Clock, Ids
from ....domain.decisions.organize import AddTicketType, Edit, EditTicketType, Initialize
from ....domain.event import (
    EventChanges,
    EventDetails,
    EventState,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    When,
)
from ....domain.values.fields import text
from ..etags import expected_versions, tagged
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import GREATEST, Cursor, Limit, check_parameters, event_cursors, id_cursors, waiting_cursors
from ..problems.problem import FieldProblem, Malformed, pointer
from ..reference.operations import PUBLIC, Subject
from ..reply import Reply
from ..request import AnyoneRequest, SignedInRequest, id_in_path
from ..schemas.bookings import BookingPage
from ..schemas.events import (
    ChangesView,
    EventChangesRequest,
    EventPage,
    EventView,
    InitializeRequest,
    StatusView,
    TicketTypeChangesRequest,
    TicketTypeRequest,
)
from ..schemas.fields import NOT_BLANK
from .bookings import BookingFilter

_EDITING: Final = ("not-allowed", "stale-version", "event-closed")
"""The problems of every edit."""

_search_text: Final = text(1, 200)


def router(
    initialize_event: InitializeEvent,
    change_event: ChangeEvent,
    list_events: ListEvents,
    read_event: ReadEvent,
    list_event_bookings: ListEventBookings,
    read_waiting_list: ReadWaitingList,
    read_changes: ReadChanges,
    clock: Clock,
    ids: Ids,
    default_currency: str,
) -> Router:
    """Return the routes of events."""
    events = Subject("Events")

    @events.post("/initialize", EventView, ("not-allowed", "too-many-events"), ("Idempotency-Key", "ETag"), status=201)
    async def handle_initialize_event(data: JSONBody[InitializeRequest], request: SignedInRequest) -> Reply:
        """Initialize an event with its tickets. It is on sale at once unless it is a draft; you are its organizer."""
        respond = partial(_created, now=clock.now())
        command = Initialize(
            event_id=ids.new(),
            actor=request.user.actor,
            details=data.to(EventDetails),
            ticket_types=tuple((ids.new(), spec) for spec in data.to_specs()),
            currency=default_currency,
            status=EventStatus(data.status.value),
            names_types=data.ticket_types is not UNSET,
        )
        return reply_of(respond(await initialize_event(command, await idempotent_request(request, respond))))

    @events.get("/events", EventPage, ("not-allowed",), ("If-None-Match",), opt=PUBLIC)
    async def handle_list_events(
        request: AnyoneRequest,
        status: Annotated[
            EventStatus | None,
            QueryParameter(
                description="Only events with this status; by default `on_sale` and `paused`. `draft`: your own, or "
                "for an admin all."
            ),
        ] = None,
        when: Annotated[
            When,
            QueryParameter(
                description="`upcoming`: events that have not begun, have no start, or have begun and not ended; "
                "`past`: those that have ended, or begun without an end; or `all`."
            ),
        ] = When.UPCOMING,
        q: Annotated[
            str | None,
            QueryParameter(
                min_length=1,
                schema_extra={"max_length": 200, "pattern": NOT_BLANK},
                description="Text in the name or venue, case-insensitive, without wildcards; 1 to 200 characters.",
            ),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List events that are not over, soonest first. Those without a start come last."""
        check_parameters(request, "status", "when", "q", "cursor", "limit")
        actor = request.user.actor if request.user else None
        search = None if q is None else _checked_search(q)
        # Only a list of drafts depends on the user.
        cursors = event_cursors("events", status, when, search, actor if status is EventStatus.DRAFT else None)
        page = await list_events(actor, status=status, when=when, q=search, after=cursors.read(cursor), limit=limit)
        now = clock.now()
        views = [EventView.at(state, now) for state in page.items]
        return tagged(request, EventPage(items=views, next_cursor=cursors.write(page.next)))

    @events.get("/events/{event_id:str}", EventView, headers=("If-None-Match",), opt=PUBLIC)
    async def handle_read_event(event_id: FromPath[str], request: AnyoneRequest) -> Reply:
        """Read an event. Only its staff, its organizer and admins can read a draft."""
        state = await read_event(id_in_path(event_id), request.user.actor if request.user else None)
        return tagged(request, EventView.at(state, clock.now()), version=state.event.version)

    @events.get("/status/{event_id:str}", StatusView, headers=("If-None-Match",), opt=PUBLIC)
    async def handle_read_status(event_id: FromPath[str], request: AnyoneRequest) -> Reply:
        """Read how many tickets are left. The numbers are those of the last commit."""
        state = await read_event(id_in_path(event_id), request.user.actor if request.user else None)
        return tagged(request, StatusView.at(state, clock.now()), version=state.event.version)

    @events.patch(
        "/events/{event_id:str}", EventView, (*_EDITING, "illegal-status-change", "capacity-below-taken"), ("If-Match",)
    )
    async def handle_change_event(
        event_id: FromPath[str], data: JSONBody[EventChangesRequest], request: SignedInRequest
    ) -> Reply:
        """Change an event or its status. For managers and up; only the organizer and admins complete or cancel it.

        More tickets, a new waiting list policy and resuming the sale serve the waiting list in the same transaction.
        """
        command = Edit(
            event_id=id_in_path(event_id),
            actor=request.user.actor,
            changes=data.to(EventChanges),
            expected_versions=expected_versions(request),
        )
        state = await change_event(command)
        return tagged(request, EventView.at(state, clock.now()), version=state.event.version)

    @events.post(
        "/events/{event_id:str}/ticket-types",
        EventView,
        (*_EDITING, "too-many-ticket-types", "name-taken"),
        ("Idempotency-Key", "If-Match"),
        status=201,
    )
    async def handle_add_ticket_type(
        event_id: FromPath[str], data: JSONBody[TicketTypeRequest], request: SignedInRequest
    ) -> Reply:
        """Add a ticket type to an event. For managers and up."""
        respond = partial(_created, now=clock.now())
        command = AddTicketType(
            event_id=id_in_path(event_id),
            actor=request.user.actor,
            ticket_type_id=ids.new(),
            spec=data.to(TicketTypeSpec),
            expected_versions=expected_versions(request),
        )
        return reply_of(
            respond(await change_event(command, await idempotent_request(request, respond, command.event_id)))
        )

    @events.patch(
        "/events/{event_id:str}/ticket-types/{ticket_type_id:str}",
        EventView,
        (*_EDITING, "capacity-below-taken", "name-taken"),
        ("If-Match",),
    )
    async def handle_change_ticket_type(
        event_id: FromPath[str],
        ticket_type_id: FromPath[str],
        data: JSONBody[TicketTypeChangesRequest],
        request: SignedInRequest,
    ) -> Reply:
        """Change a ticket type. For managers and up.

        More tickets serve the waiting list at once; existing bookings keep their price.
        """
        command = EditTicketType(
            event_id=id_in_path(event_id),
            actor=request.user.actor,
            ticket_type_id=id_in_path(ticket_type_id),
            changes=data.to(TicketTypeChanges),
            expected_versions=expected_versions(request),
        )
        state = await change_event(command)
        return tagged(request, EventView.at(state, clock.now()), version=state.event.version)

    @events.get("/events/{event_id:str}/bookings", BookingPage, ("not-allowed",), ("If-None-Match",))
    async def handle_list_event_bookings(
        event_id: FromPath[str],
        request: SignedInRequest,
        status: BookingFilter = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List all bookings of an event, newest first. For the desk and up."""
        check_parameters(request, "status", "cursor", "limit")
        cursors = id_cursors("event bookings", event_id.lower(), status)
        before = cursors.read(cursor)
        page = await list_event_bookings(
            id_in_path(event_id), request.user.actor, status=status, before=before, limit=limit
        )
        return tagged(request, BookingPage.at(page.items, cursors.write(page.next), clock.now()))

    @events.get("/events/{event_id:str}/waiting-list", BookingPage, ("not-allowed",), ("If-None-Match",))
    async def handle_read_waiting_list(
        event_id: FromPath[str],
        request: SignedInRequest,
        ticket_type_id: Annotated[
            UUID | None,
            QueryParameter(name="ticketTypeId", description="Only the waiting list of this ticket type."),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """Read an event's waiting list by ticket type and position. For the desk and up."""
        check_parameters(request, "ticketTypeId", "cursor", "limit")
        cursors = waiting_cursors("waiting list", event_id.lower(), ticket_type_id)
        page = await read_waiting_list(
            id_in_path(event_id),
            request.user.actor,
            ticket_type_id=ticket_type_id,
            after=cursors.read(cursor),
            limit=limit,
        )
        return tagged(request, BookingPage.at(page.items, cursors.write(page.next), clock.now()))

    @events.get("/events/{event_id:str}/changes", ChangesView, ("not-allowed",), ("If-None-Match",))
    async def handle_read_changes(
        event_id: FromPath[str],
        request: SignedInRequest,
        after: Annotated[
            int,
            QueryParameter(
                ge=0,
                le=GREATEST,
                schema_extra={"maximum": GREATEST},  # Litestar would convert it to a float.
                description="Return facts after this sequence number.",
            ),
        ] = 0,
        limit: Limit = 50,
    ) -> Reply:
        """Read an event's facts in order and without gaps. For managers and up."""
        check_parameters(request, "after", "limit")
        facts = await read_changes(id_in_path(event_id), request.user.actor, after=after, limit=limit)
        return tagged(request, ChangesView.after(facts, after))

    return events.router


def _created(state: EventState, now: datetime) -> RepeatableResponse:
    view = EventView.at(state, now)
    return response_of(view, view.id, status=201, location=f"/events/{view.id}", version=view.version)


def _checked_search(q: str) -> str:
    try:
        search: str = _search_text(q)
    except ValueError as error:
        raise Malformed(FieldProblem(pointer("q"), str(error))) from None
    return search

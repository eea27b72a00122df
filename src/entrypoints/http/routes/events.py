"""Events: /initialize, /events, /status."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Final

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from ....application.draws.read_draw import ReadDraw
from ....application.events.change_event import ChangeEvent
from ....application.events.initialize_event import InitializeEvent
from ....application.events.queries import ListEvents, ListOwnEvents, ReadChanges, ReadEvent
from ....application.ports.system import Clock, Ids
from ....domain.decisions.organize import AddTicketType, Edit, EditTicketType, EventChanges, Initialize
from ....domain.event import EventDetails, EventStatus, When
from ....domain.refusals import NotSignedIn
from ....domain.tickets.ticket_type import EventState, TicketTypeChanges, TicketTypeSpec
from ....domain.values.fields import text
from ..etags import expected_versions, tagged
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import GREATEST, Cursor, Limit, check_parameters, event_cursors, search_text
from ..reference.operations import PUBLIC, Subject
from ..reply import Reply
from ..request import AnyoneRequest, SignedInRequest, id_in_path
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
from ..schemas.fairness.draws import DrawView
from ..schemas.fields import NOT_BLANK

_EDITING: Final = ("not-allowed", "stale-version", "event-closed")
"""The problems of every edit."""


class Mine(StrEnum):
    """The only value of the parameter `mine`."""

    TRUE = "true"


_searched: Final = text(1, 200)


def router(
    initialize_event: InitializeEvent,
    change_event: ChangeEvent,
    list_events: ListEvents,
    list_own_events: ListOwnEvents,
    read_event: ReadEvent,
    read_changes: ReadChanges,
    read_draw: ReadDraw,
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
        mine: Annotated[
            Mine | None,
            QueryParameter(
                description="`true`: only the events that you organize or work for, whatever their status, drafts too; "
                "401 `not-signed-in` for an anonymous caller."
            ),
        ] = None,
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
        check_parameters(request, "status", "when", "mine", "q", "cursor", "limit")
        actor = request.user.actor if request.user else None
        if mine is not None and actor is None:
            raise NotSignedIn
        search = search_text(q, _searched)
        # Only lists of drafts and of one's own depend on the user.
        is_own = mine is not None or status is EventStatus.DRAFT
        cursors = event_cursors("events", status, when, mine, search, actor if is_own else None)
        list_them = partial(list_events, actor) if mine is None or actor is None else partial(list_own_events, actor)
        page = await list_them(status=status, when=when, q=search, after=cursors.read(cursor), limit=limit)
        now = clock.now()
        views = [EventView.at(state, now) for state in page.items]
        return tagged(request, EventPage(items=views, next_cursor=cursors.write(page.next)))

    @events.get("/events/{event_id:str}", EventView, headers=("If-None-Match",), opt=PUBLIC)
    async def handle_read_event(event_id: FromPath[str], request: AnyoneRequest) -> Reply:
        """Read an event. Only its staff, its organizer and admins can read a draft."""
        state = await read_event(id_in_path(event_id), request.user.actor if request.user else None)
        return tagged(request, EventView.at(state, clock.now()), version=state.event.version)

    @events.get("/events/{event_id:str}/draw", DrawView, headers=("If-None-Match",), opt=PUBLIC)
    async def handle_read_draw(event_id: FromPath[str], request: AnyoneRequest) -> Reply:
        """Read the draw of an event: all that is needed to recompute it. An event without one has none."""
        document = await read_draw(id_in_path(event_id), request.user.actor if request.user else None)
        return tagged(request, DrawView.showing(document))

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

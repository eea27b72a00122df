"""What is committed. Every call is one statement, so that it sees one state; none takes or waits for a lock."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    union_all,
)

from ...application.ports import (
    Account,
    AccountKey,
    BookingOfEvent,
    EventFilter,
    EventKey,
    Revocations,
    WaitingKey,
)
from ...domain.booking import Booking, BookingStatus, Place
from ...domain.characters import folded
from ...domain.event import EventState
from ...domain.facts import Fact
from ...domain.payment import Payment, PaymentState
from ...domain.user import Session, User
from .connections import Connections
from .find import through
from .rows import (
    BOOKING,
    EVENT,
    FACT,
    PAYMENT,
    SESSION,
    TICKET_TYPE,
    USER,
    booking,
    event,
    event_states,
    fact,
    payment,
    session,
    start_order,
    user,
)
from .tables import bookings, events, facts, payments, sessions, ticket_types, users, waiting_list
from .transaction import Diagnosis, Rows, read

_limit = bindparam("limit", type_=Integer())

SMALLEST_WAITING = (
    select(waiting_list.c.quantity)
    .where(waiting_list.c.ticket_type_id == ticket_types.c.id)
    .order_by(waiting_list.c.quantity)
    .limit(1)
    .scalar_subquery()
)
"""The fewest tickets that somebody in a ticket type's line asks for: one look into an index."""

STATES = select(*EVENT, *TICKET_TYPE, SMALLEST_WAITING).join_from(events, ticket_types)
"""Events with their ticket types, for `event_states`."""

_EVENTS_BY_ID = STATES.where(events.c.id.in_(bindparam("ids", expanding=True))).order_by(
    events.c.id, ticket_types.c.ordinal
)
_EVENT_OF = select(bookings.c.event_id).where(bookings.c.id == bindparam("booking_id"))


def _ahead(what: ColumnElement[Any]) -> ColumnElement[Any]:
    """Counted over those who wait before a waitlisted booking."""
    before = (
        select(what)
        .where(
            waiting_list.c.ticket_type_id == bookings.c.ticket_type_id,
            waiting_list.c.queue_number < bookings.c.queue_number,
        )
        .correlate(bookings)
        .scalar_subquery()
    )
    return case((bookings.c.status == BookingStatus.WAITLISTED, before))


_BOOKING = (
    select(
        *EVENT,
        *BOOKING,
        _ahead(func.count()),
        _ahead(func.coalesce(func.sum(waiting_list.c.quantity), 0)),
    )
    .join_from(bookings, events, bookings.c.event_id == events.c.id)
    .where(bookings.c.id == bindparam("booking_id"))
)
_FACTS = (
    select(*FACT)
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(_limit)
)
_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.booking_id == bindparam("booking_id"))
    .order_by(payments.c.created_at, payments.c.kind, payments.c.id)
)
_OPEN_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.status == PaymentState.PENDING, payments.c.ask_at <= bindparam("now"))
    .order_by(payments.c.ask_at, payments.c.id)
    .limit(_limit)
)
_LAPSING = (
    select(events.c.id)
    .where(events.c.earliest_expiry <= bindparam("now"))
    .order_by(events.c.earliest_expiry, events.c.id)
    .limit(_limit)
)
_USERS = select(*USER).order_by(users.c.id).limit(_limit)
_USERS_AFTER = _USERS.where(users.c.id > bindparam("after"))
_USER_BY_EMAIL = select(*USER).where(users.c.email == bindparam("email"))
_ACCOUNTS = (
    select(*USER, *SESSION)
    .outerjoin_from(
        users,
        sessions,
        and_(sessions.c.user_id == users.c.id, sessions.c.id.in_(bindparam("session_ids", expanding=True))),
    )
    .where(users.c.id.in_(bindparam("user_ids", expanding=True)))
)
_since: BindParameter[datetime] = bindparam("since")
_REVOKED = union_all(
    through(
        select(users.c.id, users.c.role, users.c.disabled_at).where(users.c.standing_changed_at >= _since),
        users,
        "ix_users_standing_changed_at",
    ),
    # Without a role, so that they are told apart.
    through(
        select(sessions.c.id, null(), null()).where(sessions.c.ended_at >= _since), sessions, "ix_sessions_ended_at"
    ),
)
_UNSETTLED = select(events.c.id).where(events.c.is_unsettled.is_(True)).order_by(events.c.id).limit(_limit)
_UNSETTLED_AFTER = _UNSETTLED.where(events.c.id > bindparam("after"))


@lru_cache(maxsize=64)
def _events(statuses: int, *, of_organizer: bool, searching: bool, goes_on: bool, hiding: bool) -> Select[Any]:
    """The page of each status by its index, then the first of all pages."""
    pages = []
    for number in range(statuses):
        page = select(events.c.id, events.c.start_order).where(
            events.c.status == bindparam(f"wanted_{number}", type_=events.c.status.type)
        )
        if of_organizer:
            page = page.where(events.c.organizer_id == bindparam("organizer_id"))
        if hiding:
            organizer = bindparam("viewer_id", type_=events.c.organizer_id.type)
            page = page.where(or_(events.c.was_published, events.c.organizer_id == organizer))
        if searching:
            # Literal, unlike LIKE: nothing has to be escaped.
            page = page.where(func.instr(events.c.searchable, bindparam("q")) > 0)
        if goes_on:
            after = bindparam("after_order", type_=BigInteger())
            page = page.where(
                events.c.start_order >= after,
                or_(events.c.start_order > after, events.c.id > bindparam("after_id", type_=events.c.id.type)),
            )
        pages.append(select(page.order_by(events.c.start_order, events.c.id).limit(_limit).subquery()))
    together = union_all(*pages).subquery()
    first = select(together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit).subquery()
    return STATES.join(first, first.c.id == events.c.id).order_by(
        events.c.start_order, events.c.id, ticket_types.c.ordinal
    )


@lru_cache(maxsize=64)
def _bookings(owner: str, statuses: int, *, goes_on: bool, may_wait: bool) -> Executable:
    """The page of each status by its index, the newest of all pages, and places where somebody may wait."""
    pages = []
    for number in range(statuses):
        page = select(bookings.c.id).where(
            bookings.c[owner] == bindparam("owner", type_=bookings.c[owner].type),
            bookings.c.status == bindparam(f"wanted_{number}", type_=bookings.c.status.type),
        )
        if goes_on:
            page = page.where(bookings.c.id < bindparam("before", type_=bookings.c.id.type))
        pages.append(select(page.order_by(bookings.c.id.desc()).limit(_limit).subquery()))
    together = union_all(*pages).subquery()
    newest = select(together.c.id).order_by(together.c.id.desc()).limit(_limit).cte("newest")
    found = select(*BOOKING).join(newest, newest.c.id == bookings.c.id)
    if may_wait:
        places = _places(newest)
        found = found.add_columns(places.c.position, places.c.tickets).outerjoin(
            places, places.c.booking_id == bookings.c.id
        )
    return found.order_by(bookings.c.id.desc())


def _places(newest: Any) -> Any:
    """The places in every line in which one of these bookings waits, each line walked once."""
    wanted = bookings.alias()
    lines = (
        select(wanted.c.ticket_type_id)
        .join(newest, newest.c.id == wanted.c.id)
        .where(wanted.c.status == BookingStatus.WAITLISTED)
    )
    until_here: dict[str, Any] = {
        "partition_by": waiting_list.c.ticket_type_id,
        "order_by": waiting_list.c.queue_number,
    }
    return (
        select(
            waiting_list.c.booking_id,
            func.row_number().over(**until_here).label("position"),
            func.sum(waiting_list.c.quantity).over(**until_here, rows=(None, 0)).label("tickets"),
        )
        .where(waiting_list.c.ticket_type_id.in_(lines))
        .subquery()
    )


@lru_cache(maxsize=4)
def _waiting_list(*, of_type: bool, goes_on: bool) -> Select[Any]:
    """A page of the line, and how many bookings and tickets stand before it in the line in which it begins."""
    page = (
        select(waiting_list.c.booking_id, ticket_types.c.ordinal, waiting_list.c.queue_number)
        .join_from(ticket_types, waiting_list, waiting_list.c.ticket_type_id == ticket_types.c.id)
        .where(ticket_types.c.event_id == bindparam("event_id"))
    )
    counts: list[ColumnElement[Any]] = []
    if of_type:
        page = page.where(ticket_types.c.id == bindparam("ticket_type_id"))
    if goes_on:
        ordinal, queue_number = bindparam("ordinal", type_=Integer()), bindparam("queue_number", type_=BigInteger())
        page = page.where(
            ticket_types.c.ordinal >= ordinal,
            or_(ticket_types.c.ordinal > ordinal, waiting_list.c.queue_number > queue_number),
        )
        waiting, types = waiting_list.alias(), ticket_types.alias()
        counts = [
            select(what)
            .join_from(types, waiting, waiting.c.ticket_type_id == types.c.id)
            .where(
                types.c.event_id == bindparam("event_id"),
                types.c.ordinal == ordinal,
                waiting.c.queue_number <= queue_number,
            )
            .scalar_subquery()
            for what in (func.count(), func.coalesce(func.sum(waiting.c.quantity), 0))
        ]
    first = page.order_by(ticket_types.c.ordinal, waiting_list.c.queue_number).limit(_limit).subquery()
    return (
        select(*BOOKING, first.c.ordinal, *counts)
        .join_from(first, bookings, bookings.c.id == first.c.booking_id)
        .order_by(first.c.ordinal, first.c.queue_number)
    )


class SqlReads:
    """What is committed, read without locks."""

    def __init__(self, connections: Connections, diagnose: Diagnosis) -> None:
        self._connections = connections
        self._diagnose = diagnose

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """Events with their ticket types in their order."""
        states = event_states(await self._rows(_EVENTS_BY_ID, ids=list(event_ids)))
        return {state.event.id: state for state in states}

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> list[EventState]:
        """Events after that place, soonest first."""
        values: dict[str, Any] = {f"wanted_{n}": status for n, status in enumerate(sorted(wanted.statuses))}
        if not values:
            return []
        if wanted.organizer_id is not None:
            values["organizer_id"] = wanted.organizer_id
        if wanted.q is not None:
            values["q"] = folded(wanted.q)
        if wanted.hides_unpublished:
            values["viewer_id"] = wanted.viewer_id
        if after is not None:
            values |= {"after_order": start_order(after.starts_at), "after_id": after.event_id}
        statement = _events(
            len(wanted.statuses),
            of_organizer=wanted.organizer_id is not None,
            searching=wanted.q is not None,
            goes_on=after is not None,
            hiding=wanted.hides_unpublished,
        )
        return list(event_states(await self._rows(statement, **values, limit=limit)))

    async def event_of(self, booking_id: UUID) -> UUID | None:
        """Which event a booking belongs to."""
        rows = await self._rows(_EVENT_OF, booking_id=booking_id)
        return rows[0][0] if rows else None

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """One booking, with its place while it waits."""
        for row in await self._rows(_BOOKING, booking_id=booking_id):
            *values, bookings_ahead, tickets_ahead = row
            found = booking(values[len(EVENT) :])
            if found.status is BookingStatus.WAITLISTED:
                found = replace(found, place=Place(bookings_ahead + 1, int(tickets_ahead)))
            return BookingOfEvent(found, event(values[: len(EVENT)]))
        return None

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """A customer's bookings, newest first."""
        return await self._page("customer_id", customer_id, status, before, limit)

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """An event's bookings, newest first."""
        return await self._page("event_id", event_id, status, before, limit)

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """Those who wait, by ticket type and queue number; places are counted on from those before the page."""
        values: dict[str, Any] = {"event_id": event_id, "limit": limit}
        if ticket_type_id is not None:
            values["ticket_type_id"] = ticket_type_id
        if after is not None:
            values |= {"ordinal": after.ordinal, "queue_number": after.queue_number}
        statement = _waiting_list(of_type=ticket_type_id is not None, goes_on=after is not None)
        found = []
        line, position, tickets = None, 0, 0
        for row in await self._rows(statement, **values):
            ordinal, *counts = row[len(BOOKING) :]
            if ordinal != line:
                line = ordinal
                begins_before = after is not None and ordinal == after.ordinal
                position, tickets = map(int, counts) if begins_before else (0, 0)
            position += 1
            waiting = booking(row[: len(BOOKING)])
            found.append(replace(waiting, place=Place(position, tickets)))
            tickets += waiting.quantity
        return found

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """An event's facts in order."""
        return [fact(row) for row in await self._rows(_FACTS, event_id=event_id, after=after, limit=limit)]

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """A booking's charges and refunds, oldest first."""
        return [payment(row) for row in await self._rows(_PAYMENTS, booking_id=booking_id)]

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Pending payments to be asked about, those that waited longest first."""
        return [payment(row) for row in await self._rows(_OPEN_PAYMENTS, now=now, limit=limit)]

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """Events in which a hold may have lapsed, the earliest first."""
        return [row[0] for row in await self._rows(_LAPSING, now=now, limit=limit)]

    async def user_by_email(self, email: str) -> User | None:
        """The account with this e-mail."""
        rows = await self._rows(_USER_BY_EMAIL, email=email)
        return user(rows[0]) if rows else None

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """Accounts by id."""
        if after is None:
            rows = await self._rows(_USERS, limit=limit)
        else:
            rows = await self._rows(_USERS_AFTER, after=after, limit=limit)
        return [user(row) for row in rows]

    async def revocations(self, since: datetime) -> Revocations:
        """Ended sessions, and users as they are today."""
        rows = await self._rows(_REVOKED, since=since)
        return Revocations(
            ended=[id_ for id_, role, _ in rows if role is None],
            users={id_: None if disabled_at else role for id_, role, disabled_at in rows if role is not None},
        )

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """Users, each with that session if it is theirs."""
        ids = {
            "user_ids": list({key.user_id for key in wanted}),
            "session_ids": list({key.session_id for key in wanted if key.session_id is not None}),
        }
        found_users: dict[UUID, User] = {}
        found_sessions: dict[AccountKey, Session] = {}
        for row in await self._rows(_ACCOUNTS, **ids):
            found_user, of_session = user(row[: len(USER)]), row[len(USER) :]
            found_users[found_user.id] = found_user
            if of_session[0] is not None:
                found_session = session(of_session)
                found_sessions[AccountKey(found_user.id, found_session.id)] = found_session
        return {
            key: Account(found_users[key.user_id], found_sessions.get(key))
            for key in wanted
            if key.user_id in found_users
        }

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """Events for which a step is still to be done."""
        if after is None:
            rows = await self._rows(_UNSETTLED, limit=limit)
        else:
            rows = await self._rows(_UNSETTLED_AFTER, after=after, limit=limit)
        return [row[0] for row in rows]

    async def _page(
        self, owner: str, owner_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        statuses = list(BookingStatus) if status is None else [status]
        values: dict[str, Any] = {f"wanted_{number}": each for number, each in enumerate(statuses)}
        if before is not None:
            values["before"] = before
        may_wait = BookingStatus.WAITLISTED in statuses
        statement = _bookings(owner, len(statuses), goes_on=before is not None, may_wait=may_wait)
        found = []
        for row in await self._rows(statement, **values, owner=owner_id, limit=limit):
            each = booking(row[: len(BOOKING)])
            if may_wait and each.status is BookingStatus.WAITLISTED:
                position, tickets = row[len(BOOKING) :]
                each = replace(each, place=Place(position, int(tickets) - each.quantity))
            found.append(each)
        return found

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._connections, self._diagnose, statement, values)

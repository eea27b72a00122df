"""Bookings and waiting lists, with current places."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    Boolean,
    Executable,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    literal,
    select,
    union_all,
)

from ....application.ports.queries import (
    AttendingBooking,
    BookingOfEvent,
    BookingOwner,
    BookingPage,
    Customer,
    WaitingKey,
)
from ....domain.booking import Booking, BookingStatus, Place
from ....domain.values.characters import folded
from ..bulk.select import force_index
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read, read_literal
from ..indexes.places import MAX_BOOKINGS, PlacesQuery
from ..schema.mappers import BOOKING, EVENT, booking, event
from ..schema.tables import bookings, events, ticket_types, users, waiting_list

ATTEMPTS: Final = 3
"""Maximum reads of bookings of which one leaves the waiting list before its place is read."""

FIRST_READ: Final = 4
"""Bookings that a search reads first, for each booking of the page."""

SECOND_READ: Final = 2_000
"""Bookings that it reads afterwards, before it returns an incomplete page."""

_limit = bindparam("limit", type_=Integer())

_BOOKING = (
    select(*EVENT, *BOOKING)
    .join_from(bookings, events, bookings.c.event_id == events.c.id)
    .where(bookings.c.id == bindparam("booking_id"))
)
_TYPES_WITH_WAITING = (
    select(ticket_types.c.id, ticket_types.c.ordinal)
    .where(ticket_types.c.event_id == bindparam("event_id"), ticket_types.c.waiting > 0)
    .order_by(ticket_types.c.ordinal)
)


def _newest(owner: str, statuses: int, *, goes_on: bool) -> Subquery:
    """Select a page of each status by its index, then the newest ids of these pages."""
    pages = []
    for number in range(statuses):
        # MySQL would sort all bookings of a status for a page of thousands.
        page = force_index(select(bookings.c.id), bookings, f"ix_bookings_{owner}_status_id").where(
            bookings.c[owner] == bindparam("owner", type_=bookings.c[owner].type),
            bookings.c.status == bindparam(f"wanted_{number}", type_=bookings.c.status.type),
        )
        if goes_on:
            page = page.where(bookings.c.id < bindparam("before", type_=bookings.c.id.type))
        pages.append(select(page.order_by(bookings.c.id.desc()).limit(_limit).subquery()))
    together = union_all(*pages).subquery()
    return select(together.c.id).order_by(together.c.id.desc()).limit(_limit).subquery()


@lru_cache(maxsize=64)
def _bookings(owner: str, statuses: int, *, goes_on: bool) -> Executable:
    """Select the newest bookings."""
    newest = _newest(owner, statuses, goes_on=goes_on)
    return select(*BOOKING).join(newest, newest.c.id == bookings.c.id).order_by(bookings.c.id.desc())


@lru_cache(maxsize=32)
def _names(statuses: int, *, goes_on: bool) -> Executable:
    """Select the names and addresses of the customers of an event's newest bookings."""
    newest = _newest("event_id", statuses, goes_on=goes_on)
    return (
        force_index(select(bookings.c.id, users.c.name, users.c.email), users, "PRIMARY")
        .join_from(newest, bookings, bookings.c.id == newest.c.id)
        .outerjoin(users, users.c.id == bookings.c.customer_id)
        .order_by(bookings.c.id.desc())
    )


_FOUND = select(*BOOKING).where(bookings.c.id.in_(bindparam("ids", expanding=True))).order_by(bookings.c.id.desc())

_event_id = bindparam("event_id", type_=bookings.c.event_id.type)
_after = bindparam("after", type_=BigInteger())
_ticketed = select(bookings.c.id, bookings.c.first_ticket_number).where(bookings.c.event_id == _event_id)
# The booking that has the next ticket, or the last one, and those behind it. With one condition for both, MariaDB would
# read all bookings of the event.
_some_attending = union_all(
    select(
        _ticketed.where(bookings.c.first_ticket_number <= _after + 1)
        .order_by(bookings.c.first_ticket_number.desc())
        .limit(1)
        .subquery()
    ),
    select(
        _ticketed.where(bookings.c.first_ticket_number > _after + 1)
        .order_by(bookings.c.first_ticket_number)
        .limit(_limit)
        .subquery()
    ),
).subquery()
# The indexes are forced because MySQL would read small tables as a whole.
_ATTENDING = force_index(
    force_index(
        select(
            *(bookings.c.id, bookings.c.first_ticket_number, bookings.c.quantity + bookings.c.returned),
            bookings.c.status,
            *(ticket_types.c.id, ticket_types.c.name),
            *(users.c.id, users.c.name, users.c.email),
        )
        .join_from(_some_attending, bookings, bookings.c.id == _some_attending.c.id)
        .join(ticket_types, ticket_types.c.id == bookings.c.ticket_type_id)
        .outerjoin(users, and_(users.c.id == bookings.c.customer_id, users.c.erased_at.is_(None)))
        .order_by(bookings.c.first_ticket_number),
        users,
        "PRIMARY",
    ),
    ticket_types,
    "PRIMARY",
)


@lru_cache(maxsize=128)
def _waiting_list(types: int) -> Select[Any]:
    """Select a page of each ticket type's waiting list by its key, then the first bookings of these pages."""
    pages = []
    for number in range(types):
        page = (
            select(
                waiting_list.c.booking_id,
                literal(number, Integer()).label("number"),
                waiting_list.c.queue_number,
            )
            .where(
                waiting_list.c.ticket_type_id == bindparam(f"type_{number}", type_=waiting_list.c.ticket_type_id.type),
                waiting_list.c.queue_number > bindparam(f"after_{number}", type_=BigInteger()),
            )
            .order_by(waiting_list.c.queue_number)
            .limit(_limit)
        )
        pages.append(select(page.subquery(f"page_{number}")))
    together = union_all(*pages).subquery()
    first = select(together).order_by(together.c.number, together.c.queue_number).limit(_limit).subquery()
    return (
        select(*BOOKING)
        .join_from(first, bookings, bookings.c.id == first.c.booking_id)
        .order_by(first.c.number, first.c.queue_number)
    )


_WAITLISTED = (
    select(*BOOKING)
    .where(
        bookings.c.customer_id == bindparam("customer_id"),
        bookings.c.status == BookingStatus.WAITLISTED,
        bookings.c.is_suspended == bindparam("suspended", type_=Boolean()),
    )
    .order_by(bookings.c.id)
    .limit(_limit)
)
_OWNER_OF = select(bookings.c.event_id, bookings.c.customer_id).where(bookings.c.id == bindparam("booking_id"))
_WITH_EVENTS = (
    select(*EVENT, *BOOKING)
    .join_from(bookings, events, bookings.c.event_id == events.c.id)
    .where(bookings.c.customer_id == bindparam("customer_id"), bookings.c.status == bindparam("status"))
    .where(bookings.c.id > bindparam("after"))
    .order_by(bookings.c.id)
    .limit(_limit)
)


class SqlBookingQueries:
    """See the port. A place is read after its booking, and is valid for the time when it was read."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """See the port."""
        found = None
        for _ in range(ATTEMPTS):
            rows = await read(self._reading, self._classify, _BOOKING, {"booking_id": booking_id})
            if not rows:
                return None
            found = BookingOfEvent(booking(rows[0][len(EVENT) :]), event(rows[0][: len(EVENT)]))
            placed, are_all = await self._placed(self._reading, [found.booking])
            found = replace(found, booking=placed[0])
            if are_all:
                break
        return found

    async def owner_of(self, booking_id: UUID) -> BookingOwner | None:
        """See the port."""
        rows = await read(self._reading, self._classify, _OWNER_OF, {"booking_id": booking_id})
        return BookingOwner(*rows[0]) if rows else None

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """See the port."""
        return await self._page("customer_id", customer_id, status, before, limit)

    async def bookings_with_events(
        self, customer_id: UUID, status: BookingStatus, after: UUID | None, limit: int
    ) -> list[BookingOfEvent]:
        """See the port."""
        values = {"customer_id": customer_id, "status": status, "after": after or UUID(int=0), "limit": limit}
        return [
            BookingOfEvent(booking(row[len(EVENT) :]), event(row[: len(EVENT)]))
            for row in await self._rows(_WITH_EVENTS, **values)
        ]

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """See the port."""
        return await self._page("event_id", event_id, status, before, limit)

    async def _page(
        self, owner: str, owner_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """Return the newest bookings whose column `owner` is `owner_id`."""
        statuses = list(BookingStatus) if status is None else [status]
        values: dict[str, Any] = {f"wanted_{number}": each for number, each in enumerate(statuses)}
        if before is not None:
            values["before"] = before
        statement = _bookings(owner, len(statuses), goes_on=before is not None)
        found: list[Booking] = []
        for _ in range(ATTEMPTS):
            rows = await self._rows(statement, **values, owner=owner_id, limit=limit)
            found, are_all = await self._placed(self._listing, list(map(booking, rows)))
            if are_all:
                break
        return found

    async def waitlisted_of_customer(self, customer_id: UUID, limit: int, *, suspended: bool) -> list[Booking]:
        """See the port."""
        rows = await self._rows(_WAITLISTED, customer_id=customer_id, suspended=suspended, limit=limit)
        return list(map(booking, rows))

    async def search_bookings(
        self, event_id: UUID, q: str, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> BookingPage:
        """See the port. Names are folded here, because no database folds case as Unicode does."""
        text = folded(q)
        statuses = list(BookingStatus) if status is None else [status]
        values: dict[str, Any] = {f"wanted_{number}": each for number, each in enumerate(statuses)}
        found: list[UUID] = []
        for size in (FIRST_READ * (limit + 1), SECOND_READ):
            if before is not None:
                values["before"] = before
            statement = _names(len(statuses), goes_on=before is not None)
            rows = await self._rows(statement, **values, owner=event_id, limit=size)
            found += [id_ for id_, *texts in rows if any(each is not None and text in folded(each) for each in texts)]
            before = rows[-1][0] if len(rows) == size else None
            if before is None or len(found) > limit:
                break
        if len(found) > limit:
            found = found[:limit]
            before = found[-1]
        rows = await self._rows(_FOUND, ids=found) if found else []
        placed, _ = await self._placed(self._listing, list(map(booking, rows)))
        return BookingPage(placed, before)

    async def attending_bookings(self, event_id: UUID, after: int, limit: int) -> list[AttendingBooking]:
        """See the port. One statement."""
        found = [
            AttendingBooking(
                id=id_,
                first_ticket_number=first_number,
                tickets=tickets,
                status=status,
                ticket_type_id=type_id,
                ticket_type_name=type_name,
                customer=None if user_id is None else Customer(user_id, name, email),
            )
            for id_, first_number, tickets, status, type_id, type_name, user_id, name, email in await self._rows(
                _ATTENDING, event_id=event_id, after=after, limit=limit
            )
            if first_number + tickets > after + 1
        ]
        return found[:limit]

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """See the port. Only the place of the page's first booking is read; the others follow from it."""
        types = [
            (type_id, ordinal)
            for type_id, ordinal in await self._rows(_TYPES_WITH_WAITING, event_id=event_id)
            if ticket_type_id in (None, type_id) and (after is None or ordinal >= after.ordinal)
        ]
        if not types:
            return []
        values: dict[str, Any] = {}
        for number, (type_id, ordinal) in enumerate(types):
            values[f"type_{number}"] = type_id
            values[f"after_{number}"] = after.queue_number if after is not None and ordinal == after.ordinal else 0
        found: list[Booking] = []
        for _ in range(ATTEMPTS):
            found = list(map(booking, await self._rows(_waiting_list(len(types)), **values, limit=limit)))
            first, are_all = await self._placed(self._listing, found[:1])
            found = _with_places(first + found[1:])
            if are_all:
                break
        return found

    async def _placed(self, connections: ConnectionPool, found: list[Booking]) -> tuple[list[Booking], bool]:
        """Return the bookings, the waiting ones with their places, and whether all of these were still waiting."""
        waiting = [each for each in found if each.is_waiting]
        places: dict[UUID, Place] = {}
        undrawn: set[UUID] = set()
        for start in range(0, len(waiting), MAX_BOOKINGS):
            query = PlacesQuery(waiting[start : start + MAX_BOOKINGS], connections.dialect, for_readers=True)
            rows = await read_literal(connections, self._classify, query.statement)
            places |= query.places(rows)
            undrawn |= query.undrawn(rows)
        placed = [replace(each, place=None if each.event_id in undrawn else places.get(each.id)) for each in found]
        return placed, len(places) == len(waiting)

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._classify, statement, values)


def _with_places(page: Sequence[Booking]) -> list[Booking]:
    """Return the bookings of a page of waiting lists, of which only the first has its place, with their places."""
    found: list[Booking] = []
    for each in page:
        before = found[-1] if found else None
        if before is None or before.place is None:
            found.append(each)
        elif before.ticket_type_id != each.ticket_type_id:
            found.append(replace(each, place=Place(1, 0)))
        else:
            place = Place(before.place.position + 1, before.place.tickets_ahead + before.quantity)
            found.append(replace(each, place=place))
    return found

"""Bookings and waiting lists, with current places."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import BigInteger, Boolean, Executable, Integer, Select, bindparam, literal, select, union_all

from ....application.ports.queries import BookingOfEvent, BookingOwner, WaitingKey
from ....domain.booking import Booking, BookingStatus, Place
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read, read_literal
from ..indexes.places import MAX_BOOKINGS, PlacesQuery
from ..schema.mappers import BOOKING, EVENT, booking, event
from ..schema.tables import bookings, events, ticket_types, waiting_list

ATTEMPTS: Final = 3
"""Maximum reads of bookings of which one leaves the waiting list before its place is read."""

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


@lru_cache(maxsize=64)
def _bookings(owner: str, statuses: int, *, goes_on: bool) -> Executable:
    """Select a page of each status by its index, then the newest bookings of these pages."""
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
    newest = select(together.c.id).order_by(together.c.id.desc()).limit(_limit).subquery()
    return select(*BOOKING).join(newest, newest.c.id == bookings.c.id).order_by(bookings.c.id.desc())


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
        for start in range(0, len(waiting), MAX_BOOKINGS):
            query = PlacesQuery(waiting[start : start + MAX_BOOKINGS], connections.dialect)
            places |= query.places(await read_literal(connections, self._classify, query.statement))
        return [replace(each, place=places.get(each.id)) for each in found], len(places) == len(waiting)

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

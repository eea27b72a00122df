"""Bookings and waiting lists, with today's places."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import BigInteger, Executable, Integer, Select, bindparam, literal, select, union_all

from ....application.ports.queries import BookingOfEvent, WaitingKey
from ....domain.booking import Booking, BookingStatus, Place
from ..engine.pool import ConnectionPool
from ..engine.transaction import Diagnosis, Rows, read, read_written
from ..indexes.places import MOST_TOGETHER, PlacesQuery, is_waiting
from ..schema.mappers import BOOKING, EVENT, booking, event
from ..schema.tables import bookings, events, ticket_types, waiting_list

LOOKS: Final = 3
"""Times that bookings are read again because one of them has left the waiting list before its place was read."""

_limit = bindparam("limit", type_=Integer())

_BOOKING = (
    select(*EVENT, *BOOKING)
    .join_from(bookings, events, bookings.c.event_id == events.c.id)
    .where(bookings.c.id == bindparam("booking_id"))
)
_TYPES_WAITED_FOR = (
    select(ticket_types.c.id, ticket_types.c.ordinal)
    .where(ticket_types.c.event_id == bindparam("event_id"), ticket_types.c.waiting > 0)
    .order_by(ticket_types.c.ordinal)
)


@lru_cache(maxsize=64)
def _bookings(owner: str, statuses: int, *, goes_on: bool) -> Executable:
    """The page of each status by its index, then the newest of all pages."""
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
    """The first of each ticket type's list after a queue number, by its key, then the first of all."""
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


_EVENT_OF = select(bookings.c.event_id).where(bookings.c.id == bindparam("booking_id"))


class SqlBookingQueries:
    """Bookings with their places.

    A place is read after its booking, and stands for the moment at which it was read: the booking still waited then.
    """

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, diagnose: Diagnosis) -> None:
        self._reading = reading
        self._listing = listing
        self._diagnose = diagnose

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """One booking, with its event."""
        found = None
        for _ in range(LOOKS):
            rows = await read(self._reading, self._diagnose, _BOOKING, {"booking_id": booking_id})
            if not rows:
                return None
            found = BookingOfEvent(booking(rows[0][len(EVENT) :]), event(rows[0][: len(EVENT)]))
            placed, are_all = await self._placed(self._reading, [found.booking])
            found = replace(found, booking=placed[0])
            if are_all:
                break
        return found

    async def event_of(self, booking_id: UUID) -> UUID | None:
        """Which event a booking belongs to."""
        rows = await read(self._reading, self._diagnose, _EVENT_OF, {"booking_id": booking_id})
        return rows[0][0] if rows else None

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

    async def _page(
        self, owner: str, owner_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """The newest bookings of an owner, which is a column."""
        statuses = list(BookingStatus) if status is None else [status]
        values: dict[str, Any] = {f"wanted_{number}": each for number, each in enumerate(statuses)}
        if before is not None:
            values["before"] = before
        statement = _bookings(owner, len(statuses), goes_on=before is not None)
        found: list[Booking] = []
        for _ in range(LOOKS):
            rows = await self._rows(statement, **values, owner=owner_id, limit=limit)
            found, are_all = await self._placed(self._listing, list(map(booking, rows)))
            if are_all:
                break
        return found

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """A page of an event's waiting list. Places count on from the first of the page."""
        types = [
            (type_id, ordinal)
            for type_id, ordinal in await self._rows(_TYPES_WAITED_FOR, event_id=event_id)
            if ticket_type_id in (None, type_id) and (after is None or ordinal >= after.ordinal)
        ]
        if not types:
            return []
        values: dict[str, Any] = {}
        for number, (type_id, ordinal) in enumerate(types):
            begins_later = after is not None and ordinal == after.ordinal
            values[f"type_{number}"] = type_id
            values[f"after_{number}"] = after.queue_number if after is not None and begins_later else 0
        found: list[Booking] = []
        for _ in range(LOOKS):
            found = list(map(booking, await self._rows(_waiting_list(len(types)), **values, limit=limit)))
            first, are_all = await self._placed(self._listing, found[:1])
            found = _counted_on(first + found[1:])
            if are_all:
                break
        return found

    async def _placed(self, connections: ConnectionPool, found: list[Booking]) -> tuple[list[Booking], bool]:
        """The bookings with the places of those that wait, and whether all of those still waited."""
        waiting = [each for each in found if is_waiting(each)]
        places: dict[UUID, Place] = {}
        for start in range(0, len(waiting), MOST_TOGETHER):
            query = PlacesQuery(waiting[start : start + MOST_TOGETHER], connections.dialect)
            places |= query.places(await read_written(connections, self._diagnose, query.statement))
        return [replace(each, place=places.get(each.id)) for each in found], len(places) == len(waiting)

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._diagnose, statement, values)


def _counted_on(page: Sequence[Booking]) -> list[Booking]:
    """The bookings of a page of a waiting list, whose first has its place, with their places."""
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

"""A consistent state of the whole database, read in pages."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)

from ...application.ports.loading import WaitingListQuery
from ...application.ports.queries import BookingHistory
from ...domain.booking import LIVE, TAKING, BookingStatus
from ...domain.event import EventStatus
from ...domain.facts import Fact
from ...domain.inventory import WaitingList
from ...domain.tickets.check_in import ScanResult
from ...domain.tickets.ticket_type import EventState
from .engine.transaction import Transaction
from .indexes.places import SIZES
from .indexes.search_grams import grams_of
from .queries.erased_accounts import LEFT_OF_ERASED
from .queries.event_lists import STATES
from .repositories.waiting_lists import load_waiting_lists
from .schema.mappers import BOOKING, FACT, PAYMENT, TICKET, booking, event_states, fact, payment, ticket
from .schema.tables import (
    account_reviews,
    bookings,
    check_ins,
    event_grams,
    events,
    facts,
    payments,
    stored_responses,
    ticket_types,
    tickets,
    users,
    waiting_blocks,
    waiting_list,
)

FIRST = UUID(int=0)
"""An id below every other id."""

EVENTS_AT_ONCE = 1_000
"""Events whose search entries are computed together."""

_limit = bindparam("limit", type_=Integer())
_after: BindParameter[Any] = bindparam("after")

_some_events = select(events.c.id).where(events.c.id > _after).order_by(events.c.id).limit(_limit).subquery()
_EVENTS = STATES.join(_some_events, _some_events.c.id == events.c.id).order_by(events.c.id, ticket_types.c.ordinal)
_FACTS = (
    select(*FACT)
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(_limit)
)
_BOOKINGS = select(*BOOKING).where(bookings.c.id > _after).order_by(bookings.c.id).limit(_limit)
_FIRST_TICKET_NUMBERS = (
    select(bookings.c.first_ticket_number, bookings.c.id)
    .where(bookings.c.event_id == bindparam("event_id"), bookings.c.first_ticket_number > bindparam("after"))
    .order_by(bookings.c.first_ticket_number)
    .limit(_limit)
)
_FACTS_OF_BOOKINGS = (
    select(*FACT)
    .where(facts.c.booking_id >= bindparam("first"), facts.c.booking_id <= bindparam("last"))
    .order_by(facts.c.booking_id, facts.c.seq)
)
_PAYMENTS_OF_BOOKINGS = (
    select(*PAYMENT)
    .where(payments.c.booking_id >= bindparam("first"), payments.c.booking_id <= bindparam("last"))
    .order_by(payments.c.booking_id, payments.c.created_at, payments.c.kind, payments.c.id)
)

_TICKETS_OF_BOOKINGS = (
    select(*TICKET)
    .where(tickets.c.booking_id >= bindparam("first"), tickets.c.booking_id <= bindparam("last"))
    .order_by(tickets.c.booking_id, tickets.c.number)
)


def _total(condition: Any, value: Any) -> Any:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)


_waiting = and_(bookings.c.status == BookingStatus.WAITLISTED, bookings.c.is_suspended.is_(False))
_COUNTS = (
    select(
        ticket_types.c.id,
        _total(bookings.c.status.in_(sorted(TAKING)), bookings.c.quantity),
        _total(_waiting, 1),
        _total(_waiting, bookings.c.quantity),
    )
    .outerjoin_from(
        ticket_types,
        bookings,
        and_(bookings.c.event_id == ticket_types.c.event_id, bookings.c.ticket_type_id == ticket_types.c.id),
    )
    .where(ticket_types.c.event_id.in_(bindparam("ids", expanding=True)))
    .group_by(ticket_types.c.id)
)


def _orphans(table: Any, parent: Any, on: Any) -> Select[Any]:
    return select(func.count()).outerjoin_from(table, parent, on).where(parent.c.id.is_(None))


_twice_live = (
    select(bookings.c.customer_id)
    .where(bookings.c.status.in_(sorted(LIVE)))
    .group_by(bookings.c.customer_id, bookings.c.ticket_type_id)
    .having(func.count() > 1)
    .subquery()
)
_place_matches = and_(
    waiting_list.c.booking_id == bookings.c.id,
    waiting_list.c.ticket_type_id == bookings.c.ticket_type_id,
    waiting_list.c.event_id == bookings.c.event_id,
    waiting_list.c.queue_number == bookings.c.queue_number,
    waiting_list.c.quantity == bookings.c.quantity,
)
_count_differences = union_all(
    select(*waiting_blocks.c),
    *(
        select(
            waiting_list.c.ticket_type_id,
            literal(size, Integer()),
            waiting_list.c.queue_number // size,
            -func.count(),
            -func.sum(waiting_list.c.quantity),
        ).group_by(waiting_list.c.ticket_type_id, waiting_list.c.queue_number // size)
        for size in SIZES
    ),
).subquery()
_miscounted = (
    select(_count_differences.c.block)
    .group_by(_count_differences.c.ticket_type_id, _count_differences.c.size, _count_differences.c.block)
    .having(or_(func.sum(_count_differences.c.bookings) != 0, func.sum(_count_differences.c.tickets) != 0))
    .subquery()
)
_SEARCHABLE_TEXTS = (
    select(events.c.id, events.c.searchable).where(events.c.id > _after).order_by(events.c.id).limit(_limit)
)
_SEARCH_ENTRY_COUNT = select(func.count()).select_from(event_grams)
_used = (
    select(check_ins.c.event_id, check_ins.c.number, func.min(check_ins.c.at).label("at"))
    .where(check_ins.c.stands.is_(True), check_ins.c.result != ScanResult.VOID)
    .group_by(check_ins.c.event_id, check_ins.c.number)
    .subquery("used")
)
_used_ticket = and_(tickets.c.event_id == _used.c.event_id, tickets.c.number == _used.c.number)
_used_of_bookings = (
    select(tickets.c.booking_id, func.count().label("tickets"))
    .where(tickets.c.checked_in_at.is_not(None), tickets.c.is_returned.is_(False))
    .group_by(tickets.c.booking_id)
    .subquery("used_of_bookings")
)
_STRAYS: dict[str, Select[Any]] = {
    "used tickets whose time is not that of their first entry": select(func.count())
    .outerjoin_from(tickets, _used, _used_ticket)
    .where(tickets.c.checked_in_at.is_not(None), func.coalesce(tickets.c.checked_in_at != _used.c.at, true())),
    "tickets that their entries use": select(func.count())
    .outerjoin_from(_used, tickets, _used_ticket)
    .where(tickets.c.checked_in_at.is_(None)),
    "confirmed bookings that count other used tickets than they have": select(func.count())
    .outerjoin_from(bookings, _used_of_bookings, _used_of_bookings.c.booking_id == bookings.c.id)
    .where(
        bookings.c.status == BookingStatus.CONFIRMED,
        bookings.c.used != func.coalesce(_used_of_bookings.c.tickets, 0),
    ),
    "customers with several live bookings of one ticket type": select(func.count()).select_from(_twice_live),
    "waiting bookings without a place on the waiting list": select(func.count())
    .outerjoin_from(bookings, waiting_list, _place_matches)
    .where(_waiting, waiting_list.c.booking_id.is_(None)),
    "places on a waiting list without a waiting booking": select(func.count())
    .outerjoin_from(waiting_list, bookings, _place_matches)
    .where(or_(bookings.c.id.is_(None), not_(_waiting))),
    "places on a waiting list with a number that was never issued": select(func.count())
    .join_from(waiting_list, events, events.c.id == waiting_list.c.event_id)
    .where(waiting_list.c.queue_number > events.c.last_queue_number),
    "bookings whose suspension contradicts their accounts": select(func.count())
    .join_from(bookings, users, users.c.id == bookings.c.customer_id)
    .join(events, events.c.id == bookings.c.event_id)
    .outerjoin(account_reviews, account_reviews.c.user_id == users.c.id)
    .where(
        bookings.c.status == BookingStatus.WAITLISTED,
        events.c.status.not_in([EventStatus.CANCELLED, EventStatus.COMPLETED]),
        account_reviews.c.user_id.is_(None),
        or_(
            and_(bookings.c.is_suspended.is_(True), users.c.disabled_at.is_(None)),
            and_(bookings.c.is_suspended.is_(False), users.c.disabled_at.is_not(None)),
        ),
    ),
    "blocks of waiting lists with wrong counts": select(func.count()).select_from(_miscounted),
    "search entries that match no event": select(func.count())
    .outerjoin_from(event_grams, events, events.c.id == event_grams.c.event_id)
    .where(
        or_(
            events.c.id.is_(None),
            events.c.status != event_grams.c.status,
            events.c.start_order != event_grams.c.start_order,
            func.instr(events.c.searchable, event_grams.c.gram) == 0,
        )
    ),
    "ticket types of no event": _orphans(ticket_types, events, events.c.id == ticket_types.c.event_id),
    "bookings of no event": _orphans(bookings, events, events.c.id == bookings.c.event_id),
    "bookings of no ticket type of their event": _orphans(
        bookings,
        ticket_types,
        and_(ticket_types.c.id == bookings.c.ticket_type_id, ticket_types.c.event_id == bookings.c.event_id),
    ),
    "facts of no event": _orphans(facts, events, events.c.id == facts.c.event_id),
    "facts of no booking of their event": _orphans(
        facts, bookings, and_(bookings.c.id == facts.c.booking_id, bookings.c.event_id == facts.c.event_id)
    ).where(facts.c.booking_id.is_not(None)),
    "payments of no booking of their event": _orphans(
        payments, bookings, and_(bookings.c.id == payments.c.booking_id, bookings.c.event_id == payments.c.event_id)
    ),
    "stored responses whose subject does not exist": select(func.count())
    .outerjoin_from(stored_responses, bookings, bookings.c.id == stored_responses.c.subject_id)
    .outerjoin(events, events.c.id == stored_responses.c.subject_id)
    .where(stored_responses.c.subject_id.is_not(None), bookings.c.id.is_(None), events.c.id.is_(None)),
    **LEFT_OF_ERASED,
}


class SqlSnapshot:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def events(self, after: UUID | None, limit: int) -> list[EventState]:
        """See the port."""
        rows = await self._transaction.rows(_EVENTS, {"after": after or FIRST, "limit": limit})
        return list(event_states(rows))

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        values = {"event_id": event_id, "after": after, "limit": limit}
        return [fact(row) for row in await self._transaction.rows(_FACTS, values)]

    async def bookings(self, after: UUID | None, limit: int) -> list[BookingHistory]:
        """See the port."""
        found = [
            booking(row) for row in await self._transaction.rows(_BOOKINGS, {"after": after or FIRST, "limit": limit})
        ]
        if not found:
            return []
        within = {"first": found[0].id, "last": found[-1].id}
        rows = await self._transaction.rows(_FACTS_OF_BOOKINGS, within)
        facts_of = {
            booking_id: list(some) for booking_id, some in groupby(map(fact, rows), key=lambda each: each.booking_id)
        }
        rows = await self._transaction.rows(_PAYMENTS_OF_BOOKINGS, within)
        payments_of = {
            booking_id: list(some) for booking_id, some in groupby(map(payment, rows), key=lambda each: each.booking_id)
        }
        rows = await self._transaction.rows(_TICKETS_OF_BOOKINGS, within)
        tickets_of = {
            booking_id: list(some) for booking_id, some in groupby(map(ticket, rows), key=lambda each: each.booking_id)
        }
        return [
            BookingHistory(each, facts_of.get(each.id, []), payments_of.get(each.id, []), tickets_of.get(each.id, []))
            for each in found
        ]

    async def first_ticket_numbers(self, event_id: UUID, after: int, limit: int) -> list[tuple[int, UUID]]:
        """See the port."""
        values = {"event_id": event_id, "after": after, "limit": limit}
        return [(number, id_) for number, id_ in await self._transaction.rows(_FIRST_TICKET_NUMBERS, values)]

    async def counts(self, event_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
        """See the port."""
        rows = await self._transaction.rows(_COUNTS, {"ids": list(event_ids)})
        return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in rows}

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """See the port."""
        return await load_waiting_lists(self._transaction, queries)

    async def strays(self) -> Mapping[str, int]:
        """See the port."""
        strays = {}
        for description, statement in _STRAYS.items():
            count: int = (await self._transaction.rows(statement))[0][0]
            if count:
                strays[description] = count
        missing = await self._missing_search_entries()
        if missing:
            strays["missing search entries"] = missing
        return strays

    async def _missing_search_entries(self) -> int:
        """Return the expected minus the existing number of search entries; wrong ones are counted as strays."""
        expected, last = 0, FIRST
        while rows := await self._transaction.rows(_SEARCHABLE_TEXTS, {"after": last, "limit": EVENTS_AT_ONCE}):
            expected += sum(len(grams_of(searchable)) for _, searchable in rows)
            last = rows[-1][0]
        found: int = (await self._transaction.rows(_SEARCH_ENTRY_COUNT))[0][0]
        return max(expected - found, 0)

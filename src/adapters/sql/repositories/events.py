"""Events under their locks, in a number of round trips that does not depend on the number of commands."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import BindParameter, Integer, bindparam, select

from ....application.ports.check_ins import ScannedTickets
from ....application.ports.errors import Locked
from ....application.ports.idempotency import Key, StoredResponse
from ....application.ports.loading import (
    ClosingQuery,
    DoorSpec,
    ExpiredHoldsQuery,
    LoadSpec,
    OverlongHoldsQuery,
    WaitingListQuery,
)
from ....domain.booking import LIVE, Booking, BookingStatus, Place
from ....domain.draws.draw import Admission
from ....domain.event import Event
from ....domain.facts import Fact
from ....domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ....domain.tickets.check_in import CheckIn
from ....domain.tickets.ticket_type import TicketType
from ..bulk.insert import BulkInsert
from ..bulk.select import BulkSelect, force_index, ids_of
from ..bulk.update import BulkUpdate, delete_keys, delete_rows, update_alike
from ..engine.transaction import Transaction
from ..indexes.places import PlacesQuery, block_updates
from ..indexes.search_grams import gram_rows
from ..indexes.waiting_quantities import LARGEST, SMALLEST
from ..schema.mappers import (
    BOOKING,
    EVENT,
    FACT,
    PAYMENT,
    TICKET,
    TICKET_TYPE,
    booking,
    booking_values,
    event,
    event_values,
    fact,
    fact_values,
    payment,
    payment_values,
    ticket,
    ticket_type,
    ticket_type_values,
    ticket_values,
    waiting_values,
)
from ..schema.tables import bookings, event_grams, events, facts, payments, ticket_types, tickets, waiting_list
from ..schema.types import Row, Statement
from .combined_decisions import ChangedBooking, CombinedDecisions, combine
from .door import PUT_CHECK_INS, load_other_check_in, load_scanned_tickets
from .holds import load_expired_holds, load_overlong_holds
from .organizers import count_live_events
from .stored_responses import load_responses, store_responses
from .waiting_lists import load_waiting_lists

_ids: BindParameter[Any] = bindparam("ids", expanding=True)


# The event locks on MySQL and MariaDB; on SQLite the transaction holds the write lock. The hint prevents a scan of a
# small table, which would wait for the locks of other events.
_LOCK = BulkSelect(
    force_index(select(*EVENT), events, "PRIMARY"), events.c.id, order_by=(events.c.id,), for_update=True
)
_FREE = (
    force_index(select(events.c.id), events, "PRIMARY")
    .where(events.c.id.in_(_ids))
    .order_by(events.c.id)
    .with_for_update(skip_locked=True)
)
_EXISTING = select(events.c.id).where(events.c.id.in_(_ids))
_TICKET_TYPES = BulkSelect(
    force_index(select(*TICKET_TYPE), ticket_types, "uq_ticket_types_event_id_ordinal"),
    ticket_types.c.event_id,
    order_by=(ticket_types.c.event_id, ticket_types.c.ordinal),
)
_BY_ID = BulkSelect(force_index(select(*BOOKING), bookings, "PRIMARY"), bookings.c.id)
# Only columns of the index. Few, because most customers have no booking yet and each result describes its columns.
_LIVE_OF_CUSTOMERS = BulkSelect(
    force_index(
        select(bookings.c.live_customer_id, bookings.c.ticket_type_id, bookings.c.quantity, bookings.c.id),
        bookings,
        "ix_bookings_live_of_customer",
    ),
    bookings.c.event_id,
    bookings.c.live_customer_id,
    is_raw=True,
)
_PAYMENTS = BulkSelect(
    force_index(select(*PAYMENT), payments, "ix_payments_booking_id_created_at_id"),
    payments.c.booking_id,
    order_by=(payments.c.created_at, payments.c.kind, payments.c.id),
)
_TICKETS = BulkSelect(
    force_index(select(*TICKET), tickets, "PRIMARY"),
    tickets.c.booking_id,
    order_by=(tickets.c.booking_id, tickets.c.number),
)
_CLOSING = (
    select(*BOOKING)
    .where(bookings.c.event_id == bindparam("event_id"), bookings.c.status.in_(bindparam("statuses", expanding=True)))
    .limit(bindparam("limit"))
)


_SIZES = select(ticket_types.c.event_id, ticket_types.c.id, SMALLEST, LARGEST).where(ticket_types.c.event_id.in_(_ids))
_FACTS = (
    select(*FACT)
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(bindparam("limit", type_=Integer()))
)
_BATCH_IDS = BulkSelect(force_index(select(facts.c.batch_id), facts, "PRIMARY"), facts.c.event_id, facts.c.seq)

_ADD_EVENTS = BulkInsert(events)
_ADD_GRAMS = BulkInsert(event_grams, tuple)
_ADD_TICKET_TYPES = BulkInsert(ticket_types)
_ADD_BOOKINGS = BulkInsert(bookings, booking_values)
_ADD_WAITING = BulkInsert(waiting_list)
_ADD_FACTS = BulkInsert(facts, tuple)
_ADD_PAYMENTS = BulkInsert(payments)
_PUT_TICKETS = BulkInsert(
    tickets,
    ticket_values,
    on_existing={column.name: "{new}" for column in tickets.c if not column.primary_key},
)

_EVENT_COLUMNS = tuple(column.name for column in events.c if column.name != "id")
_UPDATE_EVENTS = BulkUpdate(events, _EVENT_COLUMNS, itemgetter("id", *_EVENT_COLUMNS))
_EVENT_COUNTERS = (
    *("last_seq", "last_queue_number", "last_ticket_number", "numbered_to"),
    *("is_unsettled", "earliest_expiry"),
)
"""Columns of an event that bookings change. The row is always written, because Galera certifies only writes."""

_DRAWN = ("last_entry", "was_drawn", "is_drawing")
"""Columns that the few steps of a draw change, and neither an edit nor a booking does."""

_UPDATE_EVENT_COUNTERS = BulkUpdate(events, _EVENT_COUNTERS, attrgetter("id", *_EVENT_COUNTERS), are_kept=True)
_TICKET_TYPE_COLUMNS = tuple(column.name for column in ticket_types.c if column.name not in ("id", "event_id"))
_UPDATE_TICKET_TYPES = BulkUpdate(ticket_types, _TICKET_TYPE_COLUMNS, itemgetter("id", *_TICKET_TYPE_COLUMNS))
_TYPE_COUNTERS = ("taken", "waiting", "waiting_tickets")
# Kept: the foreign key allows no deletion of a ticket type that has bookings, and no new bookings without it.
_UPDATE_TYPE_COUNTERS = BulkUpdate(ticket_types, _TYPE_COUNTERS, attrgetter("id", *_TYPE_COUNTERS), are_kept=True)
# What most ticket types have not.
_RARE = ("overtakes", "room_made_by")
_UPDATE_RARE = BulkUpdate(
    ticket_types, (*_TYPE_COUNTERS, *_RARE), attrgetter("id", *_TYPE_COUNTERS, *_RARE), are_kept=True
)


_PAYMENT_COLUMNS = (
    *("status", "tried_at", "settled_at", "ask_at", "attempts", "tried_by"),
    *("dispute", "noticed_at", "settled_by", "note"),
    *("awaits_customer", "provider_id"),
)
_UPDATE_PAYMENTS = BulkUpdate(payments, _PAYMENT_COLUMNS, attrgetter("id", *_PAYMENT_COLUMNS))


class SqlEventRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._dialect = transaction.dialect
        self._saved: dict[UUID, Event] = {}
        # Counters to write with COMMIT, by the integers of ids, which are hashed faster than ids.
        self._counted_events: dict[int, Event] = {}
        self._counted_types: dict[int, TicketType] = {}
        # Ticket types that have or had one of the rare values.
        self._with_rare: set[int] = set()

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """See the port. The other statements read after the lock, so they see everything committed before it."""
        event_ids = _in_order(need.event_id for need in needs)
        by_id = {(need.event_id, need.booking_id) for need in needs if need.booking_id is not None}
        paid = {(need.event_id, need.booking_id) for need in needs if need.payments and need.booking_id is not None}
        ticketed = {(need.event_id, need.booking_id) for need in needs if need.tickets and need.booking_id is not None}
        customers = {
            (need.event_id.int, need.customer_id.int): (need.event_id, need.customer_id)
            for need in needs
            if need.customer_id is not None
        }
        selects: list[tuple[BulkSelect, Collection[Any]]] = [(_LOCK, event_ids), (_TICKET_TYPES, event_ids)]
        if customers:
            selects.append((_LIVE_OF_CUSTOMERS, customers.values()))
        if by_id:
            selects.append((_BY_ID, [booking_id for _, booking_id in by_id]))
        if paid:
            selects.append((_PAYMENTS, [booking_id for _, booking_id in paid]))
        if ticketed:
            selects.append((_TICKETS, [booking_id for _, booking_id in ticketed]))
        locked, types, *others = await self._select_under_lock(selects, event_ids)
        live = others.pop(0) if customers else []
        of_event: dict[UUID, list[TicketType]] = {}
        for row in types:
            found = ticket_type(row)
            of_event.setdefault(found.event_id, []).append(found)
        self._note_rare(chain.from_iterable(of_event.values()))
        of_customers = _live_bookings(live, of_event, (customer_id for _, customer_id in customers.values()))
        changing_customers = {(need.event_id, need.customer_id) for need in needs if need.whole}
        changing = {
            (event_id, each.id)
            for event_id, customer_id in changing_customers
            for each in of_customers.get(event_id, ())
            if each.customer_id == customer_id
        }
        if changing:
            others.insert(0, await self._transaction.find(_BY_ID, [booking_id for _, booking_id in changing]))
        tickets_found = [ticket(row) for row in (others.pop() if ticketed else ())]
        payments_found = [payment(row) for row in (others.pop() if paid else ())]
        needed: dict[UUID, dict[UUID, Booking]] = {}
        for row in chain.from_iterable(others):
            each = booking(row)
            if (each.event_id, each.id) in by_id or (each.event_id, each.id) in changing:
                needed.setdefault(each.event_id, {})[each.id] = each
        inventories = {}
        for row in locked:
            current = event(row)
            self._saved[current.id] = current
            inventories[current.id] = Inventory(
                event=current,
                ticket_types=tuple(of_event[current.id]),
                bookings=tuple(needed.get(current.id, {}).values()),
                of_customers=tuple(of_customers.get(current.id, [])),
                payments=tuple(
                    each
                    for each in payments_found
                    if each.event_id == current.id and (each.event_id, each.booking_id) in paid
                ),
                tickets=tuple(each for each in tickets_found if each.event_id == current.id),
            )
        return inventories

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """See the port. One statement for up to 100 waiting lists."""
        return await load_waiting_lists(self._transaction, queries)

    async def closing(self, queries: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """See the port. One statement for each event."""
        found = {}
        for query in queries:
            statuses = [BookingStatus.WAITLISTED] if query.waiting_only else sorted(LIVE)
            values = {"event_id": query.event_id, "statuses": statuses, "limit": query.limit}
            found[query.event_id] = tuple(booking(row) for row in await self._transaction.rows(_CLOSING, values))
        return found

    async def expired_holds(self, queries: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """See the port. One statement for up to 100 events."""
        return await load_expired_holds(self._transaction, queries)

    async def overlong_holds(self, queries: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """See the port. One statement for each event."""
        return await load_overlong_holds(self._transaction, queries)

    async def scanned_tickets(self, needs: Collection[tuple[UUID, DoorSpec]]) -> dict[UUID, ScannedTickets]:
        """See the port. Three statements for up to 500 scans."""
        return await load_scanned_tickets(self._transaction, needs)

    async def other_check_in(self, check_in: CheckIn) -> CheckIn | None:
        """See the port. One statement."""
        return await load_other_check_in(self._transaction, check_in)

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        values = {"event_id": event_id, "after": after, "limit": limit}
        return [fact(row) for row in await self._transaction.rows(_FACTS, values)]

    async def bookings(self, booking_ids: Collection[UUID]) -> tuple[Booking, ...]:
        """See the port. One statement for up to 500 bookings."""
        return tuple(booking(row) for row in await self._transaction.find(_BY_ID, list(booking_ids)))

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """See the port. One statement for up to 100 organizers."""
        return await count_live_events(self._transaction, organizer_ids)

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """See the port. Two index lookups for each ticket type."""
        sizes: dict[UUID, dict[UUID, WaitingSizes]] = {}
        for event_id, ticket_type_id, smallest, largest in await self._transaction.rows(
            _SIZES, {"ids": sorted(set(event_ids))}
        ):
            if smallest is not None:
                sizes.setdefault(event_id, {})[ticket_type_id] = WaitingSizes(smallest, largest)
        return sizes

    async def place(self, booking: Booking) -> Place | None:
        """See the port. One statement."""
        query = PlacesQuery([booking], self._dialect)
        (result,) = await self._transaction.send([query.statement])
        return query.places(result.rows).get(booking.id)

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """See the port. The locks wait for the end of the transaction in question."""
        if not last_facts:
            return False
        ids = _in_order(last_facts)
        _, found = await self._select_under_lock([(_LOCK, ids), (_BATCH_IDS, last_facts.items())], ids)
        return (batch_id,) in found

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """See the port. One statement for up to 500 keys."""
        return await load_responses(self._transaction, keys)

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """See the port. Usually one statement; several if it would be too long."""
        await store_responses(self._transaction, responses, now)

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:
        """See the port. The statements are sent with the next ones, or at once if `more_follow`.

        Rows are written once for all decisions, parents before children, and bookings that end before new ones: a
        customer may cancel and book again in one transaction. Counters, which each decision changes, wait for COMMIT.
        """
        combined = combine(decisions)
        new = list(combined.new_bookings.values())
        changed = combined.changed_bookings.values()
        joining = [each for each in new if each.is_waiting]
        rejoining = [each.after for each in changed if each.rejoins_waiting_list]
        facts = [fact_values(fact, batch_id) for decision in decisions for fact in decision.facts]
        self._transaction.enqueue(
            [
                *self._events(combined),
                *self._leaving(changed),
                *self._changed_bookings(combined),
                *_ADD_BOOKINGS.statements(new, self._dialect),
                *_ADD_WAITING.statements(list(map(waiting_values, [*joining, *rejoining])), self._dialect),
                *self._block_updates(joining, changed),
                *_ADD_PAYMENTS.statements(list(map(payment_values, combined.new_payments.values())), self._dialect),
                *_UPDATE_PAYMENTS.statements(list(combined.changed_payments.values()), self._dialect),
                *_PUT_TICKETS.statements(list(combined.tickets.values()), self._dialect),
                *PUT_CHECK_INS.statements(list(combined.check_ins.values()), self._dialect),
                *_ADD_FACTS.statements(facts, self._dialect),
            ]
        )
        self._saved |= {each.event.id: each.event for each in combined.inventories.values()}
        if more_follow:
            await self._transaction.flush_async()

    def enqueue_counters(self) -> None:
        """Enqueue the current counters of all saved events and ticket types."""
        counted_events, self._counted_events = self._counted_events, {}
        counted_types, self._counted_types = self._counted_types, {}
        self._transaction.enqueue(_UPDATE_EVENT_COUNTERS.statements(list(counted_events.values()), self._dialect))
        with_rare = [each for number, each in counted_types.items() if _has_rare(each) or number in self._with_rare]
        for each in with_rare:
            del counted_types[each.id.int]
        self._transaction.enqueue(_UPDATE_TYPE_COUNTERS.statements(list(counted_types.values()), self._dialect))
        self._transaction.enqueue(_UPDATE_RARE.statements(with_rare, self._dialect))

    async def _select_under_lock(
        self, selects: Sequence[tuple[BulkSelect, Collection[Any]]], event_ids: Sequence[UUID]
    ) -> list[list[Row]]:
        """Return the rows of several SELECTs, the first of which locks these events."""
        dialect = self._dialect
        try:
            results = await self._transaction.send([select.statement(values, dialect) for select, values in selects])
        except Locked as failure:
            raise Locked(await self._locked_elsewhere({"ids": event_ids})) from failure
        return [select.rows(result.rows, dialect) for (select, _), result in zip(selects, results, strict=True)]

    async def _locked_elsewhere(self, values: dict[str, Any]) -> set[UUID]:
        """Return the events that others have locked, which the server's error does not name."""
        free = await self._transaction.query_after_failure(_FREE, values)
        existing = await self._transaction.query_after_failure(_EXISTING, values)
        if free is None or existing is None:
            return set()
        return {row[0] for row in existing} - {row[0] for row in free}

    def _events(self, combined: CombinedDecisions) -> Iterator[Statement]:
        new: list[Event] = []
        edited: list[Event] = []
        for each in combined.inventories.values():
            if each.event.id in combined.new_events:
                new.append(each.event)
            elif _counts_alone(self._saved[each.event.id], each.event):
                self._counted_events[each.event.id.int] = each.event
            else:
                self._counted_events.pop(each.event.id.int, None)
                edited.append(each.event)
        edited_ids = {each.id for each in edited}
        changed: list[TicketType] = []
        for each_type in combined.changed_ticket_types.values():
            if edited_ids and each_type.event_id in edited_ids:
                self._counted_types.pop(each_type.id.int, None)
                changed.append(each_type)
            else:
                self._counted_types[each_type.id.int] = each_type
        if not new and not edited:
            # Only with these are there other changes of ticket types.
            return
        self._note_rare(changed)
        dialect = self._dialect
        yield from _ADD_EVENTS.statements(list(map(event_values, new)), dialect)
        yield from _UPDATE_EVENTS.statements(list(map(event_values, edited)), dialect)
        yield from self._search_index(new, edited)
        new_types = list(map(ticket_type_values, combined.new_ticket_types.values()))
        yield from _ADD_TICKET_TYPES.statements(new_types, dialect)
        yield from _UPDATE_TICKET_TYPES.statements(list(map(ticket_type_values, changed)), dialect)

    def _note_rare(self, ticket_types: Iterable[TicketType]) -> None:
        for each in ticket_types:
            if _has_rare(each):
                self._with_rare.add(each.id.int)

    def _search_index(self, new: Sequence[Event], edited: Sequence[Event]) -> Iterator[Statement]:
        rows = [row for each in new for row in gram_rows(each)]
        for each in edited:
            before, after = gram_rows(self._saved[each.id]), gram_rows(each)
            yield from delete_keys(event_grams, sorted(before - after), self._dialect)
            rows += after - before
        # Rows are inserted fastest in the order of their keys.
        yield from _ADD_GRAMS.statements(sorted(rows), self._dialect)

    def _block_updates(self, joining: Sequence[Booking], changed: Collection[ChangedBooking]) -> Iterator[Statement]:
        left = [each.before for each in changed if each.before.is_waiting]
        joined = [each.after for each in changed if each.after.is_waiting]
        return block_updates([*joining, *joined], left, self._dialect)

    def _leaving(self, changed: Collection[ChangedBooking]) -> Iterator[Statement]:
        left = [each.after.id for each in changed if each.leaves_waiting_list]
        return delete_rows(waiting_list.c.booking_id, left, self._dialect)

    def _changed_bookings(self, combined: CombinedDecisions) -> Iterator[Statement]:
        for change, rows in combined.shared_changes():
            yield from update_alike(bookings, dict(change.new), change.own, rows, change.old_status, self._dialect)


def _has_rare(ticket_type: TicketType) -> bool:
    return bool(ticket_type.overtakes) or ticket_type.room_made_by is not None


def _counts_alone(before: Event, after: Event) -> bool:
    """Return whether nothing but counters differs."""
    if before.version != after.version:
        return False
    return after.admission is Admission.LINE or all(getattr(before, each) == getattr(after, each) for each in _DRAWN)


def _in_order(event_ids: Iterable[UUID]) -> list[UUID]:
    """Return distinct ids in the order in which every transaction locks them."""
    by_number = {event_id.int: event_id for event_id in event_ids}
    return [by_number[number] for number in sorted(by_number)]


class _Live(Struct, frozen=True, gc=False):
    """The part of a live booking that rules for one customer read."""

    id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int


def _live_bookings(
    found: Sequence[Row], types: Mapping[UUID, Sequence[TicketType]], customers: Iterable[UUID]
) -> dict[UUID, list[_Live]]:
    """Return the customers' live bookings by event, with the existing id objects of ticket types and customers."""
    live: dict[UUID, list[_Live]] = {}
    if found:
        by_bytes = {each.id.bytes: each for of_event in types.values() for each in of_event}
        customer_of = {each.bytes: each for each in customers}
        booking_ids = ids_of([row[-1] for row in found])
        for (customer, of_type, quantity, _), booking_id in zip(found, booking_ids, strict=True):
            each = by_bytes[of_type]
            live.setdefault(each.event_id, []).append(_Live(booking_id, each.id, customer_of[customer], quantity))
    return live

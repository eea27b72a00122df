"""Events under their locks: a fixed number of round trips, however many commands share the transaction."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import BindParameter, bindparam, select

from ....application.ports.errors import Locked
from ....application.ports.idempotency import Key, StoredResponse
from ....application.ports.loading import (
    ClosingQuery,
    ExpiredHoldsQuery,
    LoadSpec,
    OverlongHoldsQuery,
    WaitingListQuery,
)
from ....domain.booking import LIVE, Booking, BookingStatus
from ....domain.event import Event, TicketType
from ....domain.inventory import Decision, ExpiredHolds, Inventory, OverlongHolds, WaitingList, WaitingSizes
from ....domain.payment import Payment
from ..bulk.insert import BulkInsert
from ..bulk.select import BulkSelect, ids_of, through
from ..bulk.update import BulkUpdate, delete_keys, delete_rows, update_alike
from ..engine.transaction import Transaction
from ..indexes.places import counted_in_blocks, is_waiting
from ..indexes.search_grams import rows_of
from ..schema.mappers import (
    BOOKING,
    EVENT,
    PAYMENT,
    TICKET_TYPE,
    booking,
    booking_values,
    event,
    event_values,
    fact_values,
    payment,
    payment_values,
    ticket_type,
    ticket_type_values,
    waiting_values,
)
from ..schema.tables import bookings, event_grams, events, facts, payments, ticket_types, waiting_list
from ..schema.types import Row, Statement
from .holds import load_due_holds, load_overlong_holds
from .organizers import count_live_events
from .stored_responses import load_responses, store_responses
from .waiting_lists import load_lines

_ids: BindParameter[Any] = bindparam("ids", expanding=True)


# The lock itself, on MySQL; SQLite's whole transaction is one. Through the primary key, whatever the optimizer thinks
# of a small table: a scan would wait for the locks of other events.
_LOCK = BulkSelect(through(select(*EVENT), events, "PRIMARY"), events.c.id, order_by=(events.c.id,), for_update=True)
_FREE = (
    through(select(events.c.id), events, "PRIMARY")
    .where(events.c.id.in_(_ids))
    .order_by(events.c.id)
    .with_for_update(skip_locked=True)
)
_EXISTING = select(events.c.id).where(events.c.id.in_(_ids))
_TICKET_TYPES = BulkSelect(
    through(select(*TICKET_TYPE), ticket_types, "uq_ticket_types_event_id_ordinal"),
    ticket_types.c.event_id,
    order_by=(ticket_types.c.event_id, ticket_types.c.ordinal),
)
_BY_ID = BulkSelect(through(select(*BOOKING), bookings, "PRIMARY"), bookings.c.id)
# What is in the index alone. Most customers have none yet, and a server describes each column of nothing too.
_LIVE_OF_CUSTOMERS = BulkSelect(
    through(
        select(bookings.c.live_customer_id, bookings.c.ticket_type_id, bookings.c.quantity, bookings.c.id),
        bookings,
        "ix_bookings_live_of_customer",
    ),
    bookings.c.event_id,
    bookings.c.live_customer_id,
    is_raw=True,
)
_PAYMENTS = BulkSelect(
    through(select(*PAYMENT), payments, "ix_payments_booking_id_created_at_id"),
    payments.c.booking_id,
    order_by=(payments.c.created_at, payments.c.kind, payments.c.id),
)
_CLOSING = (
    select(*BOOKING)
    .where(bookings.c.event_id == bindparam("event_id"), bookings.c.status.in_(bindparam("statuses", expanding=True)))
    .limit(bindparam("limit"))
)


def _quantity_at(end: Any) -> Any:
    return (
        select(waiting_list.c.quantity)
        .where(waiting_list.c.ticket_type_id == ticket_types.c.id)
        .order_by(end)
        .limit(1)
        .scalar_subquery()
    )


_SIZES = select(
    ticket_types.c.event_id,
    ticket_types.c.id,
    _quantity_at(waiting_list.c.quantity),
    _quantity_at(waiting_list.c.quantity.desc()),
).where(ticket_types.c.event_id.in_(_ids))
_BATCH_IDS = BulkSelect(through(select(facts.c.batch_id), facts, "PRIMARY"), facts.c.event_id, facts.c.seq)

_ADD_EVENTS = BulkInsert(events)
_ADD_GRAMS = BulkInsert(event_grams, tuple)
_ADD_TICKET_TYPES = BulkInsert(ticket_types)
_ADD_BOOKINGS = BulkInsert(bookings, booking_values)
_ADD_WAITING = BulkInsert(waiting_list)
_ADD_FACTS = BulkInsert(facts, tuple)
_ADD_PAYMENTS = BulkInsert(payments)

_EVENT_COLUMNS = tuple(column.name for column in events.c if column.name != "id")
_PUT_EDITED = BulkUpdate(events, _EVENT_COLUMNS, itemgetter("id", *_EVENT_COLUMNS))
_MOVING = ("last_seq", "last_queue_number", "is_unsettled", "earliest_expiry")
"""What a booking moves of its event. The row is always written, because Galera certifies writes only."""

_PUT_MOVED = BulkUpdate(events, _MOVING, attrgetter("id", *_MOVING), are_kept=True)
_TICKET_TYPE_COLUMNS = tuple(column.name for column in ticket_types.c if column.name not in ("id", "event_id"))
_PUT_TICKET_TYPES = BulkUpdate(ticket_types, _TICKET_TYPE_COLUMNS, itemgetter("id", *_TICKET_TYPE_COLUMNS))
_COUNTERS = ("taken", "waiting", "waiting_tickets")
# Whoever removed one by hand would have had to remove its bookings, and the new ones would be refused.
_PUT_COUNTED = BulkUpdate(ticket_types, _COUNTERS, attrgetter("id", *_COUNTERS), are_kept=True)
_BOOKING_COLUMNS = (
    *("status", "payment_status", "paid_by", "paid_with"),
    *("grace_until", "queue_number", "expires_at", "updated_at"),
)
_OWN = frozenset({"paid_by"})
"""What hardly any two bookings have in common, even when they change together."""

_PAYMENT_COLUMNS = ("status", "tried_at", "settled_at", "ask_at", "attempts", "tried_by")
_PUT_PAYMENTS = BulkUpdate(payments, _PAYMENT_COLUMNS, attrgetter("id", *_PAYMENT_COLUMNS))


class SqlEventRepository:
    """Events under their locks, inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._dialect = transaction.dialect
        self._saved: dict[UUID, Event] = {}
        # By the numbers of their ids, which have their hashes at hand.
        self._moved: dict[int, Event] = {}
        self._counted: dict[int, TicketType] = {}

    async def lock(self, needs: Sequence[LoadSpec]) -> dict[UUID, Inventory]:
        """Lock, then read: what is read under the lock is what was committed before it."""
        event_ids = _in_order(need.event_id for need in needs)
        by_id = {(need.event_id, need.booking_id) for need in needs if need.booking_id is not None}
        paid = {(need.event_id, need.booking_id) for need in needs if need.payments and need.booking_id is not None}
        customers = {
            (need.event_id.int, need.customer_id.int): (need.event_id, need.customer_id)
            for need in needs
            if need.customer_id is not None
        }
        asked: list[tuple[BulkSelect, Collection[Any]]] = [(_LOCK, event_ids), (_TICKET_TYPES, event_ids)]
        if customers:
            asked.append((_LIVE_OF_CUSTOMERS, customers.values()))
        if by_id:
            asked.append((_BY_ID, [booking_id for _, booking_id in by_id]))
        if paid:
            asked.append((_PAYMENTS, [booking_id for _, booking_id in paid]))
        locked, types, *others = await self._found_under_lock(asked, event_ids)
        live = others.pop(0) if customers else []
        of_event: dict[UUID, list[TicketType]] = {}
        for row in types:
            found = ticket_type(row)
            of_event.setdefault(found.event_id, []).append(found)
        of_customers = _live_bookings(live, of_event, (customer_id for _, customer_id in customers.values()))
        whole = {(need.event_id, need.customer_id) for need in needs if need.whole}
        changing = {
            (event_id, each.id)
            for event_id, customer_id in whole
            for each in of_customers.get(event_id, ())
            if each.customer_id == customer_id
        }
        if changing:
            others.insert(0, await self._transaction.find(_BY_ID, [booking_id for _, booking_id in changing]))
        charged = [payment(row) for row in (others.pop() if paid else ())]
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
                    each for each in charged if each.event_id == current.id and (each.event_id, each.booking_id) in paid
                ),
            )
        return inventories

    async def lines(self, asks: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """One statement for up to 100 lines."""
        return await load_lines(self._transaction, asks)

    async def closing(self, asks: Sequence[ClosingQuery]) -> dict[UUID, tuple[Booking, ...]]:
        """One statement for each event; they are few."""
        found = {}
        for ask in asks:
            statuses = [BookingStatus.WAITLISTED] if ask.waiting_only else sorted(LIVE)
            values = {"event_id": ask.event_id, "statuses": statuses, "limit": ask.limit}
            found[ask.event_id] = tuple(booking(row) for row in await self._transaction.rows(_CLOSING, values))
        return found

    async def expired_holds(self, asks: Sequence[ExpiredHoldsQuery]) -> dict[UUID, ExpiredHolds]:
        """One statement for up to 100 events."""
        return await load_due_holds(self._transaction, asks)

    async def overlong_holds(self, asks: Sequence[OverlongHoldsQuery]) -> dict[UUID, OverlongHolds]:
        """One statement for each event; they are few."""
        return await load_overlong_holds(self._transaction, asks)

    async def live_events(self, organizer_ids: Collection[UUID]) -> dict[UUID, int]:
        """One statement for up to 100 organizers."""
        return await count_live_events(self._transaction, organizer_ids)

    async def waiting_sizes(self, event_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, WaitingSizes]]:
        """Two looks into an index for each ticket type."""
        sizes: dict[UUID, dict[UUID, WaitingSizes]] = {}
        for event_id, ticket_type_id, smallest, largest in await self._transaction.rows(
            _SIZES, {"ids": sorted(set(event_ids))}
        ):
            if smallest is not None:
                sizes.setdefault(event_id, {})[ticket_type_id] = WaitingSizes(smallest, largest)
        return sizes

    async def was_committed(self, last_facts: Mapping[UUID, int], batch_id: UUID) -> bool:
        """The locks wait for a transaction that is still to end; then its mark is there or never will be."""
        if not last_facts:
            return False
        ids = _in_order(last_facts)
        _, found = await self._found_under_lock([(_LOCK, ids), (_BATCH_IDS, last_facts.items())], ids)
        return (batch_id,) in found

    async def stored_responses(self, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
        """One statement for up to 500 keys."""
        return await load_responses(self._transaction, keys)

    async def store_responses(self, responses: Sequence[StoredResponse], now: datetime) -> None:
        """One statement, as far as it fits into a packet."""
        await store_responses(self._transaction, responses, now)

    async def save(self, decisions: Sequence[Decision[Any]], batch_id: UUID, *, more_follow: bool = False) -> None:
        """What the decisions come to all together, parents before children; sent with what is asked next, or COMMIT.

        Where more follow it is sent now, so that the database writes while those are decided. The counters of events
        and ticket types wait for COMMIT, by which they have come to something else with each decision.

        Bookings that end are written before others begin: somebody may cancel and book again in one transaction.
        """
        sum_ = _sum(decisions)
        new = list(sum_.new_bookings.values())
        joining = [each for each in new if each.status is BookingStatus.WAITLISTED]
        facts = [fact_values(fact, batch_id) for decision in decisions for fact in decision.facts]
        self._transaction.enqueue(
            [
                *self._events(sum_),
                *self._leaving_line(sum_.changes),
                *self._changed_bookings(sum_.changes),
                *_ADD_BOOKINGS.statements(new, self._dialect),
                *_ADD_WAITING.statements(list(map(waiting_values, joining)), self._dialect),
                *self._counted_in_blocks(joining, sum_.changes),
                *_ADD_PAYMENTS.statements(list(map(payment_values, sum_.new_payments.values())), self._dialect),
                *_PUT_PAYMENTS.statements(list(sum_.changed_payments.values()), self._dialect),
                *_ADD_FACTS.statements(facts, self._dialect),
            ]
        )
        self._saved |= {each.event.id: each.event for each in sum_.inventories.values()}
        if more_follow:
            await self._transaction.flush_async()

    def enqueue_counters(self) -> None:
        """Let go with what is sent next what the events that were saved have come to by now."""
        moved, self._moved = self._moved, {}
        counted, self._counted = self._counted, {}
        self._transaction.enqueue(_PUT_MOVED.statements(list(moved.values()), self._dialect))
        self._transaction.enqueue(_PUT_COUNTED.statements(list(counted.values()), self._dialect))

    async def _found_under_lock(
        self, asked: Sequence[tuple[BulkSelect, Collection[Any]]], event_ids: Sequence[UUID]
    ) -> list[list[Row]]:
        """What several statements find of which the first locks these events."""
        dialect = self._dialect
        try:
            results = await self._transaction.send([select.statement(values, dialect) for select, values in asked])
        except Locked as failure:
            raise Locked(await self._held_elsewhere({"ids": event_ids})) from failure
        return [select.rows(result.rows, dialect) for (select, _), result in zip(asked, results, strict=True)]

    async def _held_elsewhere(self, values: dict[str, Any]) -> set[UUID]:
        """The server says that a lock could not be had, and not which."""
        free = await self._transaction.look_after_failure(_FREE, values)
        existing = await self._transaction.look_after_failure(_EXISTING, values)
        if free is None or existing is None:
            return set()
        return {row[0] for row in existing} - {row[0] for row in free}

    def _events(self, sum_: "_Sum") -> Iterator[Statement]:
        new: list[Event] = []
        edited: list[Event] = []
        for each in sum_.inventories.values():
            if each.event.id in sum_.new_events:
                new.append(each.event)
            elif self._saved[each.event.id].version == each.event.version:
                self._moved[each.event.id.int] = each.event
            else:
                self._moved.pop(each.event.id.int, None)
                edited.append(each.event)
        edited_ids = {each.id for each in edited}
        changed: list[TicketType] = []
        for of_event in sum_.changed_ticket_types.values():
            if edited_ids and of_event.event_id in edited_ids:
                self._counted.pop(of_event.id.int, None)
                changed.append(of_event)
            else:
                self._counted[of_event.id.int] = of_event
        dialect = self._dialect
        yield from _ADD_EVENTS.statements(list(map(event_values, new)), self._dialect)
        yield from _PUT_EDITED.statements(list(map(event_values, edited)), dialect)
        yield from self._grams(new, edited)
        yield from _ADD_TICKET_TYPES.statements(
            list(map(ticket_type_values, sum_.new_ticket_types.values())), self._dialect
        )
        yield from _PUT_TICKET_TYPES.statements(list(map(ticket_type_values, changed)), dialect)

    def _grams(self, new: Sequence[Event], edited: Sequence[Event]) -> Iterator[Statement]:
        """Keep the search index."""
        rows = [row for each in new for row in rows_of(each)]
        for each in edited:
            before, after = rows_of(self._saved[each.id]), rows_of(each)
            yield from delete_keys(event_grams, sorted(before - after), self._dialect)
            rows += after - before
        # In the order of the key, in which they are written soonest.
        yield from _ADD_GRAMS.statements(sorted(rows), self._dialect)

    def _counted_in_blocks(self, joining: Sequence[Booking], changes: dict[int, "_Changed"]) -> Iterator[Statement]:
        left = [each.before for each in changes.values() if is_waiting(each.before)]
        joined = [each.after for each in changes.values() if is_waiting(each.after)]
        return counted_in_blocks([*joining, *joined], left, self._dialect)

    def _leaving_line(self, changes: dict[int, "_Changed"]) -> Iterator[Statement]:
        left = [each.after.id for each in changes.values() if each.leaves_line]
        return delete_rows(waiting_list.c.booking_id, left, self._dialect)

    def _changed_bookings(self, changes: dict[int, "_Changed"]) -> Iterator[Statement]:
        groups: dict[_Alike, list[tuple[Any, ...]]] = {}
        for each in changes.values():
            new = each.new_values()
            own = {name: value for name, value in new if name in _OWN}
            shared = tuple((name, value) for name, value in new if name not in _OWN)
            groups.setdefault(_Alike(each.before.status, shared, tuple(own)), []).append((each.after.id, *own.values()))
        # Bookings that end go first.
        for alike, rows in sorted(groups.items(), key=lambda item: item[0].is_live_after):
            yield from update_alike(bookings, dict(alike.new), alike.own, rows, alike.was, self._dialect)


def _in_order(event_ids: Iterable[UUID]) -> list[UUID]:
    """Each once, in the order in which everybody locks them."""
    by_number = {event_id.int: event_id for event_id in event_ids}
    return [by_number[number] for number in sorted(by_number)]


class _Live(Struct, frozen=True, gc=False):
    """What a rule for one customer reads of a live booking."""

    id: UUID
    ticket_type_id: UUID
    customer_id: UUID
    quantity: int


def _live_bookings(
    found: Sequence[Row], types: Mapping[UUID, Sequence[TicketType]], customers: Iterable[UUID]
) -> dict[UUID, list[_Live]]:
    """What was found of the customers' live bookings, by event. Ids that are there already are not made again."""
    live: dict[UUID, list[_Live]] = {}
    if found:
        by_bytes = {each.id.bytes: each for of_event in types.values() for each in of_event}
        customer_of = {each.bytes: each for each in customers}
        booking_ids = ids_of([row[-1] for row in found])
        for (customer, of_type, quantity, _), booking_id in zip(found, booking_ids, strict=True):
            each = by_bytes[of_type]
            live.setdefault(each.event_id, []).append(_Live(booking_id, each.id, customer_of[customer], quantity))
    return live


class _Changed(Struct):
    """A booking before the first and after the last decision about it."""

    before: Booking
    after: Booking

    @property
    def leaves_line(self) -> bool:
        return self.before.status is BookingStatus.WAITLISTED and self.after.status is not BookingStatus.WAITLISTED

    def new_values(self) -> list[tuple[str, Any]]:
        return [
            (name, getattr(self.after, name))
            for name in _BOOKING_COLUMNS
            if getattr(self.after, name) != getattr(self.before, name)
        ]


class _Alike(Struct, frozen=True):
    """What bookings have in common that change with one statement; `own` names the columns in which they do not."""

    was: BookingStatus
    new: tuple[tuple[str, Any], ...]
    own: tuple[str, ...]

    @property
    def is_live_after(self) -> bool:
        status: BookingStatus = dict(self.new).get("status", self.was)
        return status.is_live


class _Sum(Struct):
    """What decisions come to all together, by the numbers of their ids, which have their hashes at hand."""

    inventories: dict[int, Inventory] = {}
    new_events: set[UUID] = set()
    new_ticket_types: dict[int, TicketType] = {}
    changed_ticket_types: dict[int, TicketType] = {}
    new_bookings: dict[int, Booking] = {}
    changes: dict[int, _Changed] = {}
    new_payments: dict[int, Payment] = {}
    changed_payments: dict[int, Payment] = {}


def _sum(decisions: Iterable[Decision[Any]]) -> _Sum:
    sum_ = _Sum()
    inventories, new_bookings, changes = sum_.inventories, sum_.new_bookings, sum_.changes
    for decision in decisions:
        event_id = decision.inventory.event.id
        inventories[event_id.int] = decision.inventory
        if decision.is_new_event:
            sum_.new_events.add(event_id)
        _add(decision.new_ticket_types, decision.changed_ticket_types, sum_.new_ticket_types, sum_.changed_ticket_types)
        for booked in decision.booked:
            new_bookings[booked.id.int] = booked
        for change in decision.changed:
            after = change.after
            key = after.id.int
            if key in new_bookings:
                new_bookings[key] = after
            elif key in changes:
                changes[key].after = after
            else:
                changes[key] = _Changed(change.before, after)
        if decision.new_payments or decision.changed_payments:
            _add(decision.new_payments, decision.changed_payments, sum_.new_payments, sum_.changed_payments)
    sum_.changes = {key: each for key, each in changes.items() if each.new_values()}
    return sum_


def _add(new: Iterable[Any], changed: Iterable[Any], all_new: dict[int, Any], all_changed: dict[int, Any]) -> None:
    """What is new to the transaction stays new, however often it changes."""
    for each in new:
        all_new[each.id.int] = each
    for each in changed:
        key = each.id.int
        (all_new if key in all_new else all_changed)[key] = each

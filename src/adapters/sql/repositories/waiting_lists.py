"""The heads of waiting lists, for the turnstile and for snapshots."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    bindparam,
    func,
    select,
    true,
    union_all,
)

from ....application.ports.loading import WaitingListQuery
from ....domain.booking import Booking, Place
from ....domain.inventory import WaitingList
from ..bulk.select import force_index
from ..engine.transaction import Transaction
from ..indexes.places import MAX_BOOKINGS, PlacesQuery
from ..schema.mappers import BOOKING, booking
from ..schema.tables import bookings, waiting_list

MAX_QUERIES = 100
"""Maximum queries that one statement combines; SQLite allows 500."""


async def load_waiting_lists(transaction: Transaction, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
    """Return the head of each waiting list, by ticket type."""
    waiting_lists: dict[UUID, WaitingList] = {}
    for start in range(0, len(queries), MAX_QUERIES):
        waiting_lists.update(await _load_some(transaction, queries[start : start + MAX_QUERIES]))
    return waiting_lists


async def _load_some(transaction: Transaction, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
    # Sort the two kinds of queries, because each order of kinds is another statement to compile and cache.
    queries = sorted(queries, key=lambda query: query.fitting is not None)
    values: dict[str, Any] = {}
    for number, query in enumerate(queries):
        values[f"type_{number}"] = query.ticket_type_id
        values[f"most_{number}"] = query.limit
        if query.fitting is not None:
            values[f"fitting_{number}"] = query.fitting
    found: dict[UUID, list[Booking]] = {query.ticket_type_id: [] for query in queries}
    not_all_fit: set[UUID] = set()
    of_any_size = sum(query.fitting is None for query in queries)
    for *row, do_all_fit in await transaction.rows(_heads(of_any_size, len(queries)), values):
        waiting = booking(row)
        found[waiting.ticket_type_id].append(waiting)
        if not do_all_fit:
            not_all_fit.add(waiting.ticket_type_id)
    for heads in found.values():
        heads.sort(key=lambda waiting: waiting.queue_number or 0)
    skipped = await _skipped(transaction, [found[each] for each in found if each in not_all_fit])
    return {
        query.ticket_type_id: WaitingList(
            head=tuple(found[query.ticket_type_id]),
            fitting=query.fitting,
            is_whole=len(found[query.ticket_type_id]) < query.limit,
            skipped=skipped.get(query.ticket_type_id, ()),
        )
        for query in queries
    }


async def _skipped(transaction: Transaction, heads: Sequence[list[Booking]]) -> dict[UUID, tuple[int, ...]]:
    """Return, for each booking of these heads, how many bookings before it are not among them."""
    waiting = [each for head in heads for each in head]
    places: dict[UUID, Place] = {}
    for start in range(0, len(waiting), MAX_BOOKINGS):
        query = PlacesQuery(waiting[start : start + MAX_BOOKINGS], transaction.dialect)
        (result,) = await transaction.send([query.statement])
        places |= query.places(result.rows)
    return {
        head[0].ticket_type_id: tuple([places[each.id].position - number for number, each in enumerate(head, 1)])
        for head in heads
    }


@lru_cache(maxsize=128)
def _heads(of_any_size: int, queries: int) -> Any:
    parts = [_head(number, fits=number >= of_any_size) for number in range(queries)]
    return parts[0] if queries == 1 else union_all(*parts)


def _head(number: int, *, fits: bool) -> Select[Any]:
    ticket_type_id = bindparam(f"type_{number}", type_=waiting_list.c.ticket_type_id.type)
    fitting = bindparam(f"fitting_{number}", type_=Integer())
    # The smallest quantity usually shows that no booking of a long list fits, the largest that none is passed over.
    smallest, largest = (_quantity(function, ticket_type_id) for function in (func.min, func.max))
    do_all_fit = largest <= fitting if fits else true()
    first = force_index(select(waiting_list.c.booking_id, do_all_fit.label("do_all_fit")), waiting_list, "PRIMARY")
    first = first.where(waiting_list.c.ticket_type_id == ticket_type_id)
    if fits:
        first = first.where(waiting_list.c.quantity <= fitting, smallest <= fitting)
    head = (
        first.order_by(waiting_list.c.queue_number)
        .limit(bindparam(f"most_{number}", type_=Integer(), literal_execute=False))
        .subquery(f"head_{number}")
    )
    return select(*BOOKING, head.c.do_all_fit).select_from(head.join(bookings, bookings.c.id == head.c.booking_id))


def _quantity(function: Callable[..., ColumnElement[int]], ticket_type_id: BindParameter[Any]) -> ScalarSelect[int]:
    """Select the smallest or the largest quantity on a waiting list, which is one index lookup."""
    of_type = waiting_list.alias()
    found = force_index(select(function(of_type.c.quantity)), of_type, "ix_waiting_list_ticket_type_id_quantity")
    return found.where(of_type.c.ticket_type_id == ticket_type_id).scalar_subquery()

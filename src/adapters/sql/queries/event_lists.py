"""Lists and searches of events. Their cost depends on the page, not on the number of events."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)

from ....application.ports.queries import EventFilter, EventKey, EventPage
from ....domain.event import EventState, EventStatus
from ....domain.values.characters import folded
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..indexes.search_grams import MAX_LENGTH, lookup_grams
from ..indexes.waiting_quantities import SMALLEST
from ..schema.mappers import EVENT, NO_START, TICKET_TYPE, event_states, start_of, start_order
from ..schema.tables import event_grams, events, ticket_types

FIRST_READ: Final = 4
"""Events that a search reads first, for each event of the page."""

SECOND_READ: Final = 2_000
"""Events that it reads afterwards, before it returns an incomplete page."""

SAMPLE: Final = 128
"""Maximum index entries read of each gram and status to choose the rarest gram of a text."""


STATES: Select[Any] = select(*EVENT, *TICKET_TYPE, SMALLEST).join_from(events, ticket_types)
"""Events with their ticket types, for `event_states`."""

_limit = bindparam("limit", type_=Integer())
_Key = tuple[int, UUID]
"""An event's place in the order of lists."""

_FIRST: Final[_Key] = (-1, UUID(int=0))
_LAST: Final[_Key] = (NO_START, UUID(int=2**128 - 1))


def _pieces(table: FromClause, id_: Any, wanted: Sequence[Any], *, goes_on: bool) -> list[Select[Any]]:
    """Select the first rows after a place, in two pieces: those with the same start, and those with a later one.

    With one condition for both, MySQL and MariaDB would scan all events with that start.
    """
    order, after = table.c.start_order, bindparam("after_order", type_=BigInteger())
    chosen = select(id_.label("id"), order).where(*wanted)
    tied, later = [order == after, id_ > bindparam("after_id", type_=id_.type)], [order > after]
    places = [tied, later] if goes_on else [[]]
    return [
        select(chosen.where(*place).order_by(order, id_).limit(_limit).subquery(f"piece_{number}"))
        for number, place in enumerate(places)
    ]


def _status(table: FromClause, number: int) -> Any:
    return table.c.status == bindparam(f"wanted_{number}", type_=table.c.status.type)


def _shown(*, hiding: bool) -> list[ColumnElement[bool]]:
    """Return conditions that the viewer's visible events meet; an index supports each."""
    if not hiding:
        return [true()]
    viewer = bindparam("viewer_id", type_=events.c.organizer_id.type)
    return [
        events.c.was_published == true(),
        # CASE keeps the optimizer from an index on `was_published`: an organizer has few events, but many are hidden.
        and_(case((events.c.was_published, 0), else_=1) == 1, events.c.organizer_id == viewer),
    ]


@lru_cache(maxsize=64)
def _listed(statuses: int, *, of_organizer: bool, searching: bool, goes_on: bool, hiding: bool) -> Select[Any]:
    """Select a page of each status by its index, then the first events of these pages."""
    pieces = []
    for number in range(statuses):
        for shown in _shown(hiding=hiding):
            wanted = [_status(events, number), shown]
            if of_organizer:
                wanted.append(events.c.organizer_id == bindparam("organizer_id"))
            if searching:
                # Unlike LIKE, this needs no escaping.
                wanted.append(func.instr(events.c.searchable, bindparam("q")) > 0)
            pieces += _pieces(events, events.c.id, wanted, goes_on=goes_on)
    together = union_all(*pieces).subquery()
    first = select(together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit).subquery()
    return _in_order(STATES.join(first, first.c.id == events.c.id))


@lru_cache(maxsize=64)
def _candidates(statuses: int, *, goes_on: bool) -> Select[Any]:
    """Select the next events that contain a gram."""
    pieces: list[Select[Any]] = []
    for number in range(statuses):
        wanted = [_status(event_grams, number), event_grams.c.gram == bindparam("gram")]
        pieces += _pieces(event_grams, event_grams.c.event_id, wanted, goes_on=goes_on)
    together = union_all(*pieces).subquery()
    return select(together.c.start_order, together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit)


@lru_cache(maxsize=256)
def _sampled(grams: int, statuses: int, *, goes_on: bool) -> Any:
    """Select, for each gram, piece and status, the number and the last place of the next few entries."""
    samples = []
    for gram in range(grams):
        for number in range(statuses):
            wanted = [_status(event_grams, number), event_grams.c.gram == bindparam(f"gram_{gram}")]
            for piece in _pieces(event_grams, event_grams.c.event_id, wanted, goes_on=goes_on):
                found = piece.subquery()
                samples.append(
                    select(
                        literal(gram).label("gram"), func.count(), func.max(found.c.start_order), func.max(found.c.id)
                    ).select_from(found)
                )
    return union_all(*samples)


@lru_cache(maxsize=32)
def _matching(statuses: int, *, hiding: bool) -> Select[Any]:
    """Select the first of these events that have a status, contain a text and are visible."""
    wanted = [bindparam(f"wanted_{number}", type_=events.c.status.type) for number in range(statuses)]
    first = (
        select(events.c.id)
        .where(
            events.c.id.in_(bindparam("ids", expanding=True)),
            # CASE keeps SQLite from an index on the status, with which it would scan all events of a status.
            case((and_(events.c.status.in_(wanted), or_(*_shown(hiding=hiding))), 1), else_=0) == 1,
            func.instr(events.c.searchable, bindparam("q")) > 0,
        )
        .order_by(events.c.start_order, events.c.id)
        .limit(_limit)
        .subquery()
    )
    return _in_order(STATES.join(first, first.c.id == events.c.id))


def _in_order(statement: Select[Any]) -> Select[Any]:
    return statement.order_by(events.c.start_order, events.c.id, ticket_types.c.ordinal)


class EventLists:
    """Pages of events, soonest first."""

    def __init__(self, connections: ConnectionPool, classify: ErrorClassifier) -> None:
        self._connections = connections
        self._classify = classify

    async def page(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """Return the first matching events after `after`."""
        statuses = sorted(wanted.statuses)
        if not statuses:
            return EventPage([], None)
        place = None if after is None else (start_order(after.starts_at), after.event_id)
        if wanted.q is not None and wanted.organizer_id is None:
            return await self._search(wanted, statuses, place, limit)
        # An organizer has few events, so a search reads all of them.
        values: dict[str, Any] = {**_statuses(statuses), **_after(place), **_viewer(wanted)}
        if wanted.organizer_id is not None:
            values["organizer_id"] = wanted.organizer_id
        if wanted.q is not None:
            values["q"] = folded(wanted.q)
        statement = _listed(
            len(statuses),
            of_organizer=wanted.organizer_id is not None,
            searching=wanted.q is not None,
            goes_on=place is not None,
            hiding=wanted.hides_unpublished,
        )
        found = list(event_states(await self._rows(statement, **values, limit=limit + 1)))
        return EventPage(found[:limit], _event_key(_key(found[limit - 1])) if len(found) > limit else None)

    async def _search(
        self, wanted: EventFilter, statuses: Sequence[EventStatus], after: _Key | None, limit: int
    ) -> EventPage:
        """Read the next events that contain the rarest gram of the text, and return those that contain the text.

        A text of up to three characters is a gram itself. The rarest gram of a longer text may be in many events that
        do not contain the text; then the search stops after `SECOND_READ` events and returns where to continue.
        """
        text = folded(wanted.q or "")
        grams = lookup_grams(text)
        gram = grams[0] if len(grams) == 1 else await self._rarest(grams, statuses, after)
        found: list[EventState] = []
        is_exact = len(text) <= MAX_LENGTH and not wanted.hides_unpublished
        sizes = [limit + 1] if is_exact else [FIRST_READ * (limit + 1), SECOND_READ]
        for size in sizes:
            candidates = await self._next_events(gram, statuses, after, size)
            if candidates:
                states = await self._matching(text, wanted, statuses, [id_ for _, id_ in candidates], limit + 1)
                # An event whose start was changed meanwhile belongs to another page.
                found += [
                    each for each in states if (after is None or _key(each) > after) and _key(each) <= candidates[-1]
                ]
            if len(found) > limit:
                return EventPage(found[:limit], _event_key(_key(found[limit - 1])))
            if len(candidates) < size:
                return EventPage(found, None)
            after = candidates[-1]
        return EventPage(found, None if after is None else _event_key(after))

    async def _rarest(self, grams: Sequence[bytes], statuses: Sequence[EventStatus], after: _Key | None) -> bytes:
        """Return the gram with the fewest entries in a sample; if all samples are full, the furthest reaching one."""
        counts = [0] * len(grams)
        reaches = [_LAST] * len(grams)
        values = {f"gram_{number}": gram for number, gram in enumerate(grams)}
        statement = _sampled(len(grams), len(statuses), goes_on=after is not None)
        for gram, count, last_order, last_id in await self._rows(
            statement, **values, **_statuses(statuses), **_after(after), limit=SAMPLE
        ):
            counts[gram] += count
            if count == SAMPLE:
                reaches[gram] = min(reaches[gram], (last_order, last_id))
        return max(zip(reaches, [-count for count in counts], grams, strict=True))[-1]

    async def _next_events(
        self, gram: bytes, statuses: Sequence[EventStatus], after: _Key | None, size: int
    ) -> list[_Key]:
        statement = _candidates(len(statuses), goes_on=after is not None)
        rows = await self._rows(statement, gram=gram, **_statuses(statuses), **_after(after), limit=size)
        return [(order, id_) for order, id_ in rows]

    async def _matching(
        self, text: str, wanted: EventFilter, statuses: Sequence[EventStatus], ids: Sequence[UUID], limit: int
    ) -> list[EventState]:
        statement = _matching(len(statuses), hiding=wanted.hides_unpublished)
        values = {**_statuses(statuses), **_viewer(wanted)}
        rows = await self._rows(statement, ids=ids, q=text, **values, limit=limit)
        return list(event_states(rows))

    async def _rows(self, statement: Any, **values: Any) -> Rows:
        return await read(self._connections, self._classify, statement, values)


def _statuses(statuses: Sequence[EventStatus]) -> dict[str, Any]:
    return {f"wanted_{number}": status for number, status in enumerate(statuses)}


def _viewer(wanted: EventFilter) -> dict[str, Any]:
    return {"viewer_id": wanted.viewer_id} if wanted.hides_unpublished else {}


def _after(place: _Key | None) -> dict[str, Any]:
    return {} if place is None else {"after_order": place[0], "after_id": place[1]}


def _key(state: EventState) -> _Key:
    return start_order(state.event.starts_at), state.event.id


def _event_key(place: _Key) -> EventKey:
    order, event_id = place
    return EventKey(start_of(order), event_id)

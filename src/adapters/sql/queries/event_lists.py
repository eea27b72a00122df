"""Lists and searches of events. Their cost depends on the page, not on the number of events."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
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
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from ....application.ports.queries import EventFilter, EventKey, EventPage
from ....domain.event import EventStatus, When
from ....domain.tickets.ticket_type import EventState
from ....domain.values.characters import folded
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..indexes.search_grams import MAX_LENGTH, lookup_grams
from ..indexes.waiting_quantities import SMALLEST
from ..schema.mappers import DURATIONS, EVENT, NO_START, TICKET_TYPE, event_states, microseconds, start_of, start_order
from ..schema.tables import event_grams, event_staff, events, ticket_types
from ..schema.types import Moment

FIRST_READ: Final = 4
"""Events that a search reads first, for each event of the page."""

SECOND_READ: Final = 2_000
"""Events that it reads afterwards, before it returns an incomplete page."""

SAMPLE: Final = 128
"""Maximum index entries read of each gram and status to choose the rarest gram of a text."""


STATES: Select[Any] = select(*EVENT, *TICKET_TYPE, SMALLEST).join_from(events, ticket_types)
"""Events with their ticket types, for `event_states`."""

_limit = bindparam("limit", type_=Integer())
_now = bindparam("now", type_=Moment())
_now_order = bindparam("now_order", type_=BigInteger())
_Key = tuple[int, UUID]
"""An event's place in the order of lists."""

_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final[_Key] = (-1, UUID(int=0))
_LAST_ID: Final = UUID(int=2**128 - 1)
_LAST: Final[_Key] = (NO_START, _LAST_ID)

_CLASSES: Final = range(len(DURATIONS) + 2)
"""The duration classes: 0 for events without an end, the last one for those that last longer than all `DURATIONS`."""


def _only_checked(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition in a form for which no optimizer looks for an index."""
    return case((condition, 1), else_=0) == 1


_IS_RUNNING: Final = _only_checked(and_(events.c.start_order <= _now_order, events.c.ends_at > _now))
_CONDITIONS: Final[dict[When, ColumnElement[bool]]] = {
    When.UPCOMING: _only_checked(or_(events.c.start_order > _now_order, events.c.ends_at > _now)),
    When.PAST: _only_checked(
        and_(events.c.start_order <= _now_order, or_(events.c.ends_at.is_(None), events.c.ends_at <= _now))
    ),
    When.ALL: true(),
}

_NextKeys = Callable[[_Key | None, int], Awaitable[list[_Key]]]
"""Returns up to so many places after a place."""


def _pieces(
    table: FromClause,
    id_: Any,
    wanted: Sequence[Any],
    *,
    goes_on: bool,
    above: str | None = None,
    until: str | None = None,
) -> list[Select[Any]]:
    """Select the first rows after a place, in two pieces: those with the same start, and those with a later one.

    With one condition for both, MySQL and MariaDB would scan all events with that start. `above` and `until` are
    parameters with bounds of a later start; `above` is no less than the place's own. SQLite would prefer a bound to the
    place's start, so the first piece has none.
    """
    order = table.c.start_order
    chosen = select(id_.label("id"), order).where(*wanted)
    tied = [order == bindparam("after_order", type_=BigInteger()), id_ > bindparam("after_id", type_=id_.type)]
    later = []
    if goes_on or above is not None:
        later.append(order > bindparam(above or "after_order", type_=BigInteger()))
    if until is not None:
        later.append(order <= bindparam(until, type_=BigInteger()))
    return [
        select(chosen.where(*place).order_by(order, id_).limit(_limit).subquery(f"piece_{number}"))
        for number, place in enumerate([tied, later] if goes_on else [later])
    ]


def _status(table: FromClause, number: int) -> Any:
    return table.c.status == bindparam(f"wanted_{number}", type_=table.c.status.type)


def _is_shown() -> ColumnElement[bool]:
    return events.c.was_published == true()


def _is_own() -> ColumnElement[bool]:
    # CASE keeps the optimizer from an index on `was_published`: an organizer has few events, but many are hidden.
    viewer = bindparam("viewer_id", type_=events.c.organizer_id.type)
    return and_(case((events.c.was_published, 0), else_=1) == 1, events.c.organizer_id == viewer)


@lru_cache(maxsize=32)
def _of_member(statuses: int, when: When, *, searching: bool, goes_on: bool) -> Select[Any]:
    """Select the first events that a person organizes, a page of each status by its index, or works for, all of them.

    Both are few, so a search reads all of them.
    """
    member = bindparam("member_id", type_=events.c.organizer_id.type)
    wanted = [_CONDITIONS[when]]
    if searching:
        wanted.append(func.instr(events.c.searchable, bindparam("q")) > 0)
    pieces = []
    for number in range(statuses):
        organized = [_status(events, number), events.c.organizer_id == member, *wanted]
        pieces += _pieces(events, events.c.id, organized, goes_on=goes_on)
    any_status = [bindparam(f"wanted_{number}", type_=events.c.status.type) for number in range(statuses)]
    worked_for = [
        event_staff.c.user_id == member,
        event_staff.c.event_id == events.c.id,
        # So that no index on the status is used instead of the staff's.
        _only_checked(events.c.status.in_(any_status)),
        events.c.organizer_id != member,
        *wanted,
    ]
    pieces += _pieces(events, events.c.id, worked_for, goes_on=goes_on)
    together = union_all(*pieces).subquery()
    first = select(together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit).subquery()
    return _in_order(STATES.join(first, first.c.id == events.c.id))


@lru_cache(maxsize=128)
def _listed(
    statuses: int, when: When, *, of_organizer: bool, searching: bool, goes_on: bool, hiding: bool
) -> Select[Any]:
    """Select a page of each status by its index, then the first events of these pages."""
    pieces = []
    for number in range(statuses):
        wanted = [_status(events, number), _CONDITIONS[when]]
        if of_organizer:
            wanted.append(events.c.organizer_id == bindparam("organizer_id"))
        if searching:
            # Unlike LIKE, this needs no escaping.
            wanted.append(func.instr(events.c.searchable, bindparam("q")) > 0)
        if hiding:
            pieces += _pieces(events, events.c.id, [*wanted, _is_own()], goes_on=goes_on)
            wanted.append(_is_shown())
        if when is When.ALL or of_organizer:
            pieces += _pieces(events, events.c.id, wanted, goes_on=goes_on)
        else:
            until = "now_order" if when is When.PAST else None
            pieces += _pieces_by_duration(wanted, _CLASSES, when, goes_on=goes_on, until=until)
    together = union_all(*pieces).subquery()
    first = select(together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit).subquery()
    return _in_order(STATES.join(first, first.c.id == events.c.id))


def _pieces_by_duration(
    wanted: Sequence[Any], classes: Sequence[int], when: When, *, goes_on: bool, until: str | None = None
) -> list[Select[Any]]:
    """Select the first events of each duration class.

    Events of a class last about as long, so those that have begun are nearly all over before a certain start, and
    nearly all running after it: few rows are read in vain.
    """
    pieces = []
    for each in classes:
        above = f"above_{each}" if when is When.UPCOMING else None
        # A literal, because a parameter would hide from SQLite that the index gives the order.
        is_of_class = events.c.duration_class == literal_column(str(each))
        pieces += _pieces(events, events.c.id, [*wanted, is_of_class], goes_on=goes_on, above=above, until=until)
    return pieces


@lru_cache(maxsize=32)
def _running(statuses: int, *, goes_on: bool) -> Select[Any]:
    """Select the next events that have begun and not ended."""
    pieces: list[Select[Any]] = []
    for number in range(statuses):
        wanted = [_status(events, number), _IS_RUNNING]
        pieces += _pieces_by_duration(wanted, _CLASSES[1:], When.UPCOMING, goes_on=goes_on, until="now_order")
    return _first_keys(pieces)


@lru_cache(maxsize=64)
def _candidates(statuses: int, *, goes_on: bool, until: str | None) -> Select[Any]:
    """Select the next events that contain a gram."""
    pieces: list[Select[Any]] = []
    for number in range(statuses):
        wanted = [_status(event_grams, number), event_grams.c.gram == bindparam("gram")]
        pieces += _pieces(event_grams, event_grams.c.event_id, wanted, goes_on=goes_on, until=until)
    return _first_keys(pieces)


@lru_cache(maxsize=256)
def _sampled(grams: int, statuses: int, *, goes_on: bool, until: str | None) -> Any:
    """Select, for each gram, piece and status, the number and the last place of the next few entries."""
    samples = []
    for gram in range(grams):
        for number in range(statuses):
            wanted = [_status(event_grams, number), event_grams.c.gram == bindparam(f"gram_{gram}")]
            for piece in _pieces(event_grams, event_grams.c.event_id, wanted, goes_on=goes_on, until=until):
                found = piece.subquery()
                samples.append(
                    select(
                        literal(gram).label("gram"), func.count(), func.max(found.c.start_order), func.max(found.c.id)
                    ).select_from(found)
                )
    return union_all(*samples)


@lru_cache(maxsize=32)
def _matching(statuses: int, when: When, *, hiding: bool) -> Select[Any]:
    """Select the first of these events that have a status, contain a text, are visible and wanted at this time."""
    wanted = [bindparam(f"wanted_{number}", type_=events.c.status.type) for number in range(statuses)]
    is_visible = or_(_is_shown(), _is_own()) if hiding else true()
    first = (
        select(events.c.id)
        .where(
            events.c.id.in_(bindparam("ids", expanding=True)),
            # By an index on the status SQLite would scan all events of a status.
            _only_checked(and_(events.c.status.in_(wanted), is_visible)),
            _CONDITIONS[when],
            func.instr(events.c.searchable, bindparam("q")) > 0,
        )
        .order_by(events.c.start_order, events.c.id)
        .limit(_limit)
        .subquery()
    )
    return _in_order(STATES.join(first, first.c.id == events.c.id))


def _first_keys(pieces: Sequence[Select[Any]]) -> Select[Any]:
    together = union_all(*pieces).subquery()
    return select(together.c.start_order, together.c.id).order_by(together.c.start_order, together.c.id).limit(_limit)


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
        wanted = _simplified(wanted, place)
        if wanted.q is not None and wanted.organizer_id is None and wanted.member_id is None:
            return await self._search(wanted, statuses, place, limit)
        # An organizer has few events, so a search reads all of them.
        values: dict[str, Any] = {**_statuses(statuses), **_after(place), **_viewer(wanted), **_times(wanted, place)}
        if wanted.organizer_id is not None:
            values["organizer_id"] = wanted.organizer_id
        if wanted.q is not None:
            values["q"] = folded(wanted.q)
        if wanted.member_id is not None:
            of_member = _of_member(
                len(statuses), wanted.when, searching=wanted.q is not None, goes_on=place is not None
            )
            return await self._first(of_member, limit, **values, member_id=wanted.member_id)
        statement = _listed(
            len(statuses),
            wanted.when,
            of_organizer=wanted.organizer_id is not None,
            searching=wanted.q is not None,
            goes_on=place is not None,
            hiding=wanted.hides_unpublished,
        )
        return await self._first(statement, limit, **values)

    async def _first(self, statement: Select[Any], limit: int, **values: Any) -> EventPage:
        """Return the first events that a statement selects, and where to continue."""
        found = list(event_states(await self._rows(statement, **values, limit=limit + 1)))
        return EventPage(found[:limit], _event_key(_key(found[limit - 1])) if len(found) > limit else None)

    async def _search(
        self, wanted: EventFilter, statuses: Sequence[EventStatus], after: _Key | None, limit: int
    ) -> EventPage:
        """Search the events that are running, which are few, and then by the grams those that begin later.

        Of past events, and of all, the search by the grams finds everything.
        """
        found: list[EventState] = []
        sizes = [FIRST_READ * (limit + 1), SECOND_READ]
        if wanted.when is When.UPCOMING:
            running = partial(self._next_running, wanted, statuses)
            found, after = await self._find(running, wanted, statuses, after, limit, sizes)
            if len(found) > limit or after is not None:
                return _page(found, after, limit)
            after = microseconds(wanted.now), _LAST_ID
        text = folded(wanted.q or "")
        grams = lookup_grams(text)
        gram = grams[0] if len(grams) == 1 else await self._rarest(grams, wanted, statuses, after)
        if len(text) <= MAX_LENGTH and wanted.when is not When.PAST and not wanted.hides_unpublished:
            # A text of up to three characters is a gram itself, so every event with it is wanted.
            sizes = [limit + 1]
        with_gram = partial(self._next_with_gram, gram, wanted, statuses)
        more, after = await self._find(with_gram, wanted, statuses, after, limit - len(found), sizes)
        return _page(found + more, after, limit)

    async def _find(
        self,
        next_keys: _NextKeys,
        wanted: EventFilter,
        statuses: Sequence[EventStatus],
        after: _Key | None,
        limit: int,
        sizes: Sequence[int],
    ) -> tuple[list[EventState], _Key | None]:
        """Read the next events and return those that are wanted, `limit` and one more at most.

        The rarest gram of a longer text may be in many events that do not contain the text; then the search stops after
        as many events as `sizes` says and returns the place to continue after; None at the end.
        """
        found: list[EventState] = []
        for size in sizes:
            candidates = await next_keys(after, size)
            if candidates:
                states = await self._matching(wanted, statuses, [id_ for _, id_ in candidates], limit + 1)
                # An event whose start was changed meanwhile belongs to another page.
                found += [
                    each for each in states if (after is None or _key(each) > after) and _key(each) <= candidates[-1]
                ]
            if len(candidates) < size:
                return found, None
            after = candidates[-1]
            if len(found) > limit:
                break
        return found, after

    async def _rarest(
        self, grams: Sequence[bytes], wanted: EventFilter, statuses: Sequence[EventStatus], after: _Key | None
    ) -> bytes:
        """Return the gram with the fewest entries in a sample; if all samples are full, the furthest reaching one."""
        counts = [0] * len(grams)
        reaches = [_LAST] * len(grams)
        values = {f"gram_{number}": gram for number, gram in enumerate(grams)}
        statement = _sampled(len(grams), len(statuses), goes_on=after is not None, until=_until(wanted))
        for gram, count, last_order, last_id in await self._rows(
            statement, **values, **_statuses(statuses), **_after(after), **_times(wanted, after), limit=SAMPLE
        ):
            counts[gram] += count
            if count == SAMPLE:
                reaches[gram] = min(reaches[gram], (last_order, last_id))
        return max(zip(reaches, [-count for count in counts], grams, strict=True))[-1]

    async def _next_with_gram(
        self, gram: bytes, wanted: EventFilter, statuses: Sequence[EventStatus], after: _Key | None, size: int
    ) -> list[_Key]:
        statement = _candidates(len(statuses), goes_on=after is not None, until=_until(wanted))
        values = {**_statuses(statuses), **_after(after), **_times(wanted, after)}
        return [(order, id_) for order, id_ in await self._rows(statement, gram=gram, **values, limit=size)]

    async def _next_running(
        self, wanted: EventFilter, statuses: Sequence[EventStatus], after: _Key | None, size: int
    ) -> list[_Key]:
        statement = _running(len(statuses), goes_on=after is not None)
        values = {**_statuses(statuses), **_after(after), **_times(wanted, after)}
        return [(order, id_) for order, id_ in await self._rows(statement, **values, limit=size)]

    async def _matching(
        self, wanted: EventFilter, statuses: Sequence[EventStatus], ids: Sequence[UUID], limit: int
    ) -> list[EventState]:
        statement = _matching(len(statuses), wanted.when, hiding=wanted.hides_unpublished)
        values = {**_statuses(statuses), **_viewer(wanted), **_times(wanted, None), "q": folded(wanted.q or "")}
        return list(event_states(await self._rows(statement, ids=ids, **values, limit=limit)))

    async def _rows(self, statement: Any, **values: Any) -> Rows:
        return await read(self._connections, self._classify, statement, values)


def _statuses(statuses: Sequence[EventStatus]) -> dict[str, Any]:
    return {f"wanted_{number}": status for number, status in enumerate(statuses)}


def _viewer(wanted: EventFilter) -> dict[str, Any]:
    return {"viewer_id": wanted.viewer_id} if wanted.hides_unpublished else {}


def _simplified(wanted: EventFilter, place: _Key | None) -> EventFilter:
    """Return a filter without the time where it makes no difference: behind an event that has not begun."""
    is_later = place is not None and place[0] > microseconds(wanted.now)
    return replace(wanted, when=When.ALL) if wanted.when is When.UPCOMING and is_later else wanted


def _until(wanted: EventFilter) -> str | None:
    """Return the parameter with the greatest start of wanted events, if there is one."""
    return "now_order" if wanted.when is When.PAST else None


def _times(wanted: EventFilter, place: _Key | None) -> dict[str, Any]:
    """Return the time, and of each duration class the start after which its events may not be over."""
    if wanted.when is When.ALL:
        return {}
    now, after = microseconds(wanted.now), _FIRST[0] if place is None else place[0]
    starts = (now, *(now - duration // _MICROSECOND for duration in DURATIONS), _FIRST[0])
    bounds = {f"above_{each}": max(after, start) for each, start in enumerate(starts)}
    return {"now": wanted.now, "now_order": now, **bounds}


def _after(place: _Key | None) -> dict[str, Any]:
    return {} if place is None else {"after_order": place[0], "after_id": place[1]}


def _key(state: EventState) -> _Key:
    return start_order(state.event.starts_at), state.event.id


def _event_key(place: _Key) -> EventKey:
    order, event_id = place
    return EventKey(start_of(order), event_id)


def _page(found: list[EventState], after: _Key | None, limit: int) -> EventPage:
    """Return the first `limit` of these events, and where to continue."""
    if len(found) > limit:
        after = _key(found[limit - 1])
    return EventPage(found[:limit], None if after is None else _event_key(after))

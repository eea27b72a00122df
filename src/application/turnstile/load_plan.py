"""The queries that must be run for an event before commands are decided."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.decisions.settle import STEP
from ...domain.event import Event, EventStatus, WaitingListPolicy
from ...domain.inventory import Inventory
from ..ports.loading import ClosingQuery, ExpiredHoldsQuery, OverlongHoldsQuery, WaitingListQuery

_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


class LoadPlan(Struct, frozen=True, gc=False):
    """The queries for one step of settling. `fronts` load the first bookings of any size, whatever fits."""

    waiting_lists: tuple[WaitingListQuery, ...] = ()
    fronts: tuple[WaitingListQuery, ...] = ()
    closing: ClosingQuery | None = None
    holds: ExpiredHoldsQuery | None = None
    overlong: OverlongHoldsQuery | None = None


def load_plan(inventory: Inventory, freed: Mapping[UUID, int], now: datetime) -> LoadPlan:
    """Return what to load when commands may free up to so many tickets of each type.

    If it is too little, the decision detects it and more is loaded, so this affects speed and not correctness.
    """
    event = inventory.event
    if event.status.is_closed:
        waiting_only = event.status is EventStatus.COMPLETED
        closing = ClosingQuery(event.id, waiting_only, STEP + 1) if event.is_unsettled else None
        return LoadPlan(closing=closing, holds=_expired_holds_query(event, now))
    is_served, is_bounded = event.serves_waiting_list(now), event.max_overtakes is not None
    if not is_served and not is_bounded:
        return LoadPlan(holds=_expired_holds_query(event, now))
    waiting_lists, fronts = [], []
    for ticket_type in inventory.ticket_types:
        expected = ticket_type.available + freed.get(ticket_type.id, 0)
        is_to_be_served = event.is_unsettled or ticket_type.id in freed
        limit = min(expected, STEP) + 1
        if is_to_be_served and ticket_type.waiting and expected and is_served:
            fitting = expected if event.waiting_list_policy is WaitingListPolicy.FILL else None
            waiting_lists.append(WaitingListQuery(ticket_type.id, fitting, limit))
        if is_to_be_served and ticket_type.waiting and is_bounded:
            fronts.append(WaitingListQuery(ticket_type.id, None, limit))
    return LoadPlan(waiting_lists=tuple(waiting_lists), fronts=tuple(fronts), holds=_expired_holds_query(event, now))


def step_load_plan(inventory: Inventory, now: datetime) -> LoadPlan:
    """Return what to load for a step that is run next."""
    event = inventory.event
    plan = load_plan(inventory, {}, now)
    if not event.is_unsettled or event.starts_at is None or event.earliest_expiry is None or event.status.is_closed:
        return plan
    return replace(plan, overlong=OverlongHoldsQuery(event.id, event.starts_at, STEP))


def _expired_holds_query(event: Event, now: datetime) -> ExpiredHoldsQuery | None:
    if not event.has_lapsed_holds(now):
        return None
    return ExpiredHoldsQuery(event.id, _FOREVER if event.status is EventStatus.COMPLETED else now, STEP)

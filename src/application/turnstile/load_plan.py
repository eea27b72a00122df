"""What has to be loaded of an event before commands are decided."""

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
    """What has to be loaded for a step."""

    lines: tuple[WaitingListQuery, ...] = ()
    closing: ClosingQuery | None = None
    holds: ExpiredHoldsQuery | None = None
    overlong: OverlongHoldsQuery | None = None


def load_plan(inventory: Inventory, freed: Mapping[UUID, int], now: datetime) -> LoadPlan:
    """What to load of the event's line when commands may free so many tickets of each type (upper bounds).

    What was asked too narrowly is noticed by the decision and asked again, so this is about speed, not about truth.
    """
    event = inventory.event
    if event.status.is_closed:
        waiting_only = event.status is EventStatus.COMPLETED
        closing = ClosingQuery(event.id, waiting_only, STEP) if event.is_unsettled else None
        return LoadPlan(closing=closing, holds=_hold_ask(event, now))
    if not event.serves_its_line(now):
        return LoadPlan(holds=_hold_ask(event, now))
    lines = []
    for ticket_type in inventory.ticket_types:
        expected = ticket_type.available + freed.get(ticket_type.id, 0)
        is_to_be_served = event.is_unsettled or ticket_type.id in freed
        if is_to_be_served and ticket_type.waiting and expected:
            fitting = expected if event.waiting_list_policy is WaitingListPolicy.FILL else None
            lines.append(WaitingListQuery(ticket_type.id, fitting, min(expected, STEP) + 1))
    return LoadPlan(lines=tuple(lines), holds=_hold_ask(event, now))


def step_load_plan(inventory: Inventory, now: datetime) -> LoadPlan:
    """What to load for a step that is taken next, with nothing decided in between."""
    event = inventory.event
    loaded = load_plan(inventory, {}, now)
    if not event.is_unsettled or event.starts_at is None or event.earliest_expiry is None or event.status.is_closed:
        return loaded
    return replace(loaded, overlong=OverlongHoldsQuery(event.id, event.starts_at, STEP))


def _hold_ask(event: Event, now: datetime) -> ExpiredHoldsQuery | None:
    if not event.has_lapsed_holds(now):
        return None
    return ExpiredHoldsQuery(event.id, _FOREVER if event.status is EventStatus.COMPLETED else now, STEP)

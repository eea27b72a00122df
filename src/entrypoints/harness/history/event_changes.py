"""The changes of an event: those that calls request, and those that facts tell."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from ....domain.facts import EventChanged, Fact, TicketTypeChanged
from .history import Call

STATUS_AFTER: Final = {"pause": "paused", "resume": "on_sale", "complete": "completed", "call_off": "cancelled"}
"""The status of the event after a call."""


def change_wanted(call: Call, only_type: UUID | None) -> tuple[object, ...] | None:
    """Return the change of an event that a call requests, in the form of `changes_made`, if any."""
    match call.name:
        case "total":
            return ("total", call.ticket_type_id or only_type, call.quantity)
        case "policy" | "waiting_list":
            return (call.name, getattr(call, call.name))
        case "max_overtakes":
            return ("max_overtakes", call.quantity)
        case name if name in STATUS_AFTER:
            return ("status", STATUS_AFTER[name])
        case _:
            return None


def changes_made(fact: Fact) -> list[tuple[object, ...]]:
    """Return the changes of an event in a fact, each of which a client can request."""
    match fact.what:
        case TicketTypeChanged(ticket_type_id=type_id, changes=changes):
            return [("total", type_id, changes["totalTickets"])] if "totalTickets" in changes else []
        case EventChanged(changes=changes):
            named: Mapping[str, str] = {
                "waitingListPolicy": "policy",
                "waitingList": "waiting_list",
                "maxOvertakes": "max_overtakes",
                "status": "status",
            }
            return [(named[name], value) for name, value in changes.items() if name in named]
        case _:
            return []

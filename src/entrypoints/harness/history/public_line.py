"""Replay an event's facts as a stranger does who knows only what its log says in public."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from msgspec import convert

from ....domain.facts import EventChanged, EventInitialized, Fact, TicketTypeChanged
from ...checkers.entry import Changes, Entry, TypeEntry
from ...checkers.replay import replay
from .breach import Breach
from .projection.booking_projection import STEP

_PUBLIC = (
    "quantity",
    "left",
    "queue_number",
    "was",
    "by",
    "status",
    "caused_by",
    "passed_over",
    "total_tickets",
)


def check_public_line(facts: Iterable[Fact], step: int = STEP) -> list[Breach]:
    """Return where a stranger would not find the declared policy kept (promise 5).

    `step` is the maximum number of bookings that one transaction changes.
    """
    report = replay(map(_entry_of, facts), step - 1)
    return [Breach(5, f"public-{each.code}", f"fact {each.seq}: {each.sentence}") for each in report.findings]


def _entry_of(fact: Fact) -> Entry:
    return Entry(
        seq=fact.seq,
        kind=fact.kind,
        at=fact.occurred_at.isoformat(timespec="seconds"),
        commitment="",
        **dict(_public_values(fact)),
    )


def _public_values(fact: Fact) -> Iterator[tuple[str, Any]]:
    what = fact.what
    ticket_type_id = getattr(what, "ticket_type_id", None)
    if isinstance(ticket_type_id, UUID):
        yield "ticket_type_id", str(ticket_type_id)
    for name in _PUBLIC:
        yield name, getattr(what, name, None)
    if isinstance(what, EventInitialized):
        yield "waiting_list_policy", what.values["waitingListPolicy"]
        yield "max_overtakes", what.values.get("maxOvertakes")
        yield "status", what.values["status"]
        yield "ticket_types", [TypeEntry(str(each.ticket_type_id), each.total_tickets) for each in what.ticket_types]
    elif isinstance(what, EventChanged):
        yield "changes", convert(what.changes, Changes)
    elif isinstance(what, TicketTypeChanged):
        yield "total_tickets", what.changes.get("totalTickets")

"""Why the model's bookings stand where they stand, by reasons of its own."""

import re
from datetime import datetime
from typing import Final

from ..box_office import ExplanationSeen
from .booking import ModelBooking
from .event import ModelEvent

LEAST_BASIS: Final = 10
"""Tickets that have to come back before a chance is told."""


def check_explanation(event: ModelEvent, booking: ModelBooking, found: ExplanationSeen, now: datetime) -> None:
    """Raise AssertionError unless an explanation is right. Its sentence and percentage are looked at, not known."""
    seen = event.seen_booking(booking, now)
    reason = _reason(event, booking, seen.status, seen.position, now)
    told = (found.status, found.code, found.policy, found.position, found.tickets_ahead, found.since)
    expected = (seen.status, reason, event.policy, seen.position, seen.tickets_ahead, booking.since)
    assert told == expected, f"the explanation of {booking} is {told}, not {expected}"
    assert re.fullmatch(r"[A-Z0-9].{8,398}\.", found.sentence), found.sentence
    basis = event.type_of(booking.ticket_type_id).returned
    has_chance = seen.position is not None and basis >= LEAST_BASIS
    chance = found.chance or {}
    assert chance.get("basis") == (basis if has_chance else None), f"{booking} has a chance of {chance}, of {basis}"
    assert 0 <= chance.get("percent", 0) <= 100, chance


def _reason(event: ModelEvent, booking: ModelBooking, status: str, position: int | None, now: datetime) -> str:
    if status == "waitlisted":
        return _reason_to_wait(event, booking, position, now)
    if status == "cancelled":
        return "event-cancelled" if booking.ended_by == "event" else f"cancelled-by-{booking.ended_by}"
    if status in ("held", "expired"):
        return {"held": "held", "expired": "hold-lapsed"}[status]
    if booking.has_waited:
        return "promoted"
    return "granted" if booking.is_gift else "confirmed-at-once"


def _reason_to_wait(event: ModelEvent, booking: ModelBooking, position: int | None, now: datetime) -> str:
    free = event.free(event.type_of(booking.ticket_type_id))
    if event.status != "on_sale" or event.has_started(now) or position is None:
        return "not-served-now"
    if booking.quantity <= free:
        return "blocked-by-bigger-group"
    is_next = position == 1 or (event.policy == "fill" and free)
    return "waiting-for-its-size" if is_next else "waiting-behind-others"

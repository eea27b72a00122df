"""Drawing: give the bookings that waited at a closing time an order by chance, in bounded steps.

Waiting lists are served by queue number. With `last` as the last number before the closing, the entries get the numbers
from `last` + 1 by their places, and who comes after the closing gets those from 2 * `last` + 1. There are at most
`last` entries, so each number is given once, and nobody who comes later has to be moved.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import WAITLISTED
from ..draws.beacons import QUICKNET, Beacon
from ..draws.draw import DrawSource
from ..event import Event
from ..facts import DrawHeld, PlaceDrawn
from ..inventory import Decision, Inventory
from ..refusals import EventClosed, IllegalStatusChange, NotFound
from .decision_builder import DecisionBuilder
from .settle import settle_event


class HoldDraw(Struct, frozen=True, gc=False, kw_only=True):
    """Hold an event's draw with this randomness: a beacon, or the operator's secret alone.

    `root` is the one over all entries, of which there are `entries`, and `last_entry` the number that they end at.
    The beacon is known to be authentic.
    """

    event_id: UUID
    last_entry: int
    entries: int
    root: bytes
    randomness: bytes
    beacon: Beacon | None = None


class FinishDraw(Struct, frozen=True, gc=False):
    """Serve the waiting lists of an event whose entries all have their places."""

    event_id: UUID


class DrawnPlace(Struct, frozen=True, gc=False):
    """The place of an entry, from 1, and the queue number with which it entered."""

    booking_id: UUID
    entered_as: int
    place: int


def close_entries(builder: DecisionBuilder) -> None:
    """End the entries of a draw before another queue number is issued, unless that is done, or there is no draw."""
    event = builder.event
    if event.awaits_draw and event.last_entry is None:
        last = event.last_queue_number
        builder.set_event(replace(event, last_entry=last, last_queue_number=2 * last))


def last_entry_of(event: Event) -> int:
    """Return the last queue number before the closing of a draw that takes no more entries."""
    return event.last_queue_number if event.last_entry is None else event.last_entry


def check_draw_due(event: Event, now: datetime) -> None:
    """Raise NotFound, EventClosed or IllegalStatusChange unless the draw of the event can be held."""
    if event.draw_closes_at is None:
        raise NotFound("This event has no draw.")
    if event.status.is_closed:
        raise EventClosed
    if event.takes_entries(now):
        closes_at = f"{event.draw_closes_at.replace(tzinfo=None).isoformat()}Z"
        raise IllegalStatusChange(f"The draw takes entries until {closes_at}, and cannot be held before.")


def check_randomness(event: Event, randomness: bytes, beacon: Beacon | None) -> None:
    """Raise IllegalStatusChange unless the randomness is of the source that was fixed at the beginning."""
    if event.draw_source is DrawSource.OPERATOR:
        if beacon is not None or sha256(randomness).hexdigest() != event.draw_commitment:
            raise IllegalStatusChange("This is not the secret that was committed to when the event was initialized.")
    elif event.draw_closes_at is not None:
        number = QUICKNET.round_after(event.draw_closes_at)
        if beacon is None or beacon.round != number:
            raise IllegalStatusChange(f"The draw takes round {number} of drand, and no other one.")
        if beacon.randomness != randomness or sha256(beacon.signature).digest() != randomness:
            raise IllegalStatusChange("The randomness is not that of the beacon.")


def hold_draw(inventory: Inventory, command: HoldDraw, now: datetime) -> Decision[None]:
    """Fix the randomness and the entries of a draw. Nobody is served before every entry has its place.

    Raises: NotFound, EventClosed; IllegalStatusChange before the closing, once it was held, with other randomness, and
    if another entry was accepted since the entries were read.
    """
    event = inventory.event
    check_draw_due(event, now)
    if event.was_drawn:
        raise IllegalStatusChange("The draw was held.")
    check_randomness(event, command.randomness, command.beacon)
    if command.last_entry != last_entry_of(event):
        raise IllegalStatusChange("The draw has more entries than were read; hold it again.")
    builder = DecisionBuilder(inventory, now)
    close_entries(builder)
    builder.set_event(replace(builder.event, was_drawn=True, is_drawing=True, is_unsettled=True))
    builder.add_fact(
        DrawHeld(
            last_entry=command.last_entry,
            entries=command.entries,
            root=command.root.hex(),
            randomness=command.randomness.hex(),
            round=command.beacon.round if command.beacon else None,
            signature=command.beacon.signature.hex() if command.beacon else None,
        )
    )
    builder.note_room(*(ticket_type.id for ticket_type in builder.ticket_types))
    builder.keep_room(is_served=False)
    return builder.decision(None)


def place_entries(inventory: Inventory, places: Sequence[DrawnPlace], now: datetime) -> Decision[None]:
    """Give these entries the queue numbers of their places.

    The inventory has their bookings. Those that no longer wait, or have their numbers, stay as they are, so a step that
    is repeated changes nothing.
    """
    builder = DecisionBuilder(inventory, now)
    event = builder.event
    if not event.is_drawing:
        return builder.decision(None)
    by_id = {each.booking_id: each for each in places}
    for booking in sorted(inventory.bookings, key=lambda each: by_id[each.id].place):
        drawn = by_id[booking.id]
        if booking.status is WAITLISTED and booking.queue_number == drawn.entered_as:
            number = last_entry_of(event) + drawn.place
            builder.change(booking, replace(booking, queue_number=number, updated_at=now))
            builder.add_fact(
                PlaceDrawn(
                    ticket_type_id=booking.ticket_type_id,
                    customer_id=booking.customer_id,
                    quantity=booking.quantity,
                    entered_as=drawn.entered_as,
                    queue_number=number,
                ),
                booking,
            )
    return builder.decision(None)


def finish_draw(inventory: Inventory, _: FinishDraw, now: datetime) -> Decision[None]:
    """Serve the waiting lists by the draw, once every entry has its place."""
    builder = DecisionBuilder(inventory, now)
    if builder.event.is_drawing:
        builder.set_event(replace(builder.event, is_drawing=False))
        settle_event(builder, [ticket_type.id for ticket_type in builder.ticket_types])
    return builder.decision(None)

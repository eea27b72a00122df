"""Numbering: give ticket numbers to what was confirmed before tickets had numbers, in bounded steps.

The numbers follow from the order of the facts, as those of later bookings do, so no fact records them.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from ..facts import Fact, tickets_confirmed
from ..inventory import Decision, Inventory
from .decision_builder import DecisionBuilder


def number_tickets(inventory: Inventory, facts: Sequence[Fact], now: datetime) -> Decision[None]:
    """Give the bookings that these facts confirmed their numbers. After the last fact the event is done.

    `facts` are the next ones after `numbered_to`, without gaps, and the inventory has the bookings that they confirmed.
    """
    builder = DecisionBuilder(inventory, now)
    for fact in facts:
        if fact.booking_id is not None and tickets_confirmed(fact.what):
            builder.number_tickets(inventory.booking(fact.booking_id))
    event = builder.event
    reached = facts[-1].seq if facts else event.last_seq
    builder.set_event(replace(event, numbered_to=None if reached == event.last_seq else reached))
    return builder.decision(None)

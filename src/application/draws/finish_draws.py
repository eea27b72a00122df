"""Finish draws that were held by a process that ended before every entry had its place."""

from typing import Final

from ..ports.queries import EventQueries
from .hold_draw import PlaceEntries

AT_ONCE: Final = 100
"""Most unsettled events of one round."""


class FinishDraws:
    """Give the entries of unfinished draws their places."""

    def __init__(self, events: EventQueries, place_entries: PlaceEntries) -> None:
        self._events = events
        self._place_entries = place_entries

    async def __call__(self) -> int:
        """Return how many draws were finished. Raises: Unavailable."""
        unsettled = await self._events.unsettled_events(None, AT_ONCE)
        states = await self._events.events_by_id(unsettled) if unsettled else {}
        drawing = [each.event for each in states.values() if each.event.is_drawing and not each.event.status.is_closed]
        for event in drawing:
            await self._place_entries(event)
        return len(drawing)

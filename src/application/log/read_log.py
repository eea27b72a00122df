"""Read an event's log: its newest checkpoint and its files."""

from typing import Final
from uuid import UUID

from ...domain.event import Event, LogMode
from ...domain.log.tiles import TILE_WIDTH
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..events.queries import ReadEvent
from ..ports.errors import Unavailable
from ..ports.log.formats import LogFormats
from ..ports.log.storage import LogQueries

SEALED_WITHIN: Final = 1
"""Seconds after which a new log has something."""


class ReadLog:
    """Read what is sealed of an event's log. It never changes, and everybody who may read it reads the same."""

    def __init__(self, read_event: ReadEvent, log_queries: LogQueries, formats: LogFormats) -> None:
        self._read_event = read_event
        self._logs = log_queries
        self._formats = formats

    async def event(self, event_id: UUID, actor: Actor | None) -> Event:
        """Return the event, if the actor may read its log.

        Raises: NotFound, also without a log; NotSignedIn, NotAllowed, Unavailable.
        """
        event = (await self._read_event(event_id, actor)).event
        event.check_shows_log(actor)
        return event

    async def checkpoint(self, event_id: UUID) -> str:
        """Return the newest checkpoint. Raises: Unavailable, also if nothing is sealed yet."""
        checkpoint = await self._logs.checkpoint(event_id)
        if checkpoint is None:
            raise Unavailable("The log is not sealed yet; try again in a moment.", retry_after=SEALED_WITHIN)
        return checkpoint

    async def file(self, event_id: UUID, name: str) -> bytes:
        """Return a tile or a bundle, by its name in the log. Raises: NotFound, Unavailable."""
        place = self._formats.place(name)
        if place is None:
            raise NotFound
        tile, is_bundle = place
        if not is_bundle:
            found = (await self._logs.tiles(event_id, [tile])).get(tile)
            if found is None:
                raise NotFound
            return found
        bundle = await self._logs.bundle(event_id, tile.index)
        entries = self._formats.entries(bundle)
        if len(entries) < tile.width:
            raise NotFound
        return bundle if tile.width == TILE_WIDTH else self._formats.bundle(entries[: tile.width])


def is_public(event: Event) -> bool:
    """Return whether everybody who may see the event may read its log."""
    return event.log is LogMode.PUBLIC and event.was_published

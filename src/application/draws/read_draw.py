"""Read what anyone needs to recompute a draw."""

from collections import OrderedDict
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.draw import last_entry_of
from ...domain.draws.beacons import QUICKNET
from ...domain.draws.draw import DrawSource, DrawState
from ...domain.event import Event
from ...domain.facts import DrawHeld
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..events.queries import ReadEvent
from ..ports.storage import Storage
from ..ports.system import Clock
from .collected_draw import CollectDraw, CollectedDraw, LogLeaves

MOST_KNOWN: Final = 8
"""Most draws that a process remembers, about 0.5 KiB for each entry: they never change."""

CAVEATS: Final[dict[DrawSource, tuple[str, ...]]] = {
    DrawSource.OPERATOR: (
        "The randomness is a secret of the operator of this service, who could have known it while the draw was open.",
        "The operator could have withheld it; then there would have been no draw.",
    ),
    DrawSource.DRAND: ("The randomness is public; that the service left no entry out is shown by the event's log.",),
}
"""What a draw does not prove, by its source."""


class DrawDocument(Struct, frozen=True):
    """A draw. `round` is the one that drand's randomness comes from. Without `collected` it takes entries still."""

    event: Event
    state: DrawState
    source: DrawSource
    closes_at: datetime
    round: int | None
    held: DrawHeld | None = None
    collected: CollectedDraw | None = None

    @property
    def caveats(self) -> tuple[str, ...]:
        """What it does not prove."""
        return CAVEATS[self.source]


class ReadDraw:
    """Read the draw of an event, as whoever sees the event."""

    def __init__(self, storage: Storage, leaves: LogLeaves, read_event: ReadEvent, clock: Clock) -> None:
        self._read_event = read_event
        self._collect = CollectDraw(storage, leaves)
        self._clock = clock
        self._known: OrderedDict[tuple[UUID, int, bool], tuple[CollectedDraw, DrawHeld | None]] = OrderedDict()

    async def __call__(self, event_id: UUID, actor: Actor | None) -> DrawDocument:
        """Return the draw. Raises: NotFound, also without a draw; NotSealed, Unavailable."""
        event = (await self._read_event(event_id, actor)).event
        state = event.draw_state(self._clock.now())
        source, closes_at = event.draw_source, event.draw_closes_at
        if state is None or source is None or closes_at is None:
            raise NotFound
        number = QUICKNET.round_after(closes_at) if source is DrawSource.DRAND else None
        if state is DrawState.OPEN:
            return DrawDocument(event, state, source, closes_at, number)
        collected, held = await self._collected(event)
        return DrawDocument(event, DrawState.DRAWN if held else state, source, closes_at, number, held, collected)

    async def _collected(self, event: Event) -> tuple[CollectedDraw, DrawHeld | None]:
        last_entry = last_entry_of(event)
        key = (event.id, last_entry, event.was_drawn)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = await self._collect(event, last_entry)
        self._known.move_to_end(key)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found

"""The histories of waiting lists, which are read once and continued."""

import asyncio
from collections import OrderedDict
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.explanations.line_history import LineHistory
from ..ports.queries import ExplanationQueries

FACTS_AT_ONCE: Final = 20_000
"""Facts that are searched for moves with one query."""

MOST_MOVES: Final = 1_000_000
"""Moves that are kept, of all events together. The history that was not used for longest is dropped first."""


class _Kept(Struct):
    history: LineHistory
    lock: asyncio.Lock


class LineHistories:
    """Facts never change, so the history of an event is read once and continued with what has happened since."""

    def __init__(self, queries: ExplanationQueries, most_moves: int = MOST_MOVES) -> None:
        self._queries = queries
        self._most_moves = most_moves
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()

    async def up_to(self, event_id: UUID, seq: int) -> LineHistory:
        """Return the history of an event's waiting lists, at least up to this fact. Raises: Unavailable."""
        kept = self._kept.setdefault(event_id, _Kept(LineHistory(), asyncio.Lock()))
        self._kept.move_to_end(event_id)
        # Others who ask meanwhile wait for the same reads.
        async with kept.lock:
            history = kept.history
            while history.seq < seq:
                until = min(seq, history.seq + FACTS_AT_ONCE)
                history.extend(await self._queries.line_moves(event_id, history.seq, until), until)
        self._drop_old()
        return history

    def _drop_old(self) -> None:
        moves = sum(each.history.moves for each in self._kept.values())
        while moves > self._most_moves and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            moves -= dropped.history.moves

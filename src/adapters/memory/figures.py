"""What the storage within a process tells whoever looks after it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ...application.observing import ConnectionsInUse, Verified, WaitingLine
from .tables import Tables


class MemoryFigures:
    """What is committed."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read
        self._verified: list[Verified] = []

    async def longest_lines(self, limit: int) -> list[WaitingLine]:
        """See the port."""
        await self._before_read()
        lines = [
            WaitingLine(event_id, sum(each.waiting for each in ticket_types.values()))
            for event_id, ticket_types in self._tables.ticket_types.items()
        ]
        longest = sorted(lines, key=lambda line: (-line.bookings, line.event_id))
        return [line for line in longest[:limit] if line.bookings]

    async def verified(self) -> list[Verified]:
        """See the port."""
        await self._before_read()
        return self._verified

    async def note_verified(self, verified: Sequence[Verified]) -> None:
        """See the port."""
        await self._before_read()
        self._verified = sorted(verified, key=lambda each: each.promise)

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """There are none."""
        return {}

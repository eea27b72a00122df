"""What the storage within a process tells whoever looks after it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from ...application.ports.observability import (
    MOST_COUNTED,
    Backlog,
    ConnectionsInUse,
    Verified,
    WaitingListLength,
)
from .notifications import to_be_told
from .tables import Tables


class MemoryStatistics:
    """What is committed."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read
        self._verified: list[Verified] = []

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """See the port."""
        await self._before_read()
        lines = [
            WaitingListLength(event_id, sum(each.waiting for each in ticket_types.values()))
            for event_id, ticket_types in self._tables.ticket_types.items()
        ]
        longest = sorted(lines, key=lambda line: (-line.bookings, line.event_id))
        return [line for line in longest[:limit] if line.bookings]

    async def verified(self) -> list[Verified]:
        """See the port."""
        await self._before_read()
        return self._verified

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """See the port."""
        await self._before_read()
        due = {"webhooks": self._untold_since(now), "mails": self._mails_since(now)}
        return {kind: Backlog(len(since), min(since, default=None)) for kind, since in due.items()}

    def _mails_since(self, now: datetime) -> list[datetime]:
        due = sorted(mail.due_at for mail in self._tables.notifications.mails.values() if mail.due_at <= now)
        return due[:MOST_COUNTED]

    def _untold_since(self, now: datetime) -> list[datetime]:
        tables = self._tables
        since = []
        for webhook in tables.notifications.webhooks.values():
            for stream in to_be_told(tables, webhook, tables.events.values(), now):
                cursor = tables.notifications.cursors.get((webhook.id, stream.event_id))
                fact = tables.facts[stream.event_id][stream.last_seq]
                since.append((cursor and cursor.due_at) or fact.occurred_at)
        return since[:MOST_COUNTED]

    async def note_verified(self, verified: Sequence[Verified]) -> None:
        """See the port."""
        await self._before_read()
        self._verified = sorted(verified, key=lambda each: each.promise)

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """There are none."""
        return {}

"""The statistics that operators see of a storage in memory."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from ...application.ports.observability import (
    MOST_COUNTED,
    Backlog,
    ConnectionsInUse,
    Verified,
    WaitingListLength,
)
from ...domain.explanations.chance_record import Band
from ...domain.payment import Need, need_of, needed_since
from .notifications.repositories import pending_deliveries
from .queries import all_payments
from .tables import Tables


class MemoryStatistics:
    """See the port. Only committed rows are counted."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read
        self._verified: list[Verified] = []
        self._chances: Sequence[Band] = ()

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        """See the port."""
        await self._before_read()
        lengths = [
            WaitingListLength(event_id, sum(each.waiting for each in ticket_types.values()))
            for event_id, ticket_types in self._tables.ticket_types.items()
        ]
        longest = sorted(lengths, key=lambda length: (-length.bookings, length.event_id))
        return [length for length in longest[:limit] if length.bookings]

    async def verified(self) -> list[Verified]:
        """See the port."""
        await self._before_read()
        return self._verified

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        """See the port."""
        await self._before_read()
        due = {"webhooks": self._deliveries_since(now), "mails": self._mails_since(now)}
        return {kind: Backlog(len(since), min(since, default=None)) for kind, since in due.items()}

    def _mails_since(self, now: datetime) -> list[datetime]:
        tables = self._tables.notifications
        due_at = [*(each.due_at for each in tables.mails.values()), *(each.due_at for each in tables.links.values())]
        return sorted(each for each in due_at if each is not None and each <= now)[:MOST_COUNTED]

    def _deliveries_since(self, now: datetime) -> list[datetime]:
        tables = self._tables
        since = []
        for webhook in tables.notifications.webhooks.values():
            for delivery in pending_deliveries(tables, webhook, tables.events.values(), now):
                cursor = tables.notifications.cursors.get((webhook.id, delivery.event_id))
                fact = tables.facts[delivery.event_id][delivery.last_seq]
                since.append((cursor and cursor.due_at) or fact.occurred_at)
        return since[:MOST_COUNTED]

    async def payments_due(self, now: datetime) -> Mapping[Need, Backlog]:
        """See the port."""
        await self._before_read()
        due: dict[Need, list[datetime]] = {need: [] for need in Need}
        for payment in all_payments(self._tables):
            need = need_of(payment, now)
            if need is not None:
                due[need].append(needed_since(payment))
        return {need: Backlog(len(since[:MOST_COUNTED]), min(since, default=None)) for need, since in due.items()}

    async def chances(self) -> Sequence[Band]:
        """See the port."""
        await self._before_read()
        return self._chances

    async def note_verified(self, verified: Sequence[Verified], bands: Sequence[Band]) -> None:
        """See the port."""
        await self._before_read()
        self._verified = sorted(verified, key=lambda each: each.promise)
        self._chances = tuple(bands)

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        """Return nothing: there are no connections."""
        return {}

"""The keys that sign codes, in memory."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from ...application.ports.ticket_codes import CodeKey
from .steps import Step
from .tables import Tables
from .transaction import MemoryTransaction


class MemoryCodeKeyRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def add(self, key: CodeKey) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.new_code_keys[key.event_id] = key

    async def seal(self, key: CodeKey) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.sealed_code_keys[key.event_id] = key


class MemoryCodeKeyQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._keys = tables.code_keys
        self._before_read = before_read

    async def keys(self, event_ids: Collection[UUID]) -> dict[UUID, CodeKey]:
        """See the port."""
        await self._before_read()
        return {event_id: self._keys[event_id] for event_id in event_ids if event_id in self._keys}

    async def sealed_by(self, secrets: Collection[str], limit: int) -> list[CodeKey]:
        """See the port."""
        await self._before_read()
        return [each for each in self._keys.values() if each.sealed_by in secrets][:limit]

"""API keys in memory."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from ....application.ports.accounts.api_keys import OwnedKey
from ....domain.user import ApiKey
from ..steps import Step
from ..tables import Tables
from ..transaction import MemoryTransaction


class MemoryApiKeyRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def add(self, key: ApiKey, digest: bytes) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.api_keys[key.id] = key
        self._transaction.draft.new_key_digests[digest] = key.id

    async def of_user(self, user_id: UUID) -> list[ApiKey]:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return sorted((each for each in self._keys() if each.user_id == user_id), key=lambda each: each.id)

    async def remove(self, key_ids: Collection[UUID]) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.api_keys.update(dict.fromkeys(key_ids))

    async def remove_of(self, user_id: UUID) -> None:
        """See the port."""
        await self.remove([each.id for each in self._keys() if each.user_id == user_id])

    async def record_uses(self, uses: Mapping[UUID, datetime], every: timedelta) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        for key in self._keys():
            used_at = uses.get(key.id)
            if used_at is not None and (key.last_used_at is None or key.last_used_at <= used_at - every):
                self._transaction.draft.api_keys[key.id] = replace(key, last_used_at=used_at)

    def _keys(self) -> list[ApiKey]:
        draft = self._transaction.draft
        return [each for each in {**draft.tables.api_keys, **draft.api_keys}.values() if each is not None]


class MemoryApiKeyQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def keys_of(self, user_id: UUID) -> list[ApiKey]:
        """See the port."""
        await self._before_read()
        return sorted(
            (each for each in self._tables.api_keys.values() if each.user_id == user_id), key=lambda each: each.id
        )

    async def by_digest(self, digests: Collection[bytes]) -> dict[bytes, OwnedKey]:
        """See the port."""
        await self._before_read()
        tables = self._tables
        keys = {
            digest: tables.api_keys[tables.key_digests[digest]] for digest in digests if digest in tables.key_digests
        }
        owners = {digest: tables.users[key.user_id] for digest, key in keys.items()}
        return {
            digest: OwnedKey(key, owners[digest].role if owners[digest].may_sign_in else None)
            for digest, key in keys.items()
        }

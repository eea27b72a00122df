"""API keys, inside one transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import asdict
from sqlalchemy import bindparam, delete, or_, select, update

from .....domain.user import ApiKey
from ...bulk.insert import BulkInsert
from ...engine.transaction import Transaction
from ...schema.mappers import API_KEY, api_key
from ...schema.tables import api_keys

_ADD = BulkInsert(api_keys)
_OF_USER = select(*API_KEY).where(api_keys.c.user_id == bindparam("of_user")).order_by(api_keys.c.id)
_REMOVE = delete(api_keys).where(api_keys.c.id.in_(bindparam("key_ids", expanding=True)))
_REMOVE_OF = delete(api_keys).where(api_keys.c.user_id == bindparam("of_user"))
_RECORD_USE = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key_id"),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= bindparam("last")),
    )
    .values(last_used_at=bindparam("used_at"))
)


class SqlApiKeyRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, key: ApiKey, digest: bytes) -> None:
        """See the port."""
        await self._transaction.insert(_ADD, [{**asdict(key), "digest": digest}])

    async def of_user(self, user_id: UUID) -> list[ApiKey]:
        """See the port."""
        return [api_key(row) for row in await self._transaction.rows(_OF_USER, {"of_user": user_id})]

    async def remove(self, key_ids: Collection[UUID]) -> None:
        """See the port."""
        if key_ids:
            await self._transaction.change(_REMOVE, {"key_ids": list(key_ids)})

    async def remove_of(self, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE_OF, {"of_user": user_id})

    async def record_uses(self, uses: Mapping[UUID, datetime], every: timedelta) -> None:
        """See the port. One statement a key, in the order of the ids, so that two processes never wait in a circle."""
        for key_id, used_at in sorted(uses.items()):
            await self._transaction.change(_RECORD_USE, {"key_id": key_id, "used_at": used_at, "last": used_at - every})

"""API keys. No call waits for a lock; each is one statement."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, bindparam, select

from ....application.ports.accounts.api_keys import OwnedKey
from ....domain.user import ApiKey
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..schema.mappers import API_KEY, api_key
from ..schema.tables import api_keys, users

_OF_USER = select(*API_KEY).where(api_keys.c.user_id == bindparam("of_user")).order_by(api_keys.c.id)
_BY_DIGEST = (
    select(api_keys.c.digest, users.c.role, users.c.disabled_at, users.c.erased_at, *API_KEY)
    .join_from(api_keys, users, users.c.id == api_keys.c.user_id)
    .where(api_keys.c.digest.in_(bindparam("digests", expanding=True)))
)


class SqlApiKeyQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._classify = classify

    async def keys_of(self, user_id: UUID) -> list[ApiKey]:
        """See the port."""
        return [api_key(row) for row in await self._rows(_OF_USER, of_user=user_id)]

    async def by_digest(self, digests: Collection[bytes]) -> dict[bytes, OwnedKey]:
        """See the port."""
        rows = await self._rows(_BY_DIGEST, digests=list(digests))
        return {
            bytes(digest): OwnedKey(api_key(values), None if disabled_at or erased_at else role)
            for digest, role, disabled_at, erased_at, *values in rows
        }

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)

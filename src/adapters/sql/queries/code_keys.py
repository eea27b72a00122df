"""The keys that sign the codes of tickets. No call waits for a lock; each is one statement."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from msgspec.structs import fields
from sqlalchemy import Executable, bindparam, select

from ....application.ports.ticket_codes import CodeKey
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, read
from ..schema.tables import code_keys

_FIELDS = [code_keys.c[field.name] for field in fields(CodeKey)]
_KEYS = select(*_FIELDS).where(code_keys.c.event_id.in_(bindparam("event_ids", expanding=True)))
_SEALED_BY = (
    select(*_FIELDS).where(code_keys.c.sealed_by.in_(bindparam("secrets", expanding=True))).limit(bindparam("at_most"))
)


class SqlCodeKeyQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._classify = classify

    async def keys(self, event_ids: Collection[UUID]) -> dict[UUID, CodeKey]:
        """See the port."""
        return {key.event_id: key for key in await self._rows(_KEYS, event_ids=list(event_ids))}

    async def sealed_by(self, secrets: Collection[str], limit: int) -> list[CodeKey]:
        """See the port."""
        return await self._rows(_SEALED_BY, secrets=list(secrets), at_most=limit)

    async def _rows(self, statement: Executable, **values: Any) -> list[CodeKey]:
        rows = await read(self._reading, self._classify, statement, values)
        return [
            CodeKey(event_id, bytes(public), bytes(sealed), sealed_by) for event_id, public, sealed, sealed_by in rows
        ]

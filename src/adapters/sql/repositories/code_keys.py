"""The keys that sign the codes of tickets, inside one transaction."""

from msgspec.structs import asdict
from sqlalchemy import bindparam, update

from ....application.ports.ticket_codes import CodeKey
from ..bulk.insert import BulkInsert
from ..engine.transaction import Transaction
from ..schema.tables import code_keys

# Of two processes that add a key at once the second one waits here, and keeps the first one's.
_ADD = BulkInsert(code_keys, on_existing={"public": "{old}"})
_SEAL = (
    update(code_keys)
    .where(code_keys.c.event_id == bindparam("of_event"))
    .values(sealed=bindparam("new_sealed"), sealed_by=bindparam("new_sealed_by"))
)


class SqlCodeKeyRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, key: CodeKey) -> None:
        """See the port."""
        await self._transaction.insert(_ADD, [asdict(key)])

    async def seal(self, key: CodeKey) -> None:
        """See the port."""
        values = {"of_event": key.event_id, "new_sealed": key.sealed, "new_sealed_by": key.sealed_by}
        await self._transaction.change(_SEAL, values)

"""The leases of background tasks, and the deletion of old stored responses."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update

from ....application.ports.repositories import is_lease_active
from ..bulk.insert import BulkInsert
from ..engine.transaction import Transaction
from ..schema.tables import leases
from .stored_responses import delete_responses

_LOCK = select(leases.c.process_id, leases.c.ends_at).where(leases.c.task == bindparam("of_task")).with_for_update()
# Two processes may both find no row; the second one waits here for the first one, and then finds its row. On SQLite
# only one of them can read.
_ADD = BulkInsert(leases, on_existing={"task": "{old}"})
_PUT = (
    update(leases)
    .where(leases.c.task == bindparam("of_task"))
    .values(process_id=bindparam("new_process_id"), ends_at=bindparam("new_ends_at"))
)


class SqlLeaseRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def acquire_lease(self, task: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """See the port. It locks the task's row."""
        rows = await self._transaction.rows(_LOCK, {"of_task": task})
        if not rows:
            await self._transaction.insert(_ADD, [{"task": task, "process_id": process_id, "ends_at": until}])
            rows = await self._transaction.rows(_LOCK, {"of_task": task})
        holder, ends_at = rows[0]
        if holder != process_id and is_lease_active(ends_at, now, until):
            return False
        values = {"of_task": task, "new_process_id": process_id, "new_ends_at": until}
        await self._transaction.change(_PUT, values, expected=1)
        return True

    async def delete_stored_responses(self, before: datetime, limit: int) -> int:
        """See the port. Two statements for up to 500 responses."""
        return await delete_responses(self._transaction, before, limit)

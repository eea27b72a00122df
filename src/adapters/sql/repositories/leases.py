"""What the background work keeps: whose turn it is, and answers that need no longer be remembered."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from ....application.ports.repositories import is_lease_active
from ..engine.transaction import Transaction
from ..into import Into
from ..schema.tables import turns
from .stored_responses import forget_answers

_LOCK = select(turns.c.process_id, turns.c.ends_at).where(turns.c.chore == bindparam("of_chore")).with_for_update()
# Two processes may both find no row; the one that comes second waits for the other here, and then sees its row. SQLite
# lets only one of them look.
_ADD = Into(insert(turns).prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb"))
_PUT = (
    update(turns)
    .where(turns.c.chore == bindparam("of_chore"))
    .values(process_id=bindparam("new_process_id"), ends_at=bindparam("new_ends_at"))
)


class SqlLeaseRepository:
    """What the background work keeps, inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def acquire_lease(self, chore: str, process_id: UUID, now: datetime, until: datetime) -> bool:
        """Decided under a lock on the chore's row, so that no two processes take one turn."""
        held = await self._transaction.rows(_LOCK, {"of_chore": chore})
        if not held:
            await self._transaction.insert(_ADD, [{"chore": chore, "process_id": process_id, "ends_at": until}])
            held = await self._transaction.rows(_LOCK, {"of_chore": chore})
        holder, ends_at = held[0]
        if holder != process_id and is_lease_active(ends_at, now, until):
            return False
        values = {"of_chore": chore, "new_process_id": process_id, "new_ends_at": until}
        await self._transaction.change(_PUT, values, expected=1)
        return True

    async def forget_answers(self, before: datetime, limit: int) -> int:
        """Two statements for up to 500 answers."""
        return await forget_answers(self._transaction, before, limit)

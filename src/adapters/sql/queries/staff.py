"""The staff of events. No call waits for a lock; each is one statement."""

from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Integer, bindparam, select

from ....application.ports.accounts.staff import Colleague
from ....domain.policy import StaffRole
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..repositories.accounts.staff import MEMBER, member
from ..schema.mappers import USER, user
from ..schema.tables import event_staff, users

_ROLE = select(event_staff.c.role).where(
    event_staff.c.event_id == bindparam("event_id"), event_staff.c.user_id == bindparam("user_id")
)
_STAFF = (
    select(*MEMBER, *USER)
    .join_from(event_staff, users, users.c.id == event_staff.c.user_id)
    .where(event_staff.c.event_id == bindparam("event_id"))
    .order_by(event_staff.c.user_id)
    .limit(bindparam("limit", type_=Integer()))
)
_STAFF_AFTER = _STAFF.where(event_staff.c.user_id > bindparam("after"))
_EVENTS_OF = select(event_staff.c.event_id, event_staff.c.role).where(event_staff.c.user_id == bindparam("user_id"))


class SqlStaffQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._classify = classify

    async def role(self, event_id: UUID, user_id: UUID) -> StaffRole | None:
        """See the port."""
        rows = await self._rows(_ROLE, event_id=event_id, user_id=user_id)
        return rows[0][0] if rows else None

    async def staff(self, event_id: UUID, after: UUID | None, limit: int) -> list[Colleague]:
        """See the port."""
        if after is None:
            rows = await self._rows(_STAFF, event_id=event_id, limit=limit)
        else:
            rows = await self._rows(_STAFF_AFTER, event_id=event_id, after=after, limit=limit)
        return [Colleague(member(row[: len(MEMBER)]), user(row[len(MEMBER) :])) for row in rows]

    async def events_of(self, user_id: UUID) -> dict[UUID, StaffRole]:
        """See the port."""
        return {row[0]: row[1] for row in await self._rows(_EVENTS_OF, user_id=user_id)}

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)

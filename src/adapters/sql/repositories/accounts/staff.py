"""The staff of events, inside one transaction."""

from typing import Any
from uuid import UUID

from msgspec.structs import asdict, fields
from sqlalchemy import Column, bindparam, delete, func, select, update

from .....domain.decisions.staff import StaffMember
from ...bulk.insert import BulkInsert
from ...engine.transaction import Transaction
from ...schema.tables import event_staff

_FIELDS = tuple(field.name for field in fields(StaffMember))
MEMBER: tuple[Column[Any], ...] = tuple(event_staff.c[name] for name in _FIELDS)

_of_member = (
    event_staff.c.event_id == bindparam("of_event"),
    event_staff.c.user_id == bindparam("of_user"),
)
_MEMBER = select(*MEMBER).where(*_of_member)
_COUNT = select(func.count()).select_from(event_staff).where(event_staff.c.event_id == bindparam("of_event"))
_ADD = BulkInsert(event_staff)
_SAVE = update(event_staff).where(*_of_member).values(role=bindparam("new_role"))
_REMOVE = delete(event_staff).where(*_of_member)


def member(values: Any) -> StaffMember:
    """Return a member from the columns of `MEMBER`."""
    return StaffMember(**dict(zip(_FIELDS, values, strict=True)))


class SqlStaffRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def member(self, event_id: UUID, user_id: UUID) -> StaffMember | None:
        """See the port."""
        rows = await self._transaction.rows(_MEMBER, {"of_event": event_id, "of_user": user_id})
        return member(rows[0]) if rows else None

    async def count(self, event_id: UUID) -> int:
        """See the port."""
        return int((await self._transaction.rows(_COUNT, {"of_event": event_id}))[0][0])

    async def add(self, member: StaffMember) -> None:
        """See the port."""
        await self._transaction.insert(_ADD, [asdict(member)])

    async def save(self, member: StaffMember) -> None:
        """See the port."""
        values = {"of_event": member.event_id, "of_user": member.user_id, "new_role": member.role}
        await self._transaction.change(_SAVE, values)

    async def remove(self, event_id: UUID, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE, {"of_event": event_id, "of_user": user_id})

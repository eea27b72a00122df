"""The staff of events, in memory."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from ....application.ports.accounts.staff import Colleague
from ....domain.decisions.staff import StaffMember
from ....domain.policy import StaffRole
from ..steps import Step
from ..tables import Tables
from ..transaction import MemoryTransaction


class MemoryStaffRepository:
    """See the port."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def member(self, event_id: UUID, user_id: UUID) -> StaffMember | None:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return self._members(event_id).get(user_id)

    async def count(self, event_id: UUID) -> int:
        """See the port."""
        await self._transaction.reach(Step.LOAD)
        return sum(member is not None for member in self._members(event_id).values())

    async def add(self, member: StaffMember) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        key = (member.event_id, member.user_id)
        self._transaction.draft.staff[key] = member
        self._transaction.draft.new_staff.add(key)

    async def save(self, member: StaffMember) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.staff[member.event_id, member.user_id] = member

    async def remove(self, event_id: UUID, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.reach(Step.SAVE)
        self._transaction.draft.staff[event_id, user_id] = None

    def _members(self, event_id: UUID) -> dict[UUID, StaffMember | None]:
        draft = self._transaction.draft
        changed = {user_id: member for (of_event, user_id), member in draft.staff.items() if of_event == event_id}
        return {**draft.tables.staff.get(event_id, {}), **changed}


class MemoryStaffQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def role(self, event_id: UUID, user_id: UUID) -> StaffRole | None:
        """See the port."""
        await self._before_read()
        member = self._tables.staff.get(event_id, {}).get(user_id)
        return member.role if member else None

    async def staff(self, event_id: UUID, after: UUID | None, limit: int) -> list[Colleague]:
        """See the port."""
        await self._before_read()
        members = self._tables.staff.get(event_id, {})
        ids = sorted(user_id for user_id in members if after is None or user_id > after)
        return [Colleague(members[user_id], self._tables.users[user_id]) for user_id in ids[:limit]]

    async def events_of(self, user_id: UUID) -> dict[UUID, StaffRole]:
        """See the port."""
        await self._before_read()
        of_events = self._tables.staff.items()
        return {event_id: members[user_id].role for event_id, members in of_events if user_id in members}

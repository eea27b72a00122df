"""The staff of events."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ....domain.decisions.staff import StaffMember
from ....domain.policy import StaffRole
from ....domain.user import User


class StaffRepository(Protocol):
    """Who works for which event, inside a unit of work. No method locks an event."""

    async def member(self, event_id: UUID, user_id: UUID) -> StaffMember | None:
        """Return a member, with this unit of work's changes."""

    async def count(self, event_id: UUID) -> int:
        """Return how many people work for an event."""

    async def add(self, member: StaffMember) -> None:
        """Add a member. Raises: Conflict when the person works for the event (maybe only at commit)."""

    async def save(self, member: StaffMember) -> None:
        """Replace a member."""

    async def remove(self, event_id: UUID, user_id: UUID) -> None:
        """Remove a member."""


class Colleague(Struct, frozen=True):
    """A member of an event's staff with their account."""

    member: StaffMember
    user: User


class StaffQueries(Protocol):
    """Who works for which event. Each call sees one consistent state and may raise Unavailable."""

    async def role(self, event_id: UUID, user_id: UUID) -> StaffRole | None:
        """Return a person's role in an event, by its key."""

    async def staff(self, event_id: UUID, after: UUID | None, limit: int) -> list[Colleague]:
        """Return the staff of an event by the ids of their accounts, above the id `after`."""

    async def events_of(self, user_id: UUID) -> dict[UUID, StaffRole]:
        """Return the events that a person works for, with their roles there."""

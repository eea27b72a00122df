"""Queries about the staff of events."""

from uuid import UUID

from ...domain.policy import Right
from ...domain.user import Actor
from ..duties import Duties, event_for
from ..pages import Page
from ..ports.accounts.staff import Colleague, StaffQueries
from ..ports.queries import EventQueries


class ListStaff:
    """List who works for an event, by the ids of their accounts."""

    def __init__(self, events: EventQueries, staff: StaffQueries, duties: Duties) -> None:
        self._events = events
        self._staff = staff
        self._duties = duties

    async def __call__(
        self, event_id: UUID, actor: Actor, *, after: UUID | None = None, limit: int = 50
    ) -> Page[Colleague, UUID]:
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._events, self._duties, event_id, actor, Right.SEE_STAFF)
        found = await self._staff.staff(event_id, after, limit + 1)
        items = found[:limit]
        return Page(items, items[-1].user.id if len(found) > limit else None)

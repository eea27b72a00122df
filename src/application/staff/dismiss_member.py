"""End a person's work for an event."""

from uuid import UUID

from ...domain.policy import Right
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..duties import Duties, event_for
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction


class DismissMember:
    """End a person's work for an event. It holds for their next call; what they did stays."""

    def __init__(self, storage: Storage, duties: Duties) -> None:
        self._storage = storage
        self._duties = duties

    async def __call__(self, event_id: UUID, user_id: UUID, actor: Actor) -> None:
        """Dismiss them. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._storage.event_queries, self._duties, event_id, actor, Right.APPOINT_STAFF)
        # Outside of the transaction, which may run again after it has removed the member.
        if await self._storage.staff_queries.role(event_id, user_id) is None:
            raise NotFound

        async def dismiss(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.users.lock(user_id)
            await unit_of_work.staff.remove(event_id, user_id)

        await in_transaction(self._storage, dismiss)

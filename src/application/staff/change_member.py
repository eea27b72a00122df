"""Give a member of an event's staff another role."""

from uuid import UUID

from msgspec.structs import replace

from ...domain.policy import Right, StaffRole
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..duties import Duties, event_for
from ..ports.accounts.staff import Colleague
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction


class ChangeMember:
    """Give a member of an event's staff another role. It holds for their next call."""

    def __init__(self, storage: Storage, duties: Duties) -> None:
        self._storage = storage
        self._duties = duties

    async def __call__(self, event_id: UUID, user_id: UUID, role: StaffRole, actor: Actor) -> Colleague:
        """Return the changed member. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._storage.event_queries, self._duties, event_id, actor, Right.APPOINT_STAFF)

        async def change(unit_of_work: UnitOfWork) -> Colleague:
            # The account's lock makes changes of a member continue one by one.
            user = await unit_of_work.users.lock(user_id)
            member = await unit_of_work.staff.member(event_id, user_id)
            if user is None or member is None:
                raise NotFound
            changed = replace(member, role=role)
            await unit_of_work.staff.save(changed)
            return Colleague(changed, user)

        return await in_transaction(self._storage, change)

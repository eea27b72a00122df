"""Revoke an API key."""

from uuid import UUID

from ...domain.policy import PersonalRight
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..ports.storage import Storage, UnitOfWork
from ..retrying_transaction import in_transaction


class RevokeApiKey:
    """Revoke one of the actor's API keys."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, key_id: UUID, actor: Actor) -> None:
        """Delete it. Processes that have just read it accept it for a few seconds more.

        Raises: NotFound, NotAllowed, Unavailable.
        """
        if all(each.id != key_id for each in await self._storage.api_key_queries.keys_of(actor.user_id)):
            raise NotFound
        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)

        async def remove(unit_of_work: UnitOfWork) -> None:
            # It may be deleted already, for instance after an unknown outcome.
            await unit_of_work.api_keys.remove([key_id])

        await in_transaction(self._storage, remove)

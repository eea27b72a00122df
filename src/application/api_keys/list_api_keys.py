"""List API keys: users see their own only (promise 9)."""

from ...domain.policy import PersonalRight
from ...domain.user import Actor, ApiKey
from ..ports.accounts.api_keys import ApiKeyQueries


class ListApiKeys:
    """List the actor's API keys, oldest first. None contains its text."""

    def __init__(self, api_keys: ApiKeyQueries) -> None:
        self._api_keys = api_keys

    async def __call__(self, actor: Actor) -> list[ApiKey]:
        """Return the keys, expired ones too. Raises: NotAllowed, Unavailable."""
        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        return await self._api_keys.keys_of(actor.user_id)

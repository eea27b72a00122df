"""Authenticate a caller by an API key."""

from uuid import UUID

from ...domain.refusals import InvalidToken
from ...domain.user import Actor
from ..ports.accounts.api_keys import ApiKeyTexts
from ..ports.system import Clock
from .key_uses import KeyUses
from .known_keys import KnownKeys


class UseApiKey:
    """Find out for whom an API key acts, and note its use."""

    def __init__(self, texts: ApiKeyTexts, known_keys: KnownKeys, key_uses: KeyUses, clock: Clock) -> None:
        self._texts = texts
        self._known_keys = known_keys
        self._key_uses = key_uses
        self._clock = clock

    def is_one(self, text: str) -> bool:
        """Return whether a text claims to be an API key."""
        return self._texts.is_one(text)

    async def __call__(self, text: str) -> tuple[Actor, UUID]:
        """Return the owner, with the role of the last seconds and within the key's scope, and the id of the key.

        Raises: InvalidToken if it is unknown or expired, or its owner disabled or erased, Unavailable.
        """
        digest = self._texts.digest_of(text)
        found = None if digest is None else await self._known_keys(digest)
        now = self._clock.now()
        if found is None or found.role is None or not found.key.is_live(now):
            raise InvalidToken("The API key is no longer valid.")
        self._key_uses.note(found.key, now)
        return Actor(found.key.user_id, found.role, scope=found.key.scope), found.key.id

"""API keys: their text, and how they are stored."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ....domain.user import ApiKey, Role


class KeyText(Struct, frozen=True):
    """The text of a new API key, which is shown once, and the digest that is stored of it."""

    text: str
    digest: bytes


class ApiKeyTexts(Protocol):
    """Makes and reads the texts of API keys, which cannot be guessed."""

    def new(self) -> KeyText:
        """Return a new key."""

    def is_one(self, text: str) -> bool:
        """Return whether a text claims to be an API key and not an access token."""

    def digest_of(self, text: str) -> bytes | None:
        """Return the stored digest of a key; None if the text is malformed."""

    def sealed(self, text: str) -> str:
        """Return the key encrypted by the service's secret, to store an answer that contains it."""

    def opened(self, sealed: str) -> str | None:
        """Return the key of a sealed text; None if its secret is gone."""


class OwnedKey(Struct, frozen=True):
    """An API key with its owner's role of today; None: the owner is disabled or erased."""

    key: ApiKey
    role: Role | None


class ApiKeyRepository(Protocol):
    """API keys, inside a unit of work. Those of a user are added under the lock of the account only."""

    async def add(self, key: ApiKey, digest: bytes) -> None:
        """Add a key. Raises: Conflict when the id or the digest exists (maybe only at commit)."""

    async def of_user(self, user_id: UUID) -> list[ApiKey]:
        """Return a user's keys by id, as committed or saved so far."""

    async def remove(self, key_ids: Collection[UUID]) -> None:
        """Delete the keys that exist."""

    async def remove_of(self, user_id: UUID) -> None:
        """Delete all keys of a user."""

    async def record_uses(self, uses: Mapping[UUID, datetime], every: timedelta) -> None:
        """Store when keys were used, where the stored time is older than that by `every` or more. Others stay."""


class ApiKeyQueries(Protocol):
    """Committed API keys, read without locks. Every method may raise Unavailable."""

    async def keys_of(self, user_id: UUID) -> list[ApiKey]:
        """Return a user's keys by id."""

    async def by_digest(self, digests: Collection[bytes]) -> dict[bytes, OwnedKey]:
        """Return the keys that exist, with their owners."""

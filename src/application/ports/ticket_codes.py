"""The codes of tickets, and the keys that sign them."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from .errors import Unavailable


class TicketRef(Struct, frozen=True, gc=False):
    """What a code is of: a ticket, and which of its codes. The first has serial 1; only the newest is valid."""

    event_id: UUID
    ticket_id: UUID
    serial: int


class ReadCode(TicketRef, frozen=True, gc=False):
    """What a text says that has the form of a code. It counts for nothing unless its signature holds."""

    signature: bytes


class CodeKey(Struct, frozen=True, gc=False):
    """The key that signs the codes of an event's tickets. It never changes.

    `public` are the 32 bytes of the public key (RFC 8032). `sealed` is the private key, encrypted with a secret of the
    service, and `sealed_by` names that secret without telling it.
    """

    event_id: UUID
    public: bytes
    sealed: bytes
    sealed_by: str


class SecretMissing(Unavailable):
    """A key is encrypted with a secret that the service no longer has, so it cannot sign."""

    def __init__(self, event_id: UUID) -> None:
        super().__init__(
            f"The key of event {event_id} is encrypted with a secret that is missing; an operator must add the secret "
            "to the older ones.",
            retry_after=60,
        )


class CodeSigner(Protocol):
    """Makes the keys of events, signs codes with them, and reads codes. It stores nothing."""

    newest_secret: str
    """The name of the secret that encrypts new keys."""

    older_secrets: tuple[str, ...]
    """The names of those that open older keys."""

    def new_key(self, event_id: UUID) -> CodeKey:
        """Return a new random key for an event, encrypted with the newest secret."""

    def sealed_anew(self, key: CodeKey) -> CodeKey:
        """Return the key, encrypted with the newest secret. Raises: SecretMissing."""

    def private_key(self, key: CodeKey) -> bytes:
        """Return the 32 bytes of a private key (RFC 8032). Raises: SecretMissing."""

    def codes(self, key: CodeKey, tickets: Sequence[TicketRef]) -> list[str]:
        """Return the codes of tickets of the key's event; it takes about 0.1 ms for each. Raises: SecretMissing."""

    def draw_secret(self, key: CodeKey) -> bytes:
        """Return the 32 bytes by which the operator draws the key's event. They tell nothing about the key.

        Raises: SecretMissing.
        """

    def read(self, code: str) -> ReadCode | None:
        """Return what a code says; None if the text has not the form of one."""

    def holds(self, code: ReadCode, public_key: bytes) -> bool:
        """Return whether the signature of a code is one of this key."""


class CodeKeyRepository(Protocol):
    """The keys of events, inside a unit of work."""

    async def add(self, key: CodeKey) -> None:
        """Add a key, unless its event has one."""

    async def seal(self, key: CodeKey) -> None:
        """Replace what is stored of the encryption of a key."""


class CodeKeyQueries(Protocol):
    """Committed keys of events."""

    async def keys(self, event_ids: Collection[UUID]) -> dict[UUID, CodeKey]:
        """Return the keys of those of these events that have one. Raises: Unavailable."""

    async def sealed_by(self, secrets: Collection[str], limit: int) -> list[CodeKey]:
        """Return up to `limit` keys that are encrypted with one of these secrets. Raises: Unavailable."""

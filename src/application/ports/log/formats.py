"""How logs are written down: entries, bundles, checkpoints and keys. The sealer knows none of their texts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ....domain.log.tiles import Tile


class LoggedFact(Struct, frozen=True, gc=False):
    """A fact as it is stored, for its entry. `data` is its content as text.

    `booking_id` and `customer_id` are None for a fact of the event. `key` is the customer's key, or the organizer's for
    a fact of the event; None: there is none, and nobody can ever open the entry.
    """

    seq: int
    kind: str
    occurred_at: datetime
    data: str
    booking_id: UUID | None = None
    customer_id: UUID | None = None
    key: bytes | None = None


class Opening(Struct, frozen=True):
    """What opens an entry's commitment: its salt and the part of the fact that the entry does not tell."""

    salt: bytes
    private: bytes


class Receipt(Struct, frozen=True):
    """What proves an entry: its index, its inclusion proof, a signed checkpoint, its text, and what opens it."""

    index: int
    hashes: Sequence[bytes]
    checkpoint: str
    entry: bytes
    opening: Opening | None


class CheckpointSigner(Protocol):
    """Signs checkpoints with the key of the installation."""

    key_text: str
    """The public key, as text for those who check."""

    def checkpoint(self, event_id: UUID, size: int, root: bytes) -> str:
        """Return a signed checkpoint of an event's log. It takes about 0.1 ms."""


class LogFormats(Protocol):
    """The texts of logs. It stores nothing."""

    def new_key(self) -> bytes:
        """Return a new random key of a customer."""

    def entry(self, event_id: UUID, fact: LoggedFact) -> bytes:
        """Return the entry of a fact. Without a key its salt is random and kept nowhere."""

    def opening(self, event_id: UUID, fact: LoggedFact) -> Opening | None:
        """Return what opens the entry of a fact; None without a key."""

    def opens(self, entry: bytes, opening: Opening) -> bool:
        """Return whether the opening is that of the entry."""

    def bundle(self, entries: Iterable[bytes]) -> bytes:
        """Return entries as one file."""

    def place(self, name: str) -> tuple[Tile, bool] | None:
        """Return which tile a name in the log is of, and whether its entries are meant; None: it is no name."""

    def entries(self, bundle: bytes) -> Sequence[bytes]:
        """Return the entries of a file."""

    def size(self, checkpoint: str) -> int:
        """Return how many entries a checkpoint is of."""

    def receipt(self, receipt: Receipt) -> str:
        """Return a receipt as text."""

    def signer(self, host: str, private_key: bytes) -> CheckpointSigner:
        """Return what signs checkpoints of logs of this host. The private key has 32 bytes (RFC 8032)."""

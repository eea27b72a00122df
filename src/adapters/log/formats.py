"""The formats of logs as the application sees them."""

from collections.abc import Iterable, Sequence
from secrets import token_bytes
from uuid import UUID

from msgspec import json

from ...application.ports.log.formats import LoggedFact, Opening, Receipt
from ...domain.log.tiles import Tile
from .canonical import Malformed, to_base64
from .checkpoint import Checkpoint
from .entries import SALT_BYTES, entry_of, is_opened_by, private_part, salt_of
from .proof import LogProof
from .signed_note import NoteSigner, SignedNote
from .tiles import entries_in, parse_path, to_bundle

KEY_BYTES = 32


def origin_of(host: str, event_id: UUID) -> str:
    """Return the name of an event's log."""
    return f"{host}/events/{event_id}/log"


class C2spCheckpointSigner:
    """See the port. The key has the name of the installation."""

    def __init__(self, host: str, private_key: bytes) -> None:
        self._host = host
        self._signer = NoteSigner(host, private_key)
        self.key_text: str = self._signer.key.text

    def checkpoint(self, event_id: UUID, size: int, root: bytes) -> str:
        """See the port."""
        return self._signer.signed(Checkpoint(origin_of(self._host, event_id), size, root).text)


class C2spLogFormats:
    """See the port."""

    def new_key(self) -> bytes:
        """See the port."""
        return token_bytes(KEY_BYTES)

    def entry(self, event_id: UUID, fact: LoggedFact) -> bytes:
        """See the port."""
        salt = token_bytes(SALT_BYTES) if fact.key is None else salt_of(event_id, fact.seq, fact.key)
        return entry_of(fact, salt)

    def opening(self, event_id: UUID, fact: LoggedFact) -> Opening | None:
        """See the port."""
        return None if fact.key is None else Opening(salt_of(event_id, fact.seq, fact.key), private_part(fact))

    def opens(self, entry: bytes, opening: Opening) -> bool:
        """See the port."""
        return is_opened_by(entry, opening)

    def bundle(self, entries: Iterable[bytes]) -> bytes:
        """See the port."""
        return to_bundle(entries)

    def place(self, name: str) -> tuple[Tile, bool] | None:
        """See the port."""
        try:
            return parse_path(name)
        except Malformed:
            return None

    def entries(self, bundle: bytes) -> Sequence[bytes]:
        """See the port."""
        return entries_in(bundle)

    def size(self, checkpoint: str) -> int:
        """See the port."""
        return Checkpoint.parse(SignedNote.parse(checkpoint).text).size

    def receipt(self, receipt: Receipt) -> str:
        """See the port."""
        extra = {"entry": receipt.entry.decode()}
        if receipt.opening is not None:
            extra["opening"] = f"{to_base64(receipt.opening.salt)}.{to_base64(receipt.opening.private)}"
        return LogProof(receipt.index, tuple(receipt.hashes), receipt.checkpoint, json.encode(extra)).text

    def signer(self, host: str, private_key: bytes) -> C2spCheckpointSigner:
        """See the port."""
        return C2spCheckpointSigner(host, private_key)

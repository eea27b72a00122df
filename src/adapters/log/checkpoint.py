"""C2SP's tlog-checkpoint: a log's size and root, as the text of a signed note."""

from collections.abc import Sequence

from msgspec import Struct

from ...domain.log.merkle import EMPTY_ROOT, HASH_BYTES
from .canonical import Malformed, from_base64, from_decimal, to_base64
from .signed_note import NoteRefused, SignedNote, VerifierKey


class Checkpoint(Struct, frozen=True):
    """What a log says of itself: its origin, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text to sign, without extension lines."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Return the checkpoint of a note's text. Extension lines are ignored.

        Raises: Malformed.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise Malformed("a checkpoint has three lines or more")
        size, root = from_decimal(lines[1]), from_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise Malformed("a root has 32 bytes")
        if not size and root != EMPTY_ROOT:
            raise Malformed("an empty log has another root")
        return cls(lines[0], size, root)

    @classmethod
    def opened(cls, note: str, keys: Sequence[VerifierKey], origin: str | None = None) -> "Checkpoint":
        """Return the checkpoint of a note that one of the keys signed.

        Raises: Malformed; NoteRefused: not signed by any of the keys, or of another origin.
        """
        signed = SignedNote.parse(note)
        signed.check(keys)
        checkpoint = cls.parse(signed.text)
        if origin not in {None, checkpoint.origin}:
            raise NoteRefused(f"it is a checkpoint of {checkpoint.origin}")
        return checkpoint

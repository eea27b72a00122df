"""C2SP's tlog-proof: an entry's place in a log, its inclusion proof and a signed checkpoint, as one text."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ...domain.log.merkle import HASH_BYTES, InvalidProof, included_root
from .canonical import Malformed, from_base64, from_decimal, to_base64
from .checkpoint import Checkpoint
from .signed_note import NoteRefused, VerifierKey

HEADER: Final = "c2sp.org/tlog-proof@v1"
MOST_PROOF_BYTES: Final = 256 * 1024
MOST_HASHES: Final = 63


class LogProof(Struct, frozen=True):
    """A proof that has its format. What it says counts once `check` passed; `extra` is not covered by it."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    @property
    def text(self) -> str:
        """The proof as text."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {to_base64(self.extra)}")
        lines += [f"index {self.index}", *map(to_base64, self.hashes)]
        return "\n".join([*lines, "", self.checkpoint])

    @classmethod
    def parse(cls, text: str) -> "LogProof":
        """Return the proof with this text.

        Raises: Malformed.
        """
        if len(text) > MOST_PROOF_BYTES:
            raise Malformed("the proof is too long")
        head, gap, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not gap or lines.pop(0) != HEADER:
            raise Malformed(f"it does not begin with {HEADER}")
        extra = from_base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise Malformed("it names no index")
        index = from_decimal(lines.pop(0)[6:])
        hashes = tuple(map(from_base64, lines[: MOST_HASHES + 1]))
        if len(hashes) > MOST_HASHES or any(len(each) != HASH_BYTES for each in hashes):
            raise Malformed("a hash has 32 bytes, and a proof at most 63 of them")
        return cls(index, hashes, checkpoint, extra)

    def check(self, leaf: bytes, keys: Sequence[VerifierKey], origin: str | None = None) -> Checkpoint:
        """Return the checkpoint, signed by one of the keys, of a log that has an entry with this hash at this place.

        Raises: Malformed; NoteRefused: not so.
        """
        checkpoint = Checkpoint.opened(self.checkpoint, keys, origin)
        try:
            root = included_root(self.index, checkpoint.size, leaf, self.hashes)
        except InvalidProof as error:
            raise NoteRefused(str(error)) from None
        if root != checkpoint.root:
            raise NoteRefused("the entry is not at this place of the log")
        return checkpoint

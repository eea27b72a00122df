"""How events' logs are written down: C2SP's signed notes, checkpoints, tiles and proofs. Texts and keys, no storage."""

from .canonical import Malformed
from .checkpoint import Checkpoint
from .proof import LogProof
from .signed_note import NoteRefused, NoteSigner, SignedNote, VerifierKey
from .tiles import bundle_path, entries_in, parse_path, tile_path, to_bundle

__all__ = [
    "Checkpoint",
    "LogProof",
    "Malformed",
    "NoteRefused",
    "NoteSigner",
    "SignedNote",
    "VerifierKey",
    "bundle_path",
    "entries_in",
    "parse_path",
    "tile_path",
    "to_bundle",
]

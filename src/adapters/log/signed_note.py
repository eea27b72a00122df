"""C2SP's signed-note: text with Ed25519 signatures of named keys, and the text of such keys."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from .canonical import Malformed, from_base64, to_base64

MOST_NOTE_BYTES: Final = 64 * 1024
MOST_SIGNATURES: Final = 64

_ED25519: Final = b"\1"
_KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


class NoteRefused(Malformed):
    """No known key has signed this text, or a signature by a known key does not hold."""


class VerifierKey(Struct, frozen=True):
    """A public key with its name. Its text is `name+id+base64`."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Raises: Malformed."""
        if not self.name or "+" in self.name or any(each.isspace() or not each.isprintable() for each in self.name):
            raise Malformed("a key's name is empty, or has a space or a plus sign")
        if len(self.public) != _KEY_BYTES:
            raise Malformed("a key has 32 bytes")

    @property
    def id(self) -> bytes:
        """The first four bytes of the hash of name and key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The key as one line."""
        return f"{self.name}+{self.id.hex()}+{to_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key with this text.

        Raises: Malformed: not a key, not an Ed25519 key, or its id is not its own.
        """
        # Base64 may hold the sign that separates the parts.
        parts = text.split("+", 2)
        if len(parts) != 3 or not _ID.fullmatch(parts[1]):
            raise Malformed("a key is name+id+base64")
        name, identity, encoded = parts
        raw = from_base64(encoded)
        if not raw.startswith(_ED25519):
            raise Malformed("only Ed25519 keys are known")
        key = cls(name, raw[1:])
        if key.id.hex() != identity:
            raise Malformed("the key's id belongs to another key")
        return key

    def holds(self, text: str, signature: bytes) -> bool:
        """Whether this key made the signature of the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class NoteSigner:
    """A private key with its name."""

    def __init__(self, name: str, private: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.key: VerifierKey = VerifierKey(name, self._private.public_key().public_bytes_raw())
        self._prefix = f"— {name} "

    def signature_line(self, text: str) -> str:
        """Return the line that signs a text, with its newline."""
        return f"{self._prefix}{to_base64(self.key.id + self._private.sign(text.encode()))}\n"

    def signed(self, text: str) -> str:
        """Return a note of one signature. The text ends with a newline."""
        return f"{text}\n{self.signature_line(text)}"


class Signature(Struct, frozen=True):
    """A signature by a key of this name and id, not yet checked."""

    name: str
    key_id: bytes
    value: bytes


class SignedNote(Struct, frozen=True):
    """A note that has its format. What it says counts once `check` passed."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str) -> "SignedNote":
        """Return a note's text and its signatures.

        Raises: Malformed.
        """
        if len(note.encode("utf-8", "surrogatepass")) > MOST_NOTE_BYTES:
            raise Malformed("the note is too long")
        if any(each < " " and each != "\n" for each in note):
            raise Malformed("the note has a control character")
        text, gap, lines = note.rpartition("\n\n")
        if not gap or not lines.endswith("\n"):
            raise Malformed("the note has no signatures")
        signatures = tuple(_signature(line) for line in lines.removesuffix("\n").split("\n"))
        if len(signatures) > MOST_SIGNATURES:
            raise Malformed("the note has too many signatures")
        return cls(text + "\n", signatures)

    def check(self, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Return the keys that signed the text.

        Raises: NoteRefused: none did, or a signature by one of them does not hold.
        """
        known = {(key.name, key.id): key for key in keys}
        signed_by = []
        for each in self.signatures:
            key = known.get((each.name, each.key_id))
            if key is None:
                continue
            if not key.holds(self.text, each.value):
                raise NoteRefused(f"the signature of {key.name} does not hold")
            if key not in signed_by:
                signed_by.append(key)
        if not signed_by:
            raise NoteRefused("no known key has signed it")
        return tuple(signed_by)


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not parts[1] or "+" in parts[1]:
        raise Malformed("a signature's line is broken")
    raw = from_base64(parts[2])
    if len(raw) < 5:
        raise Malformed("a signature is too short")
    return Signature(parts[1], raw[:4], raw[4:])

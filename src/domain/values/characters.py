"""Visible and invisible characters, and texts that look alike."""

import unicodedata
from typing import Final

_DEFAULT_IGNORABLE: Final = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Unicode's Default_Ignorable_Code_Point, which Python's `unicodedata` lacks."""

_BLANK: Final = frozenset("\u2800\U0001d159")
"""Symbols whose glyph is blank."""

_NOT_SEEN_ALONE: Final = frozenset({"Cc", "Cf", "Cn", "Cs", "Mn", "Me", "Zl", "Zp", "Zs"})

_EMOJI_SELECTORS: Final = frozenset("\ufe0e\ufe0f")
_PUNCTUATION_WITH_EMOJI: Final = frozenset("\u203c\u2049\u3030")
_BLACK_FLAG: Final = "\U0001f3f4"


def is_invisible(character: str) -> bool:
    """Return whether a character is zero-width, blank or a format character, but no white space."""
    if character.isascii():
        return False
    if character in _BLANK or unicodedata.category(character) == "Cf":
        return True
    code = ord(character)
    return any(first <= code <= last for first, last in _DEFAULT_IGNORABLE)


def is_visible(character: str) -> bool:
    """Return whether a character is visible by itself. A combining mark is not."""
    return not is_invisible(character) and unicodedata.category(character) not in _NOT_SEEN_ALONE


def trimmed(text: str) -> str:
    """Return the text without white space and invisible characters at its ends.

    A variation selector of the last visible character stays.
    """
    kept = text.strip()
    while kept and is_invisible(kept[0]):
        kept = kept[1:].lstrip()
    while kept and is_invisible(kept[-1]) and not _ends_with_sequence(kept):
        kept = kept[:-1].rstrip()
    return kept


def _ends_with_sequence(text: str) -> bool:
    """Return whether the last, invisible character is part of an emoji, an ideograph or a letter with variants.

    The text has at least two characters, because its first one is visible.
    """
    before, last = text[-2], text[-1]
    if last in _EMOJI_SELECTORS:
        return before in _PUNCTUATION_WITH_EMOJI or (
            unicodedata.category(before) in ("So", "Sm") and not is_invisible(before)
        )
    if "\U000e0100" <= last <= "\U000e01ef":
        return unicodedata.name(before, "").startswith("CJK ")
    if "\u180b" <= last <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    if last == "\U000e007f":
        return text.rstrip("".join(map(chr, range(0xE0020, 0xE0080)))).endswith(_BLACK_FLAG)
    return False


def folded(text: str) -> str:
    """Return the text case-folded by Unicode's rules, which may lengthen it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def look_alike_key(name: str) -> str:
    """Return a key that is equal for names that differ only in case, invisible characters and white space."""
    seen = "".join(character for character in name if not is_invisible(character))
    return folded(" ".join(seen.split()))

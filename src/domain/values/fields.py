"""Rules for single values.

A rule takes a value and returns the value to keep, or raises `ValueError` with a message such as "must be at least 1".
Entities use these tables to check themselves, entrypoints to name every broken field.
"""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct, structs

from ..refusals import FieldError, FieldPath, InvalidRequest
from .characters import is_visible, trimmed

Rule = Callable[[Any], Any]
Rules = Mapping[str, Rule]

# Unicode's explicit bidirectional controls: they can make a name read as another one ("Trojan Source", CVE-2021-42574).
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
EARLIEST_YEAR = 1970
"""Not every database stores earlier times."""

_LINES = frozenset("\n\r\t")


def check_characters(value: str, *, allowed: frozenset[str] = frozenset()) -> None:
    """Raise ValueError for control characters (C0, DEL, C1) and lone surrogates."""
    for character in value:
        if character < " " or "\x7f" <= character <= "\x9f":
            if character not in allowed:
                raise ValueError(f"must not contain the control character U+{ord(character):04X}")
        elif "\ud800" <= character <= "\udfff":
            raise ValueError(f"must not contain the lone surrogate U+{ord(character):04X}")


def check_direction(value: str) -> None:
    """Raise ValueError for bidirectional controls, which make a text read as another one."""
    for character in value:
        if character in _BIDI:
            raise ValueError(f"must not contain the bidirectional control U+{ord(character):04X}")


def text(least: int, most: int, *, lines: bool = False) -> Rule:
    """Return a rule for text of `least` to `most` characters after NFC and trimming.

    `lines` allows line breaks and tabs. Text that must not be empty must have a visible character.
    """

    def rule(value: str) -> str:
        check_characters(value, allowed=_LINES if lines else frozenset())
        check_direction(value)
        kept = unicodedata.normalize("NFC", trimmed(value))
        if len(kept) < least:
            raise ValueError("must not be empty" if least == 1 else f"must have at least {least} characters")
        if len(kept) > most:
            raise ValueError(f"must have at most {most} characters")
        if least and not any(map(is_visible, kept)):
            raise ValueError("must have a visible character")
        return kept

    return rule


def whole_number(least: int, most: int) -> Rule:
    """Return a rule for a whole number from `least` to `most`."""

    def rule(value: int) -> int:
        if type(value) is not int:
            raise ValueError("must be a whole number")
        if value < least:
            raise ValueError(f"must be at least {least}")
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value

    return rule


def utc_time(value: datetime) -> datetime:
    """Return the time in UTC. Raises: ValueError without an offset or outside the allowed years."""
    if value.tzinfo is None:
        raise ValueError("must have an offset from UTC")
    try:
        kept = value.astimezone(UTC)
    except OverflowError:
        kept = None
    if kept is None or kept.year < EARLIEST_YEAR:
        raise ValueError(f"must lie in the years {EARLIEST_YEAR} to 9999 in UTC")
    return kept


def optional(rule: Rule) -> Rule:
    """Return the rule with None allowed."""
    return lambda value: None if value is None else rule(value)


def check_all(*checks: Callable[[], object]) -> None:
    """Run every check, even after one has failed.

    Raises: InvalidRequest with the first error of each field.
    """
    errors: dict[FieldPath, FieldError] = {}
    for check in checks:
        try:
            check()
        except InvalidRequest as refusal:
            for error in refusal.errors:
                errors.setdefault(error.path, error)
    if errors:
        raise InvalidRequest(*errors.values())


def checked(values: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the values that their rules give; values without a rule stay as they are.

    Raises: InvalidRequest with an error for every value that breaks its rule.
    """
    kept = dict(values)
    errors = []
    for name, value in values.items():
        if name in rules:
            try:
                kept[name] = rules[name](value)
            except ValueError as error:
                errors.append(FieldError((name,), str(error)))
    if errors:
        raise InvalidRequest(*errors)
    return kept


def given(changes: Struct) -> dict[str, object]:
    """Return the fields that are not UNSET."""
    return {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}


def set_fields(struct: Struct, values: dict[str, object]) -> None:
    """Set the fields of a frozen struct that is being made."""
    for name, value in values.items():
        structs.force_setattr(struct, name, value)

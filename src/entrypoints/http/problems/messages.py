"""The validation messages of msgspec, reworded for the API."""

import re
from typing import Final

_TYPES: Final = {
    "int": "must be a whole number",
    "str": "must be text",
    "array": "must be a list",
    "object": "must be an object",
    "bool": "must be true or false",
    "uuid": "must be an id (a UUID)",
    "datetime": "must be a time with an offset (RFC 3339), such as 2027-05-01T19:00:00Z",
}
_REQUIREMENTS: Final = {
    "Invalid UUID": _TYPES["uuid"],
    "Invalid RFC3339": _TYPES["datetime"],
    "Invalid enum value": "must be one of the values in the reference",
    "Object contains unknown field": "is not a field of this request",
    "Object missing required field": "is required",
}
_EXPECTED: Final = re.compile(r"Expected `(\w+)[^`]*`(?:( of length)? (>=|<=) (-?\d+))?")


def requirement(message: str) -> str:
    """Return what the value must be, given msgspec's message."""
    expected = _EXPECTED.match(message)
    if expected is None:
        found = (text for start, text in _REQUIREMENTS.items() if message.startswith(start))
        return next(found, "must be a value that the reference allows")
    kind, of_length, sign, number = expected.groups()
    if sign is None:
        return _TYPES.get(kind, "must have another type")
    bound = f"{'at least' if sign == '>=' else 'at most'} {number}"
    if not of_length:
        return f"must be {bound}"
    return f"must have {bound} {'items' if kind == 'array' else 'characters'}"

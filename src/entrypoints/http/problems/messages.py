"""What msgspec says of a value that does not fit, in the words of the API."""

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
_BOUND: Final = re.compile(r"Expected `(?P<type>\w+)[^`]*`(?P<length> of length)? (?P<sign>>=|<=) (?P<number>-?\d+)")
_TYPE: Final = re.compile(r"Expected `(?P<type>\w+)")


def requirement(message: str) -> str:  # noqa: PLR0911 - one for each kind of message
    """Return what the value must be, given msgspec's message without its path."""
    bound = _BOUND.match(message)
    if bound is not None:
        return _bounded(bound)
    expected = _TYPE.match(message)
    if expected is not None:
        return _TYPES.get(expected["type"], "must have another type")
    if message.startswith("Invalid UUID"):
        return _TYPES["uuid"]
    if message.startswith("Invalid RFC3339"):
        return _TYPES["datetime"]
    if message.startswith("Invalid enum value"):
        return "must be one of the values that the reference lists"
    if "unknown field" in message:
        return "is not a field of this request"
    if "missing required" in message:
        return "is required"
    return "must be a value that the reference allows"


def _bounded(bound: re.Match[str]) -> str:
    side = "at least" if bound["sign"] == ">=" else "at most"
    if not bound["length"]:
        return f"must be {side} {bound['number']}"
    unit = "items" if bound["type"] == "array" else "characters"
    return f"must have {side} {bound['number']} {unit}"

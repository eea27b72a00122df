"""Bodies: read within their limit, parsed strictly, converted field by field so that every broken one is named.

Strict means: UTF-8 without a byte order mark, no key twice, nesting to 64, no NaN, no lone surrogates; unknown fields,
wrong types and `null` where nothing says it may be are refused. msgspec alone would take `1.0` for an integer and the
last of two equal keys.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Struct, UnsetType, structs

from ...domain.fields import Rule, Rules
from ...domain.money import amount_of_price, currency
from .exchange import Request
from .problems import BodyTooLarge, FieldProblem, Malformed, UnsupportedMediaType, pointer

LARGEST: Final = 16 * 1024
"""Bytes of a body."""

DEEPEST: Final = 64
"""Objects and lists inside each other."""

Errors = list[FieldProblem]
Path = tuple[str | int, ...]
Converter = Callable[[Any, Path, Errors], Any]


class Body(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a request says. `rules` are the domain's, by field."""

    rules: ClassVar[Rules] = {}

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:  # noqa: ARG003
        """What is wrong with these fields (names on the wire, values as they came) standing together."""
        yield from ()


Wanted = TypeVar("Wanted", bound=Body)


async def read(request: Request[Any], wanted: type[Wanted]) -> Wanted:
    """The body as what is wanted. Raises: UnsupportedMediaType, BodyTooLarge, Malformed."""
    return parse(await receive(request), wanted)


def parse(raw: bytes, wanted: type[Wanted]) -> Wanted:
    """Raises: Malformed, naming every broken field."""
    errors: Errors = []
    found = _shape(wanted).convert(strict_json(raw), (), errors)
    if errors:
        raise Malformed(*errors)
    asked: Wanted = found
    return asked


_JSON: Final = b"application/json"
_PARAMETER: Final = re.compile(rb'\s*(?:([!#-\'*+.0-9A-Z^-z|~-]+)=("[^"\\]*"|[!#-\'*+.0-9A-Z^-z|~-]+)\s*)?')


def _check_media_type(request: Request[Any]) -> None:
    types = request.header(b"content-type")
    if request.header(b"content-encoding"):
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    if len(types) == 1 and types[0] == _JSON:
        return
    media_type, *parameters = types[0].split(b";") if len(types) == 1 else [b""]
    if media_type.strip().lower() != _JSON or not all(map(_is_harmless, parameters)):
        raise UnsupportedMediaType("Send the body as Content-Type: application/json, in UTF-8.")


def _is_harmless(parameter: bytes) -> bool:
    match = _PARAMETER.fullmatch(parameter)
    if not match:
        return False
    name, value = match.groups(b"")
    return name.lower() != b"charset" or value.strip(b'"').lower() == b"utf-8"


async def receive(request: Request[Any]) -> bytes:
    """The body, never holding more than may be. The length that was said is believed only when it is too much.

    Raises: UnsupportedMediaType, BodyTooLarge, Malformed.
    """
    _check_media_type(request)
    for length in request.header(b"content-length"):
        if length.isdigit() and (len(length) > 9 or int(length) > LARGEST):
            raise BodyTooLarge
    raw = b""
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Malformed(FieldProblem("", "must not end before its body does"))
        raw += message["body"]
        if len(raw) > LARGEST:
            raise BodyTooLarge
        if not message["more_body"]:
            return raw


class _Fraction:
    """Stands for a number with a fraction or an exponent: no field takes one, and none has to be computed."""

    def __init__(self, _: str) -> None: ...


class _Twice(dict[str, Any]):
    """An object in which a key was given twice."""

    twice: tuple[str, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    flawed = _Twice(found)
    names = [name for name, _ in pairs]
    flawed.twice = tuple(name for name in found if names.count(name) > 1)
    return flawed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_decoder: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_Fraction, parse_constant=_refuse_constant)
_decode: Final = _decoder.decode
_scan: Final[Callable[[str, int], tuple[Any, int]]] = cast("Any", _decoder).scan_once
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def strict_json(raw: bytes) -> Any:
    """The value. Raises: Malformed."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _malformed("must not begin with a byte order mark")
    objects = raw.count(b"{")
    if objects + raw.count(b"[") > DEEPEST and _depth(raw) > DEEPEST:
        raise _malformed(f"must not nest deeper than {DEEPEST}")
    try:
        value = _decoded(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("must be UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"must be JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise _malformed(
            "must be JSON that can be read: no NaN or Infinity, and no number of thousands of digits"
        ) from None
    # One object in plain ASCII cannot hold what has to be looked for.
    is_plain = objects == 1 and type(value) is dict and raw.isascii() and b"\\" not in raw
    errors = [] if is_plain else list(_flaws(value, ()))
    if errors:
        raise Malformed(*errors)
    return value


def _decoded(text: str) -> Any:
    """As the decoder does, which looks for blanks with patterns first. Raises: ValueError."""
    stripped = text.strip(" \t\n\r")
    try:
        value, end = _scan(stripped, 0)
    except StopIteration:
        return _decode(text)
    return value if end == len(stripped) else _decode(text)


def _malformed(detail: str) -> Malformed:
    return Malformed(FieldProblem("", detail))


def _depth(raw: bytes) -> int:
    deepest = depth = 0
    for byte in _STRING.sub(b"", raw):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _flaws(value: Any, path: Path) -> Iterator[FieldProblem]:
    """Keys that were given twice, and lone surrogates: an escape such as `\\ud800` that no UTF-8 can say."""
    match value:
        case str():
            if not value.isascii() and _is_lone(value):
                yield FieldProblem(pointer(*path), "must not hold a lone surrogate")
        case list():
            for index, item in enumerate(value):
                yield from _flaws(item, (*path, index))
        case dict():
            if isinstance(value, _Twice):
                for name in value.twice:
                    yield FieldProblem(pointer(*path, *_shown(name)), "must be given once only")
            for name, item in value.items():
                if not name.isascii() and _is_lone(name):
                    yield FieldProblem(pointer(*path), "must not hold a lone surrogate in a key")
                else:
                    yield from _flaws(item, (*path, name))


def _is_lone(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _shown(name: str) -> tuple[str, ...]:
    return () if _is_lone(name) else (name,)


class _Field(Struct, frozen=True):
    name: str
    convert: Converter
    rule: Rule | None
    is_required: bool


_BROKEN: Final = object()


class _Shape(Generic[Wanted]):
    """How a JSON object becomes a struct: the field's type first, then its rule."""

    def __init__(self, wanted: type[Wanted]) -> None:
        rules = getattr(wanted, "rules", _MONEY_RULES)
        self._wanted = wanted
        self._contradictions = getattr(wanted, "contradictions", lambda _: ())
        self._fields = {
            field.encode_name: _Field(
                field.name,
                _converter(field.type),
                rules.get(field.name),
                field.default is NODEFAULT and field.default_factory is NODEFAULT,
            )
            for field in structs.fields(wanted)
        }
        self._required = [name for name, field in self._fields.items() if field.is_required]

    def convert(self, value: Any, path: Path, errors: Errors) -> Any:
        if not isinstance(value, dict):
            return _break(errors, path, "must be an object")
        before = len(errors)
        kept = {}
        for wire_name, given in value.items():
            at = (*path, wire_name)
            field = self._fields.get(wire_name)
            if field is None:
                _break(errors, at, "is not a field of this request")
                continue
            converted = field.convert(given, at, errors)
            if converted is not _BROKEN and field.rule is not None:
                try:
                    converted = field.rule(converted)
                except ValueError as error:
                    _break(errors, at, str(error))
            kept[field.name] = converted
        for wire_name in self._required:
            if wire_name not in value:
                _break(errors, (*path, wire_name), "is required")
        errors.extend(self._contradictions(value))
        return self._wanted(**kept) if len(errors) == before else _BROKEN


_MONEY_RULES: Final[Rules] = {"amount": amount_of_price, "currency": currency}
"""Money is the one struct of the domain that stands in a body as it is."""


@cache
def _shape(wanted: type[Any]) -> _Shape[Any]:
    return _Shape(wanted)


def _break(errors: Errors, path: Path, detail: str) -> Any:
    errors.append(FieldProblem(pointer(*path), detail))
    return _BROKEN


def _converter(annotation: Any) -> Converter:
    """How a value of this type is taken from JSON. Nothing is taken for what it only resembles."""
    if get_origin(annotation) in (Union, UnionType):
        types = [each for each in get_args(annotation) if each not in (NoneType, UnsetType)]
        (only,) = types
        convert = _converter(only)
        return _or_null(convert) if NoneType in get_args(annotation) else convert
    if get_origin(annotation) is list:
        return _list_of(_converter(get_args(annotation)[0]))
    if get_origin(annotation) is Literal:
        return _one_of({str(each): each for each in get_args(annotation)})
    if issubclass(annotation, Enum):
        return _one_of({each.value: each for each in annotation})
    if issubclass(annotation, Struct):
        return _shape(annotation).convert
    return _SCALARS[annotation]


def _or_null(convert: Converter) -> Converter:
    return lambda value, path, errors: None if value is None else convert(value, path, errors)


def _list_of(convert: Converter) -> Converter:
    def converter(value: Any, path: Path, errors: Errors) -> Any:
        if not isinstance(value, list):
            return _break(errors, path, "must be a list")
        found = [convert(item, (*path, index), errors) for index, item in enumerate(value)]
        return _BROKEN if any(item is _BROKEN for item in found) else found

    return converter


def _one_of(choices: dict[str, Any]) -> Converter:
    names = ", ".join(choices)

    def converter(value: Any, path: Path, errors: Errors) -> Any:
        if type(value) is str and value in choices:
            return choices[value]
        return _break(errors, path, f"must be one of {names}")

    return converter


def _text(value: Any, path: Path, errors: Errors) -> Any:
    return value if type(value) is str else _break(errors, path, "must be text")


def _whole(value: Any, path: Path, errors: Errors) -> Any:
    return value if type(value) is int else _break(errors, path, "must be a whole number")


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def id_from(value: str) -> UUID | None:
    """The id, written as RFC 9562 writes it; None for anything else."""
    return msgspec.convert(value, UUID) if _UUID.fullmatch(value) else None


def _id(value: Any, path: Path, errors: Errors) -> Any:
    found = id_from(value) if type(value) is str else None
    return _break(errors, path, "must be an id (a UUID)") if found is None else found


_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _time(value: Any, path: Path, errors: Errors) -> Any:
    try:
        if type(value) is str and _TIME.fullmatch(value):
            return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        pass
    return _break(errors, path, "must be a time with an offset (RFC 3339), such as 2027-05-01T19:00:00Z")


_SCALARS: Final[dict[Any, Converter]] = {str: _text, int: _whole, UUID: _id, datetime: _time}

"""Request bodies: decoded strictly in one go; looked at value by value only to name what is broken.

Time and memory are linear in the body, whatever it holds.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType, structs

from ...domain.fields import Rules
from .problems.messages import requirement
from .problems.problem import FieldProblem, Malformed, pointer

MOST_ERRORS: Final = 100
"""Broken values named in one answer, so that an answer stays small whatever the body holds."""

_ITEM: Final = re.compile(r" - at `\$\[(\d+)\]`$")
"""Where msgspec says which item of a list is broken."""

Path = tuple[str | int, ...]
Command = TypeVar("Command", bound=Struct)


class RequestBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request. Types and `Meta` are checked while decoding, `rules` (the domain's, by field) after it."""

    rules: ClassVar[Rules] = {}

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:  # noqa: ARG003
        """Yield what is wrong with these values (by their names on the wire) standing together."""
        yield from ()

    def to(self, kind: type[Command], **others: Any) -> Command:
        """Return what a use case takes: the fields that were given, and these others."""
        names = [name for name in kind.__struct_fields__ if name not in others]
        values = {name: getattr(self, name, UNSET) for name in names}
        return kind(**{name: value for name, value in values.items() if value is not UNSET}, **others)


Body = TypeVar("Body", bound=RequestBody)


def decode(raw: bytes, wanted: type[Body]) -> Body:
    """Return the body as `wanted`, its texts normalised. Raises: Malformed, naming every broken value."""
    shape = _shape(wanted)
    try:
        found: Body = shape.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed(*_problems(raw, wanted)) from None
    if shape.is_checked:
        return found
    errors: list[FieldProblem] = []
    kept: Body = _kept(found, (), errors)
    errors += wanted.contradictions(_given(found))
    if errors:
        raise Malformed(*errors[:MOST_ERRORS])
    return kept


class _Shape:
    """What is looked up once for each kind of struct."""

    def __init__(self, kind: type[Any]) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self.fields = {field.encode_name: (field, hints[field.name]) for field in structs.fields(kind)}
        self.rules: Rules = kind.rules
        self.nested = [field.name for field, hint in self.fields.values() if _struct_in(hint) is not None]
        self.decode = msgspec.json.Decoder(kind).decode
        has_contradictions = "contradictions" in vars(kind)
        self.is_checked = not (self.rules or self.nested or has_contradictions)


@cache
def _shape(kind: Any) -> _Shape:
    return _Shape(kind)


def _given(body: Struct) -> dict[str, object]:
    values = {name: getattr(body, field.name) for name, (field, _) in _shape(type(body)).fields.items()}
    return {name: value for name, value in values.items() if value is not UNSET}


def _kept(body: Any, path: Path, errors: list[FieldProblem]) -> Any:
    """Return a decoded struct with each value as its rule keeps it."""
    kind: Any = type(body)
    shape = _shape(kind)
    changes: dict[str, Any] = {}
    for wire_name, (field, _) in shape.fields.items():
        value = getattr(body, field.name)
        if value is UNSET or value is None:
            continue
        at = (*path, wire_name)
        known = len(errors)
        if field.name in shape.nested:
            value = _kept_inside(value, at, errors)
        rule = shape.rules.get(field.name)
        if rule is not None and len(errors) == known:
            try:
                value = rule(value)
            except ValueError as error:
                errors.append(FieldProblem(pointer(*at), str(error)))
                continue
        changes[field.name] = value
    return structs.replace(body, **changes)


def _kept_inside(value: Any, path: Path, errors: list[FieldProblem]) -> Any:
    if isinstance(value, list):
        return [_kept(item, (*path, index), errors) for index, item in enumerate(value)]
    return _kept(value, path, errors)


def _problems(raw: bytes, wanted: type[RequestBody]) -> list[FieldProblem]:
    """Return what keeps a body from being `wanted`."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return [FieldProblem("", "must not begin with a byte order mark")]
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return [FieldProblem("", "must be UTF-8")]
    except RecursionError:
        return [FieldProblem("", "must not nest so deep")]
    except ValueError as error:
        return [FieldProblem("", f"must be JSON: {error}")]
    errors = list(islice(_broken(value, wanted, ()), MOST_ERRORS))
    return errors or [FieldProblem("", "must be a value that the reference allows")]


def _broken(value: Any, annotation: Any, path: Path) -> Iterator[FieldProblem]:
    """Yield each part of a value from JSON that does not fit the annotation."""
    struct = _struct_in(annotation)
    is_list = _is_list(annotation)
    if struct is not None and isinstance(value, dict) and not is_list:
        yield from _broken_in_object(value, struct, path)
    elif struct is not None and isinstance(value, list) and is_list:
        too_long = list(_length(value, annotation, path))
        yield from too_long
        for index, item in enumerate(value if not too_long else ()):
            yield from _broken(item, struct, (*path, index))
    else:
        try:
            msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            item = _ITEM.search(str(error))
            at = path if item is None else (*path, int(item[1]))
            yield FieldProblem(pointer(*at), _requirement(str(error), annotation))


def _broken_in_object(value: Mapping[str, Any], struct: Any, path: Path) -> Iterator[FieldProblem]:
    shape = _shape(struct)
    for wire_name, given in value.items():
        at = (*path, wire_name)
        if wire_name not in shape.fields:
            yield FieldProblem(pointer(*at), "is not a field of this request")
            continue
        field, hint = shape.fields[wire_name]
        errors = list(islice(_broken(given, hint, at), MOST_ERRORS))
        yield from errors
        rule = shape.rules.get(field.name)
        if rule is not None and not errors and given is not None:
            try:
                rule(msgspec.convert(given, hint))
            except ValueError as error:
                yield FieldProblem(pointer(*at), str(error))
    for wire_name, (field, _) in shape.fields.items():
        is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        if is_required and wire_name not in value:
            yield FieldProblem(pointer(*path, wire_name), "is required")
    yield from struct.contradictions(value)


def _length(value: list[Any], annotation: Any, path: Path) -> Iterator[FieldProblem]:
    """Yield a broken bound on the number of items."""
    for part in _annotations(annotation):
        for meta in getattr(part, "__metadata__", ()):
            if meta.min_length is not None and len(value) < meta.min_length:
                yield FieldProblem(pointer(*path), f"must have at least {meta.min_length} items")
            if meta.max_length is not None and len(value) > meta.max_length:
                yield FieldProblem(pointer(*path), f"must have at most {meta.max_length} items")


def _requirement(message: str, annotation: Any) -> str:
    if message.startswith("Invalid enum value"):
        return f"must be one of {', '.join(_choices(annotation))}"
    return requirement(message)


def _choices(annotation: Any) -> list[str]:
    for part in _annotations(annotation):
        if get_origin(part) is Literal:
            return [str(each) for each in get_args(part)]
        if isinstance(part, type) and issubclass(part, Enum):
            return [str(each.value) for each in part]
    return []


def _annotations(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and the parts that `Annotated` and unions are made of."""
    yield annotation
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _annotations(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            if each not in (NoneType, UnsetType):
                yield from _annotations(each)


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in _annotations(annotation))


def _struct_in(annotation: Any) -> type[Any] | None:
    """Return the struct that a value, or each item of a list, is to become; None where there is none."""
    for part in _annotations(annotation):
        if get_origin(part) is list:
            return _struct_in(get_args(part)[0])
        if isinstance(part, type) and issubclass(part, Struct):
            return part
    return None

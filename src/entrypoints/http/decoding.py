"""Request bodies: decoded strictly; inspected value by value only to name what is broken.

Time and memory are linear in the size of the body.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, TypeVar, cast, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, inspect, structs

from ...domain.values.fields import Rules
from .problems.messages import requirement
from .problems.problem import FieldProblem, Malformed, pointer

MOST_ERRORS: Final = 100
"""The most broken values named in one response, so that its size is bounded."""

_ITEM: Final = re.compile(r" - at `\$\[(\d+)\]`$")
"""The end of msgspec's message about an item of a list."""

Path = tuple[str | int, ...]
Command = TypeVar("Command", bound=Struct)


class RequestBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request. Decoding checks types and `Meta`; then the domain's `rules` are applied by field."""

    rules: ClassVar[Rules] = {}

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:  # noqa: ARG003
        """Yield the problems of these values, by their names in JSON, in combination."""
        yield from ()

    def to(self, kind: type[Command], **others: Any) -> Command:
        """Return a command or query with the fields that were given and these others."""
        for name in kind.__struct_fields__:
            if name not in others and (value := getattr(self, name, UNSET)) is not UNSET:
                others[name] = value
        return kind(**others)


Body = TypeVar("Body", bound=RequestBody)


def decode(raw: bytes, wanted: type[Body]) -> Body:
    """Return the body as `wanted`. Raises: Malformed, naming every broken value."""
    shape = _shape(wanted)
    try:
        found: Body = shape.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed(*_problems(raw, wanted)) from None
    if shape.has_rules_for(found) and (errors := _errors(found, wanted)):
        raise Malformed(*errors)
    return found


class _Field:
    """A field of a body. `struct` is the type of its value, or of each item of its list, if that is a struct."""

    def __init__(self, field: structs.FieldInfo, annotation: Any, kind: inspect.Type) -> None:
        self.name = field.name
        self.annotation = annotation
        self.is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        self.choices = [str(each.value) for each in kind.cls] if isinstance(kind, inspect.EnumType) else []
        self.is_list = isinstance(kind, inspect.ListType)
        self.any_list: Any = None
        if isinstance(kind, inspect.ListType):
            self.any_list = Annotated[list[Any], Meta(min_length=kind.min_length, max_length=kind.max_length)]
            kind = _bare(kind.item_type)
        self.struct: Any = kind.cls if isinstance(kind, inspect.StructType) else None


class _Shape:
    """The type of a body, inspected once."""

    def __init__(self, kind: Any) -> None:
        hints = get_type_hints(kind, include_extras=True)
        described = cast("inspect.StructType", inspect.type_info(kind))
        types = {field.name: _bare(field.type) for field in described.fields}
        self.fields = {
            each.encode_name: _Field(each, hints[each.name], types[each.name]) for each in structs.fields(kind)
        }
        self.decode = msgspec.json.Decoder(kind).decode
        self._has_rules = bool(kind.rules) or "contradictions" in vars(kind)
        self._structs = [field.name for field in self.fields.values() if field.struct]

    def has_rules_for(self, found: RequestBody) -> bool:
        """Return whether decoding has not checked everything: there are rules, here or in a struct that was given."""
        if self._has_rules:
            return True
        # A generator costs as much as the rest of decoding.
        for name in self._structs:  # noqa: SIM110
            if getattr(found, name):
                return True
        return False


@cache
def _shape(kind: Any) -> _Shape:
    return _Shape(kind)


def _bare(kind: inspect.Type) -> inspect.Type:
    """Return a type without its metadata and without `None`."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next(_bare(each) for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind


def _problems(raw: bytes, wanted: type[RequestBody]) -> list[FieldProblem]:
    """Return why a body cannot be decoded as `wanted`."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return [FieldProblem("", "must not begin with a byte order mark")]
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return [FieldProblem("", "must be UTF-8")]
    except RecursionError:
        return [FieldProblem("", "must be nested less deeply")]
    except ValueError as error:
        return [FieldProblem("", f"must be JSON: {error}")]
    return _errors(value, wanted) or [FieldProblem("", "must be a value that the reference allows")]


def _errors(value: Any, wanted: Any) -> list[FieldProblem]:
    return list(islice(_object_problems(value, wanted, ()), MOST_ERRORS))


def _object_problems(value: Any, wanted: Any, path: Path) -> Iterator[FieldProblem]:
    """Yield what is broken in an object, plain from JSON or decoded."""
    shape = _shape(wanted)
    is_decoded = isinstance(value, Struct)
    if is_decoded:
        decoded = {name: getattr(value, field.name) for name, field in shape.fields.items()}
        value = {name: each for name, each in decoded.items() if each is not UNSET}
    elif not isinstance(value, dict):
        yield from _type_problems(value, wanted, path)
        return
    for name, each in value.items():
        at = (*path, name)
        if name not in shape.fields:
            yield FieldProblem(pointer(*at), "is not a field of this request")
            continue
        field = shape.fields[name]
        # A decoded value has its type; only structs in it have rules.
        errors = [] if is_decoded and not field.struct else list(islice(_value_problems(each, field, at), MOST_ERRORS))
        yield from errors
        rule = wanted.rules.get(field.name)
        if rule is not None and not errors and each is not None:
            try:
                rule(each if is_decoded else msgspec.convert(each, field.annotation))
            except ValueError as error:
                yield FieldProblem(pointer(*at), str(error))
    for name, field in shape.fields.items():
        if field.is_required and name not in value:
            yield FieldProblem(pointer(*path, name), "is required")
    yield from wanted.contradictions(value)


def _value_problems(value: Any, field: _Field, path: Path) -> Iterator[FieldProblem]:
    """Yield what is broken in the value of a field."""
    if field.struct is None or isinstance(value, list) is not field.is_list or value is None:
        yield from _type_problems(value, field.annotation, path, field.choices)
    elif not field.is_list:
        yield from _object_problems(value, field.struct, path)
    elif wrong_length := list(_type_problems(value, field.any_list, path)):
        yield from wrong_length
    else:
        for index, item in enumerate(value):
            yield from _object_problems(item, field.struct, (*path, index))


def _type_problems(value: Any, annotation: Any, path: Path, choices: Sequence[str] = ()) -> Iterator[FieldProblem]:
    """Yield why msgspec refuses a value."""
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        message = str(error)
        item = _ITEM.search(message)
        at = path if item is None else (*path, int(item[1]))
        is_choice = choices and message.startswith("Invalid enum value")
        yield FieldProblem(pointer(*at), f"must be one of {', '.join(choices)}" if is_choice else requirement(message))

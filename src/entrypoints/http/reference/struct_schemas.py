"""JSON schemas of the API's structs, with what msgspec's `Meta` and the structs' docstrings say."""

from collections.abc import Iterator
from inspect import cleandoc
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from litestar.openapi.spec import Schema
from litestar.params import KwargDefinition
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import NODEFAULT, Meta, Struct, UnsetType, structs

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

_LIMITS = ("ge", "le", "min_length", "max_length", "pattern")
_DOCUMENTED = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}


class StructSchemas(OpenAPISchemaPlugin):
    """Describe every struct by its docstring and its fields' `Meta`; unknown fields are refused where it refuses them."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether the type is a struct."""
        return not field_definition.is_union and field_definition.is_subclass_of(Struct)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: "SchemaCreator") -> Schema:
        """Return the schema of the struct, a component of the document."""
        struct = field_definition.type_
        hints = get_type_hints(struct, include_extras=True)
        fields = structs.fields(struct)
        schema: Schema = schema_creator.create_component_schema(
            field_definition,
            required=sorted(each.encode_name for each in fields if _is_required(each)),
            property_fields={each.encode_name: _definition(each, hints[each.name]) for each in fields},
        )
        schema.description = cleandoc(struct.__doc__ or "")
        if struct.__struct_config__.forbid_unknown_fields:
            schema.additional_properties = False
        return schema


def _is_required(field: structs.FieldInfo) -> bool:
    return field.default is NODEFAULT and field.default_factory is NODEFAULT


def _definition(field: structs.FieldInfo, hint: Any) -> FieldDefinition:
    annotation, metas = _unwrapped(hint)
    # A default of an enumeration would become the default of the enumeration itself.
    has_default = isinstance(field.default, str | int | NoneType) and not hasattr(type(field.default), "__members__")
    return FieldDefinition.from_annotation(
        annotation,
        name=field.encode_name,
        kwarg_definition=_described(metas),
        **({"default": field.default} if has_default and field.default is not None else {}),
    )


def _unwrapped(hint: Any) -> tuple[Any, list[Meta]]:
    """Return the bare type, still with None where that is allowed, and every `Meta` from the outermost inwards."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *metadata = get_args(hint)
        annotation, metas = _unwrapped(inner)
        return annotation, [*(each for each in metadata if isinstance(each, Meta)), *metas]
    if origin in (Union, UnionType):
        parts = [_unwrapped(each) for each in get_args(hint) if each is not UnsetType]
        return Union[tuple(part for part, _ in parts)], [meta for _, metas in parts for meta in metas]  # noqa: UP007
    return hint, []


def _described(metas: list[Meta]) -> KwargDefinition:
    """Return what Litestar knows a field by; what only documents (`extra_json_schema`) counts as well."""
    found: dict[str, Any] = {}
    for name, value in _values(metas):
        found.setdefault(name, value)
    return KwargDefinition(**found)


def _values(metas: list[Meta]) -> Iterator[tuple[str, Any]]:
    for meta in metas:
        for name in ("description", *_LIMITS):
            value = getattr(meta, name)
            if value is not None:
                yield name, value
        for name, attribute in _DOCUMENTED.items():
            value = (meta.extra_json_schema or {}).get(name)
            if value is not None:
                yield attribute, value



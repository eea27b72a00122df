"""Schemas of all that comes in and goes out, as msgspec makes them of the structs, and of what webhooks are sent."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from ....domain.event import EventDetails
from ....domain.facts import AnyFactPayload
from ....domain.webhooks import FACT_KINDS
from ..camel_case import camel_case
from ..decoding import RequestBody
from ..problems.catalog import CATALOG
from ..problems.problem import Problem
from ..schemas.fields import View
from .operations import COMPONENTS


def components() -> dict[str, Any]:
    """Return the schemas that have a name of their own."""
    kinds = get_args(AnyFactPayload)
    structs = [*_below(View), *_below(RequestBody), Problem, *kinds]
    _, found = msgspec.json.schema_components(structs, ref_template=f"{COMPONENTS}{{name}}")
    found["ProblemCode"] = {"description": "The codes of problems.", "enum": list(CATALOG)}
    found["FactKind"] = {"description": "The kinds of facts.", "enum": list(FACT_KINDS)}
    event, ticket_type = found["EventView"]["properties"], found["TicketTypeView"]["properties"]
    details = [*map(camel_case, EventDetails.__struct_fields__), "status"]
    found["EventValues"] = _object("Values of an event.", {name: event[name] for name in details})
    values = {name: ticket_type[name] for name in ("name", "totalTickets", "price")}
    found["TicketTypeValues"] = _object("Values of a ticket type.", values)
    found["EventInitialized"]["properties"]["values"]["$ref"] = f"{COMPONENTS}EventValues"
    found["EventChanged"]["properties"]["changes"]["$ref"] = f"{COMPONENTS}EventValues"
    found["TicketTypeChanged"]["properties"]["changes"]["$ref"] = f"{COMPONENTS}TicketTypeValues"
    for kind in kinds:
        data = found[kind.__name__]
        del data["properties"]["kind"]  # It stands beside the data. All else is there, whether it has a default or not.
        data["required"] = list(data["properties"])
        found[f"{kind.__name__}Message"] = _message(kind, found["FactView"]["properties"])
    for schema in found.values():
        _mend(schema)
    return found


def webhooks() -> dict[str, Any]:
    """Return the operations by which webhooks are sent facts, by the kind of fact."""
    return {kind.__name__: {"post": _sent(kind)} for kind in get_args(AnyFactPayload)}


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield the structs of this package that are of a kind."""
    for each in kind.__subclasses__():
        if each.__module__.startswith(__name__.removesuffix(".reference.components")):
            yield each
        yield from _below(each)


def _mend(schema: dict[str, Any]) -> None:
    """Say what readers need and msgspec leaves out, and leave out what they stumble over.

    Several generators take a property with a default for one that has to be sent.
    """
    schema.pop("title", None)
    schema.pop("default", None)
    if "enum" in schema:
        schema["type"] = "string"
    if "$ref" in schema:
        schema.pop("type", None)
    items = [schema["items"]] if "items" in schema else []
    for each in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *items):
        _mend(each)


def _sent(kind: type[msgspec.Struct]) -> dict[str, Any]:
    name = kind.__name__
    content = {"application/json": {"schema": {"$ref": f"{COMPONENTS}{name}Message"}}}
    # OpenAPI Generator's Python clients do not compile without it: they forget the types of webhooks' bodies.
    body = {"content": content, "required": True, "x-py-typing": f"{name}Message"}
    return {
        "operationId": f"on{name}",
        "summary": kind.__doc__,
        "description": kind.__doc__,
        "tags": ["Facts"],
        "security": [],
        "requestBody": body,
        "responses": {"204": {"description": "It is received and not sent again; so is any other answer of 2xx."}},
    }


def _message(kind: type[msgspec.Struct], view: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what a webhook is sent: the fact as its view shows it, but of one kind."""
    name = {"type": "string", "const": kind.__name__, "description": "The fact's kind."}
    fact = {
        "eventId": {"type": "string", "format": "uuid", "description": "The event."},
        **view,
        "seq": {**view["seq"], "minimum": 1},
        "kind": name,
        "data": {"$ref": f"{COMPONENTS}{kind.__name__}", "description": "What it says."},
    }
    data = _object("The item of the event's changes, with the event's id.", fact, required=list(fact))
    message = {"type": name, "timestamp": view["occurredAt"], "data": data}
    return _object(f"{kind.__doc__} Signed as standardwebhooks.com describes.", message, required=list(message))


def _object(description: str, properties: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties, **others}

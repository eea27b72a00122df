"""Schemas of all that comes in and goes out, as msgspec makes them of the structs, and of what webhooks are sent."""

from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec

from ....domain.event import EventDetails
from ....domain.facts import AnyHappening
from ....domain.webhooks import FACT_KINDS
from ..camel_case import camel_case
from ..decoding import RequestBody
from ..problems.catalog import CATALOG
from ..problems.problem import Problem
from ..schemas.fields import View
from .operations import COMPONENTS

_FIELDS: Final = {
    "ticketTypeId": "The ticket type.",
    "customerId": "The account that booked.",
    "organizerId": "The account that initialized the event.",
    "quantity": "How many tickets.",
    "amount": "How much money.",
    "status": "What the booking is now.",
    "was": "What the booking was before.",
    "paymentStatus": "Where the booking's payment stands now.",
    "paidBy": "Who recorded the payment; `null`: the provider.",
    "cancellationDeadlineHours": "Until how many hours before the start the customer may cancel.",
    "reschedules": "How often the event had been moved to an earlier start or another day.",
    "graceUntil": "Until when the customer may cancel free of charge; `null`: by the deadline.",
    "expiresAt": "Until when the tickets are held for payment; `null`: they are not held.",
    "queueNumber": "The place in the waiting list, issued under the event's lock.",
    "by": "Who ended it: `customer`, `organizer` or `event`.",
    "paymentId": "The charge or refund.",
    "method": "How it is paid.",
    "version": "The version of the event after the edit.",
    "changes": "The new values, by name.",
    "values": "The event's values, by name.",
    "currency": "The event's currency.",
    "name": "The ticket type's name.",
    "totalTickets": "How many tickets there are.",
    "price": "What one ticket costs; `null`: free.",
    "ticketTypes": "The event's kinds of tickets.",
}
"""What facts say."""


def components() -> dict[str, Any]:
    """Return the schemas that have a name of their own."""
    kinds = get_args(AnyHappening)
    structs = [*_below(View), *_below(RequestBody), Problem, *kinds]
    _, found = msgspec.json.schema_components(structs, ref_template=f"{COMPONENTS}{{name}}")
    found["ProblemCode"] = {"description": "The codes of problems.", "enum": list(CATALOG)}
    found["FactKind"] = {"description": "The kinds of facts.", "enum": list(FACT_KINDS)}
    event, ticket_type = found["EventView"]["properties"], found["TicketTypeView"]["properties"]
    details = [*map(camel_case, EventDetails.__struct_fields__), "status"]
    found["EventValues"] = _values("Values of an event.", {name: event[name] for name in details})
    found["TicketTypeValues"] = _values(
        "Values of a ticket type.", {name: ticket_type[name] for name in ("name", "totalTickets", "price")}
    )
    for kind in kinds:
        _describe(found[kind.__name__])
        found[f"{kind.__name__}Message"] = _message(kind)
    found["EventInitialized"]["properties"]["values"]["$ref"] = f"{COMPONENTS}EventValues"
    found["EventChanged"]["properties"]["changes"]["$ref"] = f"{COMPONENTS}EventValues"
    found["TicketTypeChanged"]["properties"]["changes"]["$ref"] = f"{COMPONENTS}TicketTypeValues"
    for schema in found.values():
        _mend(schema)
    return found


def webhooks() -> dict[str, Any]:
    """Return the operations by which webhooks are sent facts, by the kind of fact."""
    return {kind.__name__: {"post": _sent(kind.__name__, _summary(kind))} for kind in get_args(AnyHappening)}


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield the structs of this package that are of a kind."""
    for each in kind.__subclasses__():
        if each.__module__.startswith(__name__.removesuffix(".reference.components")):
            yield each
        yield from _below(each)


def _values(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties}


def _describe(schema: dict[str, Any]) -> None:
    """Describe what a fact says; its kind stands beside it, and every field is there."""
    properties = schema["properties"]
    properties.pop("kind")
    schema["required"] = list(properties)
    for name, each in properties.items():
        each["description"] = _FIELDS[name]
    for name in ("expiresAt", "graceUntil"):
        if name in properties:
            properties[name].get("anyOf", [properties[name]])[0]["format"] = "date-time"


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


def _sent(name: str, summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"{COMPONENTS}{name}Message"}}}
    # OpenAPI Generator's Python clients do not compile without it: they forget the types of webhooks' bodies.
    body = {"content": content, "required": True, "x-py-typing": f"{name}Message"}
    return {
        "operationId": f"on{name}",
        "summary": summary,
        "description": summary,
        "tags": ["Facts"],
        "security": [],
        "requestBody": body,
        "responses": {"204": {"description": "It is received and not sent again; so is any other answer of 2xx."}},
    }


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of what a webhook is sent."""
    name = {"type": "string", "const": kind.__name__, "description": "The fact's kind."}
    time = {"type": "string", "format": "date-time", "description": "When it happened."}
    booking = "The booking it happened to; `null`: the event itself."
    fact = {
        "eventId": {"type": "string", "format": "uuid", "description": "The event."},
        "seq": {"type": "integer", "minimum": 1, "description": "Its sequence number in the event."},
        "kind": name,
        "bookingId": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "description": booking},
        "occurredAt": time,
        "data": {"$ref": f"{COMPONENTS}{kind.__name__}", "description": "What it says."},
    }
    data = _object("The item of the event's changes, with the event's id.", fact)
    description = f"{_summary(kind)} Signed as standardwebhooks.com describes."
    return _object(description, {"type": name, "timestamp": time, "data": data})


def _object(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": description, "required": list(properties), "properties": properties}


def _summary(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]

"""The OpenAPI document: Litestar makes it from the handlers; here is what the handlers cannot say."""

import re
from importlib.resources import files
from typing import Any, Final, get_args

import msgspec
from litestar import Litestar, Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    RequestBody,
    SecurityScheme,
    Tag,
)

from .... import __version__
from ....domain.facts import AnyHappening
from ..authentication import UNAUTHENTICATED
from ..camel_case import camel_case
from ..plain_paths import plain_paths
from ..reply import Reply
from .operations import SCHEME, answers, operation, readable
from .page import ReferencePage, docs_router

INTRODUCTION: Final = files(__package__).joinpath("introduction.md").read_text("utf-8")

_TAGS: Final = {
    "Accounts": "Accounts and sessions.",
    "Events": "Events, their ticket types, and what organizers see of them.",
    "Bookings": "Bookings, the waiting list, payments.",
    "Webhooks": "Receivers of what happens to one's events.",
    "Operations": "For operators and for programs.",
}
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
    "expiresAt": "Until when the tickets are held for payment.",
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
_PATH_NAME: Final = re.compile(r"\{(\w+)\}")


def openapi_config() -> OpenAPIConfig:
    """Return the configuration of the document and of its page."""
    return OpenAPIConfig(
        title="Boxoffice",
        version=__version__,
        description=INTRODUCTION,
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="The `accessToken` that `/login` and `/refresh` answer.",
                )
            }
        ),
        tags=[Tag(name=name, description=description) for name, description in _TAGS.items()],
        webhooks={kind.__name__: _webhook(kind) for kind in get_args(AnyHappening)},
        use_handler_docstrings=True,
        openapi_router=docs_router(),
        render_plugins=[ReferencePage()],
    )


def router() -> Router:
    """Return the route of the document."""
    made: dict[object, bytes] = {}

    @readable(
        "/openapi.json",
        operation_id="ReadOpenApi",
        summary="Read this reference as OpenAPI 3.1",
        opt=UNAUTHENTICATED,
        responses=answers(200, dict[str, Any], "The document."),
        operation_class=operation(),
    )
    async def handle_document(request: Request[Any, Any, Any]) -> Reply:
        """Read the whole document; `/docs` shows it to people."""
        # Litestar makes another one when a handler is added.
        current = id(request.app.openapi_schema)
        if current not in made:
            made.clear()
            made[current] = document(request.app)
        return Reply(made[current])

    return Router("/", route_handlers=handle_document, middleware=[plain_paths], tags=["Operations"])


def document(app: Litestar) -> bytes:
    """Return the document as JSON, with the names of path parameters in camelCase like all others."""
    found = app.openapi_schema.to_schema()
    found["paths"] = {_PATH_NAME.sub(_camel, path): item for path, item in found["paths"].items()}
    for item in found["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["name"] = camel_case(parameter["name"])
                    parameter.setdefault("description", _described(parameter["name"]))
                    if parameter["name"].endswith("Id"):
                        parameter["schema"]["format"] = "uuid"
    return msgspec.json.encode(_whole(found))


def _camel(name: re.Match[str]) -> str:
    return f"{{{camel_case(name[1])}}}"


def _described(name: str) -> str:
    words = re.sub(r"([A-Z])", r" \1", name).lower().removesuffix(" id")
    return f"The id of the {words}." if name.endswith("Id") else f"The {words}."


def _whole(value: Any) -> Any:
    """Return a value of the document with bounds such as 100.0 as whole numbers, which all of ours are."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def _webhook(kind: type[msgspec.Struct]) -> PathItem:
    """Return what a webhook is sent of a kind of fact."""
    name, summary = kind.__name__, (kind.__doc__ or "").partition("\n")[0]
    body: Any = {
        "type": "object",
        "description": "A fact, signed as standardwebhooks.com describes.",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "const": name, "description": "The fact's kind."},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": {
                "type": "object",
                "description": "The item of the event's changes, with the event's id.",
                "required": ["eventId", "seq", "kind", "bookingId", "occurredAt", "data"],
                "properties": {
                    "eventId": {"type": "string", "format": "uuid", "description": "The event."},
                    "seq": {"type": "integer", "minimum": 1, "description": "Its sequence number in the event."},
                    "kind": {"type": "string", "const": name, "description": "The fact's kind."},
                    "bookingId": {
                        "type": ["string", "null"],
                        "format": "uuid",
                        "description": "The booking it happened to; `null`: the event itself.",
                    },
                    "occurredAt": {"type": "string", "format": "date-time", "description": "When it happened."},
                    "data": _payload(kind),
                },
            },
        },
    }
    return PathItem(
        post=Operation(
            operation_id=f"on{name}",
            summary=summary,
            description=summary,
            tags=["Webhooks"],
            security=[],
            request_body=RequestBody(content={"application/json": OpenAPIMediaType(schema=body)}, required=True),
            responses={"2XX": OpenAPIResponse(description="It is received and not sent again.")},
        )
    )


def _payload(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of what a kind of fact says."""
    _, components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    schema: dict[str, Any] = components[kind.__name__]
    properties = {name: each for name, each in schema["properties"].items() if name != "kind"}
    for name, each in properties.items():
        each.pop("default", None)
        each["description"] = _FIELDS[name]
        if "items" in each:
            # The kind's own schema stands in the webhook of that name.
            each["items"] = _payload(next(k for k in get_args(AnyHappening) if k.__name__ == "TicketTypeAdded"))
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "required": list(properties),
        "properties": properties,
    }

"""The OpenAPI document: Litestar makes it from the handlers; here is what the handlers cannot say."""

from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

from ....version import VERSION
from ..authentication import UNAUTHENTICATED
from ..camel_case import camel_case
from ..refusals import refusals
from ..reply import Reply
from .components import components, webhooks
from .operations import SCHEME, Subject
from .page import ReferencePage, docs_router

INTRODUCTION: Final = files(__package__).joinpath("introduction.md").read_text("utf-8")

_TAGS: Final = {
    "Accounts": "Accounts and sessions.",
    "Events": "Events, their ticket types, and what organizers see of them.",
    "Bookings": "Bookings, the waiting list, payments.",
    "WebhookRepository": "Receivers of what happens to one's events.",
    "Operations": "For operators and for programs.",
    "Facts": "What webhooks are sent.",
}


def openapi_config() -> OpenAPIConfig:
    """Return the configuration of the document and of its page."""
    scheme = SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description="The `accessToken` of `/login` and `/refresh`."
    )
    return OpenAPIConfig(
        title="Boxoffice",
        version=VERSION,
        description=INTRODUCTION,
        components=Components(security_schemes={SCHEME: scheme}),
        tags=[Tag(name=name, description=description) for name, description in _TAGS.items()],
        use_handler_docstrings=True,
        openapi_router=docs_router(),
        render_plugins=[ReferencePage(), _Document()],
    )


class _Document(JsonRenderPlugin):
    """The same document where Litestar would serve its own."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return document(request.app)


def router() -> Router:
    """Return the route of the document."""
    operations = Subject("Operations", middleware=[refusals])
    made: dict[object, bytes] = {}

    @operations.get("/openapi.json", dict, opt=UNAUTHENTICATED)
    async def handle_read_open_api(request: Request[Any, Any, Any]) -> Reply:
        """Read this reference as OpenAPI 3.1. `/docs` shows it to people."""
        # Litestar makes another one when a handler is added.
        current = id(request.app.openapi_schema)
        if current not in made:
            made.clear()
            made[current] = document(request.app)
        return Reply(made[current])

    return operations.router


def document(app: Litestar) -> bytes:
    """Return the document as JSON, with the names of path parameters in camelCase like all others."""
    found = app.openapi_schema.to_schema()
    # In paths, only the names of parameters are of several words with underscores.
    found["paths"] = {camel_case(path): item for path, item in found["paths"].items()}
    for item in found["paths"].values():
        item.pop("head", None)
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                _mend(parameter)
    found["components"].setdefault("schemas", {}).update(components())
    found["webhooks"] = webhooks()
    return msgspec.json.encode(found)


def _mend(parameter: dict[str, Any]) -> None:
    """Say of a parameter what Litestar does not know, and once only."""
    schema = parameter["schema"]
    schema.pop("description", None)
    schema.update({name: int(value) for name, value in schema.items() if isinstance(value, float)})
    if "oneOf" in schema:
        # What may be left out may not be null for that.
        parameter["schema"] = schema = {**schema.pop("oneOf")[0], **schema}
    if parameter["in"] == "path":
        name = parameter["name"]
        parameter["name"] = camel_case(name)
        thing = name.removesuffix("_id").replace("_", " ")
        if name.endswith("_id"):
            schema["format"] = "uuid"
        parameter.setdefault("description", f"The id of the {thing}." if name.endswith("_id") else f"The {thing}.")

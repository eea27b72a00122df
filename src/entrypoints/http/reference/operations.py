"""What the reference states about a handler beyond its signature: responses, problems and headers."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, Protocol, TypeVar

from litestar import Router
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, route
from litestar.openapi import spec
from litestar.openapi.spec.enums import OpenAPIFormat
from litestar.types import Middleware
from msgspec import Struct

from ..authentication import SIGNED_IN
from ..problems.catalog import CATALOG
from ..problems.problem import MEDIA_TYPE, Problem
from ..reply import JSON

Header = Literal["Idempotency-Key", "If-Match", "If-None-Match", "ETag", "Stripe-Signature"]
Schemas = Mapping[str, spec.Schema | spec.Reference]
Handler = TypeVar("Handler", bound=Callable[..., Any])

SCHEME: Final = "bearer"
"""The name of the security scheme."""

COMPONENTS: Final = "#/components/schemas/"
"""The path of named schemas in the document."""

PUBLIC: Final[Mapping[str, Any]] = {}
"""The `opt` of a handler that may be called without signing in."""

RAW_BODY: Final = {"raw_body": True}
"""The `opt` of a handler that may be called without signing in, and reads the bytes of its body itself."""

_TEXT: Final = spec.Schema(type=spec.OpenAPIType.STRING)
_BYTES: Final = spec.Schema(type=spec.OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
_OBJECT: Final = spec.Schema(type=spec.OpenAPIType.OBJECT)
_REQUEST_HEADERS: Final = {
    "Idempotency-Key": "Your name for this request, preferably random. A repetition with the same key within 24 hours "
    "changes nothing and gets the first answer.",
    "If-Match": "The event's ETag, or `*`. The change is refused (412) only if the event was *edited* since.",
    "Stripe-Signature": "Stripe's signature of the body and its time.",
    "If-None-Match": "An ETag. If it is still current, the answer is 304 without a body.",
}
_KEY: Final = spec.Schema(type=spec.OpenAPIType.STRING, min_length=1, max_length=255, pattern="^[!-~]+$")
_RESPONSE_HEADERS: Final = {
    "X-Request-Id": "The request's id, from the request or generated.",
    "Location": "The path of the created resource.",
    "ETag": "The entity tag of this answer.",
    "WWW-Authenticate": "How to sign in.",
    "Retry-After": "Seconds to wait.",
    "Idempotency-Replayed": "`true` if this is the stored answer to an earlier request.",
}
_RAW_BODY: Final = spec.RequestBody(
    description="An object as its sender documents it.",
    content={JSON: spec.OpenAPIMediaType(schema=spec.Schema(type=spec.OpenAPIType.OBJECT))},
    required=True,
)
_TAGGED: Final = frozenset({"If-Match", "If-None-Match", "ETag"})
_BY_STATUS: Final = {201: "Location", 401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class Decorator(Protocol):
    """Registers a handler and returns it."""

    def __call__(self, handler: Handler, /) -> Handler: ...


class Subject:
    """The routes of one subject. `get`, `post`, `patch` and `delete` add a handler and its part of the reference.

    The operation's id is the handler's name; its summary is the first sentence of the handler's docstring.
    """

    def __init__(self, tag: str, middleware: Sequence[Middleware] = ()) -> None:
        self.router: Router = Router("/", route_handlers=[], middleware=middleware, tags=[tag])
        self.get: partial[Decorator] = partial(self._add, (HttpMethod.GET, HttpMethod.HEAD))
        self.post: partial[Decorator] = partial(self._add, (HttpMethod.POST,))
        self.patch: partial[Decorator] = partial(self._add, (HttpMethod.PATCH,))
        self.delete: partial[Decorator] = partial(self._add, (HttpMethod.DELETE,))

    def _add(
        self,
        methods: Sequence[HttpMethod],
        path: str,
        content: type[Any] | None,
        problems: Sequence[str] = (),
        headers: Sequence[Header] = (),
        *,
        status: int = 200,
        opt: Mapping[str, Any] = SIGNED_IN,
        media_types: Sequence[str] = (JSON,),
    ) -> Decorator:
        """Return a decorator for a handler with its successful response, its own problem codes and its headers.

        The problems that follow from the handler's `opt`, path, headers and body are added.
        """
        codes = [*problems, "internal-error"]
        if "exclude_from_auth" not in opt:
            codes += ["invalid-request", "invalid-token", "too-many-requests", "try-again"]
        if "signed_in" in opt:
            codes.append("not-signed-in")
        if "Idempotency-Key" in headers:
            codes += ["idempotency-key-reused", "request-in-progress"]

        class Described(spec.Operation):
            def __init__(self, *values: Any, **named: Any) -> None:
                super().__init__(*values, **named)
                if "raw_body" in opt:
                    self.request_body = _RAW_BODY
                found: list[Any] = self.parameters or []
                in_path = ["not-found"] if any(each.param_in == "path" for each in found) else []
                body = ["body-too-large", "unsupported-media-type"] if self.request_body else []
                self.summary = re.split(r"\.(?:\s|$)", self.description or "")[0]
                self.security = [{SCHEME: []}] if "signed_in" in opt else []
                self.parameters = [*found, *(_parameter(name) for name in headers if name in _REQUEST_HEADERS)] or None
                successful = {str(status): _response(status, *_content(content, media_types), headers)}
                if "If-None-Match" in headers:
                    successful["304"] = _response(304, "The client's copy is current.", {}, headers)
                self.responses = {**successful, **_problems([*codes, *in_path, *body], headers)}

        def add(handler: Handler) -> Handler:
            described = partial(route, path, operation_class=Described, operation_id=_operation_id)
            self.router.register(described(http_method=methods, status_code=status, opt=opt)(handler))
            return handler

        return add


def _operation_id(handler: HTTPRouteHandler, method: str, _: object) -> str:
    name = handler.handler_name.removeprefix("handle_").title().replace("_", "")
    return f"{name}Head" if method == HttpMethod.HEAD else name


def _parameter(name: str) -> spec.Parameter:
    schema = _KEY if name == "Idempotency-Key" else _TEXT
    return spec.Parameter(
        name=name, param_in="header", required=False, description=_REQUEST_HEADERS[name], schema=schema
    )


def _content(content: type[Any] | None, media_types: Sequence[str]) -> tuple[str, Schemas]:
    """Return the description and the schemas of a successful response."""
    if content is None:
        return "Done.", {}
    if not issubclass(content, Struct):
        schema = _TEXT if content is str else _BYTES if content is bytes else _OBJECT
        return "The page or document.", dict.fromkeys(media_types, schema)
    description = (content.__doc__ or "").partition("\n")[0]
    structured = spec.Reference(f"{COMPONENTS}{content.__name__}")
    return description, {name: structured if name.endswith("json") else _TEXT for name in media_types}


def _problems(codes: Sequence[str], headers: Sequence[Header]) -> dict[str, spec.OpenAPIResponse]:
    """Return a response for each status, with its problem codes."""
    _, content = _content(Problem, (MEDIA_TYPE,))
    lines: dict[int, list[str]] = {}
    for code, entry in CATALOG.items():
        if code in codes:
            lines.setdefault(entry.status, []).append(f"`{code}`: {entry.title}.")
    return {str(status): _response(status, " ".join(texts), content, headers) for status, texts in lines.items()}


def _response(status: int, description: str, content: Schemas, headers: Sequence[Header]) -> spec.OpenAPIResponse:
    names = ["X-Request-Id", *([_BY_STATUS[status]] if status in _BY_STATUS else [])]
    if not _TAGGED.isdisjoint(headers) and status < 400:
        names.append("ETag")
    if "Idempotency-Key" in headers and (status < 300 or status in {402, 409}):
        names.append("Idempotency-Replayed")
    return spec.OpenAPIResponse(
        description=description,
        headers={name: spec.OpenAPIHeader(description=_RESPONSE_HEADERS[name], schema=_TEXT) for name in names},
        content={name: spec.OpenAPIMediaType(schema=schema) for name, schema in content.items()} or None,
    )

"""What the reference says of a handler beyond its signature: its answers, its problems, its headers."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, Literal

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIHeader, OpenAPIType, Operation, Parameter, Schema
from litestar.types import AnyCallable

from ..problems.catalog import CATALOG
from ..problems.problem import MEDIA_TYPE, Problem
from ..reply import JSON

Condition = Literal["If-Match", "If-None-Match"]

SCHEME: Final = "bearer"
"""The name of the security scheme."""

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_CONDITIONS: Final = {
    "If-Match": "The event's ETag, or `*`. The change is refused (412) only when the event was *edited* since.",
    "If-None-Match": "An ETag; where the answer would be the same, it is 304 without a body.",
}
_KEY: Final = Parameter(
    name="Idempotency-Key",
    param_in="header",
    required=False,
    description="A word of your own for this request, best a random one. Sent again with the same key within 24 hours, "
    "the request changes nothing and gets the first answer again.",
    schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=255, pattern="^[!-~]+$"),
)
_HEADERS: Final = {
    "X-Request-Id": "The request's id, taken from the request or new.",
    "Location": "The path of what was created.",
    "ETag": "The tag of this answer.",
    "WWW-Authenticate": "How to sign in.",
    "Retry-After": "Seconds to wait.",
    "Allow": "The methods of the path.",
    "Idempotency-Replayed": "`true` where this is the first answer to the request again.",
}


def answers(
    status: int, content: type[Any] | None, description: str, *problems: str, media_type: str = JSON
) -> dict[int, ResponseSpec]:
    """Return the documented answers of a handler: the good one, and its problems by their codes."""
    found = {status: ResponseSpec(content, generate_examples=False, description=description, media_type=media_type)}
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in (*problems, "too-many-requests", "internal-error", "try-again"):
        by_status[CATALOG[code].status].append(f"`{code}`: {CATALOG[code].title}.")
    for each, lines in by_status.items():
        found[each] = ResponseSpec(
            Problem, generate_examples=False, description=" ".join(lines), media_type=MEDIA_TYPE
        )
    return found


def operation(
    *, signed_in: bool = False, takes_key: bool = False, condition: Condition | None = None, is_tagged: bool = False
) -> type[Operation]:
    """Return the class of a handler's operation in the document: its security and its headers.

    `is_tagged`: the good answer has an `ETag`.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.security = [{SCHEME: []}] if signed_in else []
            extra = [_KEY] if takes_key else []
            if condition is not None:
                extra.append(
                    Parameter(
                        name=condition,
                        param_in="header",
                        required=False,
                        description=_CONDITIONS[condition],
                        schema=_TEXT,
                    )
                )
            self.parameters = [*(self.parameters or []), *extra] or None
            for status, response in (self.responses or {}).items():
                names = ["X-Request-Id", *_by_status(int(status), takes_key=takes_key, is_tagged=is_tagged)]
                found: Any = response
                found.headers = {name: OpenAPIHeader(description=_HEADERS[name], schema=_TEXT) for name in names}

    return Described


def _by_status(status: int, *, takes_key: bool, is_tagged: bool) -> list[str]:
    names = {201: ["Location"], 401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    if is_tagged and status < 400:
        names = [*names, "ETag"]
    if takes_key and status < 500:
        names = [*names, "Idempotency-Replayed"]
    return names


def readable(path: str, **options: Any) -> Any:
    """Return a decorator for a handler that answers GET, and HEAD, which the document does not list."""

    def decorate(handle: AnyCallable) -> list[HTTPRouteHandler]:
        head = HTTPRouteHandler(
            path, http_method=HttpMethod.HEAD, include_in_schema=False, opt=options.get("opt"), status_code=200
        )
        return [get(path, **options)(handle), head(handle)]

    return decorate

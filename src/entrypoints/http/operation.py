"""What the reference says of a call. It stands with the handler, so that the two cannot part."""

from typing import Any

from msgspec import Struct

from ...application.limits import Limit

_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_TURNS = r"\u202a-\u202e\u2066-\u2069"
NO_CONTROLS = f"^[^{_CONTROLS}]*$"
PLAIN_TEXT = f"^[^{_CONTROLS}{_TURNS}]*$"
PLAIN_LINES = rf"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_TURNS}]*$"
NO_BLANK = rf"^[^{_CONTROLS}{_TURNS}]*[^\s{_CONTROLS}{_TURNS}][^{_CONTROLS}{_TURNS}]*$"
EMAIL = rf"^ *[^\s@{_CONTROLS}{_TURNS}]+@[^\s@{_CONTROLS}{_TURNS}]+ *$"
VISIBLE = "^[!-~]+$"
NO_SPACE = rf"^[^\s{_CONTROLS}{_TURNS}]+$"
"""Patterns for JSON Schema: what the domain's rules for texts let pass."""


class Parameter(Struct, frozen=True):
    """A parameter of the query, or a header; `schema` as JSON Schema."""

    name: str
    description: str
    schema: dict[str, Any]
    place: str = "query"


CURSOR = Parameter(
    "cursor",
    "The `nextCursor` of the page before, from this list with these filters.",
    {"type": "string", "minLength": 1},
)
LIMIT = Parameter("limit", "Items at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50})
IF_NONE_MATCH = Parameter("If-None-Match", "An ETag; the same still: 304.", {"type": "string"}, "header")
IF_MATCH = Parameter(
    "If-Match",
    "The event's ETag, or `*`. Refuses (412) only when the event was edited since.",
    {"type": "string"},
    "header",
)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "A word of yours for this request, best a random one. Sent again with the same key within 24 hours, it changes "
    "nothing and gets the first answer again.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": VISIBLE},
    "header",
)


class Operation(Struct, frozen=True):
    """One call.

    `signed_in`: it needs a bearer token. `ignores_token`: it does not even look at one. `takes_key`: an idempotency key
    makes it happen once. `problems` are the codes it may answer besides those that follow from the rest (a body,
    signing in, a key). `limit` is one of its own, by address; else what counts is who sends it and whether it changes
    something.
    """

    id: str
    summary: str
    tag: str
    answer: Any
    status: int = 200
    problems: tuple[str, ...] = ()
    body: type[Struct] | None = None
    example: Any = None
    answer_example: Any = None
    parameters: tuple[Parameter, ...] = ()
    signed_in: bool = False
    ignores_token: bool = False
    has_location: bool = False
    has_etag: bool = False
    takes_key: bool = False
    answers_html: bool = False
    media_type: str = "application/json"
    limit: Limit | None = None

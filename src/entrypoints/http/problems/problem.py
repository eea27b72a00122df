"""Problem details (RFC 9457): the rendering of all errors."""

import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar.exceptions import HTTPException, ValidationException
from msgspec import UNSET, Meta, Struct, UnsetType

from ....application.bookings.pay_booking import PaymentUnknown
from ....application.ports.errors import Unavailable
from ....domain.refusals import (
    FieldPath,
    InvalidRequest,
    InvalidToken,
    MailNotConfigured,
    Refusal,
    TicketsNotNumbered,
    TooManyRequests,
)
from ..camel_case import camel_case
from .catalog import CATALOG
from .messages import requirement

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


ProblemCode = Annotated[
    str,
    Meta(
        description="A stable code for programs, explained at `/problems/{code}`.",
        extra_json_schema={"$ref": "#/components/schemas/ProblemCode"},
    ),
]


class FieldProblem(Struct, frozen=True):
    """One broken value of the request."""

    pointer: Annotated[
        str,
        Meta(
            description="A JSON pointer (RFC 6901) into the body, `/` and the name of a query parameter, or empty for "
            "the whole request.",
            examples=["/totalTickets"],
        ),
    ]
    detail: Annotated[str, Meta(description="What the value must be.", examples=["must be at least 1"])]


class Problem(Struct, frozen=True, rename="camel"):
    """An error (RFC 9457). Some codes have additional members."""

    type: Annotated[str, Meta(description="The path of the page that explains the code.")]
    title: Annotated[str, Meta(description="A short description of the code.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What happened and what to do, for a person.")]
    code: ProblemCode
    request_id: Annotated[str, Meta(description="The id of the request in the log.")]
    errors: Annotated[
        list[FieldProblem] | UnsetType, Meta(description="With `invalid-request`: every invalid value that was found.")
    ] = UNSET
    booking_id: Annotated[
        UUID | UnsetType, Meta(description="With `already-booked`: the live booking that prevents this one.")
    ] = UNSET
    next_action_url: Annotated[
        str | UnsetType, Meta(description="With `payment-action-required`: where the customer's bank waits for them.")
    ] = UNSET


class Malformed(Exception):
    """The request is invalid before any rule is applied; `errors` say why."""

    def __init__(self, *errors: FieldProblem) -> None:
        self.errors: tuple[FieldProblem, ...] = errors
        super().__init__("; ".join(f"{error.pointer} {error.detail}" for error in errors))


class BodyTooLarge(Exception):
    """The body exceeds the limit, which is `most` bytes."""

    def __init__(self, most: int) -> None:
        self.most: int = most
        super().__init__(most)


class UnsupportedMediaType(Exception):
    """The body is not JSON; the message says what to send."""


class Rendered(Struct, frozen=True):
    """An encoded problem with its headers."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Details(Struct, frozen=True):
    code: str
    detail: str
    headers: Mapping[str, str] = {}
    members: Mapping[str, Any] = {}


_CLOSE: Final = {"Connection": "close"}
"""The server closes a connection whose body was not read, so a client must not send another request on it."""

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_OF_LITESTAR: Final = frozenset({400, 404, 405, 500})
"""Statuses of Litestar's own exceptions that have a code in the catalogue."""

_MISSING: Final = re.compile(r"Missing required query parameter '(\w+)'")
_UNHANDLED: Final = _Details("internal-error", "An unexpected error occurred; it has been logged with this request id.")


def pointer(*path: str | int) -> str:
    """Return a JSON pointer to a value by its names in JSON."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def render(error: Exception, request_id: str) -> Rendered:
    """Return the problem for an exception. An unexpected exception is logged, and the problem reveals nothing of it."""
    if isinstance(error, HTTPException) and error.status_code not in _OF_LITESTAR:
        # An embedder's handler raised it.
        title = _PHRASES.get(error.status_code, "Error")
        details = _Details(title.lower().replace(" ", "-"), error.detail, error.headers or {})
        return _rendered("about:blank", title, error.status_code, details, request_id)
    details = _details(error)
    if details is _UNHANDLED:
        _log.error("Unhandled exception, request %s.", request_id, exc_info=error)
    entry = CATALOG[details.code]
    return _rendered(f"/problems/{details.code}", entry.title, entry.status, details, request_id)


def _rendered(kind: str, title: str, status: int, details: _Details, request_id: str) -> Rendered:
    members = {"type": kind, "title": title, "status": status, "detail": details.detail, "code": details.code}
    body = msgspec.json.encode({**members, "requestId": request_id, **details.members})
    return Rendered(status, details.headers, body)


def _details(error: Exception) -> _Details:  # noqa: C901, PLR0911, PLR0912 - one case for each kind of error
    match error:
        case InvalidRequest():
            return _invalid(FieldProblem(_wire_pointer(each.path), each.detail) for each in error.errors)
        case InvalidToken(is_refresh=False):
            return _Details(error.code, error.detail, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        case TooManyRequests():
            return _Details(error.code, error.detail, {"Retry-After": str(error.retry_after)})
        case MailNotConfigured():
            return _Details(error.code, error.detail, {"Retry-After": "3600"})
        case TicketsNotNumbered():
            return _Details(error.code, error.detail, {"Retry-After": "1"})
        case Refusal():
            headers = {"WWW-Authenticate": "Bearer"} if CATALOG[error.code].status == 401 else {}
            return _Details(
                error.code, error.detail, headers, {camel_case(name): each for name, each in error.members.items()}
            )
        case Malformed():
            return _invalid(error.errors)
        case HTTPException(status_code=400):
            return _invalid(_of_parameters(error))
        case HTTPException(status_code=404):
            is_default = error.detail == HTTPStatus.NOT_FOUND.phrase
            detail = "The path does not exist; GET /docs lists all paths." if is_default else error.detail
            return _Details("not-found", detail)
        case HTTPException(status_code=405):
            allow = (error.headers or {}).get("allow", "")
            return _Details("method-not-allowed", f"The path supports {allow}.", {"Allow": allow})
        case PaymentUnknown():
            detail = "The payment provider did not answer. Send the payment again: you are charged at most once."
            return _Details("payment-unknown", detail, {"Retry-After": "1"})
        case Unavailable():
            headers = {"Retry-After": str(error.retry_after)}
            return _Details("try-again", "The service is temporarily unavailable; try again in a moment.", headers)
        case BodyTooLarge(most=most):
            return _Details("body-too-large", f"Send at most {most // 1024} KiB ({most:,} bytes).", _CLOSE)
        case UnsupportedMediaType():
            return _Details("unsupported-media-type", str(error), _CLOSE)
        case _:
            return _UNHANDLED


def _invalid(errors: Iterable[FieldProblem]) -> _Details:
    detail = "The request is invalid; `errors` lists what to correct."
    return _Details("invalid-request", detail, members={"errors": list(errors)})


def _of_parameters(error: HTTPException) -> list[FieldProblem]:
    """Return the broken parameters that Litestar found."""
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        missing = _MISSING.match(error.detail)
        return [FieldProblem("", error.detail) if missing is None else FieldProblem(pointer(missing[1]), "is required")]
    return [
        FieldProblem(pointer(camel_case(each["key"])) if "key" in each else "", requirement(each["message"]))
        for each in error.extra
    ]


def _wire_pointer(path: FieldPath) -> str:
    return pointer(*(camel_case(part) if isinstance(part, str) else part for part in path))

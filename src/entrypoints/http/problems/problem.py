"""Problem details (RFC 9457): how every refusal and failure is rendered."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar.exceptions import HTTPException, ValidationException
from msgspec import UNSET, Meta, Struct, UnsetType

from ....application.bookings.pay_booking import PaymentUnknown
from ....application.ports.errors import Unavailable
from ....domain.refusals import FieldPath, InvalidRequest, InvalidToken, Refusal, TooManyRequests
from ..camel_case import camel_case
from .catalog import CATALOG
from .messages import requirement

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


ProblemCode = Annotated[
    str,
    Meta(
        description="A stable word for programs, explained at `/problems/{code}`.",
        extra_json_schema={"$ref": "#/components/schemas/ProblemCode"},
    ),
]


class FieldProblem(Struct, frozen=True):
    """One broken value of the request."""

    pointer: Annotated[
        str,
        Meta(
            description="A JSON pointer (RFC 6901) into the body, `/` and the name of a query parameter, or empty for "
            "the request as a whole.",
            examples=["/totalTickets"],
        ),
    ]
    detail: Annotated[str, Meta(description="What the value must be.", examples=["must be at least 1"])]


class Problem(Struct, frozen=True, rename="camel"):
    """An error (RFC 9457). Some codes have more members than these."""

    type: Annotated[str, Meta(description="The path of the page that explains the code.")]
    title: Annotated[str, Meta(description="The code in a few words.")]
    status: Annotated[int, Meta(description="The status of the answer.")]
    detail: Annotated[str, Meta(description="What happened and what to do, for a person.")]
    code: ProblemCode
    request_id: Annotated[str, Meta(description="The id under which the request stands in the log.")]
    errors: Annotated[
        list[FieldProblem] | UnsetType, Meta(description="With `invalid-request`: every broken value that is known.")
    ] = UNSET
    booking_id: Annotated[
        UUID | UnsetType, Meta(description="With `already-booked`: the live booking that stands in the way.")
    ] = UNSET


class Malformed(Exception):
    """The request is broken before a rule can judge it; `errors` name what is wrong."""

    def __init__(self, *errors: FieldProblem) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error.pointer} {error.detail}" for error in errors))


class BodyTooLarge(Exception):
    """The body exceeds the limit."""


class UnsupportedMediaType(Exception):
    """The body is not plain JSON; the message says what to send."""


class Rendered(Struct, frozen=True):
    """A problem as it is sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Told(Struct, frozen=True):
    code: str
    detail: str
    headers: Mapping[str, str] = {}
    members: Mapping[str, Any] = {}


_UNREAD: Final = {"Connection": "close"}
"""The body was not read, so the server ends the connection; a client that reuses it would lose its next request."""

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_OF_LITESTAR: Final = frozenset({400, 404, 405, 500})
"""Statuses of exceptions that Litestar itself raises, and that have a code in the catalogue."""

_UNHANDLED: Final = _Told("internal-error", "Something broke; it has been logged with this request id.")


def pointer(*path: str | int) -> str:
    """Return a JSON pointer to a value by its names on the wire."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def render(error: Exception, request_id: str) -> Rendered:
    """Return the problem for an exception. An exception without a code of its own is logged and reveals nothing."""
    if isinstance(error, HTTPException) and error.status_code not in _OF_LITESTAR:
        # An embedder's handler raised it.
        title = _PHRASES.get(error.status_code, "Error")
        told = _Told(title.lower().replace(" ", "-"), error.detail, error.headers or {})
        return _rendered("about:blank", title, error.status_code, told, request_id)
    told = _told(error)
    if told is _UNHANDLED:
        _log.error("Unhandled exception, request %s.", request_id, exc_info=error)
    entry = CATALOG[told.code]
    return _rendered(f"/problems/{told.code}", entry.title, entry.status, told, request_id)


def _rendered(kind: str, title: str, status: int, told: _Told, request_id: str) -> Rendered:
    first = {"type": kind, "title": title, "status": status, "detail": told.detail, "code": told.code}
    body = msgspec.json.encode({**first, "requestId": request_id, **told.members})
    return Rendered(status, told.headers, body)


def _told(error: Exception) -> _Told:  # noqa: C901, PLR0911, PLR0912 - one for each kind of failure
    match error:
        case InvalidRequest():
            return _invalid(FieldProblem(_wire_pointer(each.path), each.detail) for each in error.errors)
        case InvalidToken(is_refresh=False):
            return _Told(error.code, error.detail, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        case TooManyRequests():
            return _Told(error.code, error.detail, {"Retry-After": str(error.retry_after)})
        case Refusal():
            headers = {"WWW-Authenticate": "Bearer"} if CATALOG[error.code].status == 401 else {}
            return _Told(
                error.code, error.detail, headers, {camel_case(name): each for name, each in error.members.items()}
            )
        case Malformed():
            return _invalid(error.errors)
        case HTTPException(status_code=400):
            return _invalid(_of_parameters(error))
        case HTTPException(status_code=404):
            is_ours = error.detail == HTTPStatus.NOT_FOUND.phrase
            detail = "There is no such path; GET /docs lists the paths there are." if is_ours else error.detail
            return _Told("not-found", detail)
        case HTTPException(status_code=405):
            allow = (error.headers or {}).get("allow", "")
            return _Told("method-not-allowed", f"The path takes {allow}.", {"Allow": allow})
        case PaymentUnknown():
            detail = "The payment provider did not answer. Send the payment again: you are charged at most once."
            return _Told("payment-unknown", detail, {"Retry-After": "1"})
        case Unavailable():
            headers = {"Retry-After": str(error.retry_after)}
            return _Told("try-again", "The service cannot answer now; try again in a moment.", headers)
        case BodyTooLarge():
            return _Told("body-too-large", "Send at most 64 KiB (65,536 bytes).", _UNREAD)
        case UnsupportedMediaType():
            return _Told("unsupported-media-type", str(error), _UNREAD)
        case _:
            return _UNHANDLED


def _invalid(errors: Iterable[FieldProblem]) -> _Told:
    detail = "The request is not valid; `errors` says what to mend."
    return _Told("invalid-request", detail, members={"errors": list(errors)})


def _of_parameters(error: HTTPException) -> list[FieldProblem]:
    """Return the broken parameters that Litestar found."""
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return [FieldProblem("", error.detail)]
    return [
        FieldProblem(pointer(camel_case(each["key"])) if "key" in each else "", requirement(each["message"]))
        for each in error.extra
    ]


def _wire_pointer(path: FieldPath) -> str:
    return pointer(*(camel_case(part) if isinstance(part, str) else part for part in path))

"""Problem details (RFC 9457): how every refusal and failure is rendered."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar.exceptions import HTTPException, ValidationException
from msgspec import UNSET, Meta, Struct, UnsetType

from ....application.failures import Unavailable
from ....application.pay_booking import PaymentUnknown
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

_INVALID: Final = "The request is not valid; `errors` says what to mend."
_OF_LITESTAR: Final = frozenset({400, 404, 405, 500})
"""Statuses of exceptions that Litestar itself raises, and that have a code in the catalogue."""

_UNHANDLED: Final = _Told("internal-error", "Something broke; it has been logged with this request id.")


def pointer(*path: str | int) -> str:
    """Return a JSON pointer to a value by its names on the wire."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def render(error: Exception, request_id: str) -> Rendered:
    """Return the problem for an exception. An exception without a code of its own is logged and reveals nothing."""
    if isinstance(error, HTTPException) and error.status_code not in _OF_LITESTAR:
        return _of_embedder(error, request_id)
    told = _told(error)
    if told is _UNHANDLED:
        _log.error("Unhandled exception, request %s.", request_id, exc_info=error)
    entry = CATALOG[told.code]
    body = {
        "type": f"/problems/{told.code}",
        "title": entry.title,
        "status": entry.status,
        "detail": told.detail,
        "code": told.code,
        "requestId": request_id,
        **told.members,
    }
    return Rendered(entry.status, told.headers, msgspec.json.encode(body))


def _told(error: Exception) -> _Told:  # noqa: PLR0911 - one for each kind of failure
    match error:
        case Refusal():
            return _of_refusal(error)
        case HTTPException():
            return _of_litestar(error)
        case Malformed():
            return _Told("invalid-request", _INVALID, members={"errors": error.errors})
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


def _of_refusal(refusal: Refusal) -> _Told:
    match refusal:
        case InvalidRequest():
            errors = [FieldProblem(_wire_pointer(each.path), each.detail) for each in refusal.errors]
            return _Told(refusal.code, _INVALID, members={**refusal.members, "errors": errors})
        case InvalidToken(is_refresh=False):
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case TooManyRequests():
            headers = {"Retry-After": str(refusal.retry_after)}
        case _:
            headers = {"WWW-Authenticate": "Bearer"} if CATALOG[refusal.code].status == 401 else {}
    return _Told(refusal.code, refusal.detail, headers, refusal.members)


def _of_embedder(error: HTTPException, request_id: str) -> Rendered:
    """Return the problem for an exception with a status that no code of ours has; an embedder's handler raised it."""
    try:
        title = HTTPStatus(error.status_code).phrase
    except ValueError:
        title = "Error"
    body = {
        "type": "about:blank",
        "title": title,
        "status": error.status_code,
        "detail": error.detail,
        "code": title.lower().replace(" ", "-"),
        "requestId": request_id,
    }
    return Rendered(error.status_code, error.headers or {}, msgspec.json.encode(body))


def _of_litestar(error: HTTPException) -> _Told:
    match error.status_code:
        case 404:
            is_ours = error.detail == HTTPStatus.NOT_FOUND.phrase
            detail = "There is no such path; GET /docs lists the paths there are." if is_ours else error.detail
            return _Told("not-found", detail)
        case 405:
            allow = (error.headers or {}).get("allow", "")
            return _Told("method-not-allowed", f"The path takes {allow}.", {"Allow": allow})
        case 400:
            return _Told("invalid-request", _INVALID, members={"errors": _of_parameters(error)})
        case _:
            return _UNHANDLED


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

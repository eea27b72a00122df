"""Problems: how every refusal and failure is told over HTTP (RFC 9457, `application/problem+json`)."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar.exceptions import HTTPException
from msgspec import Struct

from ...application.failures import Unavailable
from ...application.pay_booking import PaymentUnknown
from ...domain.refusals import FieldPath, InvalidRequest, InvalidToken, Refusal, TooManyRequests
from .exchange import Response
from .kinds import KINDS
from .naming import camel

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class FieldProblem(Struct, frozen=True):
    """One broken field: a JSON pointer (RFC 6901) into the body, or to a query parameter, and what it must be."""

    pointer: str
    detail: str


class Malformed(Exception):
    """The request itself is broken, before any rule could look at it."""

    def __init__(self, *errors: FieldProblem) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error.pointer} {error.detail}" for error in errors))


class BodyTooLarge(Exception):
    """More than a body may have."""


class UnsupportedMediaType(Exception):
    """A body that is not plain JSON; says why."""


def pointer(*path: str | int) -> str:
    """A JSON pointer to a field by its name on the wire."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def problem_response(error: Exception, request_id: str) -> Response:
    """The problem that an exception is told as."""
    status, headers, body = problem_of(error, request_id)
    return Response(body, status=status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. What nobody foresaw is logged here and says nothing of itself."""
    match error:
        case Refusal():
            told = _of_refusal(error)
        case HTTPException():
            told = _of_litestar(error)
        case Malformed():
            told = _Told("invalid-request", _INVALID, members={"errors": error.errors})
        case PaymentUnknown():
            detail = "The payment provider did not answer. Send the payment again: you are charged once at most."
            told = _Told("payment-unknown", detail, {"Retry-After": "1"})
        case Unavailable():
            headers = {"Retry-After": str(error.retry_after)}
            told = _Told("try-again", "The service cannot answer now; try again in a moment.", headers)
        case BodyTooLarge():
            told = _Told("body-too-large", "Send at most 16 KiB (16,384 bytes).")
        case UnsupportedMediaType():
            told = _Told("unsupported-media-type", str(error))
        case _:
            told = _UNFORESEEN
    if told is _UNFORESEEN:
        _log.error("An exception nobody foresaw, request %s.", request_id, exc_info=error)
    kind = KINDS[told.code]
    body = {
        "type": f"/problems/{told.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": told.detail,
        "code": told.code,
        "requestId": request_id,
        **told.members,
    }
    return kind.status, dict(told.headers), msgspec.json.encode(body)


class _Told(Struct, frozen=True):
    code: str
    detail: str
    headers: Mapping[str, str] = {}
    members: Mapping[str, Any] = {}


_UNFORESEEN: Final = _Told("internal-error", "Something broke; it has been logged with this request id.")


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
            headers = {"WWW-Authenticate": "Bearer"} if KINDS[refusal.code].status == 401 else {}
    return _Told(refusal.code, refusal.detail, headers, refusal.members)


def _of_litestar(error: HTTPException) -> _Told:
    match error.status_code:
        case 404:
            return _Told("not-found", "There is no such path; GET /docs lists those there are.")
        case 405:
            allow = allowed(error)
            return _Told("method-not-allowed", f"The path takes {allow}.", {"Allow": allow})
        case 400:
            return _Told("invalid-request", _INVALID, members={"errors": [FieldProblem("", "must be valid HTTP")]})
        case _:
            return _UNFORESEEN


_INVALID: Final = "The request is not valid; `errors` says what to mend."


def _wire_pointer(path: FieldPath) -> str:
    return pointer(*(camel(part) if isinstance(part, str) else part for part in path))


def allowed(error: HTTPException) -> str:
    """The methods of a path as Litestar says, with HEAD wherever there is GET and without the OPTIONS that it adds."""
    methods = {method.strip() for method in dict(error.headers or {}).get("allow", "").split(",")} - {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))

"""Idempotency over HTTP: the key of a request, and its response as it is stored and sent."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from ...application.ports.idempotency import IdempotentRequest, Key, Response
from .etags import tag_of
from .observation import request_id_of
from .problems.problem import MEDIA_TYPE, FieldProblem, Malformed, render
from .reply import JSON, Reply
from .request import SignedInRequest

Outcome = TypeVar("Outcome")


class Head(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What precedes the body in a stored payload, as a line of JSON."""

    status: int
    location: str | None = None
    etag: str | None = None


class RepeatableResponse(Head, frozen=True, gc=False, kw_only=True):
    """What a repeated request gets again. `subject_id` is the booking or event concerned."""

    body: bytes
    subject_id: UUID | None = None


_KEY: Final = re.compile(rb"[!-~]{1,255}")


async def idempotent_request(
    request: SignedInRequest,
    respond: Callable[[Outcome], RepeatableResponse],
    subject_id: UUID | None = None,
    *,
    has_body: bool = True,
) -> IdempotentRequest[Outcome] | None:
    """Return what makes the use case store its response; None without a key. Raises: Malformed.

    `subject_id` is the booking or event that a refusal concerns. Without `has_body` the request's body is ignored.
    """
    key = _key(request)
    if key is None:
        return None
    scope = request.scope
    # No path of these requests contains a newline, so the parts are unambiguous.
    identity = f"{scope['method']} {scope['path']}\n".encode("utf-8", "surrogatepass")
    bounds = request.user.actor.scope
    if bounds is not None and not bounds.is_whole:
        # It must not get the answer to a request that it may not send itself.
        identity += f"{bounds.role} {bounds.event_id}\n".encode()
    if has_body:
        identity += await request.body()

    def render_result(result: Outcome | Exception) -> Response:
        if not isinstance(result, Exception):
            return _stored(respond(result))
        problem = render(result, request_id_of(scope))
        return _stored(RepeatableResponse(status=problem.status, body=problem.body, subject_id=subject_id))

    return IdempotentRequest(
        key=Key(request.user.actor.user_id, key), fingerprint=sha256(identity).digest(), render=render_result
    )


def _key(request: SignedInRequest) -> str | None:
    values = request.values(b"idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise Malformed(FieldProblem("", "must have at most one Idempotency-Key header"))
    if not _KEY.fullmatch(values[0]):
        raise Malformed(
            FieldProblem("", "must have an Idempotency-Key of 1 to 255 visible ASCII characters without spaces")
        )
    return str(values[0], "ascii")


def _stored(response: RepeatableResponse) -> Response:
    head = Head(status=response.status, location=response.location, etag=response.etag)
    return Response(msgspec.json.encode(head) + b"\n" + response.body, response.subject_id)


def stored_response(stored: Response) -> RepeatableResponse:
    """Return the response that a stored payload contains."""
    line, _, body = stored.payload.partition(b"\n")
    head = msgspec.structs.asdict(msgspec.json.decode(line, type=Head))
    return RepeatableResponse(**head, body=body, subject_id=stored.subject_id)


def response_of(
    view: object,
    subject_id: UUID | None = None,
    *,
    status: int = 200,
    location: str | None = None,
    version: int | None = None,
) -> RepeatableResponse:
    """Return a view as a response; with an event's `version`, it has the ETag of an event."""
    body = msgspec.json.encode(view)
    etag = None if version is None else f'"{tag_of(body, version)}"'
    return RepeatableResponse(status=status, body=body, location=location, etag=etag, subject_id=subject_id)


def reply_of(response: RepeatableResponse, *, is_replayed: bool = False) -> Reply:
    """Return the response as it is sent, the first time or again."""
    headers: dict[str, str] = {}
    if response.location is not None:
        headers["Location"] = response.location
    if response.etag is not None:
        headers["ETag"] = response.etag
    if is_replayed:
        headers["Idempotency-Replayed"] = "true"
    return Reply(
        response.body, status=response.status, headers=headers, media_type=JSON if response.status < 400 else MEDIA_TYPE
    )

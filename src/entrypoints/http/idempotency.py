"""Exactly once over HTTP: the key that a request came with, and its answer rendered one way, first and again."""

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


class Answer(Struct, frozen=True, gc=False, kw_only=True):
    """An answer with what a repeated request gets again. `subject_id` is the booking or event that it is about."""

    status: int
    body: bytes
    location: str | None = None
    etag: str | None = None
    subject_id: UUID | None = None


class _Head(Struct, omit_defaults=True):
    """What precedes the body in a stored payload, as JSON on a line of its own."""

    status: int
    location: str | None = None
    etag: str | None = None


_KEY: Final = re.compile(rb"[!-~]{1,255}")


async def once(
    request: SignedInRequest, answer: Callable[[Outcome], Answer], subject_id: UUID | None = None
) -> IdempotentRequest[Outcome] | None:
    """Return what makes the use case remember its answer; None without a key. Raises: Malformed.

    `subject_id` is the booking or event that a refusal speaks of.
    """
    key = _key(request)
    if key is None:
        return None
    scope = request.scope
    # No path that takes a key holds a newline, so the parts cannot run into each other.
    said = f"{scope['method']} {scope['path']}\n".encode("utf-8", "surrogatepass") + await request.body()

    def rendered(result: Outcome | Exception) -> Response:
        if not isinstance(result, Exception):
            return _response(answer(result))
        problem = render(result, request_id_of(scope))
        return _response(Answer(status=problem.status, body=problem.body, subject_id=subject_id))

    return IdempotentRequest(
        key=Key(request.user.actor.user_id, key), fingerprint=sha256(said).digest(), render=rendered
    )


def _key(request: SignedInRequest) -> str | None:
    values = request.values(b"idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise Malformed(FieldProblem("", "must have at most one Idempotency-Key header"))
    if not _KEY.fullmatch(values[0]):
        raise Malformed(FieldProblem("", "must have 1 to 255 visible ASCII characters as Idempotency-Key, no space"))
    return str(values[0], "ascii")


def _response(answer: Answer) -> Response:
    head = _Head(status=answer.status, location=answer.location, etag=answer.etag)
    return Response(msgspec.json.encode(head) + b"\n" + answer.body, answer.subject_id)


def stored_answer(response: Response) -> Answer:
    """Return the answer that was stored in a response."""
    head, _, body = response.payload.partition(b"\n")
    read = msgspec.json.decode(head, type=_Head)
    return Answer(status=read.status, body=body, location=read.location, etag=read.etag, subject_id=response.subject_id)


def answer_of(
    view: object,
    subject_id: UUID | None = None,
    *,
    status: int = 200,
    location: str | None = None,
    version: int | None = None,
) -> Answer:
    """Return a view as an answer; with an event's `version` it gets the ETag of an event."""
    body = msgspec.json.encode(view)
    etag = None if version is None else f'"{tag_of(body, version)}"'
    return Answer(status=status, body=body, location=location, etag=etag, subject_id=subject_id)


def reply_of(answer: Answer, *, is_replayed: bool = False) -> Reply:
    """Return the answer as it is sent, the first time as well as again."""
    headers = {}
    if answer.location is not None:
        headers["Location"] = answer.location
    if answer.etag is not None:
        headers["ETag"] = answer.etag
    if is_replayed:
        headers["Idempotency-Replayed"] = "true"
    return Reply(
        answer.body, status=answer.status, headers=headers, media_type=JSON if answer.status < 400 else MEDIA_TYPE
    )

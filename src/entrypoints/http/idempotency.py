"""Exactly once over HTTP: the key that a request came with, and its answer made in one way, first and again."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from ...application.authenticate import Caller
from ...application.idempotency import Answer, Key, Once
from .body import Body, parse, receive
from .exchange import JSON, Request, Response
from .problems import MEDIA_TYPE, FieldProblem, Malformed, problem_of
from .tags import tag_of

Wanted = TypeVar("Wanted", bound=Body)
Outcome = TypeVar("Outcome")

_KEY: Final = re.compile(rb"[!-~]{1,255}")


class Asked(Struct, Generic[Wanted], frozen=True):
    """What a signed-in user asks for: the body, and the key that it came with, if any."""

    body: Wanted
    key: str | None
    request: Request[Caller]
    raw: bytes

    def once(self, answer: Callable[[Outcome], Answer], subject_id: UUID | None = None) -> Once[Outcome] | None:
        """What makes the use case remember; None without a key. `subject_id` is what a refusal would speak of."""
        if self.key is None:
            return None
        scope = self.request.scope

        def render(result: Outcome | Exception) -> Answer:
            if not isinstance(result, Exception):
                return answer(result)
            status, _, body = problem_of(result, str(scope.get("request_id", "")))
            return Answer(status=status, body=body, subject_id=subject_id)

        # A newline stands in no path of ours that anything is remembered for, so the parts cannot run into each other.
        said = f"{scope['method']} {scope['path']}\n".encode("utf-8", "surrogatepass") + self.raw
        return Once(
            key=Key(self.request.caller.actor.user_id, self.key), fingerprint=sha256(said).digest(), render=render
        )


async def read_once(request: Request[Caller], wanted: type[Wanted]) -> Asked[Wanted]:
    """The body and the key. Raises: UnsupportedMediaType, BodyTooLarge, Malformed, naming all that is broken."""
    raw = await receive(request)
    try:
        key = _key(request)
    except Malformed as broken:
        try:
            parse(raw, wanted)
        except Malformed as too:
            raise Malformed(*broken.errors, *too.errors) from None
        raise
    return Asked(parse(raw, wanted), key, request, raw)


def _key(request: Request[Any]) -> str | None:
    """Raises: Malformed."""
    values = request.header(b"idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise Malformed(FieldProblem("", "must have one Idempotency-Key header at most"))
    if not _KEY.fullmatch(values[0]):
        raise Malformed(FieldProblem("", "must have 1 to 255 visible ASCII characters as Idempotency-Key, no space"))
    return str(values[0], "ascii")


def answer_of(
    view: object, subject_id: UUID, *, status: int = 200, location: str | None = None, version: int | None = None
) -> Answer:
    """A view as an answer; with an event's `version` it gets the ETag of an event."""
    body = msgspec.json.encode(view)
    etag = None if version is None else f'"{tag_of(body, version)}"'
    return Answer(status=status, body=body, location=location, etag=etag, subject_id=subject_id)


def respond(answer: Answer, *, is_again: bool = False) -> Response:
    """The answer as it goes out, the first time as well as again."""
    headers = {}
    if answer.location is not None:
        headers["Location"] = answer.location
    if answer.etag is not None:
        headers["ETag"] = answer.etag
    if is_again:
        headers["Idempotency-Replayed"] = "true"
    media_type = JSON if answer.status < 400 else MEDIA_TYPE
    return Response(answer.body, status=answer.status, headers=headers, media_type=media_type)

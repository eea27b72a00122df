"""Exactly once: what is remembered of a request, so that sending it again changes nothing (promise 3)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from ...domain.refusals import StateRefusal

Outcome = TypeVar("Outcome")

KEPT_FOR = timedelta(hours=24)


class Key(Struct, frozen=True, gc=False):
    """A user's idempotency key."""

    user_id: UUID
    text: str


class Answer(Struct, frozen=True, gc=False, kw_only=True):
    """An answer as it was given, in the words of whoever gave it. `subject_id` is the booking or event it speaks of."""

    status: int
    body: bytes
    location: str | None = None
    etag: str | None = None
    subject_id: UUID | None = None


class StoredResponse(Struct, frozen=True, gc=False, kw_only=True):
    """The answer that a key got, and the fingerprint of the request that it came with."""

    key: Key
    fingerprint: bytes
    answer: Answer


class BoundRequest(Struct, frozen=True, kw_only=True):
    """An `IdempotentRequest` for the turnstile, with the use case's own outcome filled in."""

    key: Key
    fingerprint: bytes
    render: Callable[[Any], Answer | None]

    def remember(self, result: Any) -> StoredResponse | None:
        """What to keep of this result; None: nothing yet."""
        if isinstance(result, Exception) and not is_kept(result):
            return None
        answer = self.render(result)
        if answer is None:
            return None
        return StoredResponse(key=self.key, fingerprint=self.fingerprint, answer=answer)


class IdempotentRequest(Struct, Generic[Outcome], frozen=True, kw_only=True):
    """Do a command once per key.

    `render` turns an outcome, or a refusal that is kept (409), into the answer to remember. It is called inside the
    transaction, so that effect and answer are recorded together or not at all.
    """

    key: Key
    fingerprint: bytes
    render: Callable[[Outcome | Exception], Answer]

    def of(self, conclude: Callable[[Any], Outcome | Exception | None]) -> BoundRequest:
        """The same for the turnstile, whose own results `conclude` makes outcomes of; None: not the last word yet."""

        def render(result: Any) -> Answer | None:
            concluded = result if isinstance(result, Exception) else conclude(result)
            return None if concluded is None else self.render(concluded)

        return BoundRequest(key=self.key, fingerprint=self.fingerprint, render=render)


def is_kept(refusal: Exception) -> bool:
    """Whether a refusal is an answer for good; after any other the key is free again."""
    return isinstance(refusal, StateRefusal) and not refusal.may_pass


class Replayed(Exception):
    """The command was done before; this is what was answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

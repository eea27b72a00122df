"""Idempotency: a repeated request with the same key changes nothing and gets the stored response (promise 3)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from ...domain.refusals import StateRefusal

Outcome = TypeVar("Outcome")

KEPT_FOR = timedelta(hours=24)
"""How long a stored response is kept."""


class Key(Struct, frozen=True, gc=False):
    """A user's idempotency key."""

    user_id: UUID
    text: str


class Response(Struct, frozen=True, gc=False):
    """An entrypoint's response. Only the entrypoint reads the payload; `subject_id` is the booking or event."""

    payload: bytes
    subject_id: UUID | None = None


class StoredResponse(Struct, frozen=True, gc=False, kw_only=True):
    """The response to a key, and the fingerprint of its request."""

    key: Key
    fingerprint: bytes
    response: Response


class BoundRequest(Struct, frozen=True, kw_only=True):
    """An `IdempotentRequest` that the turnstile can apply to its results."""

    key: Key
    fingerprint: bytes
    render: Callable[[Any], Response | None]

    def response_to(self, result: Any) -> StoredResponse | None:
        """Return the response to store for this result; None: none."""
        if isinstance(result, Exception) and not is_kept(result):
            return None
        response = self.render(result)
        if response is None:
            return None
        return StoredResponse(key=self.key, fingerprint=self.fingerprint, response=response)


class IdempotentRequest(Struct, Generic[Outcome], frozen=True, kw_only=True):
    """A command that has one effect per key.

    `render` turns an outcome, or a refusal that is kept (`is_kept`), into the response to store. It is called inside
    the transaction, so effect and response are recorded together or not at all.
    """

    key: Key
    fingerprint: bytes
    render: Callable[[Outcome | Exception], Response]

    def bind(self, conclude: Callable[[Any], Outcome | Exception | None]) -> BoundRequest:
        """Bind it to the turnstile's results; `conclude` turns them into outcomes, None while an outcome is open."""

        def render(result: Any) -> Response | None:
            concluded = result if isinstance(result, Exception) else conclude(result)
            return None if concluded is None else self.render(concluded)

        return BoundRequest(key=self.key, fingerprint=self.fingerprint, render=render)


def is_kept(refusal: Exception) -> bool:
    """Return whether a refusal is a final response; after any other refusal the key is free again."""
    return isinstance(refusal, StateRefusal) and not refusal.may_pass


class Replayed(Exception):
    """The command was executed before; `response` is the stored response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response: Response = response

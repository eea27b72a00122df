"""Idempotency of commands that need no event lock."""

from datetime import datetime
from typing import TypeVar

from ..domain.refusals import IdempotencyKeyReused
from .ports.idempotency import IdempotentRequest, Replayed
from .ports.storage import UnitOfWork

Outcome = TypeVar("Outcome")


async def check_is_first(unit_of_work: UnitOfWork, idempotent: IdempotentRequest[Outcome]) -> None:
    """Raise Replayed if the request has a stored response, IdempotencyKeyReused if its key belongs to another."""
    before = (await unit_of_work.events.stored_responses([idempotent.key])).get(idempotent.key)
    if before is None:
        return
    if before.fingerprint != idempotent.fingerprint:
        raise IdempotencyKeyReused
    raise Replayed(before.response)


async def store_response(
    unit_of_work: UnitOfWork, idempotent: IdempotentRequest[Outcome], outcome: Outcome | Exception, now: datetime
) -> None:
    """Store the response to an outcome, or to a refusal that is kept.

    Raises: Conflict where the key has a response already (maybe only at commit).
    """
    stored = idempotent.bind(lambda result: result).response_to(outcome)
    await unit_of_work.events.store_responses([stored] if stored else [], now)

"""Responses stored for idempotency keys: one per user and key, compared byte by byte."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, select, tuple_

from ....application.ports.idempotency import Key, StoredResponse
from ..bulk.insert import BulkInsert
from ..bulk.select import BulkSelect, force_index
from ..engine.transaction import Rows, Transaction
from ..schema.mappers import RESPONSE, stored_response, stored_response_values
from ..schema.tables import stored_responses

MAX_KEYS = 500
"""Maximum keys in one statement; with so many MariaDB still deletes by the primary key."""

_key = (stored_responses.c.user_id, stored_responses.c.key)
_LOAD = BulkSelect(force_index(select(*RESPONSE), stored_responses, "PRIMARY"), *_key)
_STORE = BulkInsert(stored_responses)
_OLD = (
    select(*_key)
    .where(stored_responses.c.kept_at < bindparam("before"))
    .order_by(stored_responses.c.kept_at)
    .limit(bindparam("limit", type_=Integer()))
)
_OF_USER = (
    select(*_key).where(stored_responses.c.user_id == bindparam("of_user")).limit(bindparam("limit", type_=Integer()))
)
_DELETE = delete(stored_responses).where(tuple_(*_key).in_(bindparam("keys", expanding=True)))


async def load_responses(transaction: Transaction, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
    """Return the responses stored under these keys."""
    pairs = sorted({(key.user_id, key.text) for key in keys})
    found: dict[Key, StoredResponse] = {}
    for start in range(0, len(pairs), MAX_KEYS):
        for row in await transaction.find(_LOAD, pairs[start : start + MAX_KEYS]):
            each = stored_response(row)
            found[each.key] = each
    return found


async def store_responses(transaction: Transaction, responses: Sequence[StoredResponse], now: datetime) -> None:
    """Enqueue the insertion of responses, in the order of their keys, which prevents deadlocks."""
    ordered = sorted(responses, key=lambda each: (each.key.user_id, each.key.text))
    transaction.enqueue(_STORE.statements([stored_response_values(each, now) for each in ordered], transaction.dialect))


async def delete_responses(transaction: Transaction, before: datetime, limit: int) -> int:
    """Delete up to `limit` responses, oldest first, and return how many. By primary key, to lock no other response."""
    return await _delete(transaction, await transaction.rows(_OLD, {"before": before, "limit": limit}))


async def delete_responses_of(transaction: Transaction, user_id: UUID, limit: int) -> int:
    """Delete up to `limit` responses to a user and return how many."""
    return await _delete(transaction, await transaction.rows(_OF_USER, {"of_user": user_id, "limit": limit}))


async def _delete(transaction: Transaction, rows: Rows) -> int:
    keys = [tuple(row) for row in rows]
    return sum(
        [
            await transaction.change(_DELETE, {"keys": keys[start : start + MAX_KEYS]})
            for start in range(0, len(keys), MAX_KEYS)
        ]
    )

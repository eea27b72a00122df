"""Remembered answers: one per user and key, compared byte by byte."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, delete, insert, select, tuple_

from ....application.ports.idempotency import Key, StoredResponse
from ..engine.transaction import Transaction
from ..find import Find, through
from ..into import Into
from ..schema.mappers import ANSWER, remembered, remembered_values
from ..schema.tables import remembered_answers

MOST_KEYS = 500
"""Keys that one statement names; MariaDB still finds so many by the primary key when it deletes."""

_key = tuple_(remembered_answers.c.user_id, remembered_answers.c.key)
_keys: Any = _key.in_(bindparam("keys", expanding=True))
_LOAD = Find(
    through(select(*ANSWER).where(_keys), remembered_answers, "PRIMARY"),
    keys=[remembered_answers.c.user_id, remembered_answers.c.key],
)
_KEEP = Into(insert(remembered_answers))
_OLD = (
    select(remembered_answers.c.user_id, remembered_answers.c.key)
    .where(remembered_answers.c.kept_at < bindparam("before"))
    .order_by(remembered_answers.c.kept_at)
    .limit(bindparam("limit", type_=Integer()))
)
_FORGET = delete(remembered_answers).where(_keys)


async def load_answers(transaction: Transaction, keys: Sequence[Key]) -> dict[Key, StoredResponse]:
    """What is kept under these keys."""
    pairs = sorted({(key.user_id, key.text) for key in keys})
    found: dict[Key, StoredResponse] = {}
    for start in range(0, len(pairs), MOST_KEYS):
        for row in await transaction.find(_LOAD, keys=pairs[start : start + MOST_KEYS]):
            each = remembered(row)
            found[each.key] = each
    return found


async def keep_answers(transaction: Transaction, answers: Sequence[StoredResponse], now: datetime) -> None:
    """In the order of their keys, so that no two transactions wait for each other. Raises: Conflict."""
    ordered = sorted(answers, key=lambda each: (each.key.user_id, each.key.text))
    transaction.hold(_KEEP.statements([remembered_values(each, now) for each in ordered], transaction.dialect))


async def forget_answers(transaction: Transaction, before: datetime, limit: int) -> int:
    """The oldest first; how many went. Deleted by their keys, so that no other answer is locked."""
    old = [tuple(row) for row in await transaction.rows(_OLD, {"before": before, "limit": limit})]
    return sum(
        [
            await transaction.change(_FORGET, {"keys": old[start : start + MOST_KEYS]})
            for start in range(0, len(old), MOST_KEYS)
        ]
    )

"""Accounts, sessions and erasures, inside one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import asdict
from sqlalchemy import and_, bindparam, delete, select, update

from .....application.ports.repositories import AccountReview, SignIn
from .....application.ports.security import RefreshDigests, ReplacedToken
from .....domain.decisions.erase import Erasure
from .....domain.payment import ChargeStatus
from .....domain.user import Session, User
from ...bulk.insert import BulkInsert
from ...engine.transaction import Transaction
from ...schema.mappers import SESSION, USER, session, user
from ...schema.tables import (
    account_claims,
    account_links,
    account_reviews,
    customer_log_keys,
    erasures,
    event_staff,
    payments,
    sessions,
    users,
)
from ..stored_responses import delete_responses_of

_ADD = BulkInsert(users)
_LOCK = select(*USER).where(users.c.id == bindparam("user_id")).with_for_update()
_LOCK_BY_EMAIL = select(*USER).where(users.c.email == bindparam("email")).with_for_update()
_PUT = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values({column: bindparam(f"new_{column.name}", type_=column.type) for column in USER if column.name != "id"})
)
_PUT_REVIEW = BulkInsert(account_reviews, on_existing={"until": "{new}", "due_at": "{new}"})
_is_same = and_(
    account_reviews.c.user_id == bindparam("of_user"),
    account_reviews.c.until == bindparam("same_until", type_=account_reviews.c.until.type),
)
_POSTPONE_REVIEW = update(account_reviews).where(_is_same).values(due_at=bindparam("new_due_at"))
_DELETE_REVIEW = delete(account_reviews).where(_is_same)
_ADD_SESSION = BulkInsert(sessions)
_DELETE_EXPIRED = delete(sessions).where(
    sessions.c.user_id == bindparam("of_user"), sessions.c.expires_at <= bindparam("now")
)
_USER_OF_SESSION = select(sessions.c.user_id).where(sessions.c.family_digest == bindparam("family"))
_REPLACED = (sessions.c.replaced_digest, sessions.c.replaced_salt, sessions.c.replaced_at)
_LOCK_SESSION = (
    select(*SESSION, sessions.c.token_digest, *_REPLACED)
    .where(sessions.c.family_digest == bindparam("family"))
    .with_for_update()
)
_PUT_SESSION = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(
        expires_at=bindparam("new_expires_at"),
        ended_at=bindparam("new_ended_at"),
        token_digest=bindparam("new_token"),
        **{column.name: bindparam(f"new_{column.name}") for column in _REPLACED},
    )
)
_END_SESSIONS = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("of_user"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
)
_END_OTHER_SESSIONS = _END_SESSIONS.where(sessions.c.id != bindparam("but"))
_OF_USER = [
    delete(owner.table).where(owner == bindparam("of_user"))
    for owner in (sessions.c.user_id, account_links.c.user_id, event_staff.c.user_id, customer_log_keys.c.customer_id)
]
_OF_ADDRESS = [delete(table).where(table.c.email == bindparam("to_email")) for table in (account_links, account_claims)]
_SAVE = BulkInsert(erasures, on_existing={"due_at": "{new}"})
_REMOVE = delete(erasures).where(erasures.c.user_id == bindparam("of_user"))
_FORGET_KEYS = (
    update(payments)
    .where(payments.c.booking_id.in_(bindparam("booking_ids", expanding=True)))
    .where(payments.c.key.is_not(None), payments.c.status != ChargeStatus.PENDING)
    .values(key=None)
)


class SqlUserRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, user: User) -> None:
        """See the port."""
        await self._transaction.insert(_ADD, [asdict(user)])

    async def lock(self, user_id: UUID) -> User | None:
        """See the port."""
        return await self._one(_LOCK, {"user_id": user_id})

    async def lock_by_email(self, email: str) -> User | None:
        """See the port."""
        return await self._one(_LOCK_BY_EMAIL, {"email": email})

    async def save(self, user: User) -> None:
        """See the port."""
        values = {f"new_{name}": value for name, value in asdict(user).items() if name != "id"}
        await self._transaction.change(_PUT, {"user_id": user.id, **values}, expected=1)

    async def add_session(self, session: Session, digests: RefreshDigests, now: datetime) -> None:
        """See the port."""
        await self._transaction.change(_DELETE_EXPIRED, {"of_user": session.user_id, "now": now})
        row = {**asdict(session), "family_digest": digests.family, "token_digest": digests.token}
        await self._transaction.insert(_ADD_SESSION, [{**row, **dict.fromkeys(column.name for column in _REPLACED)}])

    async def lock_session(self, family: bytes) -> SignIn | None:
        """See the port. It locks the user first, as every transaction does that changes sessions."""
        found = await self._transaction.rows(_USER_OF_SESSION, {"family": family})
        locked = await self.lock(found[0][0]) if found else None
        rows = await self._transaction.rows(_LOCK_SESSION, {"family": family}) if locked else ()
        if locked is None or not rows:
            return None
        *columns, token, digest, salt, replaced_at = rows[0]
        replaced = None if digest is None else ReplacedToken(bytes(digest), bytes(salt), replaced_at)
        return SignIn(locked, session(columns), bytes(token), replaced)

    async def save_session(self, sign_in: SignIn) -> None:
        """See the port."""
        session, replaced = sign_in.session, sign_in.replaced
        values = {
            "session_id": session.id,
            "new_expires_at": session.expires_at,
            "new_ended_at": session.ended_at,
            "new_token": sign_in.token,
            "new_replaced_digest": replaced and replaced.digest,
            "new_replaced_salt": replaced and replaced.salt,
            "new_replaced_at": replaced and replaced.replaced_at,
        }
        await self._transaction.change(_PUT_SESSION, values, expected=1)

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """See the port."""
        values: dict[str, Any] = {"of_user": user_id, "now": now}
        if but is None:
            await self._transaction.change(_END_SESSIONS, values)
        else:
            await self._transaction.change(_END_OTHER_SESSIONS, {**values, "but": but})

    async def put_review(self, review: AccountReview) -> None:
        """See the port."""
        await self._transaction.insert(_PUT_REVIEW, [asdict(review)])

    async def finish_review(self, review: AccountReview, due_at: datetime | None) -> None:
        """See the port."""
        values = {"of_user": review.user_id, "same_until": review.until}
        if due_at is None:
            await self._transaction.change(_DELETE_REVIEW, values)
        else:
            await self._transaction.change(_POSTPONE_REVIEW, {**values, "new_due_at": due_at})

    async def _one(self, statement: Any, values: dict[str, Any]) -> User | None:
        rows = await self._transaction.rows(statement, values)
        return user(rows[0]) if rows else None


class SqlErasureRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def erase(self, user: User) -> None:
        """See the port."""
        for statement in _OF_USER:
            await self._transaction.change(statement, {"of_user": user.id})
        for statement in _OF_ADDRESS if user.is_verified else ():
            await self._transaction.change(statement, {"to_email": user.email})

    async def save(self, erasure: Erasure) -> None:
        """See the port."""
        await self._transaction.insert(_SAVE, [asdict(erasure)])

    async def remove(self, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE, {"of_user": user_id})

    async def forget_payment_keys(self, booking_ids: Sequence[UUID]) -> None:
        """See the port."""
        await self._transaction.change(_FORGET_KEYS, {"booking_ids": list(booking_ids)})

    async def delete_stored_responses(self, user_id: UUID, limit: int) -> int:
        """See the port."""
        return await delete_responses_of(self._transaction, user_id, limit)

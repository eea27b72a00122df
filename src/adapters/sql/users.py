"""Accounts and sessions, inside one transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import asdict
from sqlalchemy import bindparam, delete, insert, select, update

from ...domain.user import Session, User
from .into import Into
from .rows import USER, user
from .tables import sessions, users
from .transaction import Transaction

_ADD = Into(insert(users))
_LOCK = select(*USER).where(users.c.id == bindparam("user_id")).with_for_update()
_LOCK_BY_EMAIL = select(*USER).where(users.c.email == bindparam("email")).with_for_update()
_PUT = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values({column: bindparam(f"new_{column.name}", type_=column.type) for column in USER if column.name != "id"})
)
_ADD_SESSION = Into(insert(sessions))
_FORGET_EXPIRED = delete(sessions).where(
    sessions.c.user_id == bindparam("of_user"), sessions.c.expires_at <= bindparam("now")
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


class SqlUsers:
    """Accounts and sessions, inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, user: User) -> None:
        """A new account. Raises: Conflict."""
        await self._transaction.insert(_ADD, [asdict(user)])

    async def lock(self, user_id: UUID) -> User | None:
        """The account, its row locked."""
        return await self._one(_LOCK, {"user_id": user_id})

    async def lock_by_email(self, email: str) -> User | None:
        """The account, its row locked."""
        return await self._one(_LOCK_BY_EMAIL, {"email": email})

    async def save(self, user: User) -> None:
        """Put an account that was locked."""
        values = {f"new_{name}": value for name, value in asdict(user).items() if name != "id"}
        await self._transaction.change(_PUT, {"user_id": user.id, **values}, expected=1)

    async def add_session(self, session: Session, now: datetime) -> None:
        """A new session; those that have expired go."""
        await self._transaction.change(_FORGET_EXPIRED, {"of_user": session.user_id, "now": now})
        await self._transaction.insert(_ADD_SESSION, [asdict(session)])

    async def end_sessions(self, user_id: UUID, now: datetime, *, but: UUID | None) -> None:
        """End every live session but this one."""
        values: dict[str, Any] = {"of_user": user_id, "now": now}
        if but is None:
            await self._transaction.change(_END_SESSIONS, values)
        else:
            await self._transaction.change(_END_OTHER_SESSIONS, {**values, "but": but})

    async def _one(self, statement: Any, values: dict[str, Any]) -> User | None:
        rows = await self._transaction.rows(statement, values)
        return user(rows[0]) if rows else None

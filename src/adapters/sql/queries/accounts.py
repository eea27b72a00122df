"""Accounts and sessions. No call waits for a lock; each is one statement."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Executable,
    Integer,
    and_,
    bindparam,
    null,
    select,
    union_all,
)

from ....application.ports.queries import (
    Account,
    Customer,
    Revocations,
)
from ....application.ports.repositories import AccountReview
from ....application.ports.security import AccountKey
from ....domain.decisions.erase import Erasure
from ....domain.user import Session, User
from ..bulk.select import force_index
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..schema.mappers import SESSION, USER, session, user
from ..schema.tables import account_reviews, erasures, sessions, users

_limit = bindparam("limit", type_=Integer())
_USERS = select(*USER).order_by(users.c.id).limit(_limit)
_USERS_AFTER = _USERS.where(users.c.id > bindparam("after"))
_USER_BY_EMAIL = select(*USER).where(users.c.email == bindparam("email"))
_CUSTOMERS = force_index(select(users.c.id, users.c.name, users.c.email), users, "PRIMARY").where(
    users.c.id.in_(bindparam("ids", expanding=True)), users.c.erased_at.is_(None)
)
_ACCOUNTS = (
    select(*USER, *SESSION)
    .outerjoin_from(
        users,
        sessions,
        and_(sessions.c.user_id == users.c.id, sessions.c.id.in_(bindparam("session_ids", expanding=True))),
    )
    .where(users.c.id.in_(bindparam("user_ids", expanding=True)))
)
_DUE_REVIEWS = (
    select(account_reviews.c.user_id, account_reviews.c.until, account_reviews.c.due_at)
    .where(account_reviews.c.due_at <= bindparam("now"))
    .order_by(account_reviews.c.due_at, account_reviews.c.user_id)
    .limit(_limit)
)
_SESSIONS = select(*SESSION).where(sessions.c.user_id == bindparam("of_user")).order_by(sessions.c.id)
_ERASURES = select(erasures).where(erasures.c.due_at <= bindparam("now")).order_by(erasures.c.due_at).limit(_limit)
_since: BindParameter[datetime] = bindparam("since")
_REVOKED = union_all(
    force_index(
        select(users.c.id, users.c.role, users.c.disabled_at, users.c.erased_at).where(
            users.c.standing_changed_at >= _since
        ),
        users,
        "ix_users_standing_changed_at",
    ),
    # A session has no role, which distinguishes it from a user. With columns of the index alone, MySQL would read the
    # whole index while it believes the table to be small.
    force_index(
        select(sessions.c.id, null(), sessions.c.expires_at, sessions.c.ended_at).where(sessions.c.ended_at >= _since),
        sessions,
        "ix_sessions_ended_at",
    ),
)


class SqlAccountQueries:
    """See the port. The list of users has its own connections, so that other queries never wait for it."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def user_by_email(self, email: str) -> User | None:
        """See the port."""
        rows = await self._rows(_USER_BY_EMAIL, email=email)
        return user(rows[0]) if rows else None

    async def customers(self, user_ids: Collection[UUID]) -> dict[UUID, Customer]:
        """See the port."""
        rows = await self._listed(_CUSTOMERS, ids=list(user_ids)) if user_ids else []
        return {id_: Customer(id_, name, email) for id_, name, email in rows}

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """See the port."""
        if after is None:
            rows = await self._listed(_USERS, limit=limit)
        else:
            rows = await self._listed(_USERS_AFTER, after=after, limit=limit)
        return [user(row) for row in rows]

    async def revocations(self, since: datetime) -> Revocations:
        """See the port."""
        rows = await self._rows(_REVOKED, since=since)
        return Revocations(
            ended=[id_ for id_, role, *_ in rows if role is None],
            users={id_: None if any(ends) else role for id_, role, *ends in rows if role is not None},
        )

    async def due_reviews(self, now: datetime, limit: int) -> list[AccountReview]:
        """See the port."""
        return [AccountReview(*row) for row in await self._rows(_DUE_REVIEWS, now=now, limit=limit)]

    async def sessions_of(self, user_id: UUID) -> list[Session]:
        """See the port."""
        return [session(row) for row in await self._rows(_SESSIONS, of_user=user_id)]

    async def due_erasures(self, now: datetime, limit: int) -> list[Erasure]:
        """See the port."""
        rows = await self._rows(_ERASURES, now=now, limit=limit)
        return [Erasure(user_id=user_id, erased_at=erased_at, due_at=due_at) for user_id, erased_at, due_at in rows]

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """See the port."""
        ids = {
            "user_ids": list({key.user_id for key in wanted}),
            "session_ids": list({key.session_id for key in wanted if key.session_id is not None}),
        }
        found_users: dict[UUID, User] = {}
        found_sessions: dict[AccountKey, Session] = {}
        for row in await self._rows(_ACCOUNTS, **ids):
            found_user, of_session = user(row[: len(USER)]), row[len(USER) :]
            found_users[found_user.id] = found_user
            if of_session[0] is not None:
                found_session = session(of_session)
                found_sessions[AccountKey(found_user.id, found_session.id)] = found_session
        return {
            key: Account(found_users[key.user_id], found_sessions.get(key))
            for key in wanted
            if key.user_id in found_users
        }

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)

    async def _listed(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._classify, statement, values)

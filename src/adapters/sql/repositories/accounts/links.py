"""Links in mails to accounts, and the claims that wait for them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import asdict, fields
from sqlalchemy import Column, bindparam, delete, select, update

from .....domain.user import User
from .....domain.verification import Link, LinkPurpose
from ...bulk.insert import BulkInsert
from ...engine.transaction import Transaction
from ...schema.tables import account_claims, account_links

_FIELDS = tuple(field.name for field in fields(Link))
LINK: tuple[Column[Any], ...] = tuple(account_links.c[name] for name in _FIELDS)

_ADD = BulkInsert(account_links)
_LINK = select(*LINK).where(account_links.c.id == bindparam("link_id"))
_PUT = (
    update(account_links)
    .where(account_links.c.id == bindparam("link_id"))
    .values(due_at=bindparam("new_due_at"), attempts=bindparam("new_attempts"))
)
_REMOVE = delete(account_links).where(account_links.c.id == bindparam("link_id"))
_REMOVE_OF = delete(account_links).where(account_links.c.user_id == bindparam("of_user"))
_TO_EMAIL = account_links.c.email == bindparam("to_email")
_FOR_PURPOSE = account_links.c.purpose == bindparam("for_purpose")
_REMOVE_SOME = {
    (False, False): _REMOVE_OF,
    (True, False): _REMOVE_OF.where(_TO_EMAIL),
    (False, True): _REMOVE_OF.where(_FOR_PURPOSE),
    (True, True): _REMOVE_OF.where(_TO_EMAIL, _FOR_PURPOSE),
}
_FORGET = delete(account_links).where(account_links.c.created_at < bindparam("before"))
_ADD_CLAIM = BulkInsert(account_claims)
_CLAIM_FIELDS = tuple(column.name for column in account_claims.c)
_CLAIM = select(*account_claims.c).where(account_claims.c.id == bindparam("claim_id"))
_REMOVE_CLAIM = delete(account_claims).where(account_claims.c.id == bindparam("claim_id"))
_FORGET_CLAIMS = delete(account_claims).where(account_claims.c.created_at < bindparam("before"))


def link(values: Any) -> Link:
    """Return a link from the columns of `LINK`."""
    return Link(**dict(zip(_FIELDS, values, strict=True)))


class SqlLinkRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, link: Link) -> None:
        """See the port."""
        await self._transaction.insert(_ADD, [asdict(link)])

    async def link(self, link_id: UUID) -> Link | None:
        """See the port."""
        rows = await self._transaction.rows(_LINK, {"link_id": link_id})
        return link(rows[0]) if rows else None

    async def save(self, link: Link) -> None:
        """See the port."""
        values = {"link_id": link.id, "new_due_at": link.due_at, "new_attempts": link.attempts}
        await self._transaction.change(_PUT, values)

    async def remove(self, link_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE, {"link_id": link_id})

    async def remove_of(self, user_id: UUID, *, email: str | None = None, purpose: LinkPurpose | None = None) -> None:
        """See the port."""
        chosen = {"to_email": email, "for_purpose": purpose}
        values = {name: value for name, value in chosen.items() if value is not None}
        statement = _REMOVE_SOME[email is not None, purpose is not None]
        await self._transaction.change(statement, {"of_user": user_id, **values})

    async def add_claim(self, user: User) -> None:
        """See the port."""
        await self._transaction.insert(_ADD_CLAIM, [asdict(user)])

    async def claim(self, user_id: UUID) -> User | None:
        """See the port."""
        rows = await self._transaction.rows(_CLAIM, {"claim_id": user_id})
        return User(**dict(zip(_CLAIM_FIELDS, rows[0], strict=True))) if rows else None

    async def remove_claim(self, user_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE_CLAIM, {"claim_id": user_id})

    async def forget(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.change(_FORGET, {"before": before})
        await self._transaction.change(_FORGET_CLAIMS, {"before": before})

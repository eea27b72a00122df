"""Accounts that an operator names, by e-mail address or id."""

from uuid import UUID

from ...domain.refusals import NotFound
from ...domain.user import LOGIN_RULES, User
from ...domain.values.fields import checked
from ..ports.storage import UnitOfWork

AccountName = UUID | str
"""The id of an account or its e-mail address."""


def account_name(text: str) -> AccountName:
    """Return the id or address that an operator wrote. Raises: InvalidRequest."""
    try:
        return UUID(text)
    except ValueError:
        address: str = checked({"email": text}, LOGIN_RULES)["email"]
        return address


async def lock_named(unit_of_work: UnitOfWork, name: AccountName) -> User:
    """Return the account, locked until the unit of work ends. Raises: NotFound."""
    if isinstance(name, UUID):
        user = await unit_of_work.users.lock(name)
        if user is None:
            raise NotFound("No account has this id.")
        return user
    user = await unit_of_work.users.lock_by_email(name)
    if user is None:
        raise NotFound("No account has this e-mail address.")
    return user

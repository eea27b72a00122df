"""Grant a role to an account."""

from msgspec.structs import replace

from ...domain.user import Role, User
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .named_account import account_name, lock_named


class GrantRole:
    """Grant a role to an account. Only operators can do this."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, account: str, role: Role) -> User:
        """Return the account, which is named by its id or e-mail address.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        name = account_name(account)

        async def grant(unit_of_work: UnitOfWork) -> User:
            user = await lock_named(unit_of_work, name)
            if user.role is role:
                return user
            granted = replace(user, role=role, standing_changed_at=self._clock.now())
            await unit_of_work.users.save(granted)
            return granted

        return await in_transaction(self._storage, grant)

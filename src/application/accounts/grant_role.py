"""Grant a role to an account."""

from msgspec.structs import replace

from ...domain.refusals import NotFound
from ...domain.user import LOGIN_RULES, Role, User
from ...domain.values.fields import checked
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction


class GrantRole:
    """Grant a role to an account. Only operators can do this."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, email: str, role: Role) -> User:
        """Return the account. Raises: InvalidRequest, NotFound, Unavailable."""
        address = checked({"email": email}, LOGIN_RULES)["email"]

        async def grant(unit_of_work: UnitOfWork) -> User:
            user = await unit_of_work.users.lock_by_email(address)
            if user is None:
                raise NotFound("No account has this e-mail address.")
            if user.role is role:
                return user
            granted = replace(user, role=role, standing_changed_at=self._clock.now())
            await unit_of_work.users.save(granted)
            return granted

        return await in_transaction(self._storage, grant)
